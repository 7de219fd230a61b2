"""How far the drops of each relay were read, and when a relay may be asked for more."""

from typing import NamedTuple, final

from backchannel.client.vault.database import Database
from backchannel.protocol.types import DropId, Hour


class Cursor(NamedTuple):
    """Where to read on."""

    position: int
    hour: Hour


_START = Cursor(0, Hour(0))


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
            " ON CONFLICT DO UPDATE SET position = excluded.position, hour = excluded.hour,"
            " after = 0",
            *(relay, drop, *cursor),
        )

    def after(self, relay: str, drop: DropId) -> int:
        """The moment before which the relay asked not to be asked again, or 0."""
        query = "SELECT after FROM cursors WHERE relay = ? AND drop_id = ?"
        row = self._database.one(query, relay, drop)
        return int(row[0]) if row else 0

    def wait(self, relay: str, drop: DropId, after: int) -> None:
        """Do not read on before that moment."""
        self._database.change(
            "INSERT INTO cursors (relay, drop_id, position, hour, after) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET after = excluded.after",
            *(relay, drop, *_START, after),
        )

    def remove(self, relay: str, drop: DropId) -> None:
        """A drop that is not read any more."""
        self._database.change("DELETE FROM cursors WHERE relay = ? AND drop_id = ?", relay, drop)
