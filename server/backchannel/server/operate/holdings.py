"""Every place in which a relay keeps anything, what stands there now, and for how long.

Owns the list; figures come from the settings, from the limits and from the store as it is. Changes
nothing, and opens no block. Tests hold the list to what is measured, and each table, file and
column to the list.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from sqlalchemy import Connection, func, inspect, select, text

from backchannel.protocol import limits
from backchannel.protocol.expiry import ExpiryKeys, PlaceKind
from backchannel.protocol.types import Hour, hour_of
from backchannel.server import stores
from backchannel.server.clock import Clock
from backchannel.server.home import Home
from backchannel.server.limits import DOORS, NEWEST, SWEEP_EVERY
from backchannel.server.models import Drop, StoredBlock, place_of
from backchannel.server.settings import Settings, load

_PARTITION: Final = re.compile("bodies_[0-9]+")
_POSITIONS: Final = place_of(1, 0)
_ALWAYS: Final = "as long as the relay"
_LOOK: Final = f"{SWEEP_EVERY} seconds"


class Kept(NamedTuple):
    """The blocks of one class."""

    blocks: int
    over: int
    """Those of them whose hour has passed: their keys go when the relay next looks."""


class Survey(NamedTuple):
    """What a relay's store and keys are at one moment."""

    local: bool
    """Whether the tables stand in its folder, rather than in PostgreSQL."""
    rows: Mapping[str, int]
    """By table."""
    columns: Mapping[str, tuple[str, ...]]
    classes: tuple[Kept, ...]
    """In the order of protocol.limits.CLASSES."""
    first: Hour | None
    """When the oldest block came."""
    last: Hour | None
    """When the last of those that stand now ends."""
    keys: int
    now: Hour
    """By the clock, or the latest that was seen."""
    log: int
    """Bytes of the write-ahead log."""
    free: int
    """Pages of the database in which nothing stands."""


class Holding(NamedTuple):
    """One place, for people and programs."""

    name: str
    where: str
    """A file of the folder, or what else holds it."""
    what: str
    kept: str
    now: str = ""
    table: str = ""
    """Of the database, where it is one."""
    hours: int | None = None
    """The most that anything stays there, where the hour ends it."""


_DEMO: Final = Holding(
    "a demo's clock", "demo-hours", "hours that it is ahead", "as long as the demo"
)


def survey(home: Home) -> Survey:
    """Look; `OperatorError` where there is no relay, or its store cannot be read."""
    home.check()
    keys = ExpiryKeys(home.places.read_bytes())
    now = keys.hour(hour_of(Clock(home.demo_hours).now()))
    log = home.database.with_name(home.database.name + "-wal")
    size = log.stat().st_size if log.exists() else 0
    with stores.snapshot(home) as engine, engine.begin() as connection:
        local = connection.dialect.name == "sqlite"
        rows, columns = _tables(connection)
        first = connection.scalar(select(func.min(StoredBlock.hour)))
        last = connection.scalar(select(func.max(StoredBlock.expires)))
        free = connection.scalar(text("PRAGMA freelist_count")) if local else 0
        return Survey(
            local,
            rows,
            columns,
            tuple(_classes(connection, now)),
            None if first is None else Hour(first),
            None if last is None else Hour(last),
            len(keys.names(PlaceKind.EXPIRY)),
            now,
            size,
            free or 0,
        )


def _tables(connection: Connection) -> tuple[dict[str, int], dict[str, tuple[str, ...]]]:
    inspector = inspect(connection)
    columns = {
        name: tuple(column["name"] for column in inspector.get_columns(name))
        for name in sorted(inspector.get_table_names())
        if not _PARTITION.fullmatch(name)  # its rows are counted with those of its table
    }
    count = 'SELECT count(*) FROM "{}"'
    rows = {name: connection.scalar(text(count.format(name))) or 0 for name in columns}
    return rows, columns


def _classes(connection: Connection, now: Hour) -> Iterator[Kept]:
    """Classes that hold nothing, too."""
    over = func.count().filter(StoredBlock.expires <= now)
    begin = Drop.number * _POSITIONS
    of_drop = StoredBlock.place.between(begin, begin + _POSITIONS - 1)
    found = connection.execute(
        select(Drop.keep, func.count(), over).join(StoredBlock, of_drop).group_by(Drop.keep)
    )
    held = {keep: Kept(blocks, dead) for keep, blocks, dead in found}
    return (held.get(keep, Kept(0, 0)) for keep in range(len(limits.CLASSES)))


def holdings(home: Home) -> list[Holding]:
    """The whole list; `OperatorError` as `survey`."""
    store = survey(home)
    settings, _ = load(home.config)
    demo = [_DEMO] if home.demo_hours.exists() else []
    return [
        *_blocks(store),
        *_tables_beside(store),
        *_files(store),
        *demo,
        *_elsewhere(settings),
    ]


def _blocks(store: Survey) -> Iterator[Holding]:
    for hours, (blocks, over) in zip(limits.CLASSES, store.classes, strict=True):
        late = f", of which {over} are over and go when the relay next runs" if over else ""
        yield Holding(
            f"blocks of drops that keep {lifetime(hours)}",
            _where(store),
            "noise of 4,096 bytes, encrypted again by this relay; its drop, its place in it, the "
            "hour when it came, the hour when it ends, and a keyed hash of it",
            f"until {lifetime(hours)} after the hour in which it came: then its key is overwritten "
            f"and, within {_LOOK}, its row; if its drop is deleted before, the row goes at once",
            f"{blocks} blocks{late}",
            "blocks",
            hours,
        )


