"""One request on a connection and its answer, as an ASGI application sees them.

An answer goes out whole, in one write: uvicorn's own makes two, each a call of the system, and
looks through every header for what only a foreign application would put there. Knows no path.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, final

_LINES: Final = {
    each.value: b"HTTP/1.1 %d %s\r\n" % (each.value, each.phrase.encode("ascii"))
    for each in HTTPStatus
}
_BUFFERED: Final = 64 * 1024  # bytes of a body that nobody took yet; then no more is read
_WHOLE: Final = 4096  # bytes of an answer that cost less to copy than to send in pieces
_GONE: Final = {"type": "http.disconnect"}


@final
class Exchange:
    """Begins with a request's headers; ends with its answer, or with its client."""

    __slots__ = (
        "_asked",
        "_body",
        "_continue",
        "_head",
        "_held",
        "_leaving",
        "_more",
        "_news",
        "_paused",
        "_transport",
        "_waiter",
        "_written",
        "answered",
        "gone",
        "keep_alive",
        "started",
        "task",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        written: Callable[[], None],
        *,
        keep_alive: bool,
        head: bool,
        continues: bool,
    ) -> None:
        """`written` is called once the answer is; `head` is for a method that takes no body back;
        `continues` for a client that waits to be asked for the body.
        """
        self._transport = transport
        self._written = written
        self._head = head
        self._continue = continues
        self._body: list[bytes] = []
        self._held = 0
        """Bytes of it."""
        self._more = True
        self._news = False
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._leaving: Callable[[], None] | None = None
        self._asked: Any = None
        self.keep_alive = keep_alive
        self.started = False
        self.answered = False
        self.gone = False
        self.task: asyncio.Task[None] | None = None
        """Who answers it."""

    # --- the connection's side -------------------------------------------------------------------

    @property
    def whole(self) -> bool:
        """Whether the body is here."""
        return not self._more

    def take(self, chunk: bytes) -> None:
        """More of the body."""
        self._body.append(chunk)
        self._held += len(chunk)
        if len(self._body) > 1 and self._held > _BUFFERED and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._tell()

    def end(self) -> None:
        """The body is whole."""
        self._more = False
        self._tell()

    def leave(self) -> None:
        """The client is gone."""
        self.gone = True
        self._tell()
        if self._leaving is not None:
            self._leaving()

    def _tell(self) -> None:
        self._news = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- the application's side ------------------------------------------------------------------

    def when_gone(self, call: Callable[[], None] | None) -> None:
        """Have this called when the client goes, once at most; costs no task that waits for it."""
        self._leaving = call
        if self.gone and call is not None:
            call()

    async def receive(self) -> dict[str, Any]:
        """ASGI's: the body as it comes, then the end."""
        if self._continue and not self._transport.is_closing():
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._continue = False
        while not (self._news or self.gone or self.answered):
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self.gone or self.answered:
            return _GONE
        self._news = False
        body, self._body, self._held = b"".join(self._body), [], 0
        self._resume()
        return {"type": "http.request", "body": body, "more_body": self._more}

    def _resume(self) -> None:
        if self._paused and not self._transport.is_closing():
            self._transport.resume_reading()
        self._paused = False

    async def send(self, message: Any) -> None:
        """ASGI's, for an answer in one piece."""
        if message["type"] == "http.response.start":
            self.started = True
            self._asked = message
        elif not self.answered:
            self._answer(message["body"])

    def _answer(self, body: bytes) -> None:
        self.answered = True
        if self.gone or self._transport.is_closing():
            return
        if self._continue and self._more:  # what comes next may be a body or another request
            self.keep_alive = False
        lines = [_LINES[self._asked["status"]]]
        for name, value in self._asked["headers"]:
            lines += (name, b": ", value, b"\r\n")
            if name == b"connection" and value == b"close":
                self.keep_alive = False
        lines.append(b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")
        if self._head:
            body = b""
        if len(body) < _WHOLE:
            self._transport.write(b"".join((*lines, body)))
        else:
            self._transport.writelines((b"".join(lines), body))
        self._resume()
        self._tell()
        self._written()
