"""Messages and cores in the vault: rows whose content opens only until its hour. Reads no clock.

Each item is sealed under a key that the expiry-key file holds; when that key is erased, nothing
opens the row any more, whether it was deleted or not.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple, final

from backchannel.client.vault.database import Database, Row
from backchannel.client.vault.expiry_file import ExpiryFile
from backchannel.client.vault.volatile import Volatile
from backchannel.protocol.errors import StaleError
from backchannel.protocol.secret import StoreKey
from backchannel.protocol.types import (
    ChannelId,
    ContentHash,
    Core,
    Hour,
    MessageId,
    Slot,
    ThreadId,
    Timestamp,
    hour_of,
)

if TYPE_CHECKING:
    from backchannel.protocol.entropy import Entropy
    from backchannel.protocol.expiry import Write
    from backchannel.protocol.secret import ExpiryKey, ItemKey, ThreadKey

_CORE = b"core"  # keeps a core's associated data apart from a message's
_WEEK = 7 * 24  # hours


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
class Items:
    """Seals and opens under expiry keys; each key is derived once."""

    def __init__(self, store: StoreKey, file: ExpiryFile) -> None:
        self._store = store
        self._file = file
        self._latest: tuple[ExpiryKey, ThreadKey | None, ItemKey] | None = None

    def seal(
        self,
        plain: bytes,
        about: bytes,
        expires: Hour,
        now: Timestamp,
        entropy: "Entropy",
        thread: bytes | None = None,
    ) -> tuple[Hour, bytes]:
        """The hour it is stored at, and the item; it dies sooner with the key of `thread`, if that
        is named. `StaleError` when `expires` is over already.
        """
        from backchannel.protocol.expiry import seal_item

        keys = self._file.keys
        stored = keys.hour(hour_of(now))
        if expires <= stored:
            msg = "it has expired"
            raise StaleError(msg)
        expiry, writes = keys.add(stored, expires, entropy)
        own, more = self._keep(thread, expires, stored, entropy) if thread else (None, [])
        self._file.apply([*writes, *more])
        return stored, seal_item(self._derived(expiry, own), plain, about, entropy)

    def _keep(
        self, name: bytes, expires: Hour, now: Hour, entropy: "Entropy"
    ) -> "tuple[ThreadKey, list[Write]]":
        """A thread's key, which must live until `expires` at least: it is moved seldom."""
        keys, until = self._file.keys, Hour((expires // _WEEK + 2) * _WEEK)
        try:
            key = keys.thread(name, now)
        except StaleError:
            return keys.add_thread(name, until, entropy)
        return key, keys.prolong_thread(name, until, now)

    def _derived(self, expiry: "ExpiryKey", thread: "ThreadKey | None") -> "ItemKey":
        """Most items in a row end together."""
        from backchannel.protocol.expiry import item_key

        if self._latest is None or self._latest[:2] != (expiry, thread):
            self._latest = expiry, thread, item_key(self._store, expiry, thread)
        return self._latest[2]

    def seal_apart(
        self, plain: bytes, name: bytes, expires: Hour, now: Timestamp, entropy: "Entropy"
    ) -> tuple[Hour, bytes]:
        """As `seal`, with a key of its own beside it: erase that, and nothing opens the item."""
        from backchannel.protocol.expiry import item_key, seal_item

        keys = self._file.keys
        stored = keys.hour(hour_of(now))
        expiry, writes = keys.add(stored, expires, entropy)
        own, more = keys.add_thread(name, expires, entropy)
        self._file.apply([*writes, *more])
        return stored, seal_item(item_key(self._store, expiry, own), plain, name, entropy)

    def open_apart(self, row: Row, name: bytes, now: Timestamp) -> bytes | None:
        """What `seal_apart` gave; none when its hour is over, or its key was erased."""
        from backchannel.protocol.expiry import item_key, open_item

        stored, expires, item = row
        keys, hour = self._file.keys, hour_of(now)
        try:
            key = item_key(self._store, keys.get(stored, expires, hour), keys.thread(name, hour))
        except StaleError:
            return None
        return open_item(key, item, name)

    def key(
        self, stored: Hour, expires: Hour, now: Timestamp, thread: bytes | None = None
    ) -> "ItemKey":
        """Opens what was stored then and ends then; `StaleError` when that, or its thread, is
        over.
        """
        keys, hour = self._file.keys, hour_of(now)
        own = keys.thread(thread, hour) if thread else None
        return self._derived(keys.get(stored, expires, hour), own)

    def again(
        self,
        row: Row,
        about: bytes,
        expires: Hour,
        now: Timestamp,
        entropy: "Entropy",
        thread: bytes | None = None,
    ) -> tuple[Hour, bytes] | None:
        """A row's item under a key that dies at `expires`; none where that is over already."""
        plain = self.open(row, about, now, thread)
        if plain is None or expires <= self._file.keys.hour(hour_of(now)):
            return None
        return self.seal(plain, about, expires, now, entropy, thread)

    def open(
        self, row: Row, about: bytes, now: Timestamp, thread: bytes | None = None
    ) -> bytes | None:
        """What a row `(stored, expires, item)` holds; none when its hour is over by any clock seen.

        A key that is missing is looked for once more on the disk: another process may have made it.
        """
        from backchannel.protocol.expiry import open_item

        stored, expires, item = row
        if expires <= self._file.keys.hour(hour_of(now)):
            return None
        for look_again in (self._file.forget, None):
            try:
                return open_item(self.key(stored, expires, now, thread), item, about)
            except StaleError:
                if look_again:
                    look_again()
        return None


@final
class Messages:
    """Table `messages`."""

    def __init__(self, database: Database, items: Items, volatile: Volatile | None = None) -> None:
        self._database = database
        self._items = items
        self._volatile = volatile or Volatile()

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
        self._database.change(
            "DELETE FROM threads WHERE NOT EXISTS (SELECT 1 FROM messages"
            " WHERE messages.channel = threads.channel AND messages.thread = threads.thread)"
        )

    def _name(self, channel: ChannelId, thread: ThreadId, entropy: "Entropy") -> bytes:
        """Of a thread's key; a new one where it has none."""
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


@final
class Cores:
    """Table `cores`: what this member can post again when somebody asks for it."""

    def __init__(self, database: Database, items: Items) -> None:
        self._database = database
        self._items = items

    def add(
        self,
        channel: ChannelId,
        content: ContentHash,
        core: Core,
        expires: Hour,
        now: Timestamp,
        entropy: "Entropy",
    ) -> bool:
        """Keep a core until its hour; false when it is there already."""
        about = _CORE + channel + content
        stored, item = self._items.seal(core, about, expires, now, entropy)
        added = self._database.change(
            "INSERT INTO cores (channel, content, stored, expires, item) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            *(channel, content, stored, expires, item),
        )
        return added == 1

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
            gone = "DELETE FROM cores WHERE channel = ? AND content = ?"
            self._database.change(gone, channel, content)
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
        for content in contents:
            gone = "DELETE FROM cores WHERE channel = ? AND content = ?"
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
