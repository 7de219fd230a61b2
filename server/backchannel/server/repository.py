"""Every question to the store and every change of it, over one connection inside one transaction.

What each append and read need goes past SQLAlchemy straight to the driver, as text compiled from
the models once: measured, an append costs a sixth of what it costs otherwise. Decides nothing.
"""

from collections.abc import Iterable, Sequence
from contextlib import closing
from sqlite3 import Connection as Driver
from typing import Any, NamedTuple, cast, final

from sqlalchemy import (
    Connection,
    CursorResult,
    Executable,
    bindparam,
    delete,
    func,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import ClauseElement

from backchannel.protocol.types import DropId, Hour
from backchannel.server.models import Drop, StoredBlock, Voucher


class DropRow(NamedTuple):
    """A drop as it stands."""

    access: bytes
    close: bytes
    keep: int
    sealed: bool
    following: int


class BlockRow(NamedTuple):
    """A block as it stands, sealed."""

    position: int
    hour: Hour
    expires: Hour
    digest: bytes
    sealed: bytes


def _text(statement: ClauseElement) -> str:
    """For the driver: values are bound by name."""
    return str(statement.compile(dialect=sqlite.dialect(paramstyle="named")))


_BLOCK = (
    StoredBlock.position,
    StoredBlock.hour,
    StoredBlock.expires,
    StoredBlock.digest,
    StoredBlock.sealed,
)
_IN_DROP = StoredBlock.drop_id == bindparam("drop")

_DROP = _text(
    select(Drop.access, Drop.close, Drop.keep, Drop.sealed, Drop.following).where(
        Drop.id == bindparam("drop")
    )
)
_OLDEST = _text(select(func.min(StoredBlock.position)).where(_IN_DROP))
_HELD = _text(select(*_BLOCK).where(_IN_DROP, StoredBlock.digest == bindparam("digest")))
_PAGE = _text(
    select(*_BLOCK)
    .where(
        _IN_DROP,
        StoredBlock.position >= bindparam("first"),
        StoredBlock.hour >= bindparam("since"),
        StoredBlock.expires > bindparam("now"),
    )
    .order_by(StoredBlock.position)
)
_HOUR = _text(
    select(StoredBlock.hour)
    .where(_IN_DROP, StoredBlock.position >= bindparam("first"))
    .order_by(StoredBlock.position)
)
_ADD = _text(insert(StoredBlock))
_MOVE = _text(update(Drop).where(Drop.id == bindparam("drop")).values(following=bindparam("to")))
_DELETE_BLOCK = _text(delete(StoredBlock).where(_IN_DROP, StoredBlock.position == bindparam("at")))
_DELETE_EXPIRED = delete(StoredBlock).where(
    tuple_(StoredBlock.drop_id, StoredBlock.position).in_(
        select(StoredBlock.drop_id, StoredBlock.position)
        .where(StoredBlock.expires <= bindparam("now"))
        .limit(bindparam("most"))
    )
)


@final
class Repository:
    """The store as one transaction sees it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._driver = cast(Driver, connection.connection.driver_connection)

    def drop(self, drop: DropId) -> DropRow | None:
        row = self._driver.execute(_DROP, {"drop": drop}).fetchone()
        return DropRow(*row) if row else None

    def add_drop(self, drop: DropId, row: DropRow) -> None:
        self._connection.execute(insert(Drop), {"id": drop, **row._asdict()})

    def seal_drop(self, drop: DropId) -> None:
        self._connection.execute(update(Drop).where(Drop.id == drop).values(sealed=True))

    def delete_drop(self, drop: DropId) -> None:
        self._connection.execute(delete(StoredBlock).where(StoredBlock.drop_id == drop))
        self._connection.execute(delete(Drop).where(Drop.id == drop))

    def add_vouchers(self, digests: Iterable[bytes]) -> None:
        self._connection.execute(insert(Voucher), [{"digest": digest} for digest in digests])

    def take_voucher(self, digest: bytes) -> bool:
        """Whether there was one; there is none now."""
        return self._changed(delete(Voucher).where(Voucher.digest == digest)) == 1

    def count(self, drop: DropId, following: int) -> int:
        """How many blocks stand in a drop whose next position is `following`.

        They came in order and are kept equally long, so those that stand are the newest.
        """
        (oldest,) = self._driver.execute(_OLDEST, {"drop": drop}).fetchone()
        return 0 if oldest is None else following - int(oldest)

    def held(self, drop: DropId, digest: bytes) -> BlockRow | None:
        """The block of that digest, expired or not."""
        row = self._driver.execute(_HELD, {"drop": drop, "digest": digest}).fetchone()
        return BlockRow(*row) if row else None

    def add_blocks(self, drop: DropId, rows: Sequence[BlockRow]) -> None:
        """Append; `rows` continue the drop's positions."""
        bound = [{"drop_id": drop, **row._asdict()} for row in rows]
        self._driver.executemany(_ADD, bound)
        self._driver.execute(_MOVE, {"drop": drop, "to": rows[-1].position + 1})

    def delete_block(self, drop: DropId, position: int) -> None:
        self._driver.execute(_DELETE_BLOCK, {"drop": drop, "at": position})

    def skip(self, drop: DropId, first: int, following: int, since: Hour) -> int:
        """From `first` on, the first position whose block came at `since` or later, in a drop whose
        next position is `following`.

        Hours rise with positions: a few looks, where a page would else read all of a full drop.
        """
        if self._came(drop, first, since):
            return first
        while first < following:
            middle = (first + following) // 2
            if self._came(drop, middle, since):
                following = middle
            else:
                first = middle + 1
        return first

    def _came(self, drop: DropId, first: int, since: Hour) -> bool:
        """Whether what stands from `first` on came at `since` or later."""
        with closing(self._driver.execute(_HOUR, {"drop": drop, "first": first})) as rows:
            row = rows.fetchone()
        return row is None or row[0] >= since

    def page(self, drop: DropId, first: int, since: Hour, now: Hour, most: int) -> list[BlockRow]:
        """The first `most` rows from a position and an hour on that are not expired."""
        bound = {"drop": drop, "first": first, "since": since, "now": now}
        with closing(self._driver.execute(_PAGE, bound)) as rows:
            return [BlockRow(*row) for row in rows.fetchmany(most)]

    def delete_expired(self, now: Hour, most: int) -> int:
        """Delete up to `most` expired rows; how many."""
        return self._changed(_DELETE_EXPIRED, now=now, most=most)

    def _changed(self, statement: Executable, **bound: int) -> int:
        return cast(CursorResult[Any], self._connection.execute(statement, bound)).rowcount
