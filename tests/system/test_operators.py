"""The operators' handbook, followed to the letter: from nothing to a first message that somebody
else reads. Rows A050, A056.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.cited import ROOT
from tests.support.member import channel
from tests.support.relay import running_relay, until

pytestmark = [pytest.mark.system, pytest.mark.slow]

FIVE_MINUTES = 300
"""Seconds for one of the commands; all of them together take a fraction."""
BLOCKS = re.findall(
    r"^```\n(.*?)^```",
    (ROOT / "docs" / "operators.md").read_text("utf-8"),
    re.DOTALL | re.MULTILINE,
)
INSTALL = ("python3 -m venv ~/relay-venv && . ~/relay-venv/bin/activate", "pip install '.[relay]'")


def typed(block: int) -> list[str]:
    """The lines of a block, without comments."""
    return [re.sub(r"\s+#.*", "", line) for line in BLOCKS[block].splitlines()]


@dataclass
class Machine:
    """Somebody's home and terminals; what is exported in one line holds in the next."""

    home: Path
    copy: Path
    """Of the repository."""
    exported: str = ""

    def type(self, line: str, give: str = "", folder: Path | None = None) -> str:
        """One line, as bash takes it, to its end; what it printed."""
        done = subprocess.run(
            ["bash", "-ec", self.exported + line], cwd=folder or self.copy, input=give, text=True,
            capture_output=True, timeout=FIVE_MINUTES, check=False, env=self.env,
        )  # fmt: skip
        assert done.returncode == 0, (line, done.stdout, done.stderr)
        if line.startswith(("export ", ". ~/")):
            self.exported += line + "\n"
        return done.stdout

    @contextmanager
    def stays(self, line: str) -> Iterator[str]:
        """A line that does not end by itself; the relay's address, once it answers there."""
        command = ["bash", "-ec", f"{self.exported}exec {line}"]
        with subprocess.Popen(command, cwd=self.copy, env=self.env, stdout=subprocess.PIPE) as left:
            try:
                yield self._address()
            finally:
                left.terminate()

    def _address(self) -> str:
        address = self.home / "relay" / "relay.address"
        for _ in until(60):
            if address.exists() and (said := address.read_text("utf-8").strip()):
                return said
        raise AssertionError

    @property
    def env(self) -> dict[str, str]:
        """Of nobody else; the port is one that is free."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("BACKCHANNEL_", "PYTHON"))}
        own = {"HOME": str(self.home), "BACKCHANNEL_RELAY_PORT": "0"}
        return kept | own | {"BACKCHANNEL_PASSPHRASE_FILE": str(self.home / "passphrase")}


def machine(folder: Path, copy: Path) -> Machine:
    home = folder / "home"
    home.mkdir(mode=0o700)
    (home / "passphrase").touch(0o600)
    (home / "passphrase").write_text("lapwing cartwheel dormouse vinegar\n")
    return Machine(home, copy)


@pytest.fixture
def installed(tmp_path: Path) -> Machine:
    """A machine on which these sources are installed, as the first two lines would."""
    made = machine(tmp_path, ROOT)
    programs = made.home / "relay-venv" / "bin"
    programs.mkdir(parents=True)
    for name, package in (("backchannel-relay", "server"), ("backchannel", "client")):
        lines = f"import sys; from backchannel.{package}.cli import main; "
        lines += f"sys.argv[0] = '{name}'; main()"
        path = os.environ.get("PYTHONPATH", "")
        program = programs / name
        program.write_text(f"#!/bin/sh\nPYTHONPATH='{path}' exec '{sys.executable}' ")
        with program.open("a") as file:
            file.write(f'-c "{lines}" "$@"\n')
        program.chmod(0o755)
    (programs / "activate").write_text(f'export PATH="{programs}:$PATH"\n')
    return made


def follow(made: Machine) -> None:
    """The blocks about the first five minutes, and then a facilitator and a guest."""
    first, second = typed(0)[2:], typed(1)
    assert first.pop() == "backchannel-relay serve"
    for line in first:
        made.type(line)
    with made.stays("backchannel-relay serve") as url:
        for line in second:
            made.type(line, folder=made.home)
        talk(made, url, "--vouchers vouchers")


def talk(made: Machine, url: str, vouchers: str, give: str = "") -> None:
    """A channel, an invite, an admission, and a message that the other reads."""

    def typed_(line: str, give: str = "") -> str:
        return made.type(line, give, folder=made.home)

    typed_(f"backchannel --home fox channel new North --relay {url} {vouchers} --alias Fox", give)
    words = json.loads(typed_("backchannel --home fox invite Ibis --party South --json"))["words"]
    typed_(f"backchannel --home ibis join {url} --yes", words + "\n")
    typed_("backchannel --home fox admit Ibis --yes")
    for who in ("ibis", "fox", "ibis"):
        typed_(f"backchannel --home {who} sync")
    typed_("backchannel --home fox say 'The first of many'")
    assert "The first of many" in typed_("backchannel --home ibis read")


def test_a056_the_handbooks_five_minutes_end_with_a_message_delivered(installed: Machine) -> None:
    assert typed(0)[:2] == list(INSTALL)
    installed.type(". ~/relay-venv/bin/activate")
    follow(installed)


def test_a056_one_person_on_one_laptop(installed: Machine) -> None:
    install, quickstart = typed(2)
    assert install == "pip install '.[relay,client]'"
    (opened,) = typed(3)
    assert opened.startswith("backchannel channel new North --relay http://127.0.0.1:8440 ")
    installed.type(". ~/relay-venv/bin/activate")
    with installed.stays(quickstart) as url:  # its vouchers are as those of mint
        vouchers = installed.type("backchannel-relay vouchers mint 3 --data ~/relay")
        talk(installed, url, opened.partition(":8440 ")[2], vouchers)


@pytest.mark.skipif(not os.environ.get("BACKCHANNEL_FRESH"), reason="make five-minutes runs it")
def test_a056_from_a_clean_copy_to_a_message_delivered(tmp_path: Path) -> None:
    """Nothing is installed before: the handbook's first two lines are typed as they stand."""
    copy = tmp_path / "copy"
    left_out = shutil.ignore_patterns(".git", ".venv", "__pycache__", "*.pyc", ".*_cache", "tests")
    shutil.copytree(ROOT, copy, ignore=left_out)
    made = machine(tmp_path, copy)
    environment, install = INSTALL
    for line in (environment, ". ~/relay-venv/bin/activate", install, typed(2)[0]):
        made.type(line)
    follow(made)


def test_a050_a_changed_key_is_refused_with_code_4_and_two_lines() -> None:
    with channel("Heron") as made:
        port = made.relay.url.rpartition(":")[2]
        made.relay.stop()
        with running_relay("--port", port):
            done = made.people["Heron"].run("say", "To whom?")
    assert done.returncode == 4
    said, next_ = done.stderr.splitlines()
    assert "key" in said
    assert next_.startswith("next: ask the facilitator, by voice")
