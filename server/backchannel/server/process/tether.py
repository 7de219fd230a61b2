"""What ties a worker to the supervisor that began it: a pair of sockets, and the relay's own beside
them.

The worker says over it that it serves; either end sees in it that the other is gone. Knows nothing
of what either does.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Final, Self, final

from backchannel.server.process.sockets import Listeners, take

TOLD: Final = "BACKCHANNEL_WORKER"
"""The environment's name for the descriptors: the tether's, then the listeners'."""
_SERVES = b"1"


@final
class Tether:
    """The worker's end."""

    def __init__(self, end: socket.socket, listeners: Listeners) -> None:
        self._end = end
        self.listeners: Final = listeners

    @classmethod
    def of_supervisor(cls) -> Self | None:
        """None for a process that nobody supervises."""
        told = os.environ.pop(TOLD, "")
        if not told:
            return None
        end, *listening = map(int, told.split(","))
        os.set_inheritable(end, False)
        listeners = Listeners(tuple(map(take, listening)), own=False)
        return cls(socket.socket(fileno=end), listeners)

    def ready(self) -> None:
        """This worker serves from here on."""
        self._end.sendall(_SERVES)

    def watch(self, loop: asyncio.AbstractEventLoop, gone: Callable[[], None]) -> None:
        """Call `gone` once the supervisor is: nothing but its end is ever heard from it."""

        def heard() -> None:
            loop.remove_reader(self._end)
            gone()

        loop.add_reader(self._end, heard)


@final
class Leash:
    """The supervisor's end."""

    def __init__(self) -> None:
        self._end, self._other = socket.socketpair()
        self._end.setblocking(False)

    def descriptors(self, listeners: Listeners) -> list[int]:
        """What the worker is to inherit, in the order in which it is told."""
        return [each.fileno() for each in (self._other, *listeners.sockets)]

    def tied(self) -> None:
        """The worker has the other end now."""
        self._other.close()

    async def ready(self) -> bool:
        """When the worker serves; false when it is gone before."""
        return await asyncio.get_running_loop().sock_recv(self._end, 1) == _SERVES

    def close(self) -> None:
        self._end.close()
        self._other.close()
