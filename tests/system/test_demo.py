"""`demo`: the whole play, as one document, within its time and without remains."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.people import PROGRAM, program

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("played")
    began = time.monotonic()
    done = subprocess.run(
        [*PROGRAM, "demo", "--json"], capture_output=True, text=True, timeout=200, check=False,
        env={**os.environ, "TMPDIR": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    left = [path.name for path in folder.iterdir()]
    return found | {"left": left, "measured": time.monotonic() - began}


def test_every_claim_holds(played: dict[str, object]) -> None:
    claims = played["claims"]
    assert isinstance(claims, list)
    assert len(claims) >= 8
    assert all(each["holds"] for each in claims)


def test_the_relay_held_noise_and_then_nothing(played: dict[str, object]) -> None:
    held, after = played["relay"], played["after"]
    assert isinstance(held, dict)
    assert held["drops"] == 3
    assert held["blocks"] > 10
    assert held["search"]["found"] == []
    assert held["search"]["wanted"] > 25
    assert after == {"messages": 0, "blocks": 0}


def test_it_takes_ordinary_commands_of_four_people(played: dict[str, object]) -> None:
    scenes = played["scenes"]
    assert isinstance(scenes, list)
    runs = [run for scene in scenes for run in scene["runs"]]
    assert {run["who"] for run in runs} == {"operator", "Linden", "Heron", "Osprey"}
    assert all(run["command"].startswith("backchannel") for run in runs)


def test_it_leaves_nothing_behind(played: dict[str, object]) -> None:
    assert played["kept"] is None
    assert played["left"] == []


def test_kept_it_can_be_gone_on_with() -> None:
    done = subprocess.run(
        [*PROGRAM, "demo", "--keep"], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines()[:-8])) <= 80
    kept = Path(done.stdout.splitlines()[-1].removeprefix("When you are done: rm -r "))
    try:
        assert (kept / "relay" / "relay.toml").is_file()
        secret = str(kept / "heron.passphrase")
        seen = program("status", "--offline", "--passphrase-file", secret, home=kept / "heron")
        assert "Harbour talks" in seen.stdout
    finally:
        shutil.rmtree(kept)


def test_without_a_relay_installed_it_says_what_to_install() -> None:
    script = (
        "import shutil, sys\nfrom pathlib import Path\n"
        "sys.executable = '/nowhere/python'\nshutil.which = lambda _: None\n"
        "from backchannel.client.cli import main\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "demo"], capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 9
    assert "backchannel-relay is not installed" in done.stderr
    assert "pip install" in done.stderr
