"""Overwrites files where they stand, before they are taken away. What a disk remaps behind its
controller is beyond any program.
"""

import os
from pathlib import Path
from typing import Final

_PIECE: Final = 1 << 20


def erase(file: Path) -> None:
    """Where it is there; on the disk when this returns. It follows no link."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        size = os.fstat(descriptor).st_size
        for at in range(0, size, _PIECE):
            os.pwrite(descriptor, bytes(min(_PIECE, size - at)), at)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    file.unlink()
    sync(file.parent)


def sync(folder: Path) -> None:
    """What was made or taken away there is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
