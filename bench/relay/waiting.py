"""Thousands of reads that wait: what memory each takes, and how much they slow appends to other
drops.

Each round has servers of its own, since memory that was once had is not given back. Readers ask as
clients do: for 60 seconds, and again; when a round begins they are anywhere within theirs.
"""

import asyncio
import statistics
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, final

from backchannel.protocol import limits
from backchannel.protocol.drop import Read
from backchannel.protocol.types import Hour
from bench.relay import floors
from bench.relay.findings import Findings
from bench.relay.load import Address, Dialect, Driven, Refused, drive, run, want_connections
from bench.relay.ours import Ours, http_post, ours
from bench.relay.place import memory, worked

READERS = 5000
_OF_DROP = 100
"""A relay lets 128 wait at one drop."""
_WRITERS = 32
_APPENDS = 6000
_AT_ONCE = 200
_IDLE = 0.25
"""A share of a core: at most so much is done when all of them wait."""
_FAR = http_post("/wait", b"1000000000")


class Asked(NamedTuple):
    """What one reader sends: at first, and each time that it was answered."""

    first: bytes
    again: bytes


@final
class Reader(asyncio.Protocol):
    """One that always waits."""

    def __init__(self, dialect: Dialect, asked: Asked) -> None:
        self._dialect, self._asked = dialect, asked
        self.transport: Any = None
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.transport.write(self._asked.first)

    def data_received(self, data: bytes) -> None:
        if self._dialect.feed(data):
            self.transport.write(self._asked.again)

    def connection_lost(self, error: Exception | None) -> None:
        del error
        self.lost = True


async def crowd(address: Address, pid: int, asked: Sequence[Asked]) -> list[Reader]:
    """All of them wait when this returns."""
    loop, readers = asyncio.get_running_loop(), list[Reader]()
    for first in range(0, len(asked), _AT_ONCE):
        made = (
            loop.create_connection(
                partial(Reader, address.dialect(), each), "127.0.0.1", address.port
            )
            for each in asked[first : first + _AT_ONCE]
        )
        readers += [reader for _, reader in await asyncio.gather(*made)]
    async with asyncio.timeout(60):
        await _idle(pid)
    return readers


async def _idle(pid: int) -> None:
    while True:
        before, began = worked(pid), time.perf_counter()
        await asyncio.sleep(0.5)
        if (worked(pid) - before) / (time.perf_counter() - began) < _IDLE:
            return


def part(found: Findings, rounds: int) -> None:
    """5,000 waiting readers."""
    want_connections()
    turns = [_turn() for _ in range(rounds)]
    kib, bare, slower, rates = zip(*turns, strict=True)
    found.ratios["waiting_kib"] = round(statistics.median(kib), 1)
    found.ratios["waiting_floor_kib"] = round(statistics.median(bare), 1)
    found.ratios["append_with_waiting"] = round(statistics.median(slower), 3)
    found.figures["append_with_waiting_per_s"] = round(statistics.median(rates), 1)


def _turn() -> tuple[float, float, float, float]:
    """KiB of a reader, and of one that waits at the floor; how appends go on, and how many."""
    with ours(_WRITERS) as relay:
        writers = list(relay.drops)
        relay.more_drops(READERS // _OF_DROP)
        readers = relay.drops[_WRITERS:]
        asked = Ours(relay.relay, readers, relay.hour)
        relay.drops = writers
        kib, alone, among = run(_with_readers(relay, list(_asked(asked))))
    with floors.floor() as bare:
        floor = run(_memory_of(bare, [Asked(_FAR, _FAR)] * READERS))
    return kib, floor, among.rate / alone.rate, among.rate


def _asked(readers: Ours) -> Iterator[Asked]:
    """The first time they wait for what is left of their 60 seconds."""
    most = limits.MOST_WAIT
    first = readers.reads(Read(1, Hour(0), 64, 1 + n % most) for n in range(READERS))
    again = readers.reads(Read(1, Hour(0), 64, most) for _ in range(READERS))
    return map(Asked, first, again)


async def _with_readers(relay: Ours, asked: Sequence[Asked]) -> tuple[float, Driven, Driven]:
    made = relay.appends(_APPENDS)
    await drive(relay.address, relay.appends(_APPENDS // 4), _WRITERS)
    alone = await drive(relay.address, made, _WRITERS)
    made = relay.appends(_APPENDS)
    before = memory(relay.pid)
    readers = await crowd(relay.address, relay.pid, asked)
    kib = (memory(relay.pid) - before) / 1024 / READERS
    among = await drive(relay.address, made, _WRITERS)
    _leave(readers)
    return kib, alone, among


async def _memory_of(address: Address, asked: Sequence[Asked]) -> float:
    pid = address.pid or 0
    await drive(address, floors.appends(_APPENDS // 4), _WRITERS)
    before = memory(pid)
    readers = await crowd(address, pid, asked)
    kib = (memory(pid) - before) / 1024 / READERS
    _leave(readers)
    return kib


def _leave(readers: Sequence[Reader]) -> None:
    if any(reader.lost for reader in readers):
        raise Refused("not all readers were let wait")
    for reader in readers:
        reader.transport.close()
