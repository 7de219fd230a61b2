"""The HTTP connections: uvicorn's, with bounds on what a client may send before its request has begun.

uvicorn waits for headers without end and takes them at any length. Knows no path and no body.
"""

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from backchannel.server.limits import HEADERS


class PatientConnection(HttpToolsProtocol):
    """Closes unless a request's headers are there within `seconds`, in at most `HEADERS` bytes."""

    seconds: ClassVar[float] = 10.0

    _timer: asyncio.TimerHandle | None = None
    _size = 0
    """Bytes since the last request's headers ended; bodies do not count."""
    _in_headers = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._in_headers:
            self._size += len(data)
        super().data_received(data)
        if self._in_headers and self._size > HEADERS:
            self._refuse()

    def on_message_begin(self) -> None:
        self._in_headers = True
        if self._timer is None:
            self._begin()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._stop()
        self._in_headers, self._size = False, 0
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        del msg
        self._refuse()

    def _begin(self) -> None:
        self._timer = self.loop.call_later(self.seconds, self._too_slow)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()

    def _refuse(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(_BAD)
            self.transport.close()


_BODY = b'{"code":"malformed"}'
_BAD = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)


def patient(seconds: float) -> type[asyncio.Protocol]:
    """The connection class with an operator's own patience."""
    return type("Connection", (PatientConnection,), {"seconds": seconds})
