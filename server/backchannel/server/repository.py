"""Every question to the store and every change of it, over one connection inside one transaction.

A unit of work: what a group of jobs needs is fetched in one go, what they add is written in one go,
and in between nobody waits for the store. Owns what is the same in every database; the statements
of the hot path stand in `sqlite` and `postgres`. Decides nothing.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, cast

from sqlalchemy import Connection, CursorResult, Executable, delete, insert, select, update

from backchannel.protocol.types import DropId, Hour
from backchannel.server.models import Drop, Voucher


class Wanted(NamedTuple):
    """What somebody will ask for."""

    drops: Sequence[DropId] = ()
    digests: Sequence[bytes] = ()
    """Of blocks that somebody brings; each tells its drop too."""


class DropRow(NamedTuple):
    """A drop as it stands."""

    number: int
    access: bytes
    close: bytes
    keep: int
    sealed: bool
    following: int


class Place(NamedTuple):
    """Where a block stands."""

    position: int
    hour: Hour
    expires: Hour


class BlockRow(NamedTuple):
    """A block as it stands, sealed."""

    position: int
    hour: Hour
    expires: Hour
    digest: bytes
    sealed: bytes


class Added(NamedTuple):
    """A block that is to be written, of the drop with that number."""

    number: int
    row: BlockRow


class Size(NamedTuple):
    """Bytes."""

    used: int
    spare: int
    """That the store holds and nothing stands in: it grows only when they are used up."""


class Swept(NamedTuple):
    """How far one step of a sweep came."""

    rows: int
    after: int | None
    """Where the next begins; none when all is done."""


class Repository(ABC):
    """The store as one transaction sees it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._drops: dict[DropId, DropRow | None] = {}
        self._held: dict[bytes, Place | None] = {}
        self._added: list[Added] = []

    # --- what a group needs, at once -------------------------------------------------------------

    def fetch(self, drops: Sequence[DropId] = (), digests: Sequence[bytes] = ()) -> None:
        """Look up drops and places, so that `drop` and `held` need not ask one by one."""
        if drops:
            self._drops.update(dict.fromkeys(drops))
            self._drops.update(self._find_drops(drops))
        if digests:
            self._held.update(dict.fromkeys(digests))
            self._held.update(self._find_places(digests))

    def finish(self) -> None:
        """The last of this transaction: write what was added, and commit it if that is cheaper
        here.
        """
        self.flush()

    def flush(self) -> None:
        """Write what was added."""
        if self._added:
            added, self._added = self._added, []
            self._write(added, {each.number: each.row.position + 1 for each in added})

    # --- drops and vouchers ----------------------------------------------------------------------

    def drop(self, drop: DropId) -> DropRow | None:
        if drop not in self._drops:
            self.fetch([drop])
        return self._drops[drop]

    def is_taken(self, number: int) -> bool:
        """Whether a drop has that number."""
        return self._connection.scalar(select(Drop.id).where(Drop.number == number)) is not None

    def add_drop(self, drop: DropId, row: DropRow) -> None:
        self._connection.execute(insert(Drop), {"id": drop, **row._asdict()})
        self._drops[drop] = row

    def seal_drop(self, drop: DropId) -> None:
        self._connection.execute(update(Drop).where(Drop.id == drop).values(sealed=True))
        row = self._drops.get(drop)
        self._drops[drop] = row and row._replace(sealed=True)

    def delete_drop(self, drop: DropId) -> None:
        self.flush()
        row = self.drop(drop)
        if row is not None:
            self._delete_drop(row.number)
        self._drops[drop] = None
        self._held.clear()

    def thin(self, row: DropRow, most: int) -> bool:
        """Delete the first `most` blocks of a drop that is to go, and whether any are left; of none
        where a database does that just as well in one step.
        """
        del row, most
        return False

    def add_vouchers(self, digests: Iterable[bytes]) -> None:
        self._connection.execute(insert(Voucher), [{"digest": digest} for digest in digests])

    def has_voucher(self, digest: bytes) -> bool:
        """Whether there is one."""
        found = select(Voucher.digest).where(Voucher.digest == digest)
        return self._connection.scalar(found) is not None

    def take_voucher(self, digest: bytes) -> bool:
        """Whether there was one; there is none now."""
        return self._changed(delete(Voucher).where(Voucher.digest == digest)) == 1

    # --- blocks ----------------------------------------------------------------------------------

    def held(self, digest: bytes) -> Place | None:
        """Where the block of that digest stands, expired or not."""
        if digest not in self._held:
            self.fetch(digests=[digest])
        return self._held[digest]

    def add_blocks(self, drop: DropId, row: DropRow, blocks: Sequence[BlockRow]) -> None:
        """Append to the drop, which stands as `row`; they continue its positions."""
        self._added += [Added(row.number, block) for block in blocks]
        self._held.update({block.digest: Place(*block[:3]) for block in blocks})
        self._drops[drop] = row._replace(following=blocks[-1].position + 1)

    def count(self, row: DropRow) -> int:
        """How many blocks stand in a drop.

        They came in order and are kept equally long, so those that stand are the newest.
        """
        self.flush()
        oldest = self._oldest(row.number)
        return 0 if oldest is None else row.following - oldest

    def skip(self, row: DropRow, first: int, since: Hour) -> int:
        """From `first` on, the first position in a drop whose block came at `since` or later.

        Hours rise with positions: a few looks, where a page would else read all of a full drop.
        """
        last = row.following
        if not since or self._came(row.number, first, since):
            return first
        while first < last:
            middle = (first + last) // 2
            if self._came(row.number, middle, since):
                last = middle
            else:
                first = middle + 1
        return first

    def _came(self, number: int, first: int, since: Hour) -> bool:
        """Whether what stands from `first` on came at `since` or later."""
        hour = self._hour_from(number, first)
        return hour is None or hour >= since

    def _changed(self, statement: Executable, **bound: int) -> int:
        return cast(CursorResult[Any], self._connection.execute(statement, bound)).rowcount

    # --- each database its own way ---------------------------------------------------------------

    @abstractmethod
    def page(self, number: int, first: int, since: Hour, now: Hour, most: int) -> list[BlockRow]:
        """Of the drop with that number the first `most` rows from a position and an hour on that
        are not expired.
        """

    @abstractmethod
    def size(self) -> Size:
        """Of the whole store."""

    @abstractmethod
    def delete_block(self, number: int, position: int) -> None:
        """One that is expired and not yet swept."""

    @abstractmethod
    def sweep(self, now: Hour, most: int, after: int) -> Swept:
        """Delete up to `most` expired rows, from where a step before came on; 0 at first."""

    @abstractmethod
    def _find_drops(self, drops: Sequence[DropId]) -> Iterable[tuple[DropId, DropRow]]: ...

    @abstractmethod
    def _find_places(self, digests: Sequence[bytes]) -> Iterable[tuple[bytes, Place]]: ...

    @abstractmethod
    def _write(self, added: Sequence[Added], moved: Mapping[int, int]) -> None:
        """Insert blocks, and note the next position of each number's drop."""

    @abstractmethod
    def _delete_drop(self, number: int) -> None: ...

    @abstractmethod
    def _oldest(self, number: int) -> int | None:
        """The lowest position that stands."""

    @abstractmethod
    def _hour_from(self, number: int, first: int) -> Hour | None:
        """When the first block from a position on came."""
