"""The agent: a small process that holds the vault's key for a while and answers on a socket.

Beside it it holds a volatile key, which stands nowhere else: what is sealed under it ends with the
agent. It ends when its time is over, or when nobody has asked for the vault's key for too long.

Started by `unlocked.start` with a listening socket and one end of a pair, over which the keys come:
nothing secret stands in its arguments or environment. It keeps no database, file or terminal open,
imports little, and knows nothing of vaults; but it may be told of a home that ends with it. Asked
by another user, it hangs up.

```
over the pair   seconds 4 | idle seconds 4 | key 32 | volatile key 32
                answer: 1 where its memory is locked, else 0
on the socket   b"k"  ->  key 32                b"l"  ->  b"l" once the keys are wiped
                b"p"  ->  key 32, for a program that nobody waits for: that is no use of it
                b"v"  ->  volatile key 32       b"t"  ->  seconds left 4
```
"""

import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from backchannel.client.machine.clock import elapsed
from backchannel.client.machine.memory import LockedPage, harden

KEY = 32
_TICK = 5.0  # seconds: after a night's sleep of the machine the key is gone this soon
_PATIENCE = 1.0  # seconds for one caller, who then makes room for the next


def peer_is_me(connection: socket.socket) -> bool:
    """Whether the same user is at the other end. Off Linux the folder's mode must do."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    size = struct.calcsize("3i")
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    _, user, _ = struct.unpack("3i", found)
    return bool(user == os.geteuid())


class Agent:
    """Keys, deadlines, and the socket to answer on."""

    def __init__(
        self,
        listener: socket.socket,
        page: LockedPage,
        seconds: int,
        idle: int,
        leave: Callable[[], None],
    ) -> None:
        self._listener = listener
        self._page = page
        self._leave = leave
        self._idle = idle
        self._used = elapsed()
        self._deadline = self._used + seconds

    def run(self) -> None:
        """Answer until the time is over or somebody locks; then wipe."""
        try:
            while self._left() > 0 and not self._answer_next():
                pass
        finally:
            self._page.wipe()

    def _left(self) -> float:
        return min(self._deadline, self._used + self._idle) - elapsed()

    def _answer_next(self) -> bool:
        """Whether it was asked to end."""
        ready, _, _ = select.select([self._listener], [], [], min(_TICK, max(0.0, self._left())))
        if not ready or self._left() <= 0:
            return False
        connection, _ = self._listener.accept()
        with connection:
            connection.settimeout(_PATIENCE)
            try:
                return peer_is_me(connection) and self._answer(connection)
            except OSError:
                return False

    def _answer(self, connection: socket.socket) -> bool:
        asked = connection.recv(1)
        if asked in (b"k", b"p"):
            self._used = elapsed() if asked == b"k" else self._used
            self._give(connection, slice(0, KEY))
        elif asked == b"v":
            self._give(connection, slice(KEY, 2 * KEY))
        elif asked == b"t":
            connection.sendall(int(self._left()).to_bytes(4))
        elif asked == b"l":
            self._page.wipe()
            self._leave()  # before the answer, so that whoever locked finds nothing
            connection.sendall(asked)
        return asked == b"l"

    def _give(self, connection: socket.socket, which: slice) -> None:
        with self._page.view(2 * KEY) as keys, keys[which] as key:
            connection.sendall(key)


def _take_keys(pair: socket.socket, page: LockedPage) -> tuple[int, int]:
    """How long to hold them, in seconds, and how long unused."""
    seconds, idle = (int.from_bytes(pair.recv(4, socket.MSG_WAITALL)) for _ in range(2))
    with page.view(2 * KEY) as keys:
        got = pair.recv_into(keys, 2 * KEY, socket.MSG_WAITALL)
    if got != 2 * KEY:
        sys.exit(1)
    pair.sendall(bytes([page.locked]))
    return seconds, idle


def _leaver(path: Path, home: Path | None) -> Callable[[], None]:
    """Takes away the socket, or all of a home that ends with it; never those of a later agent."""
    mine = path.stat()

    def still() -> bool:
        with suppress(FileNotFoundError):
            return os.path.samestat(path.stat(), mine)
        return False

    def leave() -> None:
        if still() and home is not None:
            from backchannel.client.machine.memory_home import remove

            remove(home, still)
        elif still():
            path.unlink()

    return leave


def _end(*_: object) -> None:
    sys.exit(0)


def main() -> None:
    """Arguments: the numbers of the inherited listener and pair, the socket's path, and, where one
    is to end with this agent, a home.
    """
    if os.fork():
        os._exit(0)  # so that it is nobody's child, and leaves no zombie to whoever unlocked
    harden()
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    listener, pair = (socket.socket(fileno=int(number)) for number in sys.argv[1:3])
    path, home = Path(sys.argv[3]), next(map(Path, sys.argv[4:]), None)
    page, leave = LockedPage(), _leaver(path, home)
    with listener:
        try:
            with pair:
                seconds, idle = _take_keys(pair, page)
            Agent(listener, page, seconds, idle, leave).run()
        finally:
            leave()


if __name__ == "__main__":
    main()
