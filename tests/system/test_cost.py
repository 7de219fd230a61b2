"""What looking loads: `status --offline` on an unlocked vault. `bench.starting` measures it."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from backchannel.client.machine import clock
from backchannel.client.machine.profile import Profile
from backchannel.client.unlocking import unlocked
from backchannel.client.vault.vault import Vault
from tests.support.member import Channel, channel
from tests.support.people import ENTROPY, PASSPHRASE

pytestmark = [pytest.mark.system, pytest.mark.slow]
HEAVY = {"cryptography", "nacl", "httpcore", "msgspec", "segno", "mnemonic", "platformdirs"}
PLAIN = {k: v for k, v in os.environ.items() if not k.startswith(("COV", "BACKCHANNEL_"))}


@pytest.fixture(scope="module")
def north() -> Iterator[Channel]:
    with channel("Heron") as made:
        profile = Profile.at(made.people["Heron"].home)
        made.facilitator.json("say", "Something to count.")
        made.people["Heron"].do("sync")
        unlocked.start(profile, Vault.key(profile, PASSPHRASE, clock.now(profile), ENTROPY), 600)
        yield made
        unlocked.end(profile)


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
