"""Attack class 33: a disk is read below its file system, after what stood there was erased.

A real vault and a real relay work on an ext4 of their own, in a file that is mounted as a disk;
then it is unmounted and every byte of it is searched. That needs root and a loop device: elsewhere
these tests are skipped. They say nothing of flash, which moves what is written, nor of file systems
that copy it: `doctor` warns of those.
"""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from backchannel.client.vault.folder import KEYS
from backchannel.client.vault.vault import Vault
from backchannel.protocol.secret import ClockValue
from backchannel.protocol.types import DropId, EpochId, Hour, Timestamp, hour_of
from backchannel.server import service
from backchannel.server.home import Home
from backchannel.server.operate import setup
from backchannel.server.relay import Relay
from backchannel.server.repository import DropRow, Repository
from backchannel.server.service import Brought
from backchannel.server.settings import Settings
from backchannel.server.sweeper import sweep_now
from backchannel.server.writer import Order, commit
from tests.support.people import ENTROPY, NOON, NORTH, add_channel, make_vault, message
from tests.support.powerloss.vault import keys_in
from tests.support.relay import RelayProcess, door_of, noise

pytestmark = [pytest.mark.system, pytest.mark.slow]

SIZE = 96 << 20
COUNT = 200
DAY = 24 * 3600
HOURS = 104
EPOCH = EpochId(bytes(16))


def tool(*command: str | Path) -> bool:
    """Whether it could be done."""
    done = subprocess.run(list(map(str, command)), capture_output=True, check=False, timeout=60)
    return done.returncode == 0


@pytest.fixture
def raw(tmp_path: Path) -> Callable[[Callable[[Path], None]], bytes]:
    """Does some work on a disk of its own, and gives every byte of that disk afterwards."""
    needed = ("mkfs.ext4", "mount", "umount", "losetup")
    if os.geteuid() != 0 or not all(map(shutil.which, needed)):
        pytest.skip("needs root, mkfs.ext4 and mount")
    image = tmp_path / "disk"

    def work_on_disk(work: Callable[[Path], None]) -> bytes:
        with image.open("wb") as file:
            file.truncate(SIZE)
        assert tool("mkfs.ext4", "-q", "-F", image)
        with mounted(image, tmp_path / "mount") as folder:
            folder.chmod(0o700)
            work(folder)
        return image.read_bytes()

    return work_on_disk


@contextmanager
def mounted(image: Path, point: Path) -> Iterator[Path]:
    point.mkdir(exist_ok=True)
    if not tool("mount", "-o", "loop,data=ordered", image, point):
        pytest.skip("this machine lets nobody mount a file")
    try:
        yield point
    finally:
        assert tool("umount", point)


def found(secrets: set[bytes], disk: bytes) -> int:
    """How many of them stand anywhere on it."""
    return sum(secret in disk for secret in secrets)


Raw = Callable[[Callable[[Path], None]], bytes]


def test_attack_33_no_erased_key_of_a_vault_is_on_the_disk(raw: Raw) -> None:
    """Of 200 hours, of drafts and an epoch's clock, and of the database itself."""
    erased, kept = set[bytes](), set[bytes]()

    def work(folder: Path) -> None:
        profile, key = make_vault(folder / "home")
        path = profile.vault / KEYS
        with Vault(profile, key, NOON) as vault:
            add_channel(vault)
            with vault.exclusive(NOON), vault.transaction():
                for number in range(COUNT):
                    each = message(number, lifetime=2 + number, text="the bridge at four")
                    vault.messages.add(each, NOON, ENTROPY)
                vault.set_clock(EPOCH, hour_of(NOON), ClockValue(os.urandom(32)), 24)
                vault.channels.put_epochs(NORTH, [EPOCH])
                for _ in range(12):
                    vault.drafts.add(each.channel, b"draft", NOON, each.expires, NOON, ENTROPY)
        seen = keys_in(path.read_bytes())
        now = NOON
        for _ in range(5):
            now = Timestamp(now + 2 * DAY)
            with Vault(profile, key, now) as vault:
                vault.trust(now)
                vault.sweep(now, ENTROPY)
            seen |= keys_in(path.read_bytes())
        kept.update(keys_in(path.read_bytes()))
        erased.update(seen - kept)

    disk = raw(work)
    assert len(erased) > COUNT + 5 - len(kept)
    assert found(erased, disk) == 0
    assert found(kept, disk) == len(kept) > 0


def test_attack_33_no_erased_key_of_a_relay_is_on_the_disk(raw: Raw) -> None:
    """An hour after the other, for more than four days."""
    erased, kept = set[bytes](), set[bytes]()
    sealed = set[bytes]()

    def work(folder: Path) -> None:
        home = Home(folder / "relay")
        setup.make(home)
        seen = set[bytes]()
        with closing(Relay.open(home, Settings())) as relay:
            for hour in range(HOURS):
                RelayProcess(home.path).move_clock(hour)
                sealed.add(append(relay, first=not hour))
                seen |= keys_in(home.places.read_bytes())
            sweep_now(relay._store, relay._write_engine, relay.retention.highest)
        kept.update(keys_in(home.places.read_bytes()))
        erased.update(seen - kept)

    disk = raw(work)
    assert len(erased) >= HOURS - 26
    assert found(erased, disk) == 0
    assert found(kept, disk) == len(kept) > 20
    assert found(sealed, disk) > 2 * len(kept)  # rows stay: that is why keys must not


def append(relay: Relay, *, first: bool) -> bytes:
    """One block, as the writer takes it; some bytes of what stands in its row."""
    drop = DropId(bytes(16))

    def job(store: Repository, hour: Hour) -> bytes:
        if first:
            key = bytes(range(32))
            new = DropRow(1, key, key, keep=0, sealed=False, following=1)
            store.add_drop(drop, new)
        (block,) = noise()
        brought = [Brought(relay.retention.digest(drop, block), block)]
        door = door_of(store, drop)
        (taken,) = service.append(store, relay.retention, door, brought, 1000, hour)
        store.flush()
        (row,) = store.page(1, taken.position, Hour(0), hour, 1)
        return row.sealed[:64]

    with relay._write_engine.connect() as connection:
        (done,) = commit(connection, lambda: relay.retention.turn(relay.clock.now()), [Order(job)])
    assert isinstance(done.value, bytes), done.error
    return done.value


def renamed_over(folder: Path, keys: list[bytes]) -> None:
    """One after the other goes, by a new file in the place of the old."""
    file, draft = folder / "keys", folder / "keys.new"
    while keys:
        with draft.open("wb") as stream:
            stream.write(b"".join(key.ljust(512, b"\0") for key in keys))
            stream.flush()
            os.fsync(stream.fileno())
        draft.rename(file)
        keys.pop()


def rows(folder: Path, keys: list[bytes]) -> None:
    """One after the other goes, as rows do where they are overwritten and the log is emptied."""
    connection = sqlite3.connect(folder / "keys.db", isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE keys (key BLOB)")
    for key in keys:
        connection.execute("INSERT INTO keys VALUES (?)", (key,))
    for key in keys:
        connection.execute("DELETE FROM keys WHERE key = ?", (key,))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    assert found(set(keys), (folder / "keys.db").read_bytes()) == 0


@pytest.mark.parametrize("way", [renamed_over, rows])
def test_control_keys_that_are_kept_otherwise_are_all_on_the_disk(
    raw: Raw, way: Callable[[Path, list[bytes]], None]
) -> None:
    keys = [os.urandom(32) for _ in range(COUNT)]
    disk = raw(lambda folder: way(folder, list(keys)))
    assert found(set(keys), disk) > COUNT // 2
