"""What goes to relays and comes from them: requests owed, how far drops were read, vouchers left.

Sends nothing.
"""

import json
from collections.abc import Collection
from typing import NamedTuple, final

from backchannel.client.vault.database import Database, Row
from backchannel.protocol.secret import X25519Private
from backchannel.protocol.types import DropId, Hour


class Owed(NamedTuple):
    """One request that some relay must have, with all that sending it takes."""

    owner: bytes
    """Channel id or join id, 16 bytes."""
    relay: str
    relay_key: bytes
    """The relay's static key as pinned, 32 bytes."""
    drop: DropId
    access: X25519Private
    """The drop's access key; to seal or delete, its close key."""
    operation: int
    """A `protocol.drop.Operation`."""
    payload: bytes
    label: str
    """For the caller: what to do when it is done."""
    created: Hour
    id: int = 0
    attempts: int = 0
    content: bytes = b""
    """Content hash of the core that a block carries, where the channel keeps it."""
    message: bytes = b""
    """Id of the message of one's own that the block is for, or empty."""


class Cursor(NamedTuple):
    """Where to read on."""

    position: int
    hour: Hour


_START = Cursor(0, Hour(0))


@final
class Outbox:
    """Table `outbox`, first in, first out."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, owed: Owed) -> int:
        """Keep a request until it is done; its number."""
        self._database.change(
            "INSERT INTO outbox (owner, relay, relay_key, drop_id, access, operation, payload,"
            " label, created, content, message) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(owed.owner, owed.relay, owed.relay_key, owed.drop, owed.access.expose()),
            *(int(owed.operation), owed.payload, owed.label, owed.created),
            *(owed.content, owed.message),
        )
        row = self._database.one("SELECT last_insert_rowid()")
        return int(row[0]) if row else 0

    def pending(
        self,
        owner: bytes | None = None,
        most: int = 256,
        without: Collection[tuple[str, bytes]] = (),
    ) -> list[Owed]:
        """The oldest requests, in order, but those for the relays and drops in `without`: there, no
        drop is any drop.
        """
        names = json.dumps([f"{relay} {drop.hex().upper()}" for relay, drop in without])
        rows = self._database.all(
            "SELECT owner, relay, relay_key, drop_id, access, operation, payload, label, created,"
            " id, attempts, content, message FROM outbox WHERE (? IS NULL OR owner = ?)"
            " AND relay || ' ' NOT IN (SELECT value FROM json_each(?))"
            " AND relay || ' ' || hex(drop_id) NOT IN (SELECT value FROM json_each(?))"
            " ORDER BY id LIMIT ?",
            *(owner, owner, names, names, most),
        )
        return [_owed(row) for row in rows]

    def of_drop(self, owner: bytes, relay: str, drop: DropId, operation: int) -> list[Owed]:
        """All requests of one kind for one drop, in order."""
        rows = self._database.all(
            "SELECT owner, relay, relay_key, drop_id, access, operation, payload, label, created,"
            " id, attempts, content, message FROM outbox"
            " WHERE owner = ? AND relay = ? AND drop_id = ? AND operation = ? ORDER BY id",
            *(owner, relay, drop, operation),
        )
        return [_owed(row) for row in rows]

    def drops(self, owner: bytes, relay: str) -> set[bytes]:
        """Every drop of a relay for which something of this owner's is to be sent."""
        query = "SELECT DISTINCT drop_id FROM outbox WHERE owner = ? AND relay = ?"
        return {bytes(row[0]) for row in self._database.all(query, owner, relay)}

    def payload(self, number: int) -> bytes | None:
        """What a request sends now; none once it is done."""
        row = self._database.one("SELECT payload FROM outbox WHERE id = ?", number)
        return bytes(row[0]) if row else None

    def count(self, owner: bytes | None = None) -> int:
        """How many requests are owed, for one channel or join, or for all."""
        query = "SELECT count(*) FROM outbox WHERE ? IS NULL OR owner = ?"
        row = self._database.one(query, owner, owner)
        return int(row[0]) if row else 0

    def owes(self, numbers: list[int]) -> bool:
        """Whether any of these requests is still to be sent."""
        query = "SELECT 1 FROM outbox WHERE id = ?"
        return any(self._database.one(query, number) is not None for number in numbers)

    def forget(self, owner: bytes, but: Collection[int] = ()) -> None:
        """Owe nothing of this owner's, but for these requests."""
        rows = self._database.all("SELECT id FROM outbox WHERE owner = ?", owner)
        self.done(*({int(row[0]) for row in rows} - set(but)))

    def done(self, *numbers: int) -> None:
        """The relay has them."""
        for number in numbers:
            self._database.change("DELETE FROM outbox WHERE id = ?", number)

    def replace(self, number: int, payload: bytes) -> None:
        """Send something else in its place."""
        self._database.change("UPDATE outbox SET payload = ? WHERE id = ?", payload, number)

    def let_go(self, owner: bytes, operation: int, before: Hour) -> int:
        """Forget requests of one kind that were made before an hour; how many."""
        statement = "DELETE FROM outbox WHERE owner = ? AND operation = ? AND created < ?"
        return self._database.change(statement, owner, operation, before)

    def tried(self, number: int) -> None:
        """Count an attempt that failed."""
        self._database.change("UPDATE outbox SET attempts = attempts + 1 WHERE id = ?", number)


