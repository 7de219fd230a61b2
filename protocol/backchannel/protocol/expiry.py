"""Expiry keys: SPEC.md section 19. One module for the relay's store and for the vault.

Owns the places of one small file, which keys stand in them and when they die. Does no I/O: every
change gives `Write`s, which the shell puts in place with `pwrite`, in order, each *synced before
the next* (`synced` says which may share a sync), and all before it uses a key or calls anything
erased. Then a loss of power at any byte leaves every header, clock and thread key as it was or as
it will be. Where a write fails, the shell reads the file anew.
"""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from itertools import groupby
from typing import NamedTuple, final

from backchannel.protocol import limits
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.epoch import KEPT_BEHIND, advance
from backchannel.protocol.errors import (
    AuthenticationError,
    LocalProtocolError,
    StaleError,
    StateError,
)
from backchannel.protocol.labels import Label
from backchannel.protocol.primitives import hash_, kdf, nopen, nseal, same, xopen, xseal
from backchannel.protocol.secret import BaseKey, ClockValue, ExpiryKey, ItemKey, StoreKey, ThreadKey
from backchannel.protocol.types import Block, Hour

PLACE = 512
_SHORT = 12  # bytes of the nonce of a stored block
STORED_BLOCK = _SHORT + limits.BLOCK + limits.TAG
_SUMMED = PLACE - limits.HASH
_MAGIC = b"backchannel/1 expiry".ljust(24, b"\0")
_TWINS = (0, 1)  # places of the headers: raising one leaves the other
_LEAP = 24  # hours that a highest hour may move on one reading before a person is asked
MOST_LEAP = 24 * 366 * 20  # hours: 20 years of a clock are half a second; no absence is longer


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
    BASE = 5


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
        """What stands in 512 bytes; an empty place for a torn write and for what is not read."""
        body, checksum = data[:_SUMMED], data[_SUMMED:]
        if not same(hash_(Label.PLACE, body), checksum) or body[0] > max(PlaceKind):
            return _EMPTY
        hour, extra = int.from_bytes(body[25:29]), int.from_bytes(body[29:33])
        place = cls(PlaceKind(body[0]), body[1:25], Hour(hour), extra, body[33:65])
        return place if not any(body[65:]) and place._holds() else _EMPTY

    def _holds(self) -> bool:
        """Whether name, hour and extra agree with the kind."""
        match self.kind:
            case PlaceKind.EMPTY:
                return self == _EMPTY
            case PlaceKind.HEADER:
                return self.name == _MAGIC and not self.extra
            case PlaceKind.EXPIRY:
                return self.name[4:] == self.hour.to_bytes(4) + bytes(16) and not self.extra
            case PlaceKind.THREAD | PlaceKind.BASE:
                return not any(self.name[16:]) and not self.extra
            case _:  # a clock
                return not any(self.name[16:])


_NAMED = {PlaceKind.THREAD, PlaceKind.CLOCK, PlaceKind.BASE}
"""Kinds whose name their owner chose."""
_EMPTY = Place(PlaceKind.EMPTY, bytes(24), Hour(0), 0, bytes(32))


def synced(writes: Iterable[Write]) -> Iterator[list[Write]]:
    """The same writes in the groups that may share one sync; a shell syncs after each group.

    Erasures side by side do not lean on one another. Every other write stands alone.
    """
    erased = _EMPTY.pack()
    for erasing, run in groupby(writes, lambda write: write.data == erased):
        if erasing:
            yield list(run)
        else:
            yield from ([write] for write in run)


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


def seal_block(key: ItemKey, block: Block, about: bytes, entropy: Entropy) -> bytes:
    """`nonce 12 | ciphertext | tag 16`, 4,124 bytes; `about` is `drop id 16 | position 8`."""
    nonce = entropy.draw(_SHORT)
    return nonce + nseal(key, nonce, block, about)


def open_block(key: ItemKey, stored: bytes, about: bytes) -> Block:
    """The inverse of `seal_block`; `AuthenticationError` where it does not verify."""
    if len(stored) != STORED_BLOCK:
        msg = "a stored block has 4,124 bytes"
        raise AuthenticationError(msg)
    return Block(nopen(key, stored[:_SHORT], memoryview(stored)[_SHORT:], about))


