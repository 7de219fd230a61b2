"""Items: what opens only until its hour, sealed under keys of the expiry-key file. Reads no clock.

When a key is erased, nothing opens what was sealed under it any more, deleted or not. Knows no
table.
"""

from typing import TYPE_CHECKING, final

from backchannel.client.vault.database import Row
from backchannel.client.vault.expiry_file import ExpiryFile
from backchannel.protocol.errors import StaleError
from backchannel.protocol.secret import StoreKey
from backchannel.protocol.types import (
    Hour,
    Timestamp,
    hour_of,
)

if TYPE_CHECKING:
    from backchannel.protocol.entropy import Entropy
    from backchannel.protocol.expiry import Write
    from backchannel.protocol.secret import ExpiryKey, ItemKey, ThreadKey

_WEEK = 7 * 24  # hours


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
        keys, until = self._file.keys, _until(expires)
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
        own, more = keys.add_thread(name, _until(expires), entropy)
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


def _until(expires: Hour) -> Hour:
    """When a thread's key dies at last: no sooner than what is in the thread, and to the week."""
    return Hour((expires // _WEEK + 2) * _WEEK)
