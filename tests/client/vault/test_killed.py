"""kill -9 at any point: the vault is what it was before the change, or after it, never between."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from backchannel.client.machine.profile import Profile
from backchannel.client.vault.cursors import Cursor
from backchannel.client.vault.folder import KEYS
from backchannel.client.vault.head import VaultKey
from backchannel.client.vault.vault import Vault
from backchannel.protocol.expiry import PlaceKind
from backchannel.protocol.types import DropId, Hour, Timestamp
from tests.support.people import ENTROPY, NOON, NORTH, add_channel, make_vault

WRITER = """
import os, signal, sys
from pathlib import Path
from backchannel.client.machine.profile import Profile
from backchannel.client.vault.head import VaultKey
from backchannel.client.vault.cursors import Cursor
from backchannel.client.vault.outbox import Owed
from backchannel.client.vault.vault import Vault
from backchannel.protocol.secret import X25519Private
from backchannel.protocol.types import DropId, Hour
from tests.support.people import ENTROPY, NOON, NORTH, message

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def change(vault, number):
    drop, key = DropId(bytes(16)), X25519Private(bytes(32))
    with vault.exclusive(NOON), vault.transaction():
        vault.messages.add(message(number, lifetime=number), NOON, ENTROPY)
        vault.channels.put_state(NORTH, b"state %d" % number, {"count": number})
        vault.cursors.put("relay", drop, Cursor(number, Hour(1)))
        vault.outbox.add(Owed(NORTH, "relay", bytes(32), drop, key, 2, bytes(4096), "", Hour(1)))

home, key = sys.argv[1], VaultKey(bytes.fromhex(sys.stdin.readline()))
vault = Vault(Profile.at(Path(home)), key, NOON)
"""
DROP = DropId(bytes(16))


def start(body: str, home: Path, key: VaultKey) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER + body, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(key.expose().hex() + "\n")
    process.stdin.close()
    return process


def end(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(60) == -signal.SIGKILL


def counted(profile: Profile, key: VaultKey) -> int:
    """How many changes the vault holds; every table must say the same."""
    with Vault(profile, key, NOON) as vault:
        row = vault.channels.get("north")
        number = int(row.summary["count"])
        assert row.state == b"state %d" % number
        assert [found.order for found in vault.messages.list(NORTH, NOON)] == list(
            range(1, number + 1)
        )
        assert vault.cursors.get("relay", DROP) == Cursor(number, Hour(min(number, 1)))
        assert vault.outbox.count() == number
    return number


@pytest.fixture
def made(tmp_path: Path) -> tuple[Profile, VaultKey]:
    profile, key = make_vault(tmp_path / "home")
    with Vault(profile, key, NOON) as vault:
        add_channel(vault)
    return profile, key


@pytest.mark.slow
def test_killed_from_outside_at_whatever_it_was_doing(made: tuple[Profile, VaultKey]) -> None:
    body = """
for number in range(vault.channels.get("north").summary["count"] + 1, 1_000_000):
    change(vault, number)
    print(number, flush=True)
"""
    profile, key = made
    said = 0
    for changes in (1, 2, 3, 5, 8, 13, 21):
        process = start(body, profile.data, key)
        assert process.stdout is not None
        for _ in range(changes):
            said = int(process.stdout.readline())
        process.kill()  # while it is in one of the next changes
        said = max([said, *(int(line) for line in process.stdout.read().split())])
        end(process)
        assert counted(profile, key) in {said, said + 1}
        said = counted(profile, key)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [1, 5, 10, 20, 40, 60, 80])
def test_killed_inside_a_statement_of_a_transaction(
    made: tuple[Profile, VaultKey], steps: int
) -> None:
    profile, key = made
    body = f"""