def _owed(row: Row) -> Owed:
    owner, relay, relay_key, drop, access, *rest = row
    return Owed(owner, relay, relay_key, drop, X25519Private(access), *rest)


@final
class Cursors:
    """Table `cursors`: per relay and drop."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, relay: str, drop: DropId) -> Cursor:
        """Where to read on; the beginning for a drop never read."""
        query = "SELECT position, hour FROM cursors WHERE relay = ? AND drop_id = ?"
        row = self._database.one(query, relay, drop)
        return Cursor(*row) if row else _START

    def put(self, relay: str, drop: DropId, cursor: Cursor) -> None:
        """Read on from there."""
        self._database.change(
            "INSERT INTO cursors (relay, drop_id, position, hour) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET position = excluded.position, hour = excluded.hour",
            *(relay, drop, *cursor),
        )

    def remove(self, relay: str, drop: DropId) -> None:
        """A drop that is not read any more."""
        self._database.change("DELETE FROM cursors WHERE relay = ? AND drop_id = ?", relay, drop)


@final
class Vouchers:
    """Table `vouchers`: each is good for one drop on one relay. Spent ones stay, so that the file
    they came from can be given again.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_many(self, relay: str, vouchers: list[bytes]) -> int:
        """Keep vouchers; how many were new."""
        insert = "INSERT OR IGNORE INTO vouchers (relay, voucher) VALUES (?, ?)"
        return sum(self._database.change(insert, relay, voucher) for voucher in vouchers)

    def take(self, relay: str) -> bytes | None:
        """One voucher, oldest first; it is spent in the same transaction as what it pays for."""
        query = "SELECT id, voucher FROM vouchers WHERE relay = ? AND NOT spent ORDER BY id"
        row = self._database.one(query, relay)
        if row is None:
            return None
        self._database.change("UPDATE vouchers SET spent = 1 WHERE id = ?", row[0])
        return bytes(row[1])

    def unspent(self) -> dict[str, tuple[bytes, ...]]:
        """What is left, for each relay."""
        rows = self._database.all("SELECT relay, voucher FROM vouchers WHERE NOT spent ORDER BY id")
        left: dict[str, tuple[bytes, ...]] = {}
        for relay, voucher in rows:
            left[relay] = (*left.get(relay, ()), bytes(voucher))
        return left

    def count(self, relay: str) -> int:
        """How many are left for a relay."""
        row = self._database.one(
            "SELECT count(*) FROM vouchers WHERE relay = ? AND NOT spent", relay
        )
        return int(row[0]) if row else 0
