"""Reads that wait for a block: rung awake when one is there, without asking the store again and
again.

Lives on the event loop. Knows no block and no store.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, final

from backchannel.protocol.types import DropId
from backchannel.server.limits import WAITING_OF_DROP


@final
class Bell:
    """One waiting read's own; rung before anybody listens, it still rings once."""

    def __init__(self, drop: DropId) -> None:
        self.drop: Final = drop
        self.following: int | None = None
        """The drop's next position as this reader saw it; none before its first look."""
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


def _itself(drop: DropId) -> bytes:
    return drop


def _nobody(_name: bytes) -> None:
    """One process is all that there is."""


@final
class Wakeup:
    """The bells by drop; other workers, if there are any, know a drop by another name."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._name: Callable[[DropId], bytes] = _itself
        self._tell: Callable[[bytes], None] = _nobody
        self._count = 0
        self._closed = False
        self._bells: dict[bytes, set[Bell]] = {}

    def join(self, name: Callable[[DropId], bytes], tell: Callable[[bytes], None]) -> None:
        """Before anybody listens: other processes call a drop by that name, and are to be told of
        each that changed here.
        """
        self._name, self._tell = name, tell

    @contextmanager
    def listen(self, drop: DropId) -> Iterator[Bell]:
        """A bell that rings for this drop; past `most` listeners, or a drop's share of them, one
        that lets nobody wait.
        """
        bell, name = Bell(drop), self._name(drop)
        if self._closed or self._count >= self._most or self._crowded(name):
            bell.ring(last=True)
        self._count += 1
        self._bells.setdefault(name, set()).add(bell)
        try:
            yield bell
        finally:
            self._count -= 1
            self._bells[name].discard(bell)
            if not self._bells[name]:
                del self._bells[name]

    def ring(self, drop: DropId) -> None:
        """Something changed in this drop, by this process."""
        name = self._name(drop)
        self.ring_named(name)
        self._tell(name)

    def ring_named(self, name: bytes) -> None:
        """Something changed in the drop of that name, by whomever."""
        for bell in self._bells.get(name, ()):
            bell.ring()

    def ring_all(self) -> None:
        """Something may have changed anywhere."""
        for name in self._bells:
            self.ring_named(name)

    def waiting(self) -> list[DropId]:
        """Drops for which somebody waits."""
        return [next(iter(bells)).drop for bells in self._bells.values()]

    def compare(self, standing: Mapping[DropId, int | None]) -> None:
        """Ring for those who saw another next position than that in which their drop stands; none
        is a drop that is gone.
        """
        for drop, following in standing.items():
            for bell in self._bells.get(self._name(drop), ()):
                if bell.following not in {None, following}:
                    bell.ring()

    def _crowded(self, name: bytes) -> bool:
        return len(self._bells.get(name, ())) >= WAITING_OF_DROP

    def close(self) -> None:
        """The relay ends: nobody waits any longer."""
        self._closed = True
        for bells in self._bells.values():
            for bell in bells:
                bell.ring(last=True)
