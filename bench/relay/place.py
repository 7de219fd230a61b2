"""Where it runs: one core for whoever serves, another for the load; files on a real disk; every
process ended, whatever happens.

Knows nothing of what is served.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "backchannel-bench"
"""Peers that were installed; outside the checkout."""
_DISK = Path("/var/tmp")  # noqa: S108 - each run makes a folder of its own in it
"""What is served from: /tmp may be memory, and under /root PostgreSQL, which is nobody, has no way.
"""
_PREFIX = "backchannel-bench-"
READY = 120.0
"""Seconds until somebody listens."""
_LAST = 10.0


class TooSmallError(Exception):
    """This machine cannot measure."""


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]


SERVER, LOAD = _cores()[0], _cores()[-1]


def on(cores: Iterable[int], *command: str) -> list[str]:
    """A command on these cores alone, which ends when this process ends, however that happens."""
    chosen = ",".join(map(str, cores))
    return [
        *(_program("setpriv"), "--pdeathsig", "KILL"),
        *(_program("taskset"), "--cpu-list", chosen),
        *command,
    ]


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise TooSmallError(f"{name} is needed; on Debian it is in the package util-linux")
    return path


@contextlib.contextmanager
def settled() -> Iterator[None]:
    """This process is the load for a while; what it makes goes to a disk. `TooSmallError` where
    that cannot be.
    """
    if SERVER == LOAD:
        raise TooSmallError("two cores are needed, on Linux: one serves, the other asks")
    _clear()
    scratch = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_DISK)
    Path(scratch).chmod(0o711)
    tempfile.tempdir = scratch
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        with here({LOAD}):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)
        tempfile.tempdir = None
        shutil.rmtree(scratch, ignore_errors=True)


def _leave(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(1)


@contextlib.contextmanager
def here(cores: Iterable[int]) -> Iterator[None]:
    """This process, and what it starts meanwhile without `on`, is on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _clear() -> None:
    """What runs left that were killed."""
    for left in _DISK.glob(f"{_PREFIX}*"):
        process = left.name.removeprefix(_PREFIX).partition("-")[0]
        if not Path("/proc", process).exists() and left.stat().st_uid == os.getuid():
            shutil.rmtree(left, ignore_errors=True)


def file_system() -> str:
    """What kind holds the files."""
    kinds = {}
    for line in Path("/proc/mounts").read_text("utf-8").splitlines():
        _, where, kind, *_ = line.split()
        if _DISK.is_relative_to(where):
            kinds[len(where)] = kind
    return kinds[max(kinds)]


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """An empty one, for as long as somebody serves from it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        yield Path(name)


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def serving(
    command: Sequence[str], port: int, log: Path, env: Mapping[str, str] | None = None
) -> Iterator[int]:
    """A process on the server's core that listens at `port`; its id. It is killed at the end."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            on([SERVER], *command), stdout=out, stderr=out, env={**os.environ, **(env or {})}
        )
    try:
        _until_listening(process, port, log)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(_LAST)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + READY
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.05)
    last = log.read_text("utf-8", "replace")[-2000:]
    raise RuntimeError(f"nobody listens: {last}")


def worked(pid: int) -> float:
    """Seconds of a core that a process took so far, and its children's."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    except FileNotFoundError:  # it has just ended
        return 0.0
    own = (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(worked(int(child)) for child in children)


def memory(pid: int) -> int:
    """Bytes of this machine's memory that a process has for itself."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no figure for memory")
