"""The page that a monitoring reads, in Prometheus' text format: what people caused, as it is told,
and how things stand on this machine, now.

Of the process, of Python and of when a sum began it says nothing. Counts nothing itself.
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from backchannel.protocol.drop import Operation
from backchannel.server.metrics import STEP, Sums, Told

PREFIX: Final = "backchannel_relay_"
DISK_STEP: Final = 64 << 20
"""Bytes to which free disk is rounded down: some 16,000 blocks."""
LABELS: Final = ("operation", "outcome")


class Machine(NamedTuple):
    """How things stand, whoever uses the relay."""

    clock_ahead: int
    """Hours from the hour up to which keys are destroyed to the clock's."""
    disk_free: int
    """Bytes."""
    certificate_days: int | None = None
    """Until the certificate in use ends; none where a proxy has it."""


def page(sums: Sums, look: Callable[[], Machine]) -> bytes:
    """What a scrape gets."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Page(sums, look))
    return generate_latest(registry)


class _Page(Collector):
    def __init__(self, sums: Sums, look: Callable[[], Machine]) -> None:
        self._sums = sums
        self._look = look

    def collect(self) -> Iterator[Metric]:
        yield from _people(self._sums.told)
        yield from _machine(self._look(), self._sums.unswept())


def _people(told: Told) -> Iterator[Metric]:
    yield _requests(told)
    as_of = f"at the last turn of an hour, to the {STEP} below."
    yield CounterMetricFamily(f"{PREFIX}commits", f"Groups of writes {as_of}", told.commits)
    yield CounterMetricFamily(f"{PREFIX}expired_rows", f"Deleted rows {as_of}", told.expired)
    bugs = "What nobody foresaw, at the last turn of an hour; the log says where."
    yield CounterMetricFamily(f"{PREFIX}bugs", bugs, told.bugs)
    waiting = f"The most reads that waited at once in the last whole hour, to the {STEP} below."
    yield GaugeMetricFamily(f"{PREFIX}most_waiting_reads", waiting, told.most_waiting)


def _requests(told: Told) -> Metric:
    said = f"Answered requests at the last turn of an hour, to the {STEP} below."
    family = CounterMetricFamily(f"{PREFIX}requests", said, labels=LABELS)
    for (operation, outcome), count in told.requests.items():
        family.add_metric((_name(operation), outcome), count)
    return family


def _machine(machine: Machine, unswept: int) -> Iterator[Metric]:
    said = "Since expired keys and rows were last looked for."
    yield GaugeMetricFamily(f"{PREFIX}seconds_since_last_sweep", said, unswept)
    said = "From the hour up to which keys are destroyed to the clock's."
    yield GaugeMetricFamily(f"{PREFIX}clock_ahead_hours", said, machine.clock_ahead)
    said = "Where the relay's folder is, to the 64 MiB below."
    free = machine.disk_free - machine.disk_free % DISK_STEP
    yield GaugeMetricFamily(f"{PREFIX}disk_free_bytes", said, free)
    if machine.certificate_days is not None:
        said = "Until the certificate in use ends."
        yield GaugeMetricFamily(f"{PREFIX}certificate_days_left", said, machine.certificate_days)


def _name(operation: Operation) -> str:
    return operation.name.lower()
