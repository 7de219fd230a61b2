"""A command starts in a blink: what it must not import. `bench.starting` measures what it costs."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backchannel.client.machine import clock
from backchannel.client.machine.profile import Profile
from backchannel.client.unlocking import unlocked
from backchannel.client.vault.vault import expire
from tests.support.people import make_vault

HEAVY = {"cryptography", "nacl", "httpcore", "httpx", "sqlalchemy", "msgspec", "textual", "rich"}
LOOK = """
from backchannel.client.app import App
app = App()
with app.vault() as vault:
    print([row.summary for row in vault.channels.list()], vault.outbox.count())
"""
MEASURED = {k: v for k, v in os.environ.items() if not k.startswith("COV")}


def python(*arguments: str, home: Path | None = None) -> str:
    env = {**MEASURED, "BACKCHANNEL_HOME": str(home)} if home else MEASURED
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=env,
    )
    return done.stdout


def modules(script: str, home: Path | None = None) -> set[str]:
    shown = python("-c", script + "\nimport sys\nprint('\\n', *sys.modules)", home=home)
    return {name.partition(".")[0] for name in shown.split("\n", 2)[-1].split()}


@pytest.fixture
def unlocked_home(tmp_path: Path) -> Iterator[Path]:
    profile, key = make_vault(tmp_path / "home")
    unlocked.start(profile, key, 600)
    yield profile.data
    unlocked.end(profile)


def test_help_imports_nothing_heavy() -> None:
    script = """
from backchannel.client.app import App
from backchannel.client.cli import run
run(["--help"], App())
"""
    assert not modules(script) & (HEAVY | {"sqlcipher3", "platformdirs"})


def test_looking_into_an_unlocked_vault_imports_no_cryptography(unlocked_home: Path) -> None:
    profile = Profile.at(unlocked_home)
    expire(profile, clock.now(profile))  # as the command before it did, in this hour
    assert not modules(LOOK, unlocked_home) & HEAVY


def test_a_timer_imports_neither_network_nor_documents(unlocked_home: Path) -> None:
    script = """
from backchannel.client.app import App
from backchannel.client.cli import run
run(["tick"], App())
"""
    assert not modules(script, unlocked_home) & (HEAVY - {"cryptography", "nacl"})
