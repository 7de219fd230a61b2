"""Reads that wait for a block: rung awake when one is there, without asking the store again and
again.

Lives on the event loop. Knows no block and no store.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

from backchannel.protocol.types import DropId
from backchannel.server.limits import WAITING_OF_DROP


@final
class Bell:
    """One waiting read's own; rung before anybody listens, it still rings once."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._last = False

    def ring(self, *, last: bool = False) -> None:
        """Wake the listener; with `last` for good."""
        self._last = self._last or last
        self._event.set()

    async def rung(self, seconds: float) -> bool:
        """Wait for it; false when the time is up or there is nothing to wait for any more."""
        if self._last or seconds <= 0:
            return False
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return not self._last


@final
class Wakeup:
    """The bells by drop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0
        self._closed = False
        self._bells: dict[DropId, set[Bell]] = {}

    @contextmanager
    def listen(self, drop: DropId) -> Iterator[Bell]:
        """A bell that rings for this drop; past `most` listeners, or a drop's share of them, one
        that lets nobody wait.
        """
        bell = Bell()
        if self._closed or self._count >= self._most or self._crowded(drop):
            bell.ring(last=True)
        self._count += 1
        self._bells.setdefault(drop, set()).add(bell)
        try:
            yield bell
        finally:
            self._count -= 1
            self._bells[drop].discard(bell)
            if not self._bells[drop]:
                del self._bells[drop]

    def ring(self, drop: DropId) -> None:
        """Something changed in this drop."""
        for bell in self._bells.get(drop, ()):
            bell.ring()

    def _crowded(self, drop: DropId) -> bool:
        return len(self._bells.get(drop, ())) >= WAITING_OF_DROP

    def close(self) -> None:
        """The relay ends: nobody waits any longer."""
        self._closed = True
        for bells in self._bells.values():
            for bell in bells:
                bell.ring(last=True)
