"""Runs one relay as a process: socket, TLS, signals, and the line that says where it listens."""

import asyncio
import resource
import signal
import socket
import sys
from types import FrameType
from typing import NoReturn, final

import uvicorn

from backchannel.server import exits
from backchannel.server.app import build
from backchannel.server.connection import patient
from backchannel.server.errors import OperatorError
from backchannel.server.home import Home
from backchannel.server.limits import DESCRIPTORS, KEEP_ALIVE, SHUTDOWN
from backchannel.server.memory import harden
from backchannel.server.relay import Relay
from backchannel.server.settings import Settings
from backchannel.server.tls import check_certificate

_BACKLOG = 512
_OWN_DESCRIPTORS = 64  # the store, the keys, the log, and some to spare


def serve(home: Home, settings: Settings, *, accept_clock: bool = False) -> None:
    """Until a signal ends it; `OperatorError` where it cannot begin."""
    harden()
    check_certificate(settings)
    listener = listen(settings.host, settings.port)
    with listener:
        relay = Relay.open(home, settings, accept_clock=accept_clock)
        signal.signal(signal.SIGTERM, _leave)  # uvicorn raises it again once all is closed
        try:
            _Server(home, relay, settings).run(sockets=[listener])
        finally:
            home.address.unlink(missing_ok=True)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; `OperatorError` when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        message = f"cannot listen on {host} port {port}: {error.strerror or error}"
        next_ = "choose another --port, or end what listens there"
        raise OperatorError(message, next_=next_, code=exits.NETWORK) from None


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

    def __init__(self, home: Home, relay: Relay, settings: Settings) -> None:
        self._protocol = patient(settings.header_seconds, _room())
        config = uvicorn.Config(
            build(relay),
            http=self._protocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=SHUTDOWN,
            ssl_certfile=settings.tls_cert or None,
            ssl_keyfile=settings.tls_key or None,
        )
        super().__init__(config)
        self._home = home
        self._relay = relay
        self._patience = settings.header_seconds
        self._scheme = "https" if settings.tls_cert else "http"

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])
        for listener in sockets or []:
            self.servers.append(await self._open(listener))
            host, port = listener.getsockname()[:2]
            url = f"{self._scheme}://{f'[{host}]' if ':' in host else host}:{port}"
            self._home.address.write_text(url + "\n", "ascii")
            sys.stdout.write(f"listening on {url}\n")
            sys.stdout.flush()

    async def _open(self, listener: socket.socket) -> asyncio.Server:
        """As uvicorn does it, but it waits a minute for a handshake that does not come."""
        loop = asyncio.get_running_loop()
        if self.config.ssl is None:
            return await loop.create_server(self._connection, sock=listener, backlog=_BACKLOG)
        return await loop.create_server(
            self._connection,
            sock=listener,
            backlog=_BACKLOG,
            ssl=self.config.ssl,
            ssl_handshake_timeout=self._patience,
            ssl_shutdown_timeout=self._patience,
        )

    def _connection(self) -> asyncio.Protocol:
        return self._protocol(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._relay.wakeup.close()
        await super().shutdown(sockets)
