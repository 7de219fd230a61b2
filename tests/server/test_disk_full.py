"""Attack class 53 on a real disk that is full: who is here goes on, and when there is room again it
is as if nothing had been.
"""

import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from shutil import disk_usage

import pytest

from backchannel.protocol.types import Block
from backchannel.server.limits import (
    FREE_DISK,
    LOOK_EVERY,
    NO_BLOCKS_AFTER,
    NO_DROPS_AFTER,
    RESERVED,
)
from tests.support.relay import DropClient, RefusedError, RelayProcess, noise, until

_SIZE = FREE_DISK + (96 << 20)
_LARGE = 32_000  # blocks: twice what may still be written when none is taken any more
_SOON = 20 * LOOK_EVERY


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, a little larger than what new drops need."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(folder)]
    if (
        sys.platform != "linux"
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        pytest.skip("no file system may be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


class Ballast:
    """A file of somebody else's that takes what the disk has."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "ballast"
        self._log = folder / "relay" / "relay.db-wal"

    def leave(self, free: int) -> None:
        """So many bytes, and no more, to the relay; of its log too, which it writes over."""
        self._file.unlink(missing_ok=True)
        free -= self._log.stat().st_size
        with self._file.open("wb", buffering=0) as file, suppress(OSError):
            while (more := disk_usage(self._file.parent).free - free) > 0:
                file.write(bytes(min(1 << 20, more)))


def begun(data: Path) -> tuple[RelayProcess, DropClient]:
    relay = RelayProcess.make(data)
    (data / "relay.toml").write_text("rate_blocks = 0\n")
    relay.start()
    client = DropClient.connect(relay.url)
    client.create(relay.voucher())
    return relay, client


def refusal(work: Callable[[], object]) -> RefusedError:
    """What it is refused with, as soon as the relay has looked."""
    for _ in until(_SOON):
        try:
            work()
        except RefusedError as error:
            return error
    raise AssertionError


def works(work: Callable[[], object]) -> None:
    """As soon as the relay has looked."""
    for _ in until(_SOON):
        with suppress(RefusedError):
            work()
            return


def is_whole(relay: RelayProcess, client: DropClient, kept: list[Block]) -> None:
    """After an end and a beginning too; the log tells of no bug."""
    for _ in range(2):
        assert [row.block for row in client.read().rows] == kept
        relay.restart()
        client.url = relay.url
    assert relay.stop() == 0
    assert "ERROR" not in relay.log.read_text()
    with closing(sqlite3.connect(relay.data / "relay.db")) as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_attack_53_the_new_are_refused_before_those_who_are_here(small: Path) -> None:
    relay, client = begun(small / "relay")
    ballast = Ballast(small)
    kept = noise(5)
    client.append(*kept)
    ballast.leave(FREE_DISK - (8 << 20))
    vouchers = relay.mint(1000)
    busy = refusal(lambda: DropClient.connect(relay.url).create(vouchers.pop()))
    assert (str(busy), busy.retry_after) == ("503 busy", NO_DROPS_AFTER)
    kept += noise(1)
    client.append(kept[-1])
    ballast.leave(RESERVED - (2 << 20))
    busy = refusal(lambda: client.append(*kept))
    assert (str(busy), busy.retry_after) == ("503 busy", NO_BLOCKS_AFTER)
    assert [row.block for row in client.read().rows] == kept
    ballast.leave(_SIZE)
    works(lambda: DropClient.connect(relay.url).create(vouchers[0]))
    kept += noise(1)
    client.append(kept[-1])
    is_whole(relay, client, kept)


def test_attack_53_deleting_a_large_drop_fits_into_what_is_reserved(small: Path) -> None:
    """All at once it would need more than was left; and what it held makes room for others."""
    relay, client = begun(small / "relay")
    large = DropClient.connect(relay.url)
    large.create(relay.voucher())
    for _ in range(_LARGE // 64):
        large.append(*noise(64))
    kept = noise(3)
    client.append(*kept)
    Ballast(small).leave(RESERVED - (4 << 20))
    refusal(lambda: client.append(*kept))
    large.delete()
    with pytest.raises(RefusedError, match="404 unknown-drop"):
        large.read()
    kept += noise(1)
    works(lambda: client.append(kept[-1]))
    is_whole(relay, client, kept)


def test_attack_53_not_one_byte_is_left_and_then_there_is_room(small: Path) -> None:
    relay, client = begun(small / "relay")
    kept = noise(20)
    client.append(*kept)
    ballast = Ballast(small)
    ballast.leave(0)
    busy = refusal(lambda: client.append(*noise(64)))
    assert str(busy) == "503 busy"
    assert busy.retry_after
    assert [row.block for row in client.read().rows] == kept
    ballast.leave(_SIZE)
    kept += noise(1)
    works(lambda: client.append(kept[-1]))
    is_whole(relay, client, kept)


def test_attack_53_no_file_may_grow_and_then_it_may(tmp_path: Path) -> None:
    """The same where nothing can be mounted: writes fail in the middle of a transaction."""
    relay, client = begun(tmp_path / "relay")
    kept = noise(20)
    client.append(*kept)
    assert relay.process is not None
    pid, free = relay.process.pid, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    log = (relay.data / "relay.db-wal").stat().st_size
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (log + 10_000, resource.RLIM_INFINITY))
    for _ in range(3):
        with pytest.raises(RefusedError, match="503 busy"):
            client.append(*noise(64))
    assert [row.block for row in client.read().rows] == kept
    resource.prlimit(pid, resource.RLIMIT_FSIZE, free)
    kept += noise(1)
    client.append(kept[-1])
    client.seal()
    is_whole(relay, client, kept)
