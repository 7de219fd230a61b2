"""What is owed to relays: requests, each until its relay has it. Sends nothing."""

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
    after: int = 0
    """The moment before which the relay asked not to be asked again, or 0."""
    taken: int = 0
    """1 once some other relay has all of that message."""
    bulk: int = 0
    """1 for what goes after all else."""


_COLUMNS = (
    "owner, relay, relay_key, drop_id, access, operation, payload, label, created,"
    " id, attempts, content, message, after, taken, bulk"
)
APPEND = 2
"""`protocol.drop.Operation.APPEND`: loading that takes too long for who only looks."""
_TURNS = f"operation = {APPEND} AND label != 'lobby'"
"""What waits for a turn where there is cover."""


@final
class Outbox:
    """Table `outbox`: first in, first out, and bulk after all else."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, owed: Owed) -> int:
        """Keep a request until it is done; its number."""
        self._database.change(
            "INSERT INTO outbox (owner, relay, relay_key, drop_id, access, operation, payload,"
            " label, created, content, message, bulk)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(owed.owner, owed.relay, owed.relay_key, owed.drop, owed.access.expose()),
            *(int(owed.operation), owed.payload, owed.label, owed.created),
            *(owed.content, owed.message, owed.bulk),
        )
        row = self._database.one("SELECT last_insert_rowid()")
        return int(row[0]) if row else 0

    def pending(
        self,
        owner: bytes | None = None,
        relay: str | None = None,
        most: int = 256,
        without: Collection[bytes] = (),
        *,
        held: bool = False,
    ) -> list[Owed]:
        """The next requests, in order, of one owner and to one relay where these are given, but
        for the drops in `without`; `held`: none that wait for a turn of cover.
        """
        given = {"owner": owner, "relay": relay}
        asked = {column: value for column, value in given.items() if value is not None}
        where = "".join(f"{column} = ? AND " for column in asked) + f"NOT ({_TURNS}) AND " * held
        rows = self._database.all(
            f"SELECT {_COLUMNS} FROM outbox WHERE {where}"  # noqa: S608 - nothing but our own names
            "hex(drop_id) NOT IN (SELECT value FROM json_each(?)) ORDER BY bulk, id LIMIT ?",
            *(*asked.values(), json.dumps([drop.hex().upper() for drop in without]), most),
        )
        return [_owed(row) for row in rows]

    def of_drop(self, owner: bytes, relay: str, drop: DropId, operation: int) -> list[Owed]:
        """All requests of one kind for one drop, in order."""
        rows = self._database.all(
            f"SELECT {_COLUMNS} FROM outbox WHERE owner = ?"  # noqa: S608 - nothing but our own names
            " AND relay = ? AND drop_id = ? AND operation = ? ORDER BY id",
            *(owner, relay, drop, operation),
        )
        return [_owed(row) for row in rows]

    def owners(self) -> list[bytes]:
        """Channels and joins for which something is to be sent, the longest waiting first."""
        query = "SELECT owner FROM outbox GROUP BY owner ORDER BY min(id)"
        return [bytes(row[0]) for row in self._database.all(query)]

    def relays(self, owner: bytes) -> dict[str, int]:
        """How many requests each relay is owed; the one that waits longest first."""
        query = "SELECT relay, count(*) FROM outbox WHERE owner = ? GROUP BY relay ORDER BY min(id)"
        return {row[0]: int(row[1]) for row in self._database.all(query, owner)}

    def waiting(self, owner: bytes) -> dict[str, Owed]:
        """For each relay the next request of those that wait for a turn of cover."""
        rows = self._database.all(
            f"SELECT {_COLUMNS} FROM (SELECT *, row_number() OVER"  # noqa: S608 - nothing but our own names
            f" (PARTITION BY relay ORDER BY bulk, id) AS place FROM outbox"
            f" WHERE owner = ? AND {_TURNS}) WHERE place = 1",
            owner,
        )
        return {each.relay: each for each in map(_owed, rows)}

    def ahead(self, owner: bytes) -> int:
        """How many turns it takes until the newest of what waits for them is at one relay."""
        newest = f"SELECT bulk FROM outbox WHERE owner = ? AND {_TURNS} ORDER BY id DESC LIMIT 1"  # noqa: S608 - nothing but our own names
        row = self._database.one(
            "SELECT min(number) FROM (SELECT count(*) AS number FROM outbox"  # noqa: S608 - nothing but our own names
            f" WHERE owner = ? AND {_TURNS} AND bulk <= ({newest}) GROUP BY relay)",
            *(owner, owner),
        )
        return int(row[0] or 0) if row else 0

    def by_relay(self, numbers: Collection[int]) -> dict[str, list[int]]:
        """These requests, as far as they are still to be sent, by relay."""
        found: dict[str, list[int]] = {}
        for number in numbers:
            row = self._database.one("SELECT relay FROM outbox WHERE id = ?", number)
            if row is not None:
                found.setdefault(row[0], []).append(number)
        return found

    def drops(self, owner: bytes, relay: str) -> set[bytes]:
        """Every drop of a relay for which something of this owner's is to be sent."""
        query = "SELECT DISTINCT drop_id FROM outbox WHERE owner = ? AND relay = ?"
        return {bytes(row[0]) for row in self._database.all(query, owner, relay)}

    def queued(self, owner: bytes) -> set[bytes]:
        """Messages of one's own that no relay has, nor anybody else as far as is known."""
        query = (
            "SELECT DISTINCT message FROM outbox WHERE owner = ? AND message != x'' AND NOT taken"
        )
        return {bytes(row[0]) for row in self._database.all(query, owner)}

    def taken(self, owner: bytes, relay: str, message: bytes) -> None:
        """Note of a message whether this relay has all of it, for when others have not."""
        self._database.change(
            "UPDATE outbox SET taken = 1 WHERE owner = ? AND message = ? AND NOT EXISTS"
            " (SELECT 1 FROM outbox WHERE owner = ? AND message = ? AND relay = ?)",
            *(owner, message, owner, message, relay),
        )

    def passed(self, owner: bytes, message: bytes) -> None:
        """Note of a message that it is where others read it, though no relay took it from here."""
        query = "UPDATE outbox SET taken = 1 WHERE owner = ? AND message = ?"
        self._database.change(query, owner, message)

    def fills(self, relay: str, drop: DropId) -> bool:
        """Whether this drop is to take bulk."""
        query = "SELECT 1 FROM outbox WHERE relay = ? AND drop_id = ? AND bulk LIMIT 1"
        return self._database.one(query, relay, drop) is not None

    def brings(self, drop: DropId, content: bytes) -> bool:
        """Whether a block with this core is to be sent to this drop."""
        query = "SELECT 1 FROM outbox WHERE drop_id = ? AND content = ?"
        return self._database.one(query, drop, content) is not None

    def payload(self, number: int) -> bytes | None:
        """What a request sends now; none once it is done."""
        row = self._database.one("SELECT payload FROM outbox WHERE id = ?", number)
        return bytes(row[0]) if row else None

    def count(self, owner: bytes | None = None) -> int:
        """How many requests are owed, for one channel or join, or for all."""
        query = "SELECT count(*) FROM outbox WHERE ? IS NULL OR owner = ?"
        row = self._database.one(query, owner, owner)
        return int(row[0]) if row else 0

    def newest(self, owner: bytes) -> int:
        """The number of its newest request; what is added later has a higher one."""
        row = self._database.one("SELECT max(id) FROM outbox WHERE owner = ?", owner)
        return int(row[0] or 0) if row else 0

    def owes(self, numbers: Collection[int]) -> bool:
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
        """Forget requests of one kind that were made before an hour; how many said something."""
        statement = "DELETE FROM outbox WHERE owner = ? AND operation = ? AND created < ?"
        self._database.change(f"{statement} AND label = 'cover'", owner, operation, before)
        return self._database.change(statement, owner, operation, before)

    def leave(self, owner: bytes, drop: DropId, before: Hour) -> None:
        """Forget requests for a drop that is not written to any more, made before an hour."""
        statement = "DELETE FROM outbox WHERE owner = ? AND drop_id = ? AND created < ?"
        self._database.change(statement, owner, drop, before)

    def readdress(self, owner: bytes, key: bytes, relay: str) -> None:
        """Send what is for the relay of this key to where it is now."""
        statement = "UPDATE outbox SET relay = ? WHERE owner = ? AND relay_key = ? AND relay != ?"
        self._database.change(statement, relay, owner, key, relay)

    def replaced(self, owner: bytes, key: bytes, relay: str) -> list[Owed]:
        """Forget what is for a relay of another key at this address; what that was."""
        where = "owner = ? AND relay = ? AND relay_key != ?"
        rows = self._database.all(
            f"SELECT {_COLUMNS} FROM outbox WHERE {where} ORDER BY id",  # noqa: S608 - nothing but our own names
            *(owner, relay, key),
        )
        found = [_owed(row) for row in rows]
        self.done(*(each.id for each in found))
        return found

    def tried(self, number: int, after: int = 0) -> None:
        """Count an attempt that failed; and when the next may be made, where the relay said so."""
        statement = "UPDATE outbox SET attempts = attempts + 1, after = ? WHERE id = ?"
        self._database.change(statement, after, number)


def _owed(row: Row) -> Owed:
    owner, relay, relay_key, drop, access, *rest = row
    return Owed(owner, relay, relay_key, drop, X25519Private(access), *rest)
