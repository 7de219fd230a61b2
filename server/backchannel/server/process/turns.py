"""How workers share the connections that come to one socket: each takes a few, then leaves others a
moment, so that whoever has much to do comes round for the next less often. And how TLS begins on
them, which an event loop's own server does for any number at once.

An event loop's own server takes all that are there at once: of 32 that came together one worker
took 30. Knows nothing of what is said.
"""

import asyncio
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, final

_TOGETHER = 2  # connections that one worker takes before the others have had a chance
_ALONE = 64  # that whoever has no others takes before it does anything else
_TURN = 0.001  # seconds of that chance: some 2,000 connections a second come to each worker
_PAUSE = 1.0  # seconds after which it tries again, where the system has no descriptor to give


@final
class Turns:
    """In place of an `asyncio.Server`, from its making on."""

    def __init__(
        self,
        listener: socket.socket,
        connection: Callable[[], asyncio.BaseProtocol],
        most: int = sys.maxsize,
        *,
        alone: bool = False,
        **tls: Any,
    ) -> None:
        """`alone`: there are no other workers. Of those whose handshake goes on there are `most`;
        past them the first ends. `tls` is for `connect_accepted_socket`.
        """
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._connection = connection
        self._most = most
        self._together = _ALONE if alone else _TOGETHER
        self._tls = tls
        self._taking: dict[asyncio.Task[None], None] = {}
        self._closed = False
        listener.setblocking(False)
        self._listen()

    def close(self) -> None:
        """Take nobody any more."""
        self._closed = True
        self._loop.remove_reader(self._listener)
        self._listener.close()

    async def wait_closed(self) -> None:
        """Until whoever was taken is where it belongs."""
        if self._taking:
            await asyncio.wait(self._taking)

    def _listen(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        self._loop.remove_reader(self._listener)
        pause = _TURN
        for _ in range(self._together):
            try:
                taken, _from = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                break  # another worker was quicker, or nobody is there any more
            except OSError:
                pause = _PAUSE
                break
            task = self._loop.create_task(self._take(taken))
            self._taking[task] = None
            task.add_done_callback(self._taken)
            if len(self._taking) > self._most:
                first = next(iter(self._taking))
                self._taken(first)
                first.cancel()
        self._loop.call_later(pause, self._listen)

    def _taken(self, task: asyncio.Task[None]) -> None:
        self._taking.pop(task, None)

    async def _take(self, taken: socket.socket) -> None:
        taken.setblocking(False)
        if taken.family != socket.AF_UNIX:
            taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError):  # a handshake that came to nothing; it is closed by then
            await self._loop.connect_accepted_socket(self._connection, taken, **self._tls)
