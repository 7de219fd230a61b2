"""Every question to the store and every change of it, over one connection inside one transaction.

Plain statements rather than mapped objects: an append costs four of them and is the relay's hot
path. Decides nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast, final

from sqlalchemy import (
    Connection,
    CursorResult,
    Delete,
    bindparam,
    delete,
    func,
    insert,
    select,
    tuple_,
    update,
)

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


class Held(NamedTuple):
    """Where a block with a certain digest stands."""

    digest: bytes
    position: int
    hour: Hour
    expires: Hour


_DROP = select(Drop.access, Drop.close, Drop.keep, Drop.sealed, Drop.following).where(
    Drop.id == bindparam("drop")
)
_OLDEST = select(func.min(StoredBlock.position)).where(StoredBlock.drop_id == bindparam("drop"))
_HELD = select(
    StoredBlock.digest, StoredBlock.position, StoredBlock.hour, StoredBlock.expires
).where(
    StoredBlock.drop_id == bindparam("drop"),
    StoredBlock.digest.in_(bindparam("digests", expanding=True)),
)
_PAGE = (
    select(
        StoredBlock.position,
        StoredBlock.hour,
        StoredBlock.expires,
        StoredBlock.digest,
        StoredBlock.sealed,
    )
    .where(
        StoredBlock.drop_id == bindparam("drop"),
        StoredBlock.position >= bindparam("first"),
        StoredBlock.hour >= bindparam("since"),
        StoredBlock.expires > bindparam("now"),
    )
    .order_by(StoredBlock.position)
    .limit(bindparam("most"))
)
_MOVE = update(Drop).where(Drop.id == bindparam("drop")).values(following=bindparam("to"))
_ADD = insert(StoredBlock)
_PLACE = tuple_(StoredBlock.drop_id, StoredBlock.position)
_DELETE_EXPIRED = delete(StoredBlock).where(
    _PLACE.in_(
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

    def drop(self, drop: DropId) -> DropRow | None:
        row = self._connection.execute(_DROP, {"drop": drop}).first()
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
        """How many blocks stand in a drop whose next position is `following`: they expire from the
        oldest on.
        """
        oldest = self._connection.scalar(_OLDEST, {"drop": drop})
        return 0 if oldest is None else following - int(oldest)

    def held(self, drop: DropId, digests: Sequence[bytes]) -> list[Held]:
        """Those of `digests` that stand in the drop, expired or not."""
        rows = self._connection.execute(_HELD, {"drop": drop, "digests": digests})
        return [Held(d, p, Hour(h), Hour(e)) for d, p, h, e in rows]

    def add_blocks(self, drop: DropId, rows: Sequence[BlockRow]) -> None:
        """Append; `rows` continue the drop's positions."""
        self._connection.execute(_ADD, [{"drop_id": drop, **row._asdict()} for row in rows])
        self._connection.execute(_MOVE, {"drop": drop, "to": rows[-1].position + 1})

    def delete_block(self, drop: DropId, position: int) -> None:
        stands = (StoredBlock.drop_id == drop, StoredBlock.position == position)
        self._connection.execute(delete(StoredBlock).where(*stands))

    def page(self, drop: DropId, first: int, since: Hour, now: Hour, most: int) -> list[BlockRow]:
        """The first `most` rows from a position and an hour on that are not expired."""
        bound = {"drop": drop, "first": first, "since": since, "now": now, "most": most}
        rows = self._connection.execute(_PAGE, bound)
        return [BlockRow(p, Hour(h), Hour(e), d, s) for p, h, e, d, s in rows]

    def delete_expired(self, now: Hour, most: int) -> int:
        """Delete up to `most` expired rows; how many."""
        return self._changed(_DELETE_EXPIRED, {"now": now, "most": most})

    def _changed(self, statement: Delete, bound: Mapping[str, int] | None = None) -> int:
        return cast("CursorResult[Any]", self._connection.execute(statement, bound)).rowcount
