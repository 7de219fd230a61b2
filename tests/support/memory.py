"""The memory of a running process, as a core would hold it. For processes of our own only."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ (\d+) *(.*)")
_NOT_MEMORY = ("[vvar", "[vsyscall", "[vdso")


class Region(NamedTuple):
    """One mapping: what it is called, what the kernel was told about it, and its bytes."""

    name: str
    flags: frozenset[str]
    """`VmFlags` of smaps: `lo` locked, `dd` left out of cores, `dc` not given to children."""
    data: bytes


def core_of(pid: int) -> list[Region]:
    """All that a process has written or may have: it stands still meanwhile.

    `PermissionError` where the machine, or the process itself, forbids it.
    """
    with _still(pid), Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        return list(_regions(pid, memory.fileno()))


def may_look() -> bool:
    """Whether this machine lets us look even into processes that hardened themselves."""
    code = "import sys; from backchannel.server.process.memory import harden; harden(); "
    code += "print(flush=True); sys.stdin.read()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe) as hardened:
        assert hardened.stdout is not None
        hardened.stdout.readline()
        try:
            return bool(core_of(hardened.pid))
        except PermissionError:
            return False
        finally:
            hardened.kill()


@contextmanager
def _still(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _regions(pid: int, memory: int) -> Iterator[Region]:
    for start, end, name, flags in _mappings(Path(f"/proc/{pid}/smaps").read_text()):
        data = b"".join(_read(memory, start, end))
        if data.count(0) < len(data):
            yield Region(name, flags, data)


def _mappings(smaps: str) -> Iterator[tuple[int, int, str, frozenset[str]]]:
    """Those that a core holds: not the programs' own files, which nobody wrote to."""
    for part in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", smaps):
        heading = _MAPPING.match(part)
        if heading is None:
            continue
        start, end, rights, inode, name = heading.groups()
        resident = re.search(r"^Rss: +(\d+)", part, re.MULTILINE)
        flags = re.search(r"^VmFlags: (.*)", part, re.MULTILINE)
        wanted = rights[0] == "r" and ("w" in rights or inode == "0")
        if wanted and resident and int(resident[1]) and not name.startswith(_NOT_MEMORY):
            yield int(start, 16), int(end, 16), name, frozenset(flags[1].split() if flags else ())


def _read(memory: int, start: int, end: int) -> Iterator[bytes]:
    while start < end:
        try:
            data = os.pread(memory, min(end - start, 1 << 24), start)
        except OSError:  # a hole
            return
        if not data:
            return
        yield data
        start += len(data)
