"""The file of expiry keys beside the database: `protocol.expiry` put on a disk.

Owns its descriptor, the order of writes and syncs, and the care that nobody reads half a write.
Which keys there are and when they die, the protocol decides. Kept out of the database on purpose:
only bytes overwritten in place are gone from the disk.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, final

from backchannel.protocol.types import Hour

if TYPE_CHECKING:
    from backchannel.protocol.entropy import Entropy
    from backchannel.protocol.expiry import ExpiryKeys, Write

PLACES = 256  # ready from the start, so that most keys overwrite zeros in place
_PLACE = 512
_HOUR = slice(25, 29)  # of the header: SPEC.md section 19


def new_file(hour: Hour, entropy: "Entropy") -> bytes:
    """The bytes of a fresh file."""
    from backchannel.protocol.expiry import ExpiryKeys

    return ExpiryKeys.new(hour, PLACES, entropy)


@final
class ExpiryFile:
    """An open file of expiry keys. Whoever writes holds the vault's lock."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("r+b", buffering=0)
        self._descriptor = self._file.fileno()
        self._keys: ExpiryKeys | None = None

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
        header = os.pread(self._descriptor, _PLACE, 0)
        return int.from_bytes(header[_HOUR]) < hour

    def advance(self, hour: Hour) -> None:
        """Erase what is dead at `hour` and move the clocks."""
        self.apply(self.keys.advance(hour))

    def apply(self, writes: list["Write"]) -> None:
        """Put writes in place and sync, before a key is used or anything is called erased.

        The header goes last: once it names an hour, all that dies in that hour is erased already.
        """
        body = [write for write in writes if write.offset > 0]
        with self._held(fcntl.LOCK_EX):
            for batch in (body, [write for write in writes if write.offset == 0]):
                self._put(batch)

    def _put(self, writes: list["Write"]) -> None:
        for write in writes:
            os.pwrite(self._descriptor, write.data, write.offset)
        if writes:
            os.fsync(self._descriptor)

    def _read(self) -> "ExpiryKeys":
        from backchannel.protocol.expiry import ExpiryKeys

        with self._held(fcntl.LOCK_SH):
            data = os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)
        whole = len(data) - len(data) % _PLACE  # a torn last place was never used
        return ExpiryKeys(data[:whole])

    @contextmanager
    def _held(self, how: int) -> Iterator[None]:
        fcntl.flock(self._descriptor, how)
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
