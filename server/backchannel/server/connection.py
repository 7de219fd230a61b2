"""The HTTP connections: httptools reads them, within bounds on what a client may send before its
request has begun, after its body, and beside it, and on how long each may take.

Instead of uvicorn's own, which waits for headers without end, takes them at any length, takes
trailers too, queues requests that nobody answered yet, and waits as long for a client that does not
read its answer. Knows no path and no body.
"""

import asyncio
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any, ClassVar

import httptools
from uvicorn import Config
from uvicorn.server import ServerState

from backchannel.server.exchange import Exchange
from backchannel.server.limits import FIELDS, HEADERS, LINGER, UNREAD
from backchannel.server.logs import LOG

_PATHS = 16
"""Kept as they were parsed: there are six, and what strangers make up goes soon."""


class PipelinedError(Exception):
    """A request before the last one was answered. A queue of them in one packet is megabytes."""


class LongHeadersError(Exception):
    """More than `FIELDS`, or than `HEADERS` bytes that came in one packet with their end."""


class PatientConnection(asyncio.Protocol):
    """Closes unless a request's headers and the first of its body are there within `seconds`, the
    headers in at most `HEADERS` bytes, and no more than `FIELDS`.
    """

    seconds: ClassVar[float] = 60.0
    most: ClassVar[int] = 1000
    """Connections; past them one is closed at once, before the system runs out of descriptors: the
    first of `strangers` or of `rested`, whichever are more. Else whoever only connects, or asks
    once, would keep others out; or who does the one would push out who honestly does the other.
    """
    strangers: ClassVar[dict["PatientConnection", None]] = {}
    """Those that have not made a request yet, in the order in which they came."""
    rested: ClassVar[dict["PatientConnection", None]] = {}
    """Those that were answered and make no request now, in the order in which they began that."""
    unread: ClassVar[dict["PatientConnection", None]] = {}
    """Those whose answers are not read to the end, in the order in which they began."""
    leaving: ClassVar[float | None] = None
    """Once the relay ends: seconds in which a silent client may still say something. What it says
    may be under way, and would be lost. Who has said nothing yet has `LINGER` in any case.
    """

    transport: asyncio.Transport

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._app = config.loaded_app
        self._keep_alive = config.timeout_keep_alive
        self._state = app_state
        self._server = server_state
        self.loop = _loop or asyncio.get_running_loop()
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._exchange: Exchange | None = None
        self._spoke = False
        """Whether a request ever came."""
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._continues = False
        self._size = 0
        """Bytes since the last request's headers ended that were no body: headers, trailers,
        frames.
        """
        self._due: float | None = None
        """When what is awaited now comes too late, by the loop's clock."""
        self._late: Callable[[], None] = self._too_slow
        """What happens then."""
        self._timer: asyncio.TimerHandle | None = None
        """Looks whether it is: moved on less often than `_due` is."""
        self._watcher: asyncio.TimerHandle | None = None
        """Of an answer that is not read."""

    # --- the transport's side --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        transport.set_write_buffer_limits(0)  # whatever is not read counts
        self._server.connections.add(self)  # type: ignore[arg-type]
        self.strangers[self] = None
        self._expect()
        if len(self._server.connections) > self.most:
            more = max(self.rested, self.strangers, key=len)
            next(iter(more)).turn_away()
        if self.leaving is not None:
            self.shutdown()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._server.connections.discard(self)
        for timer in (self._timer, self._watcher):
            if timer is not None:
                timer.cancel()
        self._due = self._timer = self._watcher = None
        self.unread.pop(self, None)
        self._in_hand()
        if self._exchange is not None:
            self._exchange.leave()
        self._exchange = None
        self._parser = None  # it knows this object too

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._exchange is None and self._late != self._too_slow:
            self._expect()  # even blank lines: they would else keep it open for ever
        self._size += len(data)
        try:
            if self._parser is not None:
                self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse()
        if self._size > HEADERS:
            self._refuse()

    def pause_writing(self) -> None:
        self.unread[self] = None
        if len(self.unread) > UNREAD:
            next(iter(self.unread)).give_up()
        self._watch(sys.maxsize)

    def resume_writing(self) -> None:
        self.unread.pop(self, None)
        self._unwatch()

    def turn_away(self) -> None:
        """Others need its place, and it does nothing with it."""
        self._in_hand()
        self.transport.abort()

    def _in_hand(self) -> None:
        """From now on it makes no room."""
        self.strangers.pop(self, None)
        self.rested.pop(self, None)

    def give_up(self) -> None:
        """Others need what its answer takes."""
        self.unread.pop(self, None)
        self.transport.abort()

    def shutdown(self) -> None:
        """uvicorn's: answer what was begun, or begins within `leaving` seconds, and close."""
        if self._exchange is not None:
            self._exchange.keep_alive = False
        elif self.leaving or not self._spoke:
            self._expect(self.leaving or LINGER, self._close)
        else:
            self.transport.close()

    # --- the parser's side -----------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._url, self._headers, self._continues = b"", [], False

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        self._headers.append((name, value))
        if len(self._headers) > FIELDS:
            raise LongHeadersError
        if name == b"expect" and value.lower() == b"100-continue":
            self._continues = True

    def on_headers_complete(self) -> None:
        if self._exchange is not None or self._parser is None:
            raise PipelinedError
        if self._size > HEADERS and self._head() > HEADERS:  # the rest of it may be body
            raise LongHeadersError
        self._size, self._spoke = 0, True
        self._in_hand()
        method = self._parser.get_method()
        self._exchange = Exchange(
            self.transport,
            self._answered,
            keep_alive=self._parser.should_keep_alive() and self.leaving is None,
            head=method == b"HEAD",
            continues=self._continues,
        )
        task = self.loop.create_task(self._run(self._exchange, self._scope(method)))
        self._exchange.task = task
        self._server.tasks.add(task)

    def on_body(self, body: bytes) -> None:
        self._size = max(0, self._size - len(body))
        if self._exchange is not None:  # else nobody wants it, and its rest is still due
            self._due = None
            self._exchange.take(body)

    def on_message_complete(self) -> None:
        self._due = None
        if self._exchange is not None:
            self._exchange.end()
        else:  # answered before
            self._expect(self._keep_alive, self._close)

    # --- requests --------------------------------------------------------------------------------

    def _head(self) -> int:
        """Bytes of the request's line and headers."""
        return len(self._url) + sum(len(name) + len(value) + 4 for name, value in self._headers)

    def _scope(self, method: bytes) -> dict[str, Any]:
        path, query = _parsed(self._url)
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method.decode("ascii"),
            "scheme": "http",
            "path": path.decode("latin-1"),
            "raw_path": path,
            "root_path": "",
            "query_string": query,
            "headers": self._headers,
            "client": None,
            "server": None,
            "state": self._state,
            "exchange": self._exchange,
        }

    async def _run(self, exchange: Exchange, scope: dict[str, Any]) -> None:
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception as error:  # noqa: BLE001 - a bug closes one connection, and is told
            LOG.error("a bug in answering a request", exc_info=error)
        finally:
            if exchange.task is not None:
                self._server.tasks.discard(exchange.task)
            if not exchange.answered:
                self.transport.abort()

    def _answered(self) -> None:
        """What is to come now: the next request, or the end."""
        exchange, self._exchange = self._exchange, None
        self._server.total_requests += 1
        if exchange is None or not exchange.keep_alive:
            self._close()
            return
        self.rested[self] = None
        if exchange.whole:
            self._expect(self._keep_alive, self._close)
        else:
            self._expect(self._keep_alive)  # the rest of a body that nobody wants

    # --- patience --------------------------------------------------------------------------------

    def _expect(self, seconds: float = 0, late: Callable[[], None] | None = None) -> None:
        """What is awaited now comes within `seconds`, which are the patience of headers if not
        said, or `late` happens.
        """
        self._due = self.loop.time() + (seconds or self.seconds)
        self._late = late or self._too_slow
        if self._timer is not None and self._timer.when() > self._due:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self.loop.call_at(self._due, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._due is None:
            return
        if self.loop.time() >= self._due:
            self._late()
        else:
            self._timer = self.loop.call_at(self._due, self._look)

    def _close(self) -> None:
        """Once what is written is read, and not without a term."""
        self.transport.close()
        self._expect()

    def _watch(self, before: int) -> None:
        """A client may read its answer slowly, but must go on reading."""
        left = self.transport.get_write_buffer_size()
        if left >= before:
            self._too_slow()
        else:
            self._unwatch()
            self._watcher = self.loop.call_later(self.seconds, self._watch, left)

    def _unwatch(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None

    def _too_slow(self) -> None:
        self.transport.abort()  # close() would wait for a client that reads nothing

    def _refuse(self) -> None:
        if self._exchange is not None and self._exchange.started:
            self.transport.abort()
        elif not self.transport.is_closing():
            self.transport.write(_BAD)
            self._close()


@lru_cache(_PATHS)
def _parsed(url: bytes) -> tuple[bytes, bytes]:
    """Path and query; an error of httptools where it is no URL."""
    parts = httptools.parse_url(url)
    return parts.path, parts.query or b""


_BODY = b'{"code":"malformed"}'
_BAD = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)


def patient(seconds: float, most: int) -> type[PatientConnection]:
    """The connection class with an operator's own patience and this machine's room."""
    own = {"seconds": seconds, "most": most, "unread": {}, "strangers": {}, "rested": {}}
    return type("Connection", (PatientConnection,), own)
