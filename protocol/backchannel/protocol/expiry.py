"""Expiry keys: SPEC.md section 19. One module for the relay's store and for the vault.

Owns the places of one small file, which keys stand in them and when they die. Does no I/O: every
change gives `Write`s, which the shell puts in place with `pwrite`, in order, and syncs *before* it
uses a key or calls anything erased. Where a write fails, the shell reads the file anew.
"""

from enum import IntEnum
from typing import NamedTuple, final

from backchannel.protocol import limits
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.epoch import KEPT_BEHIND, advance
from backchannel.protocol.errors import LocalProtocolError, StaleError, StateError
from backchannel.protocol.labels import Label
from backchannel.protocol.primitives import hash_, kdf, same, xopen, xseal
from backchannel.protocol.secret import ClockValue, ExpiryKey, ItemKey, StoreKey, ThreadKey
from backchannel.protocol.types import Hour

PLACE = 512
_SUMMED = PLACE - limits.HASH
_MAGIC = b"backchannel/1 expiry".ljust(24, b"\0")
_LEAP = 24  # hours that a highest hour may move on one reading before a person is asked


class Write(NamedTuple):
    """Bytes to put at an offset of the file, in place."""

    offset: int
    data: bytes

    def __repr__(self) -> str:
        return f"<Write {len(self.data)} at {self.offset}>"  # the bytes hold a key


class PlaceKind(IntEnum):
    """The first byte of a place."""

    EMPTY = 0
    HEADER = 1
    EXPIRY = 2
    THREAD = 3
    CLOCK = 4


class Place(NamedTuple):
    """One place of 512 bytes, without its zeros and checksum."""

    kind: PlaceKind
    name: bytes
    hour: Hour
    extra: int
    value: bytes

    def __repr__(self) -> str:
        return f"<Place {self.kind.name} {self.hour}>"  # the value is a key

    def pack(self) -> bytes:
        """512 bytes."""
        fields = (
            bytes([self.kind])
            + self.name
            + self.hour.to_bytes(4)
            + self.extra.to_bytes(4)
            + self.value
        )
        body = fields.ljust(_SUMMED, b"\0")
        return body + hash_(Label.PLACE, body)

    @classmethod
    def read(cls, data: bytes) -> "Place":
        """What stands in 512 bytes; an empty place for a torn write."""
        body, checksum = data[:_SUMMED], data[_SUMMED:]
        if not same(hash_(Label.PLACE, body), checksum) or body[0] > max(PlaceKind):
            return _EMPTY
        hour, extra = int.from_bytes(body[25:29]), int.from_bytes(body[29:33])
        return cls(PlaceKind(body[0]), body[1:25], Hour(hour), extra, body[33:65])


_EMPTY = Place(PlaceKind.EMPTY, bytes(24), Hour(0), 0, bytes(32))


def item_key(store: StoreKey, expiry: ExpiryKey, thread: ThreadKey | None = None) -> ItemKey:
    """Key of the items that die with `expiry`, or before with `thread`."""
    last = thread.expose() if thread else bytes(32)
    return ItemKey(kdf(store.expose() + expiry.expose() + last, b"", Label.ITEM_KEY))


def seal_item(key: ItemKey, plain: bytes, about: bytes, entropy: Entropy) -> bytes:
    """`nonce 24 | ciphertext | tag 16`; `about` says where the item stands, here and again."""
    nonce = entropy.draw(limits.NONCE)
    return nonce + xseal(key, nonce, plain, about)


def open_item(key: ItemKey, item: bytes, about: bytes) -> bytes:
    """The inverse of `seal_item`; `AuthenticationError` where it does not verify."""
    return xopen(key, item[: limits.NONCE], item[limits.NONCE :], about)


