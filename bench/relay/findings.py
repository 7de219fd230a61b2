"""What a part of the run found: ratios with their goals, the figures behind them, who was missing.

A ratio is the median of the quotients of neighbouring rounds (`bench.side_by_side`). It is null
where the other is missing: who could not be had is not beaten.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, final

from bench.relay.load import Driven
from bench.side_by_side import Round, SideBySide

GOALS = {
    "append_vs_floor": (">=", 0.7),
    "append_vs_synapse": (">=", 40),
    "append_vs_jetstream_sync": (">=", 3),
    "append_vs_nostr_relay": (">=", 8),
    "bulk_append_vs_sqlite": (">=", 0.5),
    "bulk_append_vs_redis": (">=", 1),
    "bulk_read_vs_asgi": (">=", 0.5),
    "wake_vs_long_poll": ("<=", 2),
    "waiting_kib": ("<", 20),
    "append_with_waiting": (">", 0.8),
    "append_at_million": (">=", 0.9),
    "p99_while_expiring": ("<=", 2),
    "postgres_append_vs_floor": (">=", 0.6),
    "postgres_two_workers_vs_one": (">", 1),
}
"""What issue 5 asks: each ratio against a number."""


@final
@dataclass
class Findings:
    """Grows as parts are run."""

    ratios: dict[str, float | None] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    circumstances: dict[str, object] = field(default_factory=dict)
    _server: dict[str, list[float]] = field(default_factory=dict)
    """Microseconds of its core that the server took for one, by name and round."""
    busiest: float = 0.0
    """The largest share of its core that the load took in any round; near 1 it was the limit."""

    def round(self, name: str, drive: Callable[[], Driven], times: float = 1) -> Round:
        """Answers a second, `times` as many of what is counted."""

        def measure() -> float:
            driven = drive()
            self.busiest = max(self.busiest, driven.busy)
            if driven.server is not None:
                self._server.setdefault(name, []).append(driven.server / times)
            return driven.rate * times

        return measure

    def _server_us(self) -> dict[str, float]:
        return {
            f"{name}_server_us": round(statistics.median(each), 1)
            for name, each in self._server.items()
        }

    def compare(self, name: str, measured: SideBySide, one: str, other: str) -> None:
        """One ratio; null where `other` was not measured."""
        self.ratios[name] = measured.ratio(one, other)

    def keep(self, measured: SideBySide, unit: str) -> None:
        """The medians."""
        medians = measured.medians().items()
        self.figures |= {f"{name}_{unit}": round(value, 2) for name, value in medians}

    def all_figures(self) -> dict[str, float]:
        """What is behind the ratios."""
        return self.figures | self._server_us()

    def reached(self, name: str) -> bool | None:
        """Whether a ratio is as good as it should be; none where there is none."""
        ratio, goal = self.ratios.get(name), GOALS.get(name)
        if ratio is None or goal is None:
            return None
        how, wanted = goal
        return _COMPARED[how](ratio, wanted)

    def document(self) -> dict[str, Any]:
        """All of it, for one line of JSON."""
        return {
            **self.ratios,
            "goals": {name: f"{how} {goal}" for name, (how, goal) in GOALS.items()},
            "reached": {name: self.reached(name) for name in self.ratios},
            "figures": self.all_figures(),
            "missing": self.missing,
            "load_busy_share": round(self.busiest, 2),
            **self.circumstances,
        }


_COMPARED: dict[str, Callable[[float, float], bool]] = {
    ">=": float.__ge__,
    ">": float.__gt__,
    "<=": float.__le__,
    "<": float.__lt__,
}
