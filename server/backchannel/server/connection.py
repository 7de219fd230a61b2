"""The HTTP connections: uvicorn's, with bounds on what a client may send before its request has
begun, after its body, and beside it.

uvicorn waits for headers without end, takes them at any length, takes trailers too, queues requests
that nobody answered yet, and waits as long for a client that does not read its answer. Knows no
path and no body.
"""

import asyncio
import sys
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from backchannel.server.limits import HEADERS


class PipelinedError(Exception):
    """A request before the last one was answered. A queue of them in one packet is megabytes."""


class PatientConnection(HttpToolsProtocol):
    """Closes unless a request's headers are there within `seconds`, in at most `HEADERS` bytes."""

    seconds: ClassVar[float] = 10.0
    most: ClassVar[int] = 1000
    """Connections; the next is closed at once, before the system runs out of descriptors."""

    _timer: asyncio.TimerHandle | None = None
    """Of headers that are awaited, or of the end."""
    _watcher: asyncio.TimerHandle | None = None
    """Of an answer that is not read."""
    _size = 0
    """Bytes since the last request's headers ended that were no body: headers, trailers, frames."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._begin()
        if len(self.connections) > self.most:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        self._unwatch()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._timer is None and self._idle():
            self._begin()  # even blank lines: they would else keep it open for ever
        self._size += len(data)
        super().data_received(data)
        if self._size > HEADERS:
            self._refuse()

    def on_headers_complete(self) -> None:
        if not self._idle():
            raise PipelinedError
        self._stop()
        self._size = 0
        super().on_headers_complete()
        self._mind(self.cycle)

    def on_body(self, body: bytes) -> None:
        self._size = max(0, self._size - len(body))
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        del msg
        self._refuse()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch(sys.maxsize)

    def resume_writing(self) -> None:
        self._unwatch()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._begin()

    def _mind(self, cycle: RequestResponseCycle) -> None:
        """Answer nobody on a connection that is closing, which uvicorn calls a bug in its log; and
        close none without a term.
        """
        send = cycle.send

        async def careful(message: Any) -> None:
            if not self.transport.is_closing():
                await send(message)
            if self.transport.is_closing():
                self._begin()

        cycle.send = careful  # type: ignore[method-assign]

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

    def _idle(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn's type forgets the beginning
        return cycle is None or cycle.response_complete

    def _begin(self) -> None:
        """What is to come now, headers or the end, comes in time."""
        self._stop()
        self._timer = self.loop.call_later(self.seconds, self._too_slow)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self.transport.abort()  # close() would wait for a client that reads nothing

    def _refuse(self) -> None:
        if not self._idle() and self.cycle.response_started:
            self.transport.abort()
        elif not self.transport.is_closing():
            self.transport.write(_BAD)
            self.transport.close()
            self._begin()


_BODY = b'{"code":"malformed"}'
_BAD = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)


def patient(seconds: float, most: int) -> type[PatientConnection]:
    """The connection class with an operator's own patience and this machine's room."""
    return type("Connection", (PatientConnection,), {"seconds": seconds, "most": most})
