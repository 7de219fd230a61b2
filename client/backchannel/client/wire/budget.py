"""How many bytes one run may move, over all relays and both directions.

Owns the sum, and what a block costs on the way. Knows no relay and no network.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final, final

from backchannel.client.errors import Enough
from backchannel.protocol import limits

KB: Final = 1000
LEAST: Final = 20
"""Of kB: less would never move a block, where two TLS connections are made first.
"""
ROW: Final = 12 + limits.BLOCK
"""Bytes of a block on its way back: with where it stands. On its way there the place comes back."""
AROUND: Final = 600
"""Bytes of a request and its answer beside their blocks, at most: HTTP, MACs, a long host name."""


@final
class Budget:
    """Bytes; shared by all threads of a run."""

    def __init__(self, most: int | None = None) -> None:
        """Without `most` there is no end to it."""
        self._most = most
        self._lock = Lock()
        self._held = 0
        self.spent = 0
        """So far, as counted where they went through."""
        self.stopped = False
        """Whether something was not asked for because of it."""

    @property
    def bounded(self) -> bool:
        """Whether there is an end to it: who must choose reads one relay after another then."""
        return self._most is not None

    def count(self, moved: int) -> None:
        """So many bytes went through."""
        with self._lock:
            self.spent += moved

    def blocks(self, most: int) -> int:
        """How many of `most` blocks there is room for in one exchange; at least 1, for `hold` to
        refuse.
        """
        if self._most is None:
            return most
        return max(1, min(most, (self._left() - AROUND) // ROW))

    @contextmanager
    def hold(self, blocks: int, more: int = 0) -> Iterator[None]:
        """Room for an exchange with so many blocks, and `more` bytes beside, while it goes on;
        `Enough` where there is none.
        """
        cost = AROUND + blocks * ROW + more
        with self._lock:
            if self._most is not None and cost > self._left():
                self.stopped = True
                msg = f"This run may move {self._most // KB} kB, and more is waiting."
                raise Enough(msg)
            self._held += cost
        try:
            yield
        finally:
            with self._lock:
                self._held -= cost

    def _left(self) -> int:
        return (self._most or 0) - self.spent - self._held
