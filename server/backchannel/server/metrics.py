"""What a relay counts while it is monitored: sums under a fixed set of labels, for one process.

A monitoring asks every few seconds and keeps the answers for months, often on a machine of somebody
else. A plain count would be a diary of when people talked, beside a relay that forgets. So what
people cause is told only when an hour has turned, as it stood then, rounded down to a hundred, and
under labels that all stand there from the start. Knows no drop, no address, no size, no HTTP.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final, NamedTuple, final

from backchannel.protocol.drop import Operation
from backchannel.protocol.types import Hour
from backchannel.server.errors import OUTCOMES

STEP: Final = 100
"""What people cause is rounded down to this: a small dialogue may leave no mark for days."""


class Metrics:
    """Each thing that may be counted, and nobody who counts."""

    def answered(self, operation: Operation, outcome: str) -> None:
        """A request has its answer: one of `OUTCOMES`. On the loop."""

    def bug(self) -> None:
        """Something happened that nobody foresaw. On the loop."""

    def committed(self) -> None:
        """A group of writes is on the disk. On the writer's thread."""

    def waiting(self) -> AbstractContextManager[None]:
        """While a read waits. On the loop."""
        return nullcontext()

    def expired(self, rows: int) -> None:
        """So many rows of blocks, whose keys were gone, are deleted. On the loop."""

    def swept(self, hour: Hour) -> None:
        """A sweep by this hour is through. On the loop."""


class Told(NamedTuple):
    """What people caused, as of the last turn of an hour."""

    requests: Mapping[tuple[Operation, str], int]
    """By operation and outcome."""
    bugs: int = 0
    """To the unit: there should be none, and one says nothing of anybody."""
    commits: int = 0
    expired: int = 0
    most_waiting: int = 0
    """In the hour that ended then."""


def _zeros() -> dict[tuple[Operation, str], int]:
    return {(operation, outcome): 0 for operation in Operation for outcome in OUTCOMES}


@final
class Sums(Metrics):
    """Counts from zero, as long as the process lives. Each sum has one thread that writes it;
    `told` and `unswept` are for any.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._requests = _zeros()
        self._bugs = self._commits = self._expired = 0
        self._waiting = self._most_waiting = 0
        self._hour: Hour | None = None
        self._swept = self._monotonic()
        self.told = Told(_zeros())

    def answered(self, operation: Operation, outcome: str) -> None:
        self._requests[operation, outcome] += 1

    def bug(self) -> None:
        self._bugs += 1

    def committed(self) -> None:
        self._commits += 1

    @contextmanager
    def waiting(self) -> Iterator[None]:
        self._waiting += 1
        self._most_waiting = max(self._most_waiting, self._waiting)
        try:
            yield
        finally:
            self._waiting -= 1

    def expired(self, rows: int) -> None:
        self._expired += rows

    def swept(self, hour: Hour) -> None:
        self._swept = self._monotonic()
        if self._hour is not None and hour > self._hour:
            self.told = self._tell()
            self._most_waiting = self._waiting
        self._hour = hour

    def unswept(self) -> int:
        """Whole seconds since the last sweep, or since the start."""
        return int(self._monotonic() - self._swept)

    def _tell(self) -> Told:
        return Told(
            {labels: _coarse(count) for labels, count in self._requests.items()},
            self._bugs,
            _coarse(self._commits),
            _coarse(self._expired),
            _coarse(self._most_waiting),
        )


def _coarse(count: int) -> int:
    return count - count % STEP
