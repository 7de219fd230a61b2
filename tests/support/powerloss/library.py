"""SQLite's own door to the disk, watched: a VFS laid over that of the very library in use.

The code under test keeps its driver, its pragmas and its cipher; only what the library writes,
truncates, syncs and deletes is told to a `Watcher` on the way. Through ctypes, because both
drivers' libraries show `sqlite3_vfs_register`: neither a compiler is needed nor another SQLite,
which could not read what SQLCipher writes.
"""

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_int64, c_void_p
from types import ModuleType
from typing import Any, Protocol, final

import pytest

_DIRSYNC = 0x800 | 0x4000 | 0x80000  # journal, super-journal, write-ahead log: named when synced
_OK = 0
_OpenCall = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, POINTER(c_int))
_DeleteCall = CFUNCTYPE(c_int, c_void_p, c_char_p, c_int)
_WriteCall = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_TruncateCall = CFUNCTYPE(c_int, c_void_p, c_int64)
_SyncCall = CFUNCTYPE(c_int, c_void_p, c_int)


class Watcher(Protocol):
    """Told before each change and after each sync."""

    def opened(self, path: str, *, created: bool) -> int | None: ...

    def wrote(self, file: int, offset: int, data: bytes) -> None: ...

    def cut(self, file: int, size: int) -> None: ...

    def syncing(self) -> int: ...

    def synced(self, file: int, upto: int, *, names: bool) -> None: ...

    def deleted(self, path: str, *, synced: bool) -> None: ...


class _Vfs(ctypes.Structure):
    _fields_ = (
        ("version", c_int),
        ("file_size", c_int),
        ("longest_path", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("app_data", c_void_p),
        ("open", c_void_p),
        ("delete", c_void_p),
        ("others", c_void_p * 14),
    )


class _Methods(ctypes.Structure):
    _fields_ = (
        ("version", c_int),
        ("close", c_void_p),
        ("read", c_void_p),
        ("write", c_void_p),
        ("truncate", c_void_p),
        ("sync", c_void_p),
        ("others", c_void_p * 13),
    )


@contextmanager
def watched(driver: ModuleType, watcher: Watcher) -> Iterator[None]:
    """Every database that `driver` opens meanwhile is watched; those open before are not."""
    library = ctypes.CDLL(getattr(driver, "__file__", None))
    if not hasattr(library, "sqlite3_vfs_register"):
        pytest.skip(f"the SQLite of {driver.__name__} shows no door to its disk")
    library.sqlite3_vfs_find.restype = POINTER(_Vfs)
    library.sqlite3_vfs_find.argtypes = (c_char_p,)
    usual = library.sqlite3_vfs_find(None)
    door = _Door(usual, watcher)
    library.sqlite3_vfs_register(ctypes.byref(door.vfs), 1)
    try:
        yield
    finally:
        library.sqlite3_vfs_unregister(ctypes.byref(door.vfs))
        library.sqlite3_vfs_register(usual, 1)
        _kept.append(door)  # a connection that is still open goes on through it


_kept: "list[_Door]" = []


@final
class _Door:
    """The usual VFS, with its `open` and `delete` replaced, and three methods of its files."""

    def __init__(self, usual: Any, watcher: Watcher) -> None:
        self._usual = usual
        self._watcher = watcher
        self._files: dict[int, int] = {}
        self._unnamed: set[int] = set()
        self._methods: dict[int, _Methods] = {}
        self._open = _OpenCall(usual.contents.open)
        self._delete = _DeleteCall(usual.contents.delete)
        self._callbacks: list[Any] = []
        self.vfs = _Vfs()
        ctypes.memmove(ctypes.byref(self.vfs), usual, ctypes.sizeof(_Vfs))
        self.vfs.name = b"watched"
        self.vfs.open = self._pointer(_OpenCall, self._on_open)
        self.vfs.delete = self._pointer(_DeleteCall, self._on_delete)

    def _pointer(self, kind: Any, function: Callable[..., int]) -> int | None:
        callback = kind(function)
        self._callbacks.append(callback)  # else it is freed under SQLite's hands
        return ctypes.cast(callback, c_void_p).value

    def _on_open(self, _vfs: int, name: int | None, file: int, flags: int, out: Any) -> int:
        path = os.fsdecode(ctypes.string_at(name)) if name else ""
        new = bool(path) and not os.path.exists(path)  # noqa: PTH110 - paths are text here
        code: int = self._open(ctypes.addressof(self._usual.contents), name, file, flags, out)
        number = self._watcher.opened(path, created=new) if path and code == _OK else None
        if number is not None:
            self._files[file] = number
            if new and flags & _DIRSYNC:
                self._unnamed.add(file)
            self._replace(ctypes.cast(file, POINTER(c_void_p)))
        return code

    def _on_delete(self, _vfs: int, name: bytes, synced: int) -> int:
        self._watcher.deleted(os.fsdecode(name), synced=bool(synced))
        code: int = self._delete(ctypes.addressof(self._usual.contents), name, synced)
        return code

    def _replace(self, file: Any) -> None:
        usual = file.contents.value
        if usual not in self._methods:
            self._methods[usual] = self._watching(_Methods.from_address(usual))
        file.contents.value = ctypes.addressof(self._methods[usual])

    def _watching(self, usual: _Methods) -> _Methods:
        """A copy of a file's methods that tells before it does the same."""
        write, truncate = _WriteCall(usual.write), _TruncateCall(usual.truncate)
        sync = _SyncCall(usual.sync)

        def on_write(file: int, data: int, count: int, offset: int) -> int:
            self._watcher.wrote(self._files[file], offset, ctypes.string_at(data, count))
            return int(write(file, data, count, offset))

        def on_truncate(file: int, size: int) -> int:
            self._watcher.cut(self._files[file], size)
            return int(truncate(file, size))

        def on_sync(file: int, flags: int) -> int:
            upto = self._watcher.syncing()
            code = int(sync(file, flags))
            if code == _OK:
                names = file in self._unnamed
                self._unnamed.discard(file)
                self._watcher.synced(self._files[file], upto, names=names)
            return code

        methods = _Methods()
        ctypes.memmove(ctypes.byref(methods), ctypes.byref(usual), ctypes.sizeof(_Methods))
        methods.write = self._pointer(_WriteCall, on_write)
        methods.truncate = self._pointer(_TruncateCall, on_truncate)
        methods.sync = self._pointer(_SyncCall, on_sync)
        return methods
