"""The interpreter behind `tests.support.forks`: imports the client once, forks for each command.

Run as a module, with the number of the socket over which it is asked, and the folder of what
`tests.support.stretched` remembers. Ends when that socket is closed.
"""

import contextlib
import gc
import json
import os
import pkgutil
import socket
import sys
from importlib import import_module
from pathlib import Path

from tests.support import stretched

MOST = 1 << 17
"""Bytes of a request, at most."""
_IMPORTED = ("backchannel.client.cli", "backchannel.client.rounds.sync", "time_machine")
_COMMANDS = "backchannel.client.commands"


def main(control: socket.socket) -> None:
    """Runs in each fork until what it was asked for has ended."""
    _import()
    stretched.remember(Path(sys.argv[2]))
    code = _serve(control)
    exec(code, {"__name__": "__main__"})  # noqa: S102 - as `python -c` does


def _import() -> None:
    """All that commands import when they need it."""
    for name in _IMPORTED:
        import_module(name)
    for each in pkgutil.iter_modules(import_module(_COMMANDS).__path__, f"{_COMMANDS}."):
        import_module(each.name)
    gc.freeze()  # forks share what nobody touches


def _serve(control: socket.socket) -> str:
    """Forks for whatever is asked; returns in each fork, with the code that it is to run."""
    while True:
        request, (line, *pipes) = _next(control)
        if os.fork() == 0:
            control.close()
            _tell(line, pipes)
            return _become(request, pipes)
        for each in (line, *pipes):
            os.close(each)
        _bury()


def _next(control: socket.socket) -> tuple[bytes, list[int]]:
    request, found, _, _ = socket.recv_fds(control, MOST, 4)
    if not request:
        sys.exit()
    return request, found


def _tell(line: int, pipes: list[int]) -> None:
    """Forks once more, stays behind, and tells the command's process id and how it ended; returns
    in the command.
    """
    pid = os.fork()
    if pid == 0:
        os.close(line)
        return
    for each in pipes:
        os.close(each)
    os.write(line, b"%d\n" % pid)
    _, status = os.waitpid(pid, 0)
    os.write(line, b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _become(request: bytes, pipes: list[int]) -> str:
    """Takes on all that a new process is given; the code to run."""
    asked = json.loads(request)
    os.setsid()
    for at, each in enumerate(pipes):
        os.dup2(each, at)
        os.close(each)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["env"])
    code, *arguments = asked["command"]
    sys.argv[:] = ["-c", *arguments]
    return str(code)


def _bury() -> None:
    """Those who have told how a command ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
