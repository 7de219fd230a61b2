"""Everything that a program does to the files of one folder, in order.

What SQLite does is seen where the library meets the disk, what our own Python does where it calls
`os`. Both are the real ones, at work on real files. `kill -9` cannot show what a loss of power
does, because the system still writes what the dead program left in its memory; and a shim that
is loaded before the C library would need a compiler. Of a recording that missed something,
`Recording.check` tells: carried out, it must give the folder as it is.
"""

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, final

import pytest

from tests.support.powerloss.disk import (
    Cut,
    Dice,
    Disk,
    Event,
    Files,
    How,
    Mark,
    Name,
    Sync,
    SyncNames,
    Write,
)
from tests.support.powerloss.library import watched

_PASSING = ("-shm", "lock", ".lock", ".address", "demo-hours", ".new")
"""Ends of names that hold nothing a restart reads, or that a test writes itself."""


@final
class Recording:
    """The folder as it was at first, and what happened to it since."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.before = files_of(folder)
        self.events: list[Event] = []
        self._numbers: dict[tuple[int, int], int] = {}
        for number, name in enumerate(self.before):
            self._numbers[_identity((folder / name).stat())] = number
        self._count = len(self.before)
        self._lock = threading.RLock()

    def mark(self, said: object) -> None:
        """Something was asked, or answered, at this moment."""
        self._happen(Mark(said))

    def check(self) -> None:
        """That nothing was missed."""
        disk = Disk(self.before)
        for event in self.events:
            disk.happens(event)
        found, there = disk.lose(How.ALL, Dice("")), files_of(self.folder)
        assert {name: len(data) for name, data in found.items()} == {
            name: len(data) for name, data in there.items()
        }
        assert found == there

    def opened(self, path: str, *, created: bool) -> int | None:
        """The number of a file that is open now; none for one that is elsewhere or passing."""
        name = self._name(path)
        if name is None:
            return None
        with self._lock:
            identity = _identity(os.stat(path))  # noqa: PTH116 - paths are text here
            if created or identity not in self._numbers:
                self._numbers[identity] = self._count
                self._count += 1
                self._happen(Name({name: self._numbers[identity]}))
            return self._numbers[identity]

    def wrote(self, file: int, offset: int, data: bytes) -> None:
        self._happen(Write(file, offset, data))

    def cut(self, file: int, size: int) -> None:
        self._happen(Cut(file, size))

    def syncing(self) -> int:
        with self._lock:
            return len(self.events)

    def synced(self, file: int, upto: int, *, names: bool) -> None:
        with self._lock:
            self._happen(Sync(file, upto))
            if names:
                self._happen(SyncNames(upto))

    def deleted(self, path: str, *, synced: bool) -> None:
        name = self._name(path)
        if name is not None and Path(path).exists():
            with self._lock:
                self._numbers.pop(_identity(os.stat(path)), None)  # noqa: PTH116
                self._happen(Name({name: None}))
                if synced:
                    self._happen(SyncNames(len(self.events)))

    def _name(self, path: str) -> str | None:
        """Within the folder; none for what is elsewhere or passing."""
        below = os.path.relpath(path, self.folder)
        return None if below.startswith("..") or below.endswith(_PASSING) else below

    def _happen(self, event: Event) -> None:
        with self._lock:
            self.events.append(event)

    # What our own Python calls.

    def number(self, descriptor: int) -> int | None:
        """Of an open descriptor; none for what is elsewhere or passing."""
        return self._numbers.get(_identity(os.fstat(descriptor)))


def files_of(folder: Path) -> Files:
    """By their names within the folder, without those that are passing."""
    found = {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
    return {name: data for name, data in found.items() if not name.endswith(_PASSING)}


def put(files: Files, folder: Path) -> None:
    """Make the folder hold these and nothing else, private."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.touch(0o600)
        path.write_bytes(data)


@contextmanager
def recording(folder: Path, *drivers: ModuleType) -> Iterator[Recording]:
    """Record what happens below `folder`, by SQLite as `drivers` have it and by our own code."""
    made = Recording(folder)
    with ExitStack() as stack:
        for driver in drivers:
            stack.enter_context(watched(driver, made))
        stack.enter_context(_listening(made))
        yield made
    made.check()


@contextmanager
def _listening(made: Recording) -> Iterator[None]:
    """Around the calls of `os` that change files."""
    real_write, real_sync, real_cut = os.pwrite, os.fsync, os.ftruncate

    def pwrite(descriptor: int, data: Any, offset: int, /) -> int:
        number = made.number(descriptor)
        if number is not None:
            made.wrote(number, offset, bytes(data))
        return real_write(descriptor, data, offset)

    def fsync(descriptor: int, /) -> None:
        number, upto = made.number(descriptor), made.syncing()
        real_sync(descriptor)
        if number is not None:
            made.synced(number, upto, names=False)

    def ftruncate(descriptor: int, size: int, /) -> None:
        number = made.number(descriptor)
        if number is not None:
            made.cut(number, size)
        real_cut(descriptor, size)

    with pytest.MonkeyPatch.context() as patch:
        for call, instead in (("pwrite", pwrite), ("fsync", fsync), ("fdatasync", fsync)):
            patch.setattr(os, call, instead)
        patch.setattr(os, "ftruncate", ftruncate)
        yield


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


@contextmanager
def quick_folder() -> Iterator[Path]:
    """In memory where the machine has room there: thousands of restarts sync to nothing."""
    shared = Path("/dev/shm")  # noqa: S108 - the folder below it is nobody else's
    usable = shared.is_dir() and os.access(shared, os.W_OK)
    with tempfile.TemporaryDirectory(prefix="loss-", dir=shared if usable else None) as folder:
        yield Path(folder)
