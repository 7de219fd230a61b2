"""Everything that a program does to the files of one folder, in order.

What SQLite does is seen where the library meets the disk, what our own Python does where it calls
`os`. Both are the real ones, at work on real files. `kill -9` cannot show what a loss of power
does, because the system still writes what the dead program left in its memory; and a shim that
is loaded before the C library would need a compiler. Of a recording that missed something,
`Recording.check` tells: carried out, it must give the folder as it is.
"""

import os
import shutil
import stat
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
        self._streams: dict[int, Path] = {}
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

    def made_file(self, path: str) -> None:
        """A new file that is written through a stream: what that wrote is read at the sync."""
        number = self.opened(path, created=True)
        if number is not None:
            self._streams[number] = Path(path)

    def flushed(self, number: int) -> None:
        """The first sync of such a file begins."""
        path = self._streams.pop(number, None)
        if path is not None:
            self.wrote(number, 0, path.read_bytes())

    def renamed(self, before: str, after: str) -> None:
        old, new = self._name(before), self._name(after)
        if old is None or new is None or not Path(before).is_file():
            return
        with self._lock:
            if Path(after).exists():
                self._numbers.pop(_identity(os.stat(after)), None)  # noqa: PTH116
            number = self._numbers[_identity(os.stat(before))]  # noqa: PTH116
            self._happen(Name({old: None, new: number}))

    def names_synced(self, descriptor: int, upto: int) -> None:
        """If it is of a folder."""
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            self._happen(SyncNames(upto))


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


@final
class _Calls:
    """Those of `os` by which our own Python changes files: told of, then done."""

    NAMES = ("fsync", "open", "pwrite", "rename", "unlink")

    def __init__(self, made: Recording) -> None:
        self._made = made
        self._real = {name: getattr(os, name) for name in self.NAMES}

    def pwrite(self, descriptor: int, data: Any, offset: int, /) -> int:
        number = self._made.number(descriptor)
        if number is not None:
            self._made.wrote(number, offset, bytes(data))
        return int(self._real["pwrite"](descriptor, data, offset))

    def fsync(self, descriptor: int, /) -> None:
        number = self._made.number(descriptor)
        if number is not None:
            self._made.flushed(number)
        upto = self._made.syncing()
        self._real["fsync"](descriptor)
        if number is not None:
            self._made.synced(number, upto, names=False)
        else:
            self._made.names_synced(descriptor, upto)

    def open(self, path: Any, flags: int, *rest: Any, **named: Any) -> int:
        new = flags & os.O_CREAT and not Path(path).exists()
        descriptor = int(self._real["open"](path, flags, *rest, **named))
        if new:
            self._made.made_file(os.fsdecode(path))
        return descriptor

    def rename(self, before: Any, after: Any, **named: Any) -> None:
        self._made.renamed(os.fsdecode(before), os.fsdecode(after))
        self._real["rename"](before, after, **named)

    def unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        folder = "" if dir_fd is None else os.readlink(f"/proc/self/fd/{dir_fd}")  # noqa: PTH115
        self._made.deleted(str(Path(folder) / os.fsdecode(path)), synced=False)
        self._real["unlink"](path, dir_fd=dir_fd)


@contextmanager
def _listening(made: Recording) -> Iterator[None]:
    calls = _Calls(made)
    with pytest.MonkeyPatch.context() as patch:
        for name in calls.NAMES:
            patch.setattr(os, name, getattr(calls, name))
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
