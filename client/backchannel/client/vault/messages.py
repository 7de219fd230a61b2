"""Messages in the vault: rows that open only until their hour, and while their thread lasts."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, final

from backchannel.client.vault.database import Database, Row
from backchannel.client.vault.items import Items
from backchannel.client.vault.volatile import Volatile
from backchannel.protocol.errors import StaleError
from backchannel.protocol.types import (
    ChannelId,
    ContentHash,
    Hour,
    MessageId,
    Slot,
    ThreadId,
    Timestamp,
    hour_of,
)

if TYPE_CHECKING:
    from backchannel.protocol.entropy import Entropy


class Message(NamedTuple):
    """One message, opened. `plain` is whatever the caller keeps of it."""

    channel: ChannelId
    content: ContentHash
    id: MessageId
    author: Slot
    thread: ThreadId
    hour: Hour
    """Of its core."""
    order: int
    expires: Hour
    plain: bytes
    off: bool = False
    """Off the record: `plain` is `volatile.CLOSED` where its key is gone."""


@final
class Messages:
    """Table `messages`."""

    def __init__(self, database: Database, items: Items, volatile: Volatile | None = None) -> None:
        self._database = database
        self._items = items
        self._volatile = volatile or Volatile()
        self._names: dict[tuple[ChannelId, ThreadId], bytes] = {}
        self._turn = 0
        """In which the names of threads were read."""

    def add(self, message: Message, now: Timestamp, entropy: "Entropy") -> bool:
        """Keep a message until its hour; false when that author's message is there already."""
        channel, content, ident, author, thread, hour, order, expires, plain, off = message
        about = channel + content
        if off:
            plain = self._volatile.seal(plain, about, entropy)
        try:
            name = self._name(channel, thread, entropy)
            stored, item = self._items.seal(plain, about, expires, now, entropy, name)
        except StaleError:
            if self._known(channel, author, ident, content):
                return False
            raise
        added = self._database.change(
            "INSERT INTO messages (channel, content, message, author, thread, hour, rank,"
            " stored, expires, item) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            *(channel, content, ident, author, thread, hour, order, stored, expires, item),
        )
        return added == 1

    def find(self, channel: ChannelId, ident: bytes, now: Timestamp) -> list[Message]:
        """Those of an id: one, unless two authors chose the same."""
        rows = self._database.all(
            "SELECT content, message, author, thread, hour, rank, stored, expires, item, name"
            " FROM named_messages WHERE channel = ? AND message = ?",
            *(channel, ident),
        )
        opened = (self._message(channel, row, now) for row in rows)
        return [message for message in opened if message is not None]

    def list(
        self, channel: ChannelId, now: Timestamp, thread: ThreadId | None = None
    ) -> list[Message]:
        """Every message whose hour has not passed, in the order of SPEC.md section 15."""
        rows = self._database.all(
            "SELECT content, message, author, thread, hour, rank, stored, expires, item, name"
            " FROM named_messages WHERE channel = ? AND expires > ? AND (? IS NULL OR thread = ?)"
            " ORDER BY hour, rank, content",
            *(channel, hour_of(now), thread, thread),
        )
        opened = (self._message(channel, row, now) for row in rows)
        return [message for message in opened if message is not None]

    def remove(self, channel: ChannelId, author: Slot, ident: MessageId) -> None:
        """Let go of one author's message."""
        self._database.change(
            "DELETE FROM messages WHERE channel = ? AND author = ? AND message = ?",
            *(channel, author, ident),
        )

    def shorten(
        self,
        channel: ChannelId,
        thread: ThreadId | None,
        lifetime: int,
        now: Timestamp,
        entropy: "Entropy",
    ) -> dict[ContentHash, Hour]:
        """Let what is kept of a thread, or of all, live at most `lifetime` hours from its own hour:
        what ends sooner now, and when.
        """
        rows = self._database.all(
            "SELECT content, hour, name, stored, expires, item FROM named_messages"
            " WHERE channel = ? AND (? IS NULL OR thread = ?) AND expires > hour + ?",
            *(channel, thread, thread, lifetime),
        )
        ends = {ContentHash(row[0]): Hour(row[1] + lifetime) for row in rows}
        for content, _, name, *row in rows:
            end = ends[content]
            self._end(channel, content, name, tuple(row), end, now, entropy)
        return ends

    def hasten(
        self,
        channel: ChannelId,
        ends: Mapping[ContentHash, Hour],
        now: Timestamp,
        entropy: "Entropy",
    ) -> dict[ContentHash, Hour]:
        """Let these messages end at these hours, where that is sooner: which do, and when."""
        sooner = {}
        for content, end in ends.items():
            row = self._database.one(
                "SELECT name, stored, expires, item FROM named_messages"
                " WHERE channel = ? AND content = ? AND expires > ?",
                *(channel, content, end),
            )
            if row is not None:
                self._end(channel, content, row[0], row[1:], end, now, entropy)
                sooner[content] = end
        return sooner

    def _end(
        self,
        channel: ChannelId,
        content: ContentHash,
        name: bytes,
        row: Row,
        end: Hour,
        now: Timestamp,
        entropy: "Entropy",
    ) -> None:
        """Under a key that dies at `end`; the one before goes with the next `forget_keys`, unless
        others lean on it.
        """
        again = self._items.again(row, channel + content, end, now, entropy, name)
        if again is None:
            gone = "DELETE FROM messages WHERE channel = ? AND content = ?"
            self._database.change(gone, channel, content)
            return
        self._database.change(
            "UPDATE messages SET stored = ?, item = ?, expires = ?"
            " WHERE channel = ? AND content = ?",
            *(*again, end, channel, content),
        )

    def purge(self, channel: ChannelId, thread: ThreadId) -> tuple[ContentHash, ...]:
        """Let go of a thread, or of what of the channel is in none: the messages that there were.
        Its key goes with the next `forget_keys`.
        """
        self._names = {}
        query = "SELECT content FROM messages WHERE channel = ? AND thread = ?"
        rows = self._database.all(query, channel, thread)
        gone = "DELETE FROM threads WHERE channel = ? AND thread = ?"
        self._database.change(gone, channel, thread)
        gone = "DELETE FROM messages WHERE channel = ? AND thread = ?"
        self._database.change(gone, channel, thread)
        return tuple(ContentHash(row[0]) for row in rows)

    def names(self) -> set[bytes]:
        """Names of the keys of all threads."""
        return {bytes(row[0]) for row in self._database.all("SELECT name FROM threads")}

    def tidy(self) -> None:
        """Let go of the names of threads in which nothing is left."""
        self._names = {}
        self._database.change(
            "DELETE FROM threads WHERE NOT EXISTS (SELECT 1 FROM messages"
            " WHERE messages.channel = threads.channel AND messages.thread = threads.thread)"
        )

    def _name(self, channel: ChannelId, thread: ThreadId, entropy: "Entropy") -> bytes:
        """Of a thread's key, which is read once in a transaction."""
        if self._turn != self._database.turn:
            self._names, self._turn = {}, self._database.turn
        if (channel, thread) not in self._names:
            self._names[channel, thread] = self._named(channel, thread, entropy)
        return self._names[channel, thread]

    def _named(self, channel: ChannelId, thread: ThreadId, entropy: "Entropy") -> bytes:
        """As the table has it; a new one where it has none."""
        query = "SELECT name FROM threads WHERE channel = ? AND thread = ?"
        row = self._database.one(query, channel, thread)
        if row is not None:
            return bytes(row[0])
        name = entropy.draw(len(thread))
        insert = "INSERT INTO threads (channel, thread, name) VALUES (?, ?, ?)"
        self._database.change(insert, channel, thread, name)
        return name

    def _known(
        self, channel: ChannelId, author: Slot, ident: MessageId, content: ContentHash
    ) -> bool:
        found = self._database.one(
            "SELECT 1 FROM messages WHERE channel = ?"
            " AND (author = ? AND message = ? OR content = ?)",
            *(channel, author, ident, content),
        )
        return found is not None

    def _message(self, channel: ChannelId, row: Row, now: Timestamp) -> Message | None:
        content, ident, author, thread, hour, order, stored, expires, item, name = row
        about = channel + content
        kept = self._items.open((stored, expires, item), about, now, name)
        if kept is None:
            return None
        plain = self._volatile.open(kept, about)
        where = channel, content, ident, author, thread, hour, order
        return Message(*where, expires, plain, off=plain is not kept)