@final
class ExpiryKeys:
    """The places of one file, as they stand on disk once all writes handed out are in place."""

    def __init__(self, data: bytes) -> None:
        """Read a whole file; `StateError` when it is none. A last place cut short is empty."""
        cut = [data[at : at + PLACE] for at in range(0, len(data), PLACE)]
        self._places = [Place.read(place) for place in cut]
        self._index: dict[tuple[PlaceKind, bytes], int] = {}
        # What a loss of power left behind, cleared with the next erasure: parts of a key in a place
        # that reads as empty, and what was moved from and not yet emptied.
        self._left = {
            number
            for number in range(len(_TWINS), len(cut))
            if self._places[number].kind in {PlaceKind.EMPTY, PlaceKind.HEADER}
            and cut[number] != _EMPTY.pack()
        }
        headers = [n for n in _TWINS if self._at(n).kind is PlaceKind.HEADER]
        if not headers:
            msg = "not an expiry-key file"
            raise StateError(msg)
        self._header = max(headers, key=lambda number: self._places[number].hour)
        for number in range(len(_TWINS), len(cut)):
            self._enter(number)

    def _at(self, number: int) -> Place:
        return self._places[number] if number < len(self._places) else _EMPTY

    def _enter(self, number: int) -> None:
        """Index a place just read; of two under one name the later hour counts."""
        place = self._places[number]
        if place.kind in {PlaceKind.EMPTY, PlaceKind.HEADER}:
            return
        if place.kind is PlaceKind.CLOCK and self.highest - place.hour > MOST_LEAP:
            msg = "an expiry-key file holds a clock that nobody can move on"
            raise StateError(msg)
        other = self._index.setdefault((place.kind, place.name), number)
        if other == number:
            return
        if place.kind is PlaceKind.EXPIRY:
            msg = "an expiry-key file holds one name twice"
            raise StateError(msg)
        older, newer = sorted((other, number), key=self._rank)
        self._index[place.kind, place.name] = newer
        self._left.add(older)

    def _rank(self, number: int) -> tuple[Hour, int]:
        """Of two places under one name the higher counts: a later hour, or a shorter life."""
        place = self._places[number]
        return place.hour, -place.extra

    @staticmethod
    def new(hour: Hour, places: int, entropy: Entropy) -> bytes:
        """A fresh file of `places` empty places behind its headers."""
        header = Place(PlaceKind.HEADER, _MAGIC, hour, 0, entropy.draw(32))
        return header.pack() * len(_TWINS) + _EMPTY.pack() * places

    @property
    def highest(self) -> Hour:
        """The highest hour seen: time never goes back below it."""
        return self._places[self._header].hour

    def hour(self, now: Hour) -> Hour:
        """The hour to go by: `now`, or the highest seen if that is later."""
        return max(now, self.highest)

    def leaps(self, now: Hour) -> bool:
        """Whether `now` is so far ahead that a person should confirm it."""
        return now - self.highest > _LEAP

    def find(self, now: Hour, expires: Hour) -> ExpiryKey | None:
        """The key of items stored today that die at `expires`, if there is one yet."""
        return self._get(expiry_name(self.hour(now), expires), now)

    def get(self, stored: Hour, expires: Hour, now: Hour) -> ExpiryKey:
        """The key of items stored at `stored` that die at `expires`; `StaleError` when it is gone.

        `stored` is the hour gone by when it was stored: `hour(now)` of then.
        """
        key = self._get(expiry_name(stored, expires), now)
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
        name = expiry_name(self.hour(now), expires)
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

    def prolong_thread(self, name: bytes, expires: Hour, now: Hour) -> list[Write]:
        """Let a thread's key live until `expires`, if that is later.

        `StaleError` for a thread that is dead or gone: what has expired does not come back.
        """
        self.thread(name, now)
        number = self._index[PlaceKind.THREAD, _padded(name)]
        place = self._places[number]
        return self._move(place._replace(hour=expires)) if expires > place.hour else []

    def set_clock(self, name: bytes, hour: Hour, value: ClockValue, lifetime: int) -> list[Write]:
        """Keep an epoch clock under a name of 16 bytes; over an older value or one that would stay
        for longer, never back.

        `LocalProtocolError` for an hour over `MOST_LEAP` before the highest: `advance` could not
        move it in reasonable time.
        """
        if self.highest - hour > MOST_LEAP:
            msg = "a clock of an hour so long ago is no clock"
            raise LocalProtocolError(msg)
        place = Place(PlaceKind.CLOCK, _padded(name), hour, lifetime, value.expose())
        number = self._index.get((PlaceKind.CLOCK, place.name))
        if number is None:
            return [self._fill(place)]
        before = self._places[number]
        same_hour_for_less = before.hour == hour and lifetime < before.extra
        return self._move(place) if before.hour < hour or same_hour_for_less else []

    def add_base(self, made: Hour, entropy: Entropy) -> tuple[BaseKey, list[Write]]:
        """Another base key under a random name, beside the one before: erase that once the database
        is under this one.
        """
        name, key = _padded(entropy.draw(limits.ID)), BaseKey(entropy.draw(32))
        return key, [self._fill(Place(PlaceKind.BASE, name, made, 0, key.expose()))]

    def names(self, kind: PlaceKind) -> set[bytes]:
        """Names of all keys of one kind, as `erase` takes them."""
        short = limits.ID if kind in _NAMED else None
        return {name[:short] for each, name in self._index if each is kind}

    def clock(self, name: bytes) -> tuple[Hour, ClockValue]:
        """An epoch clock's oldest hour and value."""
        place = self._places[self._number(PlaceKind.CLOCK, name)]
        return place.hour, ClockValue(place.value)

    def erase(self, kind: PlaceKind, name: bytes) -> list[Write]:
        """Overwrite one key, with all that lost power left of any."""
        padded = _padded(name) if kind in _NAMED else name
        number = self._index.pop((kind, padded), None)
        if number is not None:
            self._left.add(number)
        return self._clear()

    def advance(self, now: Hour) -> list[Write]:
        """Erase what is dead at `now`, move the clocks, raise the highest hour, in this order.

        Once a header names an hour, all that dies in it is erased. `StateError`, and nothing
        changes, for an hour over `MOST_LEAP` ahead.
        """
        now = self.hour(now)
        if now - self.highest > MOST_LEAP:
            msg = "an hour so far ahead is no hour"
            raise StateError(msg)
        self._left.update(self._bury(now))
        writes = self._clear()
        writes += [self._fill(clock) for clock in self._moved(now)]
        writes += self._clear()
        if now > self.highest:
            writes.append(self._raise(now))
        return writes

    def _bury(self, now: Hour) -> list[int]:
        """Take what is dead out of the index; its places."""
        mortal = {PlaceKind.EXPIRY, PlaceKind.THREAD}
        dead = [name for name, at in self._index.items() if self._places[at].hour <= now]
        return [self._index.pop(name) for name in dead if name[0] in mortal]

    def _moved(self, now: Hour) -> list[Place]:
        """Each clock that is behind, as it is to stand."""
        moved = []
        for number in self._index.values():
            place = self._places[number]
            kept = Hour(now - place.extra - KEPT_BEHIND)
            if place.kind is PlaceKind.CLOCK and place.hour < kept:
                value = advance(ClockValue(place.value), kept - place.hour)
                moved.append(place._replace(hour=kept, value=value.expose()))
        return moved

    def _raise(self, now: Hour) -> Write:
        header = self._places[self._header]._replace(hour=now)
        other = next(number for number in _TWINS if number != self._header)
        write = self._put(other, header)
        self._header = other  # last: a reader beside us never sees the older hour
        return write

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

    def _move(self, place: Place) -> list[Write]:
        """Fill another place, then empty the old one: no torn write loses both."""
        return [self._fill(place), *self._clear()]

    def _fill(self, place: Place) -> Write:
        """Put `place` where nothing stands; what stood under its name is left to be cleared."""
        free = range(len(_TWINS), len(self._places))
        empty = (n for n in free if self._places[n].kind is PlaceKind.EMPTY)
        number = next(empty, max(len(self._places), len(_TWINS)))
        older = self._index.get((place.kind, place.name))
        if older is not None:
            self._left.add(older)
        self._index[place.kind, place.name] = number
        return self._put(number, place)

    def _clear(self) -> list[Write]:
        return [self._put(number, _EMPTY) for number in sorted(self._left)]

    def _put(self, number: int, place: Place) -> Write:
        self._places += [_EMPTY] * (number + 1 - len(self._places))
        self._places[number] = place
        self._left.discard(number)
        return Write(number * PLACE, place.pack())


def _padded(name: bytes) -> bytes:
    if len(name) != limits.ID:
        msg = "such a key is named by 16 bytes"
        raise LocalProtocolError(msg)
    return name.ljust(24, b"\0")


def expiry_name(stored: Hour, expires: Hour) -> bytes:
    """24 bytes: what the key of items is called that were stored on that day and die then."""
    return ((stored // 24).to_bytes(4) + expires.to_bytes(4)).ljust(24, b"\0")
