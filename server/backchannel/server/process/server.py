"""One relay at its sockets, as a process: TLS, signals, the line that says where it listens, and an
end that leaves nobody without an answer.
"""

import asyncio
import resource
import signal
import socket
import sys
from types import FrameType
from typing import Any, NoReturn, cast, final

import uvicorn

from backchannel.server.app import build
from backchannel.server.connection import patient
from backchannel.server.limits import DESCRIPTORS, HANDSHAKE, LINGER, SHUTDOWN
from backchannel.server.process import notify
from backchannel.server.process.exporter import exporter_of
from backchannel.server.process.memory import settle
from backchannel.server.process.quiet import quiet
from backchannel.server.process.sockets import BACKLOG, Listeners, become
from backchannel.server.process.start import Start
from backchannel.server.process.tether import Tether
from backchannel.server.process.turns import Turns
from backchannel.server.relay import Relay
from backchannel.server.settings import Settings

_OWN_DESCRIPTORS = 64  # the store, the keys, the log, and some to spare


def run(
    start: Start,
    settings: Settings,
    listeners: Listeners,
    tether: Tether | None,
    *,
    accept_clock: bool,
) -> None:
    """Until a signal ends it, or it is followed: a relay by itself, which never returns then, and a
    worker by another that serves already.
    """
    relay = Relay.open(start.home, settings, accept_clock=accept_clock)
    signal.signal(signal.SIGTERM, _leave)  # uvicorn raises it again once all is closed
    server = _Server(start, settings, relay, listeners, tether)
    try:
        server.run()
    finally:
        if not (tether or server.next):
            start.home.address.unlink(missing_ok=True)
    if server.next and not tether:
        become(start.command(), server.next)


def _room() -> int:
    """How many connections this process may hold, once it asked for all the system grants."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return max(most - _OWN_DESCRIPTORS, 1)


def _leave(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)


@final
class _Server(uvicorn.Server):
    """uvicorn, quiet, which tells where it listens and wakes the waiting before it ends."""

    def __init__(
        self,
        start: Start,
        settings: Settings,
        relay: Relay,
        listeners: Listeners,
        tether: Tether | None,
    ) -> None:
        room = _room()
        self._handshakes = room // 4 if settings.tls_cert else 0
        """That go on at one time, at most: until one ends its connection is in no other count."""
        self._protocol = patient(settings.header_seconds, room - self._handshakes)
        config = quiet(
            build(relay),
            http=self._protocol,
            lifespan="on",
            timeout_graceful_shutdown=SHUTDOWN,
            ssl_certfile=settings.tls_cert or None,
            ssl_keyfile=settings.tls_key or None,
        )
        super().__init__(config)
        self.next: Listeners | None = None
        """Where the relay that follows this one listens, once there is to be one."""
        self._following: asyncio.Task[None] | None = None
        self._start = start
        self._settings = settings
        self._relay = relay
        self._listeners = listeners
        self._tether = tether
        self._exporter = exporter_of(relay, start.home.path)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        del sockets  # uvicorn would close them, and the next relay needs them
        await super().startup([])
        for listener in self._listeners.sockets:
            opened = await self._open(listener.dup())  # closing it leaves ours open
            self.servers.append(cast("Any", opened))
        if self._exporter:
            self._exporter.start()
        settle()
        self._heed()
        if self._tether:
            self._tether.ready()
        else:
            self._start.announce(self._listeners.urls(self._settings.scheme))

    def _heed(self) -> None:
        """Hear what asks this process to begin anew or to end."""
        loop = asyncio.get_running_loop()
        hup = self._give_way if self._tether else self._begin_anew
        loop.add_signal_handler(signal.SIGHUP, hup)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        if self._tether:
            self._tether.watch(loop, self._end)
        else:
            notify.keep_awake(loop)

    def _end(self) -> None:
        self.should_exit = True

    def _give_way(self) -> None:
        """The supervisor has the next worker at work already."""
        self.next, self.should_exit = self._listeners, True

    def _begin_anew(self) -> None:
        if self._start.abandoned():
            self._end()
        elif self.next is None and (self._following is None or self._following.done()):
            self._following = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        """Leave to the next relay, if there can be one."""
        found = self._start.again(self._settings, self._listeners)
        if found is None:
            return
        _settings, listeners = found
        if await self._start.loads():
            # another HUP waits for who follows: in between nobody hears it, and it would end us
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
            self.next, self.should_exit = listeners, True
            return
        self._start.stay("the program cannot be loaded; next: install it again, then HUP again")
        if listeners is not self._listeners:
            listeners.close()

    async def _open(self, listener: socket.socket) -> asyncio.Server | Turns:
        """As uvicorn does it, but it waits a minute for a handshake that does not come."""
        loop = asyncio.get_running_loop()
        tls: dict[str, Any] = {}
        if self.config.ssl is not None:
            patience = min(self._settings.header_seconds, HANDSHAKE)
            tls = {
                "ssl": self.config.ssl,
                "ssl_handshake_timeout": patience,
                "ssl_shutdown_timeout": patience,
            }
        if self._tether or tls:
            most, alone = self._handshakes or sys.maxsize, self._tether is None
            return Turns(listener, self._connection, most, alone=alone, **tls)
        create: Any = loop.create_server
        if listener.family == socket.AF_UNIX:
            create = loop.create_unix_server
            if sys.version_info >= (3, 13):
                tls["cleanup_socket"] = False  # the next relay goes on listening there
        server: asyncio.Server = await create(
            self._connection, sock=listener, backlog=BACKLOG, **tls
        )
        return server

    def _connection(self) -> asyncio.Protocol:
        return self._protocol(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.next is None:
            notify.stopping()
            self._listeners.close()  # nobody is left to wait for what does not come
        self._protocol.leaving = LINGER if self.next else 0.0
        self._relay.wakeup.close()
        if self._exporter:
            self._exporter.close()
        await super().shutdown(sockets)
