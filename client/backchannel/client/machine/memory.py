"""Keeps secrets out of core dumps, swap and other processes, as far as the system allows.

Owns the limits a process puts on itself and one locked page of memory. What Python copies elsewhere
it cannot reach; THREATS.md says so.
"""

import ctypes
import mmap
import resource
from typing import final

_PR_SET_DUMPABLE = 4


def harden() -> None:
    """No core dump of this process, and no other process of the same user may look into it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl = getattr(ctypes.CDLL(None), "prctl", None)  # Linux only
    if prctl is not None:
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


@final
class LockedPage:
    """One page of its own: not swapped, not dumped, not inherited, and wiped at the end."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for advice in ("MADV_DONTDUMP", "MADV_DONTFORK"):
            if hasattr(mmap, advice):
                self._map.madvise(getattr(mmap, advice))
        self.locked = _lock(self._map)
        """Whether the system promised not to swap it out."""

    def view(self, length: int) -> memoryview:
        """The first bytes, in place. Release it before `wipe`."""
        return memoryview(self._map)[:length]

    def wipe(self) -> None:
        """Overwrite the page."""
        self._map[:] = bytes(mmap.PAGESIZE)


def _lock(page: mmap.mmap) -> bool:
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    libc = ctypes.CDLL(None, use_errno=True)
    done: int = libc.mlock(ctypes.c_void_p(address), ctypes.c_size_t(mmap.PAGESIZE))
    return done == 0
