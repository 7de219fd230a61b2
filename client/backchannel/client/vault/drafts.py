"""Unattributed texts that wait for their moment. Each has a key of its own in the file of expiry
keys, which goes when the text does: then no copy of the database opens it.
"""

from typing import TYPE_CHECKING, NamedTuple, final

from backchannel.client.vault.database import Database
from backchannel.client.vault.items import Items
from backchannel.protocol import limits
from backchannel.protocol.types import ChannelId, Hour, Timestamp, hour_of, start_of

if TYPE_CHECKING:
    from backchannel.protocol.entropy import Entropy


class Draft(NamedTuple):
    """One of them, unopened."""

    number: int
    due: Timestamp
    refused: str
    """Why it was not sent, or empty while it waits."""

    @property
    def start(self) -> Timestamp:
        """Of the hour in which it goes: nobody is told the second."""
        return start_of(hour_of(self.due))

    @property
    def end(self) -> Timestamp:
        """Of that hour."""
        return Timestamp(self.start + 3600)


@final
class Drafts:
    """Table `drafts`."""

    def __init__(self, database: Database, items: Items) -> None:
        self._database = database
        self._items = items

    def add(
        self,
        channel: ChannelId,
        plain: bytes,
        due: Timestamp,
        expires: Hour,
        now: Timestamp,
        entropy: "Entropy",
    ) -> None:
        """Keep a text until it is due, and no longer than until `expires`."""
        name = entropy.draw(limits.ID)
        stored, item = self._items.seal_apart(plain, name, expires, now, entropy)
        self._database.change(
            "INSERT INTO drafts (channel, name, due, stored, expires, item)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            *(channel, name, due, stored, expires, item),
        )

    def list(self, channel: ChannelId) -> list[Draft]:
        """Those of a channel, the first due first."""
        rows = self._database.all(
            "SELECT id, due, refused FROM drafts WHERE channel = ? ORDER BY due, id", channel
        )
        return [Draft(*row) for row in rows]

    def open(self, number: int, now: Timestamp) -> bytes | None:
        """What one says; none where its life has ended."""
        row = self._database.one(
            "SELECT stored, expires, item, name FROM drafts WHERE id = ?", number
        )
        return self._items.open_apart(row[:3], row[3], now) if row else None

    def refuse(self, number: int, why: str) -> None:
        """It was not sent; it stays until a person has let go of it."""
        self._database.change("UPDATE drafts SET refused = ? WHERE id = ?", why, number)

    def remove(self, channel: ChannelId, number: int) -> int:
        """Let go of one; how many there were. Its key goes with the next `forget_keys`."""
        return self._database.change(
            "DELETE FROM drafts WHERE channel = ? AND id = ?", channel, number
        )

    def lapse(self, channel: ChannelId, hour: Hour) -> int:
        """Let go of those whose life ended while they waited; how many."""
        gone = "DELETE FROM drafts WHERE channel = ? AND expires <= ?"
        return self._database.change(gone, channel, hour)

    def names(self) -> set[bytes]:
        """Names of the keys of all."""
        return {bytes(row[0]) for row in self._database.all("SELECT name FROM drafts")}
