"""What machine a relay needs: memory and disk of one that is empty, and of each drop, block and
reader that waits. The sizing table of docs/operators.md rests on it.

Prints a line for each figure, then what so many channels need, and last one JSON document.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from backchannel.protocol import limits
from backchannel.protocol.drop import Read
from backchannel.protocol.types import Hour
from bench.relay.load import Address, drive, run, want_connections
from bench.relay.ours import Ours, ours
from bench.relay.place import memory, settled
from bench.relay.waiting import Asked, crowd

_BULK = limits.MOST_BLOCKS
_KEEP = 2
_OF_DROP = 100
"""A relay lets 128 wait at one drop."""


class Size(NamedTuple):
    """Bytes of a relay, and of one of each."""

    memory: int
    memory_of_drop: float
    memory_of_reader: float
    disk: int
    disk_of_drop: float
    disk_of_block: float
    memory_after: int
    """Of the relay that was filled, with nobody waiting."""


class Use(NamedTuple):
    """How much a relay is used."""

    channels: int
    members: int
    messages: int
    """Of a channel in a day."""
    days: int
    """That they are kept."""


USES = (
    Use(1, 12, 200, 7),
    Use(10, 12, 200, 7),
    Use(100, 12, 200, 7),
    Use(1000, 12, 200, 7),
)
_DROPS = 2
"""Drops of one channel: that of this epoch, and that of the last."""


def measure(drops: int, blocks: int, readers: int) -> Size:
    """Of one relay, filled step by step."""
    want_connections()
    with ours(1, _KEEP) as relay:
        empty = _look(relay)
        relay.more_drops(drops, _KEEP)
        dropped = _look(relay)
        run(drive(relay.address, relay.appends(blocks // _BULK, _BULK), 8))
        filled = _look(relay)
        waiting = run(_with_readers(relay.address, relay.pid, list(_asked(relay, readers))))
    return Size(
        empty[0],
        (dropped[0] - empty[0]) / drops,
        (waiting - filled[0]) / readers,
        empty[1],
        (dropped[1] - empty[1]) / drops,
        (filled[1] - dropped[1]) / (blocks // _BULK * _BULK),
        filled[0],
    )


def _look(relay: Ours) -> tuple[int, int]:
    """Memory of the process; bytes of the database, with its log."""
    files = relay.relay.data.glob("relay.db*")
    return memory(relay.pid), sum(file.stat().st_blocks * 512 for file in files)


def _asked(relay: Ours, readers: int) -> Iterator[Asked]:
    """Each waits at the end of its drop."""
    relay.drops = relay.drops[: max(1, readers // _OF_DROP)]
    end = Read(limits.MOST_BLOCKS << 20, Hour(0), 1, limits.MOST_WAIT)
    for request in relay.reads([end] * readers):
        yield Asked(request, request)


async def _with_readers(address: Address, pid: int, asked: Sequence[Asked]) -> int:
    readers = await crowd(address, pid, asked)
    taken = memory(pid)
    for each in readers:
        each.transport.close()
    return taken


def needs(size: Size, use: Use) -> tuple[int, int]:
    """Bytes of memory with everybody waiting at once, and of disk."""
    drops = use.channels * _DROPS
    blocks = use.channels * use.messages * use.days
    memory_ = (
        max(size.memory, size.memory_after)
        + drops * max(0.0, size.memory_of_drop)
        + use.channels * use.members * size.memory_of_reader
    )
    disk = size.disk + drops * size.disk_of_drop + blocks * size.disk_of_block
    return int(memory_), int(disk)


def _lines(size: Size) -> Iterator[str]:
    yield f"empty: {size.memory >> 20} MiB of memory, {size.disk >> 10} KiB of disk"
    yield f"filled: {size.memory_after >> 20} MiB of memory"
    yield f"a drop: {size.memory_of_drop:.0f} bytes of memory, {size.disk_of_drop:.0f} of disk"
    yield f"a block: {size.disk_of_block:.0f} bytes of disk"
    yield f"a reader that waits: {size.memory_of_reader / 1024:.1f} KiB of memory"
    for use in USES:
        memory_, disk = needs(size, use)
        yield (
            f"{use.channels} channels of {use.members} people, {use.messages} messages a day, "
            f"kept for {use.days} days: {memory_ >> 20} MiB of memory, {disk >> 20} MiB of disk"
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.size", description=__doc__)
    parser.add_argument("--drops", type=int, default=1000)
    parser.add_argument("--blocks", type=int, default=100_000)
    parser.add_argument("--readers", type=int, default=1000)
    chosen = parser.parse_args()
    with settled():
        size = measure(chosen.drops, chosen.blocks, chosen.readers)
    for line in _lines(size):
        print(line)
    print(json.dumps(size._asdict()))


if __name__ == "__main__":
    main()