@final
class ExpiryKeys:
    """The places of one file, as they stand on disk once all writes handed out are in place."""

    def __init__(self, data: bytes) -> None:
        """Read a whole file; `StateError` when it is none. A last place cut short is empty."""
        cut = [data[at : at + PLACE] for at in range(0, len(data), PLACE)]
        self._places = [Place.read(place) for place in cut]
        # A torn write can leave parts of a key in a place that reads as empty: `advance` clears it.
        self._torn = {
            number
            for number, place in enumerate(self._places)
            if place.kind is PlaceKind.EMPTY and cut[number] != _EMPTY.pack()
        }
        if not self._places or self._places[0][:2] != (PlaceKind.HEADER, _MAGIC):
            msg = "not an expiry-key file"
            raise StateError(msg)
        self._index: dict[tuple[PlaceKind, bytes], int] = {
            (place.kind, place.name): number
            for number, place in enumerate(self._places)
            if place.kind is not PlaceKind.EMPTY
        }
        if len(self._index) != sum(place.kind is not PlaceKind.EMPTY for place in self._places):
            msg = "an expiry-key file holds one name twice"
            raise StateError(msg)

    @staticmethod
    def new(hour: Hour, places: int, entropy: Entropy) -> bytes:
        """A fresh file of `places` empty places behind its header."""
        header = Place(PlaceKind.HEADER, _MAGIC, hour, 0, entropy.draw(32))
        return header.pack() + _EMPTY.pack() * places

    @property
    def highest(self) -> Hour:
        """The highest hour seen: time never goes back below it."""
        return self._places[0].hour

    def hour(self, now: Hour) -> Hour:
        """The hour to go by: `now`, or the highest seen if that is later."""
        return max(now, self.highest)

    def leaps(self, now: Hour) -> bool:
        """Whether `now` is so far ahead that a person should confirm it."""
        return now - self.highest > _LEAP

    def find(self, now: Hour, expires: Hour) -> ExpiryKey | None:
        """The key of items stored today that die at `expires`, if there is one yet."""
        return self._get(_expiry_name(self.hour(now), expires), now)

    def get(self, stored: Hour, expires: Hour, now: Hour) -> ExpiryKey:
        """The key of items stored at `stored` that die at `expires`; `StaleError` when it is gone.

        `stored` is the hour gone by when it was stored: `hour(now)` of then.
        """
        key = self._get(_expiry_name(stored, expires), now)
        if key is None:
            msg = "it has expired"
            raise StaleError(msg)
        return key

    def add(self, now: Hour, expires: Hour, entropy: Entropy) -> tuple[ExpiryKey, list[Write]]:
        """The key of items stored today that die at `expires`, made if need be.

        Usable once the writes are synced. `LocalProtocolError` for an hour that is over.
        """
        if expires <= self.hour(now):
            msg = "that hour is over"
            raise LocalProtocolError(msg)
        found = self.find(now, expires)
        if found is not None:
            return found, []
        name = _expiry_name(self.hour(now), expires)
        key = ExpiryKey(entropy.draw(32))
        return key, [self._fill(Place(PlaceKind.EXPIRY, name, expires, 0, key.expose()))]

    def add_thread(
        self, name: bytes, expires: Hour, entropy: Entropy
    ) -> tuple[ThreadKey, list[Write]]:
        """A thread key under a random name of 16 bytes; it dies at `expires` unless erased before.

        `LocalProtocolError` for a name that is taken: its older key would outlive an erasure.
        """
        padded = _padded(name)
        if (PlaceKind.THREAD, padded) in self._index:
            msg = "that thread has a key"
            raise LocalProtocolError(msg)
        key = ThreadKey(entropy.draw(32))
        return key, [self._fill(Place(PlaceKind.THREAD, padded, expires, 0, key.expose()))]

    def thread(self, name: bytes, now: Hour) -> ThreadKey:
        """A thread's key; `StaleError` when it is gone."""
        number = self._index.get((PlaceKind.THREAD, _padded(name)))
        if number is None or self._places[number].hour <= self.hour(now):
            msg = "the thread has expired"
            raise StaleError(msg)
        return ThreadKey(self._places[number].value)

    def prolong_thread(self, name: bytes, expires: Hour) -> list[Write]:
        """Let a thread's key live until `expires`, if that is later.

        `advance` first: a key that is dead but not yet erased would come back.
        """
        number = self._number(PlaceKind.THREAD, name)
        place = self._places[number]
        return [self._put(number, place._replace(hour=expires))] if expires > place.hour else []

    def set_clock(self, name: bytes, hour: Hour, value: ClockValue, lifetime: int) -> list[Write]:
        """Keep an epoch clock under a random name of 16 bytes; over an older value, never back."""
        place = Place(PlaceKind.CLOCK, _padded(name), hour, lifetime, value.expose())
        number = self._index.get((PlaceKind.CLOCK, place.name))
        if number is None:
            return [self._fill(place)]
        return [self._put(number, place)] if self._places[number].hour < hour else []

    def clock(self, name: bytes) -> tuple[Hour, ClockValue]:
        """An epoch clock's oldest hour and value."""
        place = self._places[self._number(PlaceKind.CLOCK, name)]
        return place.hour, ClockValue(place.value)

    def erase(self, kind: PlaceKind, name: bytes) -> list[Write]:
        """Overwrite one thread key or clock; nothing where there is none."""
        number = self._index.pop((kind, _padded(name)), None)
        return [] if number is None else [self._put(number, _EMPTY)]

    def advance(self, now: Hour) -> list[Write]:
        """Erase what is dead at `now`, move the clocks, raise the highest hour."""
        now = self.hour(now)
        writes = []
        for number, place in enumerate(self._places):
            if place.kind in {PlaceKind.EXPIRY, PlaceKind.THREAD} and place.hour <= now:
                del self._index[place.kind, place.name]
                writes.append(self._put(number, _EMPTY))
            elif number in self._torn:
                writes.append(self._put(number, _EMPTY))
            elif place.kind is PlaceKind.CLOCK and place.hour < now - place.extra - KEPT_BEHIND:
                kept = Hour(now - place.extra - KEPT_BEHIND)
                value = advance(ClockValue(place.value), kept - place.hour)
                writes.append(self._put(number, place._replace(hour=kept, value=value.expose())))
        if now > self.highest:
            writes.append(self._put(0, self._places[0]._replace(hour=now)))
        return writes

    def _get(self, name: bytes, now: Hour) -> ExpiryKey | None:
        number = self._index.get((PlaceKind.EXPIRY, name))
        if number is None or self._places[number].hour <= self.hour(now):
            return None
        return ExpiryKey(self._places[number].value)

    def _number(self, kind: PlaceKind, name: bytes) -> int:
        try:
            return self._index[kind, _padded(name)]
        except KeyError:
            msg = "that key is gone"
            raise StaleError(msg) from None

    def _fill(self, place: Place) -> Write:
        free = (n for n, held in enumerate(self._places) if held.kind is PlaceKind.EMPTY)
        number = next(free, len(self._places))
        if number == len(self._places):
            self._places.append(_EMPTY)
        self._index[place.kind, place.name] = number
        return self._put(number, place)

    def _put(self, number: int, place: Place) -> Write:
        self._places[number] = place
        self._torn.discard(number)
        return Write(number * PLACE, place.pack())


def _padded(name: bytes) -> bytes:
    if len(name) != limits.ID:
        msg = "a thread key or clock is named by 16 bytes"
        raise LocalProtocolError(msg)
    return name.ljust(24, b"\0")


def _expiry_name(stored: Hour, expires: Hour) -> bytes:
    return ((stored // 24).to_bytes(4) + expires.to_bytes(4)).ljust(24, b"\0")
