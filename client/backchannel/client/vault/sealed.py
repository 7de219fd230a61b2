"""Messages and cores in the vault: rows whose content opens only until its hour. Reads no clock.

Each item is sealed under a key that the expiry-key file holds; when that key is erased, nothing
opens the row any more, whether it was deleted or not.
"""

from typing import TYPE_CHECKING, NamedTuple, final

from backchannel.client.vault.database import Database, Row
from backchannel.client.vault.expiry_file import ExpiryFile
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
    from backchannel.protocol.secret import ItemKey

_CORE = b"core"  # keeps a core's associated data apart from a message's


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


@final
class Items:
    """Seals and opens under expiry keys; each key is derived once."""

    def __init__(self, store: StoreKey, file: ExpiryFile) -> None:
        self._store = store
        self._file = file

    def seal(
        self, plain: bytes, about: bytes, expires: Hour, now: Timestamp, entropy: "Entropy"
    ) -> tuple[Hour, bytes]:
        """The hour it is stored at, and the item. `StaleError` when `expires` is over already."""
        from backchannel.protocol.expiry import item_key, seal_item

        keys = self._file.keys
        stored = keys.hour(hour_of(now))
        if expires <= stored:
            msg = "it has expired"
            raise StaleError(msg)
        expiry, writes = keys.add(stored, expires, entropy)
        self._file.apply(writes)
        return stored, seal_item(item_key(self._store, expiry), plain, about, entropy)

    def key(self, stored: Hour, expires: Hour, now: Timestamp) -> "ItemKey":
        """Opens what was stored then and ends then; `StaleError` when that is over."""
        from backchannel.protocol.expiry import item_key

        return item_key(self._store, self._file.keys.get(stored, expires, hour_of(now)))

    def open(self, row: Row, about: bytes, now: Timestamp) -> bytes | None:
        """What a row `(stored, expires, item)` holds; none when its hour is over by any clock seen.

        A key that is missing is looked for once more on the disk: another process may have made it.
        """
        from backchannel.protocol.expiry import open_item

        stored, expires, item = row
        if expires <= self._file.keys.hour(hour_of(now)):
            return None
        for look_again in (self._file.forget, None):
            try:
                return open_item(self.key(stored, expires, now), item, about)
            except StaleError:
                if look_again:
                    look_again()
        return None


@final
class Messages:
    """Table `messages`."""

    def __init__(self, database: Database, items: Items) -> None:
        self._database = database
        self._items = items

    def add(self, message: Message, now: Timestamp, entropy: "Entropy") -> bool:
        """Keep a message until its hour; false when that author's message is there already."""
        channel, content, ident, author, thread, hour, order, expires, plain = message
        if self._known(channel, author, ident, content):
            return False
        stored, item = self._items.seal(plain, channel + content, expires, now, entropy)
        self._database.change(
            "INSERT INTO messages (channel, content, message, author, thread, hour, rank,"
            " stored, expires, item) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            *(channel, content, ident, author, thread, hour, order, stored, expires, item),
        )
        return True

    def list(
        self, channel: ChannelId, now: Timestamp, thread: ThreadId | None = None
    ) -> list[Message]:
        """Every message whose hour has not passed, in the order of SPEC.md section 15."""
        rows = self._database.all(
            "SELECT content, message, author, thread, hour, rank, stored, expires, item"
            " FROM messages WHERE channel = ? AND expires > ? AND (? IS NULL OR thread = ?)"
            " ORDER BY hour, rank, content",
            *(channel, hour_of(now), thread, thread),
        )
        opened = (self._message(channel, row, now) for row in rows)
        return [message for message in opened if message is not None]

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
        content, ident, author, thread, hour, order, stored, expires, item = row
        plain = self._items.open((stored, expires, item), channel + content, now)
        if plain is None:
            return None
        return Message(channel, content, ident, author, thread, hour, order, expires, plain)


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
        if self.has(channel, content):
            return False
        about = _CORE + channel + content
        stored, item = self._items.seal(core, about, expires, now, entropy)
        self._database.change(
            "INSERT INTO cores (channel, content, stored, expires, item) VALUES (?, ?, ?, ?, ?)",
            *(channel, content, stored, expires, item),
        )
        return True

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
