"""The file of expiry keys beside the database: `protocol.expiry` put on a disk.

Owns its descriptor, the order of writes and syncs, and the care that nobody reads half a write.
Which keys there are and when they die, the protocol decides. Kept out of the database on purpose:
only bytes overwritten in place are gone from the disk.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self, final

from backchannel.client.errors import VaultDamaged
from backchannel.protocol.errors import StateError
from backchannel.protocol.labels import Label
from backchannel.protocol.secret import BaseKey
from backchannel.protocol.types import Hour

if TYPE_CHECKING:
    from backchannel.protocol.entropy import Entropy
    from backchannel.protocol.expiry import ExpiryKeys, Write

PLACES = 256  # ready from the start, so that most keys overwrite zeros in place
LEAP = 24  # hours: as `ExpiryKeys.leaps` has it, which would load cryptography
_PLACE = 512  # SPEC.md section 19, also what follows
_TWINS = (0, _PLACE)  # where the headers stand
_BASE = b"\5"  # the kind of a base key
_NAME, _HOUR, _VALUE = slice(1, 17), slice(25, 29), slice(33, 65)
_SUMMED = 480


class Base(NamedTuple):
    """A base key, when it was made, and the name to erase it by."""

    name: bytes
    hour: Hour
    key: BaseKey


def twins(path: Path) -> tuple[Hour, Hour] | None:
    """The hours of a file's two headers as they stand; none where one of them does not."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        one, other = file.read(_PLACE), file.read(_PLACE)
        if _whole(one) and _whole(other):
            return _hour_of(one), _hour_of(other)
    return None


def new_file(hours: tuple[Hour, Hour], since: Hour, entropy: "Entropy") -> tuple[bytes, BaseKey]:
    """The bytes of a fresh file whose headers have these hours, and the base key in it, which
    counts as made at `since`.
    """
    from backchannel.protocol.expiry import ExpiryKeys

    data = bytearray(ExpiryKeys.new(min(hours), PLACES, entropy))
    keys = ExpiryKeys(bytes(data))
    base, writes = keys.add_base(since, entropy)
    for write in (*writes, *keys.advance(max(hours))):
        data[write.offset : write.offset + len(write.data)] = write.data
    if hours[0] > hours[1]:
        data[: 2 * _PLACE] = data[_PLACE : 2 * _PLACE] + data[:_PLACE]
    return bytes(data), base


@final
class ExpiryFile:
    """An open file of expiry keys. Whoever writes holds the vault's lock."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("r+b", buffering=0)
        self._descriptor = self._file.fileno()
        self._keys: ExpiryKeys | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    @property
    def keys(self) -> "ExpiryKeys":
        """The keys as last read; read now if they were not."""
        if self._keys is None:
            self._keys = self._read()
        return self._keys

    def forget(self) -> None:
        """Read again at the next use: another process may have written."""
        self._keys = None

    def behind(self, hour: Hour) -> bool:
        """Whether `advance` has something to do. Costs one read, and imports no cryptography."""
        return self.highest < hour

    @property
    def highest(self) -> Hour:
        """The highest hour seen, by the headers alone. Costs as little."""
        headers = [os.pread(self._descriptor, _PLACE, at) for at in _TWINS]
        return max((_hour_of(each) for each in headers if _whole(each)), default=Hour(0))

    @property
    def bases(self) -> list[Base]:
        """Every base key, the latest first. Costs one read of the file."""
        size = os.fstat(self._descriptor).st_size
        data = os.pread(self._descriptor, size, 0)
        places = (data[at : at + _PLACE] for at in range(0, size, _PLACE))
        found = [each for each in places if each[:1] == _BASE and _whole(each)]
        bases = [Base(each[_NAME], _hour_of(each), BaseKey(each[_VALUE])) for each in found]
        return sorted(bases, key=lambda base: base.hour, reverse=True)

    def refuse_gone(self) -> None:
        """`VaultDamaged` where the keys were erased, or another file has this one's place: whoever
        did that, under duress, is to find nothing here that was written later. Costs as little.
        """
        with suppress(FileNotFoundError):
            if self.highest and os.path.samestat(os.fstat(self._descriptor), self._path.stat()):
                return
        raise _erased()

    def leapt(self, hour: Hour) -> int:
        """By how many hours `hour` is ahead of the highest seen, where that is more than a machine
        may say alone; else 0. Costs as little.
        """
        ahead = hour - self.highest
        return ahead if ahead > LEAP else 0

    def advance(self, hour: Hour) -> None:
        """Erase what is dead at `hour` and move the clocks."""
        self.apply(self.keys.advance(hour))

    def apply(self, writes: list["Write"]) -> None:
        """Put writes in place, each synced before the next that leans on it, and all before a key
        is used or anything is called erased. After an `OSError` the file is read anew.
        """
        from backchannel.protocol.expiry import synced

        if not writes:
            return
        with self._held(fcntl.LOCK_EX):
            self.refuse_gone()
            try:
                for group in synced(writes):
                    self._put(group)
            except OSError:
                self.forget()
                raise

    def _put(self, writes: list["Write"]) -> None:
        for write in writes:
            if os.pwrite(self._descriptor, write.data, write.offset) != len(write.data):
                msg = "a place was written in part"
                raise OSError(msg)
        os.fsync(self._descriptor)

    def _read(self) -> "ExpiryKeys":
        from backchannel.protocol.expiry import ExpiryKeys

        with self._held(fcntl.LOCK_SH):
            data = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        whole = len(data) - len(data) % _PLACE  # a torn last place was never used
        try:
            return ExpiryKeys(data[:whole])
        except StateError:
            raise _erased() from None

    @contextmanager
    def _held(self, how: int) -> Iterator[None]:
        fcntl.flock(self._descriptor, how)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)


def _erased() -> VaultDamaged:
    msg = "The vault's keys were erased, or are damaged: nothing in it can be opened."
    return VaultDamaged(msg, "backchannel purge --all, then begin anew")


def _hour_of(place: bytes) -> Hour:
    return Hour(int.from_bytes(place[_HOUR]))


def _whole(place: bytes) -> bool:
    """Whether a place was not torn: a torn header names no hour."""
    return hashlib.sha256(Label.PLACE.prefix + place[:_SUMMED]).digest() == place[_SUMMED:]
