"""The page of sums on a loopback port: for whoever monitors this machine, on this machine.

A browser that runs here could be led to it under a stranger's name, so the name must be this
machine's. Bounds what is sent to it as the public port does. Counts nothing.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, final

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.server import ServerState

from backchannel.protocol.types import Timestamp, hour_of
from backchannel.server.connection import patient
from backchannel.server.errors import OperatorError
from backchannel.server.exposition import Machine, page
from backchannel.server.logs import warn_seldom
from backchannel.server.metrics import Sums
from backchannel.server.process import tls
from backchannel.server.process.quiet import quiet
from backchannel.server.process.sockets import listen
from backchannel.server.relay import Relay
from backchannel.server.room import free_disk
from backchannel.server.settings import Settings

_LOOPBACK: Final = "127.0.0.1"
_NAMES: Final = [_LOOPBACK, "localhost"]
_SECONDS: Final = 5.0  # for headers, and for reading the answer: both are small, and near
_MOST: Final = 8  # connections: a scraper or two, and somebody who looks
_AGAIN: Final = 0.5  # seconds between two looks for a free port
_LONG: Final = 60  # looks after which it is no longer the worker before that is just leaving


@final
class Exporter:
    """Answers `GET /metrics` on the running loop, on the first of some ports that is free.

    One is waited for: while workers are replaced, the one before has it, and a monitoring that
    cannot be served is no reason to serve nobody.
    """

    def __init__(self, ports: Sequence[int], page: Callable[[], bytes]) -> None:
        self._ports = ports
        self.page: Final = page
        self._state = ServerState()
        self._protocol = patient(_SECONDS, _MOST)
        self._config = quiet(application(page), lifespan="off")
        self._task: asyncio.Task[None] | None = None
        self._server: asyncio.Server | None = None

    def start(self) -> None:
        self._config.load()
        self._task = asyncio.create_task(self._run())

    def close(self) -> None:
        """At once: nobody loses anything."""
        if self._task is not None:
            self._task.cancel()
        if self._server is not None:
            self._server.close()
        for connection in list(self._state.connections):
            connection.transport.abort()

    async def _run(self) -> None:
        looks = 0
        while (listener := _first_free(self._ports)) is None:
            looks += 1
            if looks > _LONG:
                warn_seldom("metrics_port is taken, so no sums are told; next: choose another")
            await asyncio.sleep(_AGAIN)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, sock=listener)

    def _connection(self) -> asyncio.Protocol:
        return self._protocol(config=self._config, server_state=self._state, app_state={})


def exporter_of(relay: Relay, folder: Path) -> Exporter | None:
    """Of the relay in `folder`; none where nobody monitors it."""
    sums = relay.metrics
    if not isinstance(sums, Sums):
        return None
    first = relay.settings.metrics_port
    look = _looks(relay, folder)
    return Exporter(range(first, first + relay.settings.workers), lambda: page(sums, look))


def _looks(relay: Relay, folder: Path) -> Callable[[], Machine]:
    """The certificate is that which this process shows: it was read when it began."""
    end = _end_of_certificate(relay.settings)

    def look() -> Machine:
        now = relay.clock.now()
        days = None if end is None else (end - now) // 86_400
        return Machine(hour_of(now) - relay.retention.highest, free_disk(folder), days)

    return look


def _end_of_certificate(settings: Settings) -> Timestamp | None:
    try:
        return tls.ends(settings)
    except OperatorError:  # it is over, or no client believes it
        return Timestamp(0)


def _first_free(ports: Sequence[int]) -> socket.socket | None:
    for port in ports:
        with suppress(OperatorError):
            return listen(_LOOPBACK, port)
    return None


def application(page: Callable[[], bytes]) -> Starlette:
    """One path, under this machine's own names. `page` runs on a thread."""

    def metrics(_http: Request) -> Response:
        quiet = {"cache-control": "no-store"}
        return Response(page(), headers=quiet, media_type=CONTENT_TYPE_PLAIN_0_0_4)

    here = Middleware(TrustedHostMiddleware, allowed_hosts=_NAMES, www_redirect=False)
    app = Starlette(routes=[Route("/metrics", metrics, methods=["GET"])], middleware=[here])
    app.router.redirect_slashes = False
    return app
