"""Commands of the client without an interpreter's start: one that has imported it forks for each.

A command has its own arguments, environment, folder, session, pipes and end. What a process has
from its beginning is the interpreter's: what it costs to start, which modules are there, what
`/proc` shows of arguments and environment. Tests of those start the program whole.
"""

import atexit
import io
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from tests.support import forker, stretched

_ROOT = Path(__file__).parents[2]
_PIPE = 65_536
"""Bytes that a pipe holds: what a command is given stands in it before the command begins."""


def run(
    command: Sequence[str], *, env: Mapping[str, str], give: str, timeout: float
) -> subprocess.CompletedProcess[str]:
    """`python -c CODE ARGUMENT...` to its end, in a session of its own: no terminal to ask at."""
    assert tuple(command[:2]) == (sys.executable, "-c")
    asked = {"command": command[2:], "env": {**env}, "folder": str(Path.cwd())}
    line, theirs = socket.socketpair()
    (out, stdout), (err, stderr) = os.pipe(), os.pipe()
    handed = (theirs.detach(), _filled(give.encode()), stdout, stderr)
    socket.send_fds(_forker(), [json.dumps(asked).encode()], handed)
    for each in handed:
        os.close(each)
    line.settimeout(timeout)
    with line, line.makefile() as told:
        pid = int(told.readline())
        try:
            said = _drained((out, err), time.monotonic() + timeout)
            code = int(told.readline())
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            raise subprocess.TimeoutExpired(command, timeout) from None
    return subprocess.CompletedProcess(command, code, *said)


@cache
def _forker() -> socket.socket:
    """How to ask the interpreter of this process, which ends with it."""
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", forker.__name__, str(theirs.fileno()), stretched.folder()],
            cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )  # fmt: skip
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours


def _filled(data: bytes) -> int:
    """A pipe's end from which this is read."""
    assert len(data) <= _PIPE
    ours, theirs = os.pipe()
    os.write(theirs, data)
    os.close(theirs)
    return ours


def _drained(pipes: Sequence[int], deadline: float) -> list[str]:
    """What comes out of each of these pipes until nobody holds its other end; `TimeoutError`."""
    found = {pipe: bytearray() for pipe in pipes}
    with selectors.DefaultSelector() as selector:
        for pipe in pipes:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                if data := os.read(key.fd, _PIPE):
                    found[key.fd] += data
                else:
                    selector.unregister(key.fd)
                    os.close(key.fd)
    return [io.TextIOWrapper(io.BytesIO(each), "utf-8").read() for each in found.values()]
