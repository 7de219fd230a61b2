"""Cores in the vault: what this member can post again for whoever missed it, until its hour."""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, final

from backchannel.client.vault.database import Database, Row
from backchannel.client.vault.items import Items
from backchannel.protocol.errors import StaleError
from backchannel.protocol.types import (
    ChannelId,
    ContentHash,
    Core,
    Hour,
    Timestamp,
)

if TYPE_CHECKING:
    from backchannel.protocol.entropy import Entropy
    from backchannel.protocol.outcome import Keep

_CORE = b"core"  # keeps a core's associated data apart from a message's


@final
class Cores:
    """Table `cores`: what this member can post again when somebody asks for it."""

    def __init__(self, database: Database, items: Items) -> None:
        self._database = database
        self._items = items

    def add(
        self,
        channel: ChannelId,
        kept: "Iterable[Keep]",
        now: Timestamp,
        entropy: "Entropy",
    ) -> int:
        """Keep cores until their hours, but what died on the way: how many were not there."""
        rows = (self._row(channel, each, now, entropy) for each in kept)
        return self._database.change_each(
            "INSERT INTO cores (channel, content, stored, expires, item) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            [row for row in rows if row is not None],
        )

    def _row(
        self, channel: ChannelId, kept: "Keep", now: Timestamp, entropy: "Entropy"
    ) -> Row | None:
        about = _CORE + channel + kept.hash
        try:
            stored, item = self._items.seal(kept.core, about, kept.expires, now, entropy)
        except StaleError:
            return None
        return channel, kept.hash, stored, kept.expires, item

    def shorten(
        self,
        channel: ChannelId,
        only: Collection[ContentHash] | None,
        lifetime: int,
        now: Timestamp,
        entropy: "Entropy",
    ) -> None:
        """Keep these cores, or all, at most `lifetime` hours from their own hour."""
        rows = self._database.all(
            "SELECT content, stored, expires, item FROM cores WHERE channel = ?", channel
        )
        for content, *row in rows:
            if only is None or content in only:
                self._shorten(channel, content, tuple(row), lifetime, now, entropy)

    def _shorten(
        self,
        channel: ChannelId,
        content: ContentHash,
        row: Row,
        lifetime: int,
        now: Timestamp,
        entropy: "Entropy",
    ) -> None:
        from backchannel.protocol.core import head_of

        about = _CORE + channel + content
        core = self._items.open(row, about, now)
        end = Hour(head_of(Core(core)).hour + lifetime) if core is not None else Hour(0)
        if row[1] <= end:
            return
        again = self._items.again(row, about, end, now, entropy)
        if again is None:
            self.remove(channel, [content])
            return
        self._database.change(
            "UPDATE cores SET stored = ?, item = ?, expires = ? WHERE channel = ? AND content = ?",
            *(*again, end, channel, content),
        )

    def many(
        self, channel: ChannelId, contents: Iterable[ContentHash], now: Timestamp
    ) -> dict[ContentHash, Core]:
        """Those of these cores that are there."""
        found = {content: self.get(channel, content, now) for content in contents}
        return {content: core for content, core in found.items() if core is not None}

    def remove(self, channel: ChannelId, contents: Iterable[ContentHash]) -> None:
        """Let go of these."""
        gone = "DELETE FROM cores WHERE channel = ? AND content = ?"
        for content in contents:
            self._database.change(gone, channel, content)

    def count(self, channel: ChannelId) -> int:
        """How many rows there are."""
        row = self._database.one("SELECT count(*) FROM cores WHERE channel = ?", channel)
        return int(row[0]) if row else 0

    def has(self, channel: ChannelId, content: ContentHash) -> bool:
        """Whether a row is there; it may have died."""
        query = "SELECT 1 FROM cores WHERE channel = ? AND content = ?"
        return self._database.one(query, channel, content) is not None

    def get(self, channel: ChannelId, content: ContentHash, now: Timestamp) -> Core | None:
        """The core, if it is there and its hour has not passed."""
        query = "SELECT stored, expires, item FROM cores WHERE channel = ? AND content = ?"
        row = self._database.one(query, channel, content)
        core = self._items.open(row, _CORE + channel + content, now) if row else None
        return None if core is None else Core(core)