def _tables_beside(store: Survey) -> Iterator[Holding]:
    yield Holding(
        "drops",
        _where(store),
        "a random number, two public keys, how long its blocks are kept, whether it is sealed, "
        "the number of its next block",
        "until a client deletes the drop",
        f"{store.rows['drops']} drops",
        "drops",
    )
    yield Holding(
        "vouchers",
        _where(store),
        "a hash of each that was minted and not used",
        "until it is used",
        f"{store.rows['vouchers']} vouchers",
        "vouchers",
    )
    version = "version of the tables"
    yield Holding(version, _where(store), "a number", _ALWAYS, "", "alembic_version")
    yield from _of_file(store) if store.local else _of_server(store)


def _of_file(store: Survey) -> Iterator[Holding]:
    yield Holding(
        "free pages",
        "relay.db",
        "zeros: what is deleted is overwritten when it goes",
        "until something new stands there",
        f"{store.free} pages",
    )
    yield Holding(
        "write-ahead log",
        "relay.db-wal",
        "the latest changes of the database; a row that was deleted stands here a little longer",
        f"{_LOOK}, unless somebody is reading just then; while the relay is off, until its start",
        f"{store.log} bytes",
    )
    yield Holding("index of that log", "relay.db-shm", "numbers of pages", "until the relay ends")


def _of_server(store: Survey) -> Iterator[Holding]:
    yield Holding(
        "noise of the blocks",
        _where(store),
        "where a block stands, the hour when it ends, and its noise, a table for each such hour",
        f"until that hour: its key is overwritten, and within {_LOOK} the table is dropped",
        f"{store.rows.get('bodies', 0)} blocks",
        "bodies",
    )
    yield Holding(
        "what PostgreSQL keeps",
        "its data directory, standbys and archives",
        "rows that were deleted, and its write-ahead log: of blocks only noise, whose keys are "
        "overwritten here in their hour",
        "as long as whoever runs it set: vacuum, wal_keep_size, archives, its backups",
    )
    yield Holding("unused tables", "relay.db", "no row", _ALWAYS)


def _where(store: Survey) -> str:
    return "relay.db" if store.local else "PostgreSQL"


def _files(store: Survey) -> Iterator[Holding]:
    yield Holding(
        "expiry keys",
        "expiry.keys",
        "one half of what opens each block: a key for each day of coming and hour of ending; and "
        "the latest hour that this relay has seen",
        "until the hour when its blocks end, then overwritten where it stands; while the relay is "
        "off nothing is overwritten, and the next start begins with it",
        f"{store.keys} key{'' if store.keys == 1 else 's'}",
        hours=max(limits.CLASSES),
    )
    yield Holding("store key", "store.key", "the other half, useless alone", _ALWAYS)
    yield Holding("static key", "relay.key", "what clients know this relay by", _ALWAYS)
    yield Holding("configuration", "relay.toml", "what you chose", _ALWAYS)
    yield Holding("address", "relay.address", "where it listens", "while it runs")
    yield Holding("lock", "relay.lock", "nothing", _ALWAYS)


def _elsewhere(settings: Settings) -> Iterator[Holding]:
    yield Holding(
        "memory",
        "the process",
        "requests in hand, with the address that each came from; which drops were used lately, "
        "with their keys, and how much in the last minute; the newest blocks, as they came; keys; "
        "copies that Python makes",
        f"a request's body at most {settings.body_seconds:g} seconds before it is whole, a read "
        f"that waits {limits.MOST_WAIT} seconds; of drops the last {DOORS:,}; of blocks, unless in "
        f"PostgreSQL, the {NEWEST:,} that came last, until their hour; copies until the "
        "process ends. It writes no core; swap is the system's: see doctor",
    )
    yield Holding(
        "log",
        "standard error",
        "when it starts and what fails, without addresses, drops, sizes or contents "
        f"(log_level is {settings.log_level})",
        "as long as what collects it keeps it: this program writes no file",
    )
    if settings.metrics_port:
        yield Holding(
            "sums",
            "the process",
            "of requests by operation and answer, of commits, deleted rows and waiting reads; what "
            "is told is as of the last turn of an hour, to the hundred below",
            "until the process ends; what your monitoring read, as long as that keeps it",
        )
    yield from _written_for_you()


def _written_for_you() -> Iterator[Holding]:
    """What commands write outside the folder, where their operator says."""
    yield Holding(
        "backups",
        "where you had `backup` write them",
        "the static key, relay.toml, each drop's random id, keys, class, next position and "
        "whether it is sealed, hashes of vouchers, the hour; no block, and no key that opens one",
        "as long as you keep them",
    )
    yield Holding(
        "vouchers that were minted",
        "where you had `vouchers mint` write them",
        "what pays for drops, as facilitators type it",
        "as long as you keep them; each is good until it is used or taken back",
    )


def lifetime(hours: int) -> str:
    """In words."""
    return f"{hours} hours" if hours <= 24 else f"{hours // 24} days"
