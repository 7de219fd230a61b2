"""The partitions of `bodies`, one for each hour in which something ends: made before they are
needed, dropped once the keys of their hour are destroyed and their rows in `blocks` deleted.

Neither lets readers or writers wait: a table is made by itself and then attached, detached and then
dropped; the parent is locked against nobody but another of these. In an engine without partitions
there is one plain table instead, and rows go in small steps.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import sql

from backchannel.protocol import limits
from backchannel.protocol.types import Hour
from backchannel.server.limits import SWEPT_AT_START as STEP
from backchannel.server.logs import warn_seldom
from backchannel.server.postgres.tables import partition
from backchannel.server.postgres.troubles import words

Driver = psycopg.Connection[Any]
PLAIN: Final = "bodies"
"""The one table where there are no partitions."""
_AHEAD: Final = 2  # hours for which partitions stand ready
_SWEEPING: Final = 1
_MAKING: Final = 2  # 3 is that of migrate
_LOCK: Final = "(hashtext('backchannel ' || current_schema()), {})"
"""Of advisory locks; relays in two schemas of one database are strangers."""
_TRY_SWEEPING = f"SELECT pg_try_advisory_lock{_LOCK.format(_SWEEPING)}"
_END_SWEEPING = f"SELECT pg_advisory_unlock{_LOCK.format(_SWEEPING)}"
_BE_MAKING = f"SELECT pg_advisory_xact_lock{_LOCK.format(_MAKING)}"
_EXISTS = (  # by the rows themselves: what a session remembers of names may be older than a lock
    "SELECT EXISTS (SELECT FROM pg_class"
    " WHERE relname = %s AND relnamespace = current_schema()::regnamespace)"
)
_STANDING = (
    "SELECT c.relname, i.inhdetachpending FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = to_regclass('bodies')"
)
_LOOSE = (
    "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
    " AND relkind = 'r' AND NOT relispartition AND relname ~ '^bodies_[0-9]+$'"
)
_KIND = "SELECT relkind::text FROM pg_class WHERE oid = to_regclass('bodies')"
_PLACES = "SELECT place FROM {} WHERE place > %s ORDER BY place LIMIT %s"
_PLACES_OF_PLAIN = "SELECT place FROM bodies WHERE expires <= %s LIMIT %s"
_DELETE = "DELETE FROM {} WHERE place = ANY(%s)"
_PATIENCE: Final = "SET lock_timeout = '2s'"  # a backup may hold it: the next look tries again


class Standing(NamedTuple):
    """A table of one hour's noise."""

    hour: Hour
    attached: bool
    leaving: bool = False
    """Its detachment began, and was interrupted."""


def partitioned(driver: Driver) -> bool:
    """Whether noise stands in partitions, rather than in one plain table."""
    return driver.execute(_KIND).fetchone() == ("p",)


def exists(driver: Driver, hour: Hour) -> bool:
    """Whether there is a partition for what ends in that hour."""
    return driver.execute(_EXISTS, [partition(hour)]).fetchone() == (True,)


def ensure(driver: Driver, hour: Hour) -> None:
    """A partition for what ends in that hour; it comes with the transaction that this is in."""
    if not exists(driver, hour):
        driver.execute(_BE_MAKING)
        if not exists(driver, hour):
            name = sql.Identifier(partition(hour))
            driver.execute(sql.SQL("CREATE TABLE {} (LIKE bodies INCLUDING ALL)").format(name))
            attach = sql.SQL("ALTER TABLE bodies ATTACH PARTITION {} FOR VALUES IN ({})")
            driver.execute(attach.format(name, sql.Literal(int(hour))))


def upkeep(driver: Driver, now: Hour) -> bool:
    """Delete what is over at `now`, whose keys are gone, and make what the next hours need; false
    where another worker is at it, or something is in the way. `driver` commits each statement.
    """
    if not partitioned(driver):
        _sweep_plain(driver, now)
        return True
    with sweeping(driver) as alone:
        if alone:
            for hour in ahead(now):
                with driver.transaction():
                    ensure(driver, hour)
            done = [_sweep(driver, each) for each in standing(driver) if each.hour <= now]
            return all(done)
    return False


def ahead(now: Hour) -> list[Hour]:
    """Hours in which blocks end that come soon."""
    return [Hour(now + wait + keep) for wait in range(_AHEAD) for keep in limits.CLASSES]


@contextmanager
def sweeping(driver: Driver) -> Iterator[bool]:
    """Whether this session is the one that sweeps, for as long as this lasts."""
    alone = driver.execute(_TRY_SWEEPING).fetchone() == (True,)
    try:
        yield alone
    finally:
        if alone and not driver.closed:
            driver.execute(_END_SWEEPING)


def standing(driver: Driver) -> list[Standing]:
    """All of them, by hour, with those that were detached and not dropped."""
    rows = driver.execute(_STANDING).fetchall()
    attached = [Standing(_hour(name), attached=True, leaving=leaving) for name, leaving in rows]
    loose = [Standing(_hour(name), attached=False) for (name,) in driver.execute(_LOOSE)]
    return sorted(attached + loose)


def _sweep(driver: Driver, each: Standing) -> bool:
    """Whether nothing of that hour is left."""
    places, after = sql.SQL(_PLACES).format(sql.Identifier(partition(each.hour))), -1
    while found := [place for (place,) in driver.execute(places, (after, STEP))]:
        driver.execute(_DELETE.format("blocks"), [found])
        after = found[-1]
    return _drop(driver, each)


def _sweep_plain(driver: Driver, now: Hour) -> None:
    while found := [place for (place,) in driver.execute(_PLACES_OF_PLAIN, (now, STEP))]:
        with driver.transaction():
            for table in ("blocks", PLAIN):
                driver.execute(_DELETE.format(table), [found])


def _drop(driver: Driver, each: Standing) -> bool:
    """Whether it is gone."""
    name = sql.Identifier(partition(each.hour))
    try:
        driver.execute(_PATIENCE)
        if each.attached:
            how = sql.SQL("FINALIZE" if each.leaving else "CONCURRENTLY")
            driver.execute(sql.SQL("ALTER TABLE bodies DETACH PARTITION {} {}").format(name, how))
        driver.execute(sql.SQL("DROP TABLE {}").format(name))
    except psycopg.OperationalError as error:
        if driver.closed:
            raise
        warn_seldom(f"expired noise, whose keys are gone, is dropped later: {words(error)}")
        return False
    return True


def _hour(name: str) -> Hour:
    return Hour(int(name.rpartition("_")[2]))
