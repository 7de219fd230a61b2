"""How blocks are sealed while they are kept, and how they end: SPEC.md section 19.

Owns the expiry keys, the store key and the relay's hour. A key is on the disk before anything is
sealed under it, and off the disk before a row is deleted. Only the writer turns the hour and makes
keys; readers may open at any time. Where several processes share the file, each goes by what stands
in it before it changes anything, and looks again for a key that it misses.
"""

import hmac
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

from backchannel.protocol import limits
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.errors import StaleError
from backchannel.protocol.expiry import (
    ExpiryKeys,
    Write,
    expiry_name,
    item_key,
    open_block,
    seal_block,
)
from backchannel.protocol.secret import ItemKey, StoreKey
from backchannel.protocol.types import Block, DropId, Hour, Timestamp, hour_of
from backchannel.server.errors import ClockLeapError, HourTurnedError, StoreFailedError
from backchannel.server.logs import warn_seldom
from backchannel.server.places import PlacesFile

_DIGEST = 16


def expires_at(stored: Hour, keep: int) -> Hour:
    """The hour at which a block dies that came at `stored` into a drop of class `keep`."""
    return Hour(stored + limits.CLASSES[keep])


@final
class Retention:
    """The keys as they stand on the disk, and the hour to go by."""

    def __init__(self, file: PlacesFile, store: StoreKey, entropy: Entropy) -> None:
        """`StateError` when the file is none."""
        self._file = file
        self._store = store
        self._entropy = entropy
        with file.alone() as shared:
            self._keys = ExpiryKeys(file.read() if shared is None else shared)
        self._items: dict[tuple[int, Hour], ItemKey] = {}
        """By day and hour of the expiry key that each came from; it goes when that key goes."""
        self._lock = threading.Lock()
        self._failed = False
        self._lost: set[bytes] = set()
        """Names of keys that stood nowhere when this process looked for them once more."""

    @property
    def highest(self) -> Hour:
        """The highest hour seen."""
        return self._keys.highest

    def leaps(self, now: Timestamp) -> bool:
        """Whether the clock is so far ahead that a person should confirm it."""
        return self._keys.leaps(hour_of(now))

    def hour(self, now: Timestamp) -> Hour:
        """The hour to go by, which never goes back; `ClockLeapError` when it would leap."""
        if self.leaps(now):
            raise ClockLeapError
        return self._keys.hour(hour_of(now))

    def turn(self, now: Timestamp) -> Hour:
        """The hour to go by, with everything destroyed that is dead by it; `StoreFailedError` when
        that is in doubt, and then no row may go before its key. Writer only.
        """
        if self._file.turned():
            with self._lock:
                self._reread()
        hour = self.hour(now)
        if hour > self._keys.highest or self._failed:
            self.advance(now)
        return hour

    def advance(self, now: Timestamp) -> None:
        """Destroy what is dead, however far the clock went: for `turn`, and when an operator said
        so.
        """
        with self._alone():
            self._items.clear()
            self._lost.clear()
            self._put(self._keys.advance(hour_of(now)))

    def digest(self, drop: DropId, block: Block) -> bytes:
        """16 bytes that tell a repeated append; without the store key nobody can check a guess."""
        return hmac.digest(self._store.expose(), b"stored block" + drop + block, "sha256")[:_DIGEST]

    def seal(self, drop: DropId, position: int, block: Block, hour: Hour, keep: int) -> bytes:
        """What stands on the disk, 4,124 bytes; `HourTurnedError` as below. Writer only."""
        expires = expires_at(hour, keep)
        self._check()
        key = self._items.get((hour // 24, expires)) or self._made(hour, expires)
        return seal_block(key, block, _about(drop, position), self._entropy)

    def open(
        self, drop: DropId, position: int, sealed: bytes, stored: Hour, expires: Hour, now: Hour
    ) -> Block:
        """The block that came; `StaleError` once its hour has passed, whether or not a sweep has
        come by.
        """
        key = self._items.get((stored // 24, expires))
        if key is None or expires <= self._keys.hour(now):
            key = self._found(stored, expires, now)
        return open_block(key, sealed, _about(drop, position))

    def close(self) -> None:
        self._file.close()

    def _made(self, hour: Hour, expires: Hour) -> ItemKey:
        """On the disk before anything is sealed under it; `HourTurnedError` where another process
        turned the hour meanwhile, since a key is named by the day.
        """
        with self._alone():
            if self._keys.highest > hour:
                raise HourTurnedError
            key, writes = self._keys.add(hour, expires, self._entropy)
            if writes:
                self._put(writes)
            return self._kept(hour, expires, item_key(self._store, key))

    def _found(self, stored: Hour, expires: Hour, now: Hour) -> ItemKey:
        with self._lock:
            if self._missed(stored, expires, now):
                self._reread()
            try:
                key = self._keys.get(stored, expires, now)
            except StaleError:
                self._lost.add(expiry_name(stored, expires))
                raise
            return self._kept(stored, expires, item_key(self._store, key))

    def _missed(self, stored: Hour, expires: Hour, now: Hour) -> bool:
        """Whether another process may have made a key that we do not know yet. A key is there
        before its block, so what was once looked for in vain is gone for good.
        """
        name = expiry_name(stored, expires)
        if not self._file.shared or name in self._lost or expires <= self._keys.hour(now):
            return False
        try:
            self._keys.get(stored, expires, now)
        except StaleError:
            return True
        return False

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While no other thread or process changes a key; by the keys as they stand then."""
        with self._lock:
            self._check()
            with self._file.alone() as shared:
                if shared is not None:
                    self._know(shared)
                yield

    def _reread(self) -> None:
        with self._file.alone() as shared:
            if shared is not None:
                self._know(shared)

    def _know(self, data: bytes) -> None:
        """The keys as another process left them; of those that it destroyed nothing stays here."""
        before, self._keys = self._keys.highest, ExpiryKeys(data)
        if self._keys.highest > before:
            self._items.clear()

    def _kept(self, stored: Hour, expires: Hour, key: ItemKey) -> ItemKey:
        self._items[stored // 24, expires] = key
        return key

    def _check(self) -> None:
        """The keys in memory may be ahead of those on the disk once a write failed."""
        if self._failed:
            raise StoreFailedError

    def _put(self, writes: list[Write]) -> None:
        """After a failure nobody knows what is on the disk: nothing is sealed until a restart."""
        try:
            self._file.put(writes)
        except OSError:
            self._failed = True
            warn_seldom("the expiry-key file cannot be written; next: mend the disk, then restart")
            raise StoreFailedError from None


def _about(drop: DropId, position: int) -> bytes:
    return drop + position.to_bytes(8)
