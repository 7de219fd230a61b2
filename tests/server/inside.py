"""A relay at work in this process: on a loop in a thread, spoken to without sockets."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, Self, TypeVar, cast, final

import httpx

from backchannel.protocol.drop import read_voucher
from backchannel.server.app import build
from backchannel.server.home import Home
from backchannel.server.operate import vouchers
from backchannel.server.relay import Relay
from backchannel.server.settings import Settings
from backchannel.server.writer import Job
from tests.support.relay import DropClient, RelayProcess

T = TypeVar("T")


@final
class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def call(self, work: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(work)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _Pieces(httpx.AsyncByteStream):
    """A body in the pieces in which the test gave it."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


class Transport(httpx.BaseTransport):
    def __init__(self, loop: Loop, app: Any) -> None:
        self._loop = loop
        self._asgi = httpx.ASGITransport(
            app
        )  # an exception that the application lets out fails the test

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        pieces = list(cast(httpx.SyncByteStream, request.stream))
        return self._loop.run(self._handle(request, pieces))

    async def _handle(self, request: httpx.Request, pieces: list[bytes]) -> httpx.Response:
        request.stream = _Pieces(pieces)
        answer = await self._asgi.handle_async_request(request)
        whole = httpx.ByteStream(await answer.aread())
        return httpx.Response(answer.status_code, headers=answer.headers, stream=whole)


@final
class Inside:
    """The relay of one data directory, working."""

    def __init__(self, home: Home, settings: Settings, *, accept_clock: bool = False) -> None:
        self.home = home
        self.relay = Relay.open(home, settings, accept_clock=accept_clock)
        self.app = build(self.relay)
        self.loop = Loop()
        self._life: AbstractAsyncContextManager[Any] = self.app.router.lifespan_context(self.app)
        self.loop.run(self._enter())
        self.http = httpx.Client(transport=Transport(self.loop, self.app), base_url="http://relay")

    async def _enter(self) -> None:
        await self._life.__aenter__()

    async def _leave(self) -> None:
        await self._life.__aexit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_reason: object) -> None:
        self.close()

    def close(self) -> None:
        """End; a second time does nothing."""
        if not self.http.is_closed:
            self.http.close()
            self.loop.run(self._leave())
            self.loop.close()

    def drop(self, keep: int = 2) -> DropClient:
        """A client with a drop of its own."""
        client = self.stranger()
        client.create(self.voucher(), keep)
        return client

    def stranger(self) -> DropClient:
        """A client whose drop does not exist."""
        return DropClient(self.http, self.relay.authorizer.public, "http://relay")

    def voucher(self) -> bytes:
        (text,) = vouchers.mint(self.home, 1)
        return read_voucher(text)

    def move_clock(self, hours: int) -> None:
        RelayProcess(self.home.path).move_clock(hours)

    def sweep(self) -> None:
        """As the sweeper does at the turn of an hour."""
        self.loop.run(self.relay.sweeper.sweep())

    def forget(self, *clients: DropClient) -> None:
        """As after a restart: of these drops nothing is in memory."""
        for client in clients:
            assert self.relay._newest is not None
            self.relay._newest.forget(client.drop)

    def poke(self) -> None:
        """The sweeper looks at the clock now rather than within a minute."""
        self.loop.call(self.relay.sweeper.poke)

    def write(self, job: Job[T]) -> T:
        """Something on the writer's own thread and connection."""
        return self.loop.run(self.relay.writer.do(job))


Opener = Callable[..., Inside]
