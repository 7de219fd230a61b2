"""How many requests are in hand at once, so that slow ones cannot pile up without end.

Anybody can begin a body and be slow with the rest, so nobody keeps a place by that: where there is
no room, the body that has come most slowly so far makes it. Who begins many would else push out all
that come over slow lines, with one byte each.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import final

from backchannel.server.errors import BusyError


@final
class Arrival:
    """A body that is coming. On the loop only."""

    def __init__(self, patience: asyncio.Timeout) -> None:
        self.patience = patience
        self._began = asyncio.get_running_loop().time()
        self.size = 1
        """Bytes of it that are here."""

    def pace(self, now: float) -> float:
        """Bytes a second."""
        return self.size / max(now - self._began, 1e-6)


@final
class Gate:
    """A context that only `most` requests are in; `BusyError` for the next."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._inside = 0
        self._arriving: set[Arrival] = set()

    def __enter__(self) -> None:
        if self._inside >= self._most and not self._push_out():
            raise BusyError
        self._inside += 1

    def __exit__(self, *_reason: object) -> None:
        self._inside -= 1

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Give the place up for a while, from within; it is always had again."""
        self._inside -= 1
        try:
            yield
        finally:
            self._inside += 1

    @asynccontextmanager
    async def arriving(self, seconds: float) -> AsyncIterator[Arrival]:
        """While a body comes, of which the caller says how much is here: `TimeoutError` after
        `seconds`, or before that `BusyError` where others need the place.
        """
        arrival = Arrival(asyncio.timeout(seconds))
        try:
            async with arrival.patience:
                self._arriving.add(arrival)
                yield arrival
        except TimeoutError:
            if arrival not in self._arriving:
                raise BusyError from None
            raise
        finally:
            self._arriving.discard(arrival)

    def _push_out(self) -> bool:
        """End the slowest arrival; false where there is none."""
        coming = [each for each in self._arriving if not each.patience.expired()]
        if not coming:
            return False
        now = asyncio.get_running_loop().time()
        slowest = min(coming, key=lambda each: each.pace(now))
        self._arriving.discard(slowest)
        slowest.patience.reschedule(0)
        return True
