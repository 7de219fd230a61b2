"""How many requests are in hand at once, so that slow ones cannot pile up without end."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

from backchannel.server.errors import BusyError


@final
class Gate:
    """A context that only `most` requests are in; `BusyError` for the next."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._inside = 0

    def __enter__(self) -> None:
        if self._inside >= self._most:
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