change(vault, 1)
vault._database.connection.set_progress_handler(die, {steps})
change(vault, 2)
"""
    end(start(body, profile.data, key))
    assert counted(profile, key) == 1


@pytest.mark.slow
@pytest.mark.parametrize("call", ["pwrite", "fsync"])
def test_killed_while_a_new_expiry_key_is_written(
    made: tuple[Profile, VaultKey], call: str
) -> None:
    profile, key = made
    end(start(f"change(vault, 1)\nos.{call} = die\nchange(vault, 2)", profile.data, key))
    assert counted(profile, key) == 1
    process = start("change(vault, 2)\ndie()", profile.data, key)
    end(process)
    assert counted(profile, key) == 2


@pytest.mark.slow
def test_killed_between_erasing_and_saying_so_it_erases_again(
    made: tuple[Profile, VaultKey],
) -> None:
    """Keys go first, the header's hour last: a header never promises what was not done."""
    profile, key = made
    body = """
for number in (1, 2, 3):
    change(vault, number)
real, writes = os.pwrite, []
def pwrite(descriptor, data, offset):
    if len(writes) == 1:
        die()
    writes.append(offset)
    return real(descriptor, data, offset)
os.pwrite = pwrite
from backchannel.protocol.types import Timestamp
vault.exclusive(Timestamp(NOON + 4 * 3600)).__enter__()
"""
    end(start(body, profile.data, key))
    later = Timestamp(NOON + 4 * 3600)
    with Vault(profile, key, NOON) as vault:
        assert vault.hour(NOON) == NOON // 3600
    with Vault(profile, key, later) as vault:
        assert vault.messages.list(NORTH, NOON) == []
    kinds = (profile.vault / KEYS).read_bytes()[::512]
    assert kinds.count(2) == 0


@pytest.mark.slow
@pytest.mark.parametrize("syncs", [1, 2, 3, 4])
def test_killed_while_a_vault_is_made_there_is_none_or_a_whole_one(
    tmp_path: Path, syncs: int
) -> None:
    home = tmp_path / "home"
    script = f"""
import os, signal, sys
from pathlib import Path
from tests.support.people import make_vault
real, calls = os.fsync, []
def fsync(descriptor):
    calls.append(descriptor)
    if len(calls) == {syncs}:
        os.kill(os.getpid(), signal.SIGKILL)
    real(descriptor)
os.fsync = fsync
make_vault(Path(sys.argv[1]))
"""
    done = subprocess.run([sys.executable, "-c", script, str(home)], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not Profile.at(home).has_vault
    profile, key = make_vault(home)
    with Vault(profile, key, NOON) as vault:
        assert vault.channels.list() == []


@pytest.mark.slow
@pytest.mark.parametrize("writes", [1, 2, 3, 4])
def test_killed_while_an_epoch_takes_the_place_of_another_the_channel_has_its_clocks(
    made: tuple[Profile, VaultKey], writes: int
) -> None:
    """Clocks go in before the rows that name them, and out after: whatever rows are there have
    theirs; what nobody names goes with the next sweep.
    """
    profile, key = made
    body = f"""
from backchannel.protocol.secret import ClockValue
def turn(*names):
    with vault.exclusive(NOON):
        with vault.transaction():
            for name in names:
                vault.set_clock(name, Hour(500_000), ClockValue(name * 2), 24)
            vault.channels.put_epochs(NORTH, names)
        vault.forget_keys()
turn(b"1" * 16, b"2" * 16)
real, calls = os.pwrite, []
def pwrite(*rest):
    calls.append(rest)
    if len(calls) == {writes}:
        die()
    return real(*rest)
os.pwrite = pwrite
turn(b"2" * 16, b"3" * 16, b"4" * 16)
die()
"""
    end(start(body, profile.data, key))
    with Vault(profile, key, NOON) as vault:
        names = vault.channels.epochs(NORTH)
        before, after = {b"1" * 16, b"2" * 16}, {b"2" * 16, b"3" * 16, b"4" * 16}
        assert names == (before if writes < 3 else after)
        assert {name: vault.clock(name)[1].expose() for name in names} == {
            name: name * 2 for name in names
        }
        vault.sweep(NOON, ENTROPY)
        assert vault._expiry.keys.names(PlaceKind.CLOCK) == names
