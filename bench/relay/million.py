"""A store of a million blocks: appends beside those of an empty one, and while all of them expire.

The relay's clock is moved by its file `demo-hours`, in two steps of less than a day: of a greater
one a relay would ask a person.
"""

import sqlite3
import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial

from bench.relay.findings import Findings
from bench.relay.load import Driven, drive, run
from bench.relay.ours import Ours, ours
from bench.side_by_side import SideBySide

BLOCKS = 1_000_000
DROPS = 1000
_WRITERS = 32
_APPENDS = 6000
_WINDOW = 3000
"""Appends of one look at the 99th percentile: a second or so."""
_BULK = 64
_CHUNK = 256
"""Bulk appends that are made at a time: 64 MiB."""
_DAY = 0
"""The class of drops that keep a block for 24 hours."""
_BEFORE, _AFTER = 20, 27
_PATIENCE = 600.0


def part(found: Findings, rounds: int) -> None:
    """One store of a million, for both."""
    with ours(DROPS, _DAY) as full:
        found.figures["filled_in_s"] = round(_fill(full), 1)
        full.drops = full.drops[:_WRITERS]
        with ours(_WRITERS) as empty:
            relays = {"append_at_million": full, "append_at_none": empty}
            measured = SideBySide(
                rounds,
                {
                    name: found.round(name, partial(_appends, relay, _APPENDS))
                    for name, relay in relays.items()
                },
            )
        found.compare("append_at_million", measured, "append_at_million", "append_at_none")
        found.keep(measured, "per_s")
        _expire(found, full, rounds)


def _appends(relay: Ours, count: int) -> Driven:
    return run(drive(relay.address, relay.appends(count), _WRITERS))


def _fill(relay: Ours) -> float:
    """Seconds that it took."""
    began = time.monotonic()
    for _ in range(0, BLOCKS, _BULK * _CHUNK):
        run(drive(relay.address, relay.appends(_CHUNK, _BULK), 8))
        relay.drops = relay.drops[_CHUNK:] + relay.drops[:_CHUNK]
    return time.monotonic() - began


def _expire(found: Findings, relay: Ours, rounds: int) -> None:
    """The 99th percentile while all of them expire, against the same relay's before."""
    _move(relay, _BEFORE)
    before = [_appends(relay, _WINDOW) for _ in range(rounds)]
    _move(relay, _AFTER)
    began = time.monotonic()
    during = list(_windows(relay))
    took = time.monotonic() - began
    quiet = statistics.median(each.p99 for each in before)
    busy = statistics.median(each.p99 for each in during)
    found.ratios["p99_while_expiring"] = round(busy / quiet, 3)
    found.figures |= {
        "p99_before_ms": round(quiet, 2),
        "p99_while_expiring_ms": round(busy, 2),
        "worst_p99_while_expiring_ms": round(max(each.p99 for each in during), 2),
        "append_while_expiring_per_s": round(statistics.median(e.rate for e in during), 1),
        "expired_in_s": round(took, 1),
    }


def _move(relay: Ours, hours: int) -> None:
    relay.relay.move_clock(hours)
    relay.look_at_clock()


def _windows(relay: Ours) -> Iterator[Driven]:
    """One after another, until what expired is gone; one at least."""
    end = time.monotonic() + _PATIENCE
    yield _appends(relay, _WINDOW)
    while _expired(relay) and time.monotonic() < end:
        yield _appends(relay, _WINDOW)


def _expired(relay: Ours) -> bool:
    """Whether any are still there."""
    file = f"file:{relay.relay.data / 'relay.db'}?mode=ro"
    with closing(sqlite3.connect(file, uri=True, timeout=30)) as store:
        asked = "SELECT EXISTS (SELECT 1 FROM blocks WHERE expires <= ?)"
        (found,) = store.execute(asked, (relay.hour,)).fetchone()
    return bool(found)
