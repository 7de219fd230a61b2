"""The parts that need nothing but a relay and its floors: appends, bulk, waking."""

from collections.abc import Callable
from functools import partial

from backchannel.protocol.drop import Read
from backchannel.protocol.types import Hour
from bench.relay import floors, waking
from bench.relay.findings import Findings
from bench.relay.load import Address, Driven, drive, run
from bench.relay.ours import Ours, ours
from bench.side_by_side import Round, SideBySide

WRITERS = 32
APPENDS = 8000
"""Of one round: one or two seconds."""
BULK = 8
"""Connections of bulk appends and reads: each request is large."""
BULK_ROWS = 16384
BATCHES = (32, 64)
PAGES = 400
_FLOORS = {"page_asgi": "/page", "page_mac": "/page-mac", "page_opened": "/page-opened"}


def drives(address: Address, made: Callable[[], list[bytes]], writers: int) -> Driven:
    """A round: requests are made before the clock runs."""
    return run(drive(address, made(), writers))


def append(found: Findings, rounds: int) -> None:
    """Single blocks by 32 writers, each on the disk before its answer."""
    with ours(WRITERS) as relay, floors.floor() as bare:
        made = {
            "append": (relay.address, partial(relay.appends, APPENDS)),
            "append_floor": (bare, partial(floors.appends, APPENDS)),
        }
        measured = SideBySide(
            rounds,
            {
                name: found.round(name, partial(drives, address, requests, WRITERS))
                for name, (address, requests) in made.items()
            },
        )
    found.compare("append_vs_floor", measured, "append", "append_floor")
    found.keep(measured, "per_s")


def bulk(found: Findings, rounds: int) -> None:
    """Many blocks a request, in and out."""
    with ours(WRITERS) as relay:
        appended: dict[str, Round] = {}
        for batch in BATCHES:
            appended |= _bulk_appends(found, relay, batch)
        measured = SideBySide(rounds, appended)
        with floors.floor() as bare:
            pages = SideBySide(rounds, _bulk_reads(found, relay, bare))
    found.compare("bulk_append_vs_sqlite", measured, "bulk_append_64", "sqlite_64")
    found.compare("bulk_append_32_vs_sqlite", measured, "bulk_append_32", "sqlite_32")
    found.compare("bulk_append_alone_vs_sqlite", measured, "bulk_append_64_alone", "sqlite_64")
    for name in _FLOORS:
        found.compare(name.replace("page", "bulk_read_vs"), pages, "bulk_read", name)
    found.keep(measured, "blocks_per_s")
    found.keep(pages, "blocks_per_s")


def _bulk_appends(found: Findings, relay: Ours, batch: int) -> dict[str, Round]:
    made, name = partial(relay.appends, BULK_ROWS // batch, batch), f"bulk_append_{batch}"
    many, one = (partial(drives, relay.address, made, writers) for writers in (BULK, 1))
    return {
        name: found.round(name, many, batch),
        f"{name}_alone": found.round(f"{name}_alone", one, batch),
        f"sqlite_{batch}": partial(floors.bare_inserts, BULK_ROWS, batch),
    }


def _bulk_reads(found: Findings, relay: Ours, bare: Address) -> dict[str, Round]:
    made = partial(relay.reads, [Read(1, Hour(0), 64, 0)] * PAGES)
    drive = partial(drives, relay.address, made, BULK)
    read = {"bulk_read": found.round("bulk_read", drive, 64)}
    for name, path in _FLOORS.items():
        drive = partial(drives, bare, partial(floors.pages, path, PAGES), BULK)
        read[name] = found.round(name, drive, 64)
    return read


def wake(found: Findings, rounds: int) -> None:
    """From an append until a read that waits has the block, whole."""
    with ours(1) as relay, floors.floor() as bare:
        measured = SideBySide(
            rounds,
            {
                "wake": partial(waking.median, relay.address, waking.OfRelay(relay)),
                "wake_floor": partial(waking.median, bare, waking.OfFloor()),
            },
        )
    found.compare("wake_vs_long_poll", measured, "wake", "wake_floor")
    found.keep(measured, "ms")
