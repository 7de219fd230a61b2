"""What looking costs: `status --offline` on an unlocked vault."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator

import pytest

from backchannel.client import unlocked
from backchannel.client.profile import Profile
from backchannel.client.vault.vault import Vault
from tests.support.member import Channel, channel
from tests.support.people import PASSPHRASE, PROGRAM

pytestmark = [pytest.mark.system, pytest.mark.slow]
HEAVY = {"cryptography", "nacl", "httpcore", "msgspec", "segno", "mnemonic", "platformdirs"}
PLAIN = {k: v for k, v in os.environ.items() if not k.startswith(("COV", "BACKCHANNEL_"))}


@pytest.fixture(scope="module")
def north() -> Iterator[Channel]:
    with channel("Heron") as made:
        profile = Profile.at(made.people["Heron"].home)
        made.facilitator.json("say", "Something to count.")
        made.people["Heron"].do("sync")
        unlocked.start(profile, Vault.key(profile, PASSPHRASE), 600)
        yield made
        unlocked.end(profile)


def cost(*command: str) -> float:
    """Processor seconds of the cheapest of some runs."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, env=PLAIN, stdout=subprocess.DEVNULL, timeout=60)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return min(once() for _ in range(8))


def test_status_offline_costs_at_most_four_times_importing_click(north: Channel) -> None:
    home = str(north.people["Heron"].home)
    looked = cost(*PROGRAM, "--home", home, "status", "--offline")
    assert looked <= 4 * cost(sys.executable, "-c", "import click")


def test_status_offline_imports_nothing_heavy(north: Channel) -> None:
    script = (
        "import sys\n"
        "from backchannel.client.app import App\n"
        "from backchannel.client.cli import run\n"
        f"run(['--home', {str(north.people['Heron'].home)!r}, 'status', '--offline'], App())\n"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, env=PLAIN,
        check=True,
    )  # fmt: skip
    assert "1 unread" in done.stdout
    assert not set(done.stderr.split()) & HEAVY
