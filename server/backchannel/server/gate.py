"""How many requests are in hand at once, so that slow ones cannot pile up without end.

Anybody can begin a body and be slow with the rest, so nobody keeps a place by that: where there is
no room, the body that has been coming for longest makes it.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import final

from backchannel.server.errors import BusyError


@final
class Gate:
    """A context that only `most` requests are in; `BusyError` for the next."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._inside = 0
        self._arriving: dict[asyncio.Timeout, None] = {}
        """Whose bodies are coming, in the order in which they began."""

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
    async def arriving(self, seconds: float) -> AsyncIterator[None]:
        """While a body comes: `TimeoutError` after `seconds`, or before that `BusyError` where
        others need the place.
        """
        patience = asyncio.timeout(seconds)
        try:
            async with patience:
                self._arriving[patience] = None
                yield
        except TimeoutError:
            if patience not in self._arriving:
                raise BusyError from None
            raise
        finally:
            self._arriving.pop(patience, None)

    def _push_out(self) -> bool:
        """End the longest arrival; false where there is none."""
        longest = next((patience for patience in self._arriving if not patience.expired()), None)
        if longest is None:
            return False
        del self._arriving[longest]
        longest.reschedule(0)
        return True
