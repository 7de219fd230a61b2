"""The statements of the hot path in SQLite.

They go straight to the driver, a whole group in each: a statement that runs gives up the lock of
the interpreter and waits to have it again, so few long ones are much cheaper than many short. Their
number of rows is a power of two, so that each is compiled once.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import cache
from sqlite3 import Connection as Driver
from sqlite3 import DatabaseError
from typing import TypeVar, cast, final

from sqlalchemy import Connection

from backchannel.protocol.types import DropId, Hour
from backchannel.server.limits import MOST_POSITION
from backchannel.server.models import place_of
from backchannel.server.repository import Added, BlockRow, DropRow, Place, Repository, Size, Swept

T = TypeVar("T")
_MOST = 64  # rows of one statement

_COLUMNS = "hour, expires, digest, sealed"
_RANGE = "FROM blocks WHERE place >= ? AND place < ?"
_OLDEST = f"SELECT min(place) {_RANGE}"
_HOUR = f"SELECT hour {_RANGE} ORDER BY place"
_PAGE = f"SELECT place, {_COLUMNS} {_RANGE} AND hour >= ? AND expires > ? ORDER BY place"
_EXPIRES = f"SELECT place, expires {_RANGE} ORDER BY place LIMIT ?"
_DROPS_AFTER = "SELECT number FROM drops WHERE number >= ? ORDER BY number LIMIT ?"
_DELETE = f"DELETE {_RANGE}"
_DELETE_DROP = "DELETE FROM drops WHERE number = ?"


@cache
def _drops(count: int) -> str:
    return (
        "SELECT id, number, access, close, keep, sealed, following FROM drops WHERE id IN "  # noqa: S608
        + _row(count)
    )


@cache
def _places(count: int) -> str:
    return f"SELECT digest, place, hour, expires FROM blocks WHERE digest IN {_row(count)}"  # noqa: S608


@cache
def _insert(count: int) -> str:
    return f"INSERT INTO blocks (place, {_COLUMNS}) VALUES {_rows(count, 5)}"  # noqa: S608


@cache
def _move(count: int) -> str:
    return (
        f"WITH moved(n, f) AS (VALUES {_rows(count, 2)})"  # noqa: S608
        " UPDATE drops SET following = f FROM moved WHERE number = n"
    )


def _row(count: int) -> str:
    return f"({', '.join('?' * count)})"


def _rows(count: int, width: int) -> str:
    return ", ".join([_row(width)] * count)


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """In lengths that are powers of two, longest first."""
    start, size = 0, _MOST
    while start < len(items):
        while size > len(items) - start:
            size //= 2
        yield items[start : start + size]
        start += size


@final
class SqliteRepository(Repository):
    """The store as one transaction sees it."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._driver = cast(Driver, connection.connection.driver_connection)

    def page(self, number: int, first: int, since: Hour, now: Hour, most: int) -> list[BlockRow]:
        bound = (*_from(number, first), since, now)
        with closing(self._driver.execute(_PAGE, bound)) as rows:
            return [BlockRow(row[0] & MOST_POSITION, *row[1:]) for row in rows.fetchmany(most)]

    def size(self) -> Size:
        pages, free, of_page = (
            self._driver.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return Size((pages - free) * of_page, free * of_page)

    def delete_block(self, number: int, position: int) -> None:
        place = place_of(number, position)
        self._driver.execute(_DELETE, (place, place + 1))

    def sweep(self, now: Hour, most: int, after: int) -> Swept:
        """Drop by drop: what is expired in one stands before what is not."""
        rows = 0
        numbers = self._driver.execute(_DROPS_AFTER, (after, most)).fetchall()
        for (number,) in numbers:
            rows += self._sweep_drop(number, now, most - rows)
            if rows >= most:
                return Swept(rows, number)
        return Swept(rows, numbers[-1][0] + 1 if len(numbers) == most else None)

    def _sweep_drop(self, number: int, now: Hour, most: int) -> int:
        found = self._driver.execute(_EXPIRES, (*_from(number, 0), most)).fetchall()
        if any(type(expires) is not int for _, expires in found):
            raise DatabaseError("a row of the blocks is damaged")
        dead = [place for place, expires in found if expires <= now]
        if dead:
            self._driver.execute(_DELETE, (dead[0], dead[-1] + 1))
        return len(dead)

    def _find_drops(self, drops: Sequence[DropId]) -> Iterator[tuple[DropId, DropRow]]:
        for chunk in _chunks(drops):
            for row in self._driver.execute(_drops(len(chunk)), list(map(bytearray, chunk))):
                yield DropId(row[0]), DropRow(*row[1:])

    def _find_places(self, digests: Sequence[bytes]) -> Iterator[tuple[bytes, Place]]:
        for chunk in _chunks(digests):
            for row in self._driver.execute(_places(len(chunk)), list(map(bytearray, chunk))):
                yield row[0], Place(row[1] & MOST_POSITION, *row[2:])

    def _write(self, added: Sequence[Added], moved: Mapping[int, int]) -> None:
        for blocks in _chunks(added):
            self._driver.execute(_insert(len(blocks)), _flat(map(_values, blocks)))
        for drops in _chunks(list(moved.items())):
            self._driver.execute(_move(len(drops)), _flat(drops))

    def thin(self, row: DropRow, most: int) -> bool:
        """In one step it would all stand in the log at once."""
        if self.count(row) <= most:
            return False
        first = row.following - self.count(row)
        self._driver.execute(
            _DELETE, (place_of(row.number, first), place_of(row.number, first + most))
        )
        return True

    def _delete_drop(self, number: int) -> None:
        self._driver.execute(_DELETE, _from(number, 0))
        self._driver.execute(_DELETE_DROP, (number,))

    def _oldest(self, number: int) -> int | None:
        (oldest,) = self._driver.execute(_OLDEST, _from(number, 0)).fetchone()
        return oldest if oldest is None else oldest & MOST_POSITION

    def _hour_from(self, number: int, first: int) -> Hour | None:
        with closing(self._driver.execute(_HOUR, _from(number, first))) as rows:
            row = rows.fetchone()
        return None if row is None else Hour(row[0])


def _from(number: int, first: int) -> tuple[int, int]:
    """The range of a drop's places from a position on."""
    return place_of(number, first), place_of(number + 1, 0)


def _values(added: Added) -> tuple[object, ...]:
    """Bytes in a `bytearray`, which the driver takes as it is; of others it asks what they are."""
    position, hour, expires, digest, sealed = added.row
    place = place_of(added.number, position)
    return place, hour, expires, bytearray(digest), bytearray(sealed)


def _flat(rows: Iterable[Sequence[object]]) -> list[object]:
    return [value for row in rows for value in row]
