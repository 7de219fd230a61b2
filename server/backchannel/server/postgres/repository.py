"""The statements of the hot path in PostgreSQL.

A whole group in each, and several on one way there and back: what a group needs comes in one trip,
and all that it adds goes in another, with the commit. Drops are locked in the order of their ids,
so that two workers never wait for each other. No value is ever in the text of a statement.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final, cast, final

import psycopg
from sqlalchemy import Connection

from backchannel.protocol.types import DropId, Hour
from backchannel.server.limits import MOST_POSITION
from backchannel.server.models import place_of
from backchannel.server.postgres import partitions
from backchannel.server.postgres.partitions import PLAIN
from backchannel.server.postgres.tables import partition
from backchannel.server.repository import Added, BlockRow, DropRow, Place, Repository, Size, Swept

Driver = psycopg.Connection[Any]
_DROPS = (
    "SELECT id, number, access, close, keep, sealed, following FROM drops"
    " WHERE id = ANY(%b) ORDER BY id"
)
_PLACES = "SELECT digest, place, hour, expires FROM blocks WHERE digest = ANY(%b)"
_WRITE = (
    "WITH moved AS (UPDATE drops SET following = f"
    " FROM unnest(%b::bigint[], %b::bigint[]) AS m(n, f) WHERE number = n),"
    " placed AS (INSERT INTO blocks (place, hour, expires, digest)"
    " SELECT * FROM unnest(%b::bigint[], %b::int[], %b::int[], %b::bytea[]))"
    " INSERT INTO {} (place, expires, sealed)"
    " SELECT * FROM unnest(%b::bigint[], %b::int[], %b::bytea[])"
)
_ADD_DROP = (
    "INSERT INTO drops (id, number, access, close, keep, sealed, following)"
    " VALUES (%b, %b, %b, %b, %b, %b, %b) ON CONFLICT DO NOTHING"
)
_RANGE = "FROM blocks WHERE place >= %b AND place < %b"
_PAGE = (
    f"SELECT place, hour, expires, digest {_RANGE} AND hour >= %b AND expires > %b"
    " ORDER BY place LIMIT %b"
)
_BODIES = "SELECT place, sealed FROM {} WHERE place = ANY(%b)"
_OLDEST = f"SELECT min(place) {_RANGE}"
_HOUR = f"SELECT hour {_RANGE} ORDER BY place LIMIT 1"
_HOURS = f"SELECT DISTINCT expires {_RANGE}"
_SIZE = "SELECT pg_database_size(current_database())"
_DELETE = "DELETE FROM {} WHERE place >= %b AND place < %b"
_DELETE_DROP = "DELETE FROM drops WHERE number = %b"
_KNOWN: Final = "partitions"
"""What a session remembers: the hours whose partitions it has seen."""
_PLAINLY: Final = "plain"
"""And whether there are none."""


@final
class PostgresRepository(Repository):
    """The store as one transaction sees it; one that writes locks the drops that it looks up."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._driver = cast(Driver, connection.connection.driver_connection)
        self._writes = not connection.get_execution_options().get("postgresql_readonly")
        self._info: dict[Any, Any] = connection.info

    def fetch(self, drops: Sequence[DropId] = (), digests: Sequence[bytes] = ()) -> None:
        """Drops first: once they are locked, nobody else adds to them."""
        with self._driver.pipeline():
            asked = self._ask_drops(drops) if drops else None
            places = self._ask(_PLACES, list(digests)) if digests else None
        self._drops.update(dict.fromkeys(drops))
        self._drops.update(_drop_rows(asked.fetchall() if asked else ()))
        self._held.update(dict.fromkeys(digests))
        self._held.update(_place_rows(places.fetchall() if places else ()))

    def finish(self) -> None:
        """The commit goes along; what SQLAlchemy sends after it then has nothing to do."""
        for expires in sorted({each.row.expires for each in self._added}):
            self._ensure(expires)
        with self._driver.pipeline():
            self.flush()
            self._driver.execute("COMMIT")

    def add_drop(self, drop: DropId, row: DropRow) -> None:
        added = self._driver.execute(_ADD_DROP, (drop, *row)).rowcount
        if not added:  # another worker's, a moment ago: who looks again finds it
            raise psycopg.errors.SerializationFailure
        self._drops[drop] = row

    def page(self, number: int, first: int, since: Hour, now: Hour, most: int) -> list[BlockRow]:
        places = self._rows(_PAGE, *_from(number, first), since, now, most)
        bodies = dict(self._bodies(places))
        return [
            BlockRow(place & MOST_POSITION, hour, expires, digest, bodies[place])
            for place, hour, expires, digest in places
            if place in bodies
        ]

    def size(self) -> Size:
        """Nothing is spare: what is deleted is filled again, and told by nobody cheaply."""
        ((used,),) = self._rows(_SIZE)
        return Size(used, 0)

    def delete_block(self, number: int, position: int) -> None:
        place = place_of(number, position)
        for table in ("blocks", PLAIN) if self._plain else ("blocks",):
            self._driver.execute(_DELETE.format(table), (place, place + 1))

    def sweep(self, now: Hour, most: int, after: int) -> Swept:
        """Nothing here: rows go with their partition, in a session of their own."""
        del now, most, after
        return Swept(0, None)

    def _find_drops(self, drops: Sequence[DropId]) -> Iterable[tuple[DropId, DropRow]]:
        return _drop_rows(self._ask_drops(drops).fetchall())

    def _find_places(self, digests: Sequence[bytes]) -> Iterable[tuple[bytes, Place]]:
        return _place_rows(self._rows(_PLACES, list(digests)))

    def _write(self, added: Sequence[Added], moved: Mapping[int, int]) -> None:
        """In one statement for each hour: each wait for the driver is one for the interpreter."""
        for expires, group in groupby(sorted(added, key=_expires), _expires):
            self._ensure(expires)
            blocks = list(group)
            numbers = list({each.number for each in blocks})
            places, hours, ends, digests, noise = map(list, zip(*map(_row, blocks), strict=True))
            values = (numbers, [moved[each] for each in numbers], places, hours, ends, digests)
            query = _WRITE.format(self._table(expires))
            self._driver.execute(query, (*values, places, ends, noise))

    def _ensure(self, expires: Hour) -> None:
        if expires not in self._known and not self._plain:
            partitions.ensure(self._driver, expires)
            self._known.add(expires)

    def _stands(self, expires: Hour) -> bool:
        """Whether there is a table for that hour."""
        if expires not in self._known and not self._plain:
            if not partitions.exists(self._driver, expires):
                return False
            self._known.add(expires)
        return True

    @property
    def _known(self) -> set[Hour]:
        known: set[Hour] = self._info.setdefault(_KNOWN, set())
        return known

    def _delete_drop(self, number: int) -> None:
        whole = _from(number, 0)
        tables = [PLAIN] if self._plain else self._partitions_of(number)
        for table in (*tables, "blocks"):
            self._driver.execute(_DELETE.format(table), whole)
        self._driver.execute(_DELETE_DROP, (number,))

    def _partitions_of(self, number: int) -> list[str]:
        hours = [Hour(hour) for (hour,) in self._rows(_HOURS, *_from(number, 0))]
        return [partition(hour) for hour in hours if self._stands(hour)]

    def _oldest(self, number: int) -> int | None:
        ((oldest,),) = self._rows(_OLDEST, *_from(number, 0))
        return oldest if oldest is None else oldest & MOST_POSITION

    def _hour_from(self, number: int, first: int) -> Hour | None:
        rows = self._rows(_HOUR, *_from(number, first))
        return Hour(rows[0][0]) if rows else None

    @property
    def _plain(self) -> bool:
        """Whether noise stands in one table."""
        if _PLAINLY not in self._info:
            self._info[_PLAINLY] = not partitions.partitioned(self._driver)
        return bool(self._info[_PLAINLY])

    def _bodies(self, places: Sequence[tuple[int, Hour, Hour, bytes]]) -> Iterator[Any]:
        """Each with its noise; those whose partition is gone are left out."""
        asked = []
        hours = {hour for hour in {row[2] for row in places} if self._stands(hour)}
        with self._driver.pipeline():
            for expires, group in groupby(places, lambda row: row[2]):
                if expires in hours:
                    query = _BODIES.format(self._table(expires))
                    asked.append(self._ask(query, [row[0] for row in group], prepare=False))
        for cursor in asked:
            yield from cursor.fetchall()

    def _table(self, expires: Hour) -> str:
        return PLAIN if self._plain else partition(expires)

    def _ask_drops(self, drops: Sequence[DropId]) -> psycopg.Cursor[Any]:
        return self._ask(f"{_DROPS} FOR NO KEY UPDATE" if self._writes else _DROPS, list(drops))

    def _ask(self, query: str, *values: object, prepare: bool | None = None) -> psycopg.Cursor[Any]:
        return self._driver.cursor(binary=True).execute(query, values, prepare=prepare)

    def _rows(self, query: str, *values: object) -> list[Any]:
        return self._ask(query, *values).fetchall()


def _drop_rows(rows: Iterable[Sequence[Any]]) -> Iterator[tuple[DropId, DropRow]]:
    return ((DropId(row[0]), DropRow(*row[1:])) for row in rows)


def _place_rows(rows: Iterable[Sequence[Any]]) -> Iterator[tuple[bytes, Place]]:
    return ((row[0], Place(row[1] & MOST_POSITION, *row[2:])) for row in rows)


def _row(added: Added) -> tuple[int, Hour, Hour, bytes, bytes]:
    row = added.row
    return place_of(added.number, row.position), row.hour, row.expires, row.digest, row.sealed


def _expires(added: Added) -> Hour:
    return added.row.expires


def _from(number: int, first: int) -> tuple[int, int]:
    """The range of a drop's places from a position on."""
    return place_of(number, first), place_of(number + 1, 0)
