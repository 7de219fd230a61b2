"""A relay on PostgreSQL: beside a bare endpoint with grouped inserts through the same driver, and
two workers beside one.

The server of PostgreSQL is one for both, durable as its defaults are. For the first comparison it
has the load's core, as if it were another machine; for the second everything but the load may have
both cores, since two workers need two.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from bench.relay import floors
from bench.relay.findings import Findings
from bench.relay.load import Address
from bench.relay.ours import ours
from bench.relay.parts import WRITERS, drives
from bench.relay.place import LOAD, SERVER, here
from bench.side_by_side import SideBySide
from tests.support import postgres

_APPENDS = 6000
_AS_OPERATED = """
fsync = on
log_statement = none
log_min_messages = warning
log_min_error_statement = error
log_error_verbosity = default
"""
"""The tests' server is hasty and talkative otherwise."""


def part(found: Findings, rounds: int) -> None:
    """Both."""
    if why := postgres.missing():
        found.missing["postgres"] = why
        found.ratios |= {"postgres_append_vs_floor": None, "postgres_two_workers_vs_one": None}
        return
    _beside_floor(found, rounds)
    _two_workers(found, rounds)


@contextmanager
def _server(*cores: int) -> Iterator[postgres.Postgres]:
    with ExitStack() as running:
        with here(cores):
            server = running.enter_context(postgres.running_postgres(_AS_OPERATED))
        yield server


def _beside_floor(found: Findings, rounds: int) -> None:
    with (
        _server(LOAD) as server,
        ours(WRITERS, database=server.fresh()) as relay,
        floors.floor(server.fresh()) as bare,
    ):
        measured = _compared(
            found,
            rounds,
            {
                "postgres_append": (relay.address, partial(relay.appends, _APPENDS)),
                "postgres_floor": (bare, partial(floors.appends, _APPENDS)),
            },
        )
    found.compare("postgres_append_vs_floor", measured, "postgres_append", "postgres_floor")


def _two_workers(found: Findings, rounds: int) -> None:
    both = SERVER, LOAD
    with (
        _server(*both) as server,
        ours(WRITERS, cores=both, database=server.fresh(), workers=1) as one,
        ours(WRITERS, cores=both, database=server.fresh(), workers=2) as two,
    ):
        measured = _compared(
            found,
            rounds,
            {
                "postgres_one_worker": (one.address, partial(one.appends, _APPENDS)),
                "postgres_two_workers": (two.address, partial(two.appends, _APPENDS)),
            },
        )
    name = "postgres_two_workers_vs_one"
    found.compare(name, measured, "postgres_two_workers", "postgres_one_worker")


def _compared(
    found: Findings, rounds: int, made: dict[str, tuple[Address, Callable[[], list[bytes]]]]
) -> SideBySide:
    measured = SideBySide(
        rounds,
        {
            name: found.round(name, partial(drives, address, requests, WRITERS))
            for name, (address, requests) in made.items()
        },
    )
    found.keep(measured, "per_s")
    return measured
