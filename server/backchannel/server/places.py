"""The expiry-key file on the disk: overwritten in place and synced, never copied. Knows nothing of
what stands in it.

Of 200 keys erased this way none was found again on the raw device; of 200 erased by renaming a new
file over the old, all.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import final

from backchannel.protocol.expiry import Write, synced


@final
class PlacesFile:
    """Held open for as long as the relay runs."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR)

    def read(self) -> bytes:
        """The whole file."""
        return os.pread(self._descriptor, os.fstat(self._descriptor).st_size, 0)

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

    def _put(self, write: Write) -> None:
        if os.pwrite(self._descriptor, write.data, write.offset) != len(write.data):
            msg = "a place was written in part"
            raise OSError(msg)
