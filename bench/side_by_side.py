"""Things measured side by side: short rounds that take turns, so that noise hits all alike.

A machine that others use is at times half as fast as a moment before. So a ratio is the median of
the quotients of neighbouring rounds, never a quotient of figures from different moments.
"""

import statistics
import time
from collections.abc import Callable
from typing import final

Round = Callable[[], float]
"""Microseconds of one, measured in a short round."""


def repeated(action: Callable[[], object], times: int) -> Round:
    """A round that does `action` so many times."""

    def measure() -> float:
        began = time.perf_counter()
        for _ in range(times):
            action()
        return (time.perf_counter() - began) / times * 1e6

    return measure


@final
class SideBySide:
    """What came of so many rounds, by name."""

    def __init__(self, rounds: int, measured: dict[str, Round]) -> None:
        for measure in measured.values():
            measure()  # what is made once is made now
        turns = [{name: measure() for name, measure in measured.items()} for _ in range(rounds)]
        self._rounds = {name: [turn[name] for turn in turns] for name in measured}

    def microseconds(self) -> dict[str, float]:
        """The median of each."""
        return {name: round(value, 1) for name, value in self.medians().items()}

    def medians(self) -> dict[str, float]:
        """The median of each, in whatever its rounds measured."""
        return {name: statistics.median(each) for name, each in self._rounds.items()}

    def ratio(self, name: str, other: str) -> float | None:
        """How many times as long `name` takes as `other`; none where `other` is missing."""
        if other not in self._rounds:
            return None
        pairs = zip(self._rounds[name], self._rounds[other], strict=True)
        return round(statistics.median(one / two for one, two in pairs), 3)
