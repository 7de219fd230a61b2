"""How blocks are sealed while they are kept, and how they end: SPEC.md section 19.

Owns the expiry keys, the store key and the relay's hour. A key is on the disk before anything is
sealed under it, and off the disk before a row is deleted. Only the writer turns the hour and makes
keys; readers may open at any time.
"""

import hmac
import threading
from typing import final

from backchannel.protocol import limits
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.expiry import ExpiryKeys, Write, item_key, open_item, seal_item
from backchannel.protocol.secret import StoreKey
from backchannel.protocol.types import Block, DropId, Hour, Timestamp, hour_of
from backchannel.server.errors import ClockLeapError, StoreFailedError
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
        self._keys = ExpiryKeys(file.read())
        self._lock = threading.Lock()
        self._failed = False

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
        hour = self.hour(now)
        if hour > self._keys.highest or self._failed:
            self.advance(now)
        return hour

    def advance(self, now: Timestamp) -> None:
        """Destroy what is dead, however far the clock went: for `turn`, and when an operator said
        so.
        """
        with self._lock:
            self._check()
            self._put(self._keys.advance(hour_of(now)))

    def digest(self, drop: DropId, block: Block) -> bytes:
        """16 bytes that tell a repeated append; without the store key nobody can check a guess."""
        return hmac.digest(self._store.expose(), b"stored block" + drop + block, "sha256")[:_DIGEST]

    def seal(self, drop: DropId, position: int, block: Block, hour: Hour, keep: int) -> bytes:
        """What stands on the disk, 4,136 bytes. Writer only."""
        with self._lock:
            self._check()
            key, writes = self._keys.add(hour, expires_at(hour, keep), self._entropy)
            if writes:
                self._put(writes)
        return seal_item(item_key(self._store, key), block, _about(drop, position), self._entropy)

    def open(
        self, drop: DropId, position: int, sealed: bytes, stored: Hour, expires: Hour, now: Hour
    ) -> Block:
        """The block that came; `StaleError` once its hour has passed, whether or not a sweep has
        come by.
        """
        with self._lock:
            key = self._keys.get(stored, expires, now)
        return Block(open_item(item_key(self._store, key), sealed, _about(drop, position)))

    def close(self) -> None:
        self._file.close()

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
