"""How soon a read that waits has what was appended."""

import asyncio
import os
import statistics
import time
from collections.abc import Iterator
from typing import Protocol, final

from backchannel.protocol.drop import Read
from backchannel.protocol.types import Hour
from bench.relay.load import Address, run
from bench.relay.ours import Ours, http_post

TIMES = 150
_SETTLED = 0.003
"""Seconds until a read surely waits; one that does not yet only makes the figure worse."""


class Asked(Protocol):
    """Somebody's drop: what to wait for, and how to end the waiting."""

    def turn(self) -> tuple[bytes, bytes]:
        """A request that waits for the next block, and one that appends it."""


@final
class OfRelay:
    """A relay's one drop."""

    def __init__(self, relay: Ours) -> None:
        self._relay = relay
        self._following = 1

    def turn(self) -> tuple[bytes, bytes]:
        asked = Read(self._following, Hour(0), 64, 60)
        self._following += 1
        return self._relay.reads([asked])[0], self._relay.appends(1)[0]


@final
class OfFloor:
    """The floor's one table."""

    def __init__(self) -> None:
        self._following = 1

    def turn(self) -> tuple[bytes, bytes]:
        asked = http_post("/wait", b"%d" % self._following)
        self._following += 1
        return asked, http_post("/append", os.urandom(4096))


def median(address: Address, asked: Asked) -> float:
    """Milliseconds."""
    turns = (asked.turn() for _ in range(TIMES))
    return statistics.median(run(_waits(address, turns)))


async def _waits(address: Address, turns: Iterator[tuple[bytes, bytes]]) -> list[float]:
    reader = await asyncio.open_connection("127.0.0.1", address.port)
    writer = await asyncio.open_connection("127.0.0.1", address.port)
    took = []
    for wait, append in turns:
        reader[1].write(wait)
        await asyncio.sleep(_SETTLED)
        began = time.perf_counter()
        writer[1].write(append)
        await _answer(address, reader[0])
        took.append((time.perf_counter() - began) * 1000)
        await _answer(address, writer[0])
    for _, each in (reader, writer):
        each.close()
    return took


async def _answer(address: Address, stream: asyncio.StreamReader) -> None:
    dialect, whole = address.dialect(), False
    while not whole:
        whole = dialect.feed(await stream.read(1 << 16))
