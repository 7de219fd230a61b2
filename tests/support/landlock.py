"""Lets a process write below some folders and nowhere else, by the kernel's word (Landlock)."""

import ctypes
import os
from collections.abc import Callable
from pathlib import Path

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # system calls, the same on every machine
_ASK_VERSION = 1
_BELOW = 1  # kind of a rule
_NO_NEW_PRIVILEGES = 38
_WRITES = 0b111_1111_1111_0010 & ~0b1100  # write, remove, make of each kind, link, truncate
_READS = 0b1100
_FILE = 0b100_0000_0000_0010  # of these what fits a single file: write, truncate
_TRUNCATES = 3  # the version that knows all of them


class _Rule(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def can() -> bool:
    """Whether this kernel does it."""
    return int(_libc().syscall(_CREATE, None, 0, _ASK_VERSION)) >= _TRUNCATES


def writes_only(*places: Path) -> Callable[[], None]:
    """For `preexec_fn`: what is run, and all that it runs, writes below `places` alone."""

    def restrict() -> None:
        libc, handled = _libc(), ctypes.c_uint64(_WRITES)
        rules = libc.syscall(_CREATE, ctypes.byref(handled), ctypes.sizeof(handled), 0)
        _must(rules)
        for place in (*places, Path(os.devnull)):
            folder = os.open(place, os.O_PATH)
            rule = _Rule(_WRITES if place.is_dir() else _WRITES & _FILE, folder)
            _must(libc.syscall(_ADD, rules, _BELOW, ctypes.byref(rule), 0))
        _must(libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
        _must(libc.syscall(_RESTRICT, rules, 0))

    return restrict


def _must(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
