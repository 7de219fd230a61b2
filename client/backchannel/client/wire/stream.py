"""The bytes of one connection, counted; and how long one exchange over it may take: as long as it
gets on.

A link of 2 kB/s is given the time that it needs. A relay that dawdles is not, whatever it sends
meanwhile. Knows no HTTP.
"""

import socket
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, final

import httpcore

from backchannel.client.machine import clock

CONNECT: Final = 30.0
"""Seconds until a connection stands: a machine that is gone does not say so."""
ADDRESSES: Final = 8
"""Of one name, at most, to which a connection is tried."""
FLOOR: Final = 200
"""Bytes a second, either way: where fewer go there is no more time. A link of 2 kB/s that loses a
third of all packets, far away, has some 300 left in the mean.
"""
EARNED: Final = 120.0
"""Seconds that bytes earn in one exchange at most: where more are needed, less should be asked."""
HEADS: Final = 16_384
"""Bytes of an answer beside its body: headers, and what a server may say before and between."""
GREETING: Final = 6_000
"""Bytes of a TLS handshake, which happens below what is counted here: certificates are most of it.
"""
_PIECE: Final = 16_384
"""Bytes that go out under one look at the time: a system call has it anew each time it gets on."""


class TooMuchError(Exception):
    """More came than one exchange may bring."""


@final
class Deadline:
    """The moment that all reads and writes of one exchange share; what moves puts it off. And how
    much it may bring.
    """

    def __init__(self, sign: Callable[[float], None] = lambda _after: None) -> None:
        """`sign` hears of each step forward, and how many seconds it took."""
        self._sign = sign
        self._began = self._heard = self._stepped = self._patience = self._wait = 0.0
        self._came = self._most = self._written = 0

    def set(self, patience: float, wait: float = 0, most: int = HEADS, written: int = 0) -> None:
        """From now on: `patience` is seconds of silence, `wait` those that the relay was asked to
        wait before it answers, `most` the bytes that may come. `written` are those of the question,
        which take their time, though nobody can say how far they are.
        """
        self._most, self._written = most, written
        self._began = self._heard = self._stepped = clock.elapsed()
        self._patience, self._wait, self._came = patience, wait, 0

    def read(self, count: int) -> None:
        """Bytes have come."""
        self._came += count
        if self._came > self._most:
            raise TooMuchError
        self._heard = clock.elapsed()
        self.step()

    @property
    def room(self) -> int:
        """Bytes to read at most, of which the last is too many."""
        return max(0, self._most - self._came) + 1

    def step(self) -> None:
        """Whoever is there said something, if only that it is there; it earns no time."""
        now = clock.elapsed()
        self._sign(max(0.0, now - self._stepped - self._wait))
        self._stepped = now

    def left(self, late: type[Exception]) -> float:
        """Seconds; raises `late` where none are."""
        earned = min((self._written + self._came) / FLOOR, EARNED)
        ends = self._began + self._wait + self._patience + earned
        if self._heard > self._began:
            ends = min(ends, self._heard + self._patience)
        left = ends - clock.elapsed()
        if left <= 0:
            raise late
        return left


@final
class Backend(httpcore.NetworkBackend):
    """Connections under one deadline; `count` hears of every byte."""

    def __init__(self, deadline: Deadline, count: Callable[[int], None]) -> None:
        self._deadline = deadline
        self._count = count
        self._inner = httpcore.SyncBackend()
        self._latest: httpcore.NetworkStream | None = None

    def close(self) -> None:
        """Whatever the library has not closed."""
        if self._latest is not None:
            self._latest.close()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """One at a time: the one before is done with. Of a name's addresses the first that lets it,
        all under the one deadline: a name may stand for hundreds where nobody answers.
        """
        del timeout
        self.close()
        refused: Exception = httpcore.ConnectError()
        for address in _addresses(host, port):
            left = min(CONNECT, self._deadline.left(httpcore.ConnectTimeout))
            try:
                stream = self._inner.connect_tcp(address, port, left, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                refused = error
                continue
            self._deadline.step()
            self._latest = Stream(stream, self._deadline, self._count)
            return self._latest
        raise refused


def _addresses(host: str, port: int) -> list[str]:
    """Of a name, in the system's order."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore.ConnectError(str(error)) from None
    return [str(where[0]) for *_, where in found[:ADDRESSES]]


@final
class Stream(httpcore.NetworkStream):
    """What is written goes out in one piece, with the first read after it. In pieces of its own a
    request's head is lost as easily as all of it, and a relay that has half a request hangs up.
    """

    def __init__(
        self, inner: httpcore.NetworkStream, deadline: Deadline, count: Callable[[int], None]
    ) -> None:
        self._inner = inner
        self._deadline = deadline
        self._count = count
        self._held = bytearray()

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Whatever comes next; empty at the end."""
        del timeout
        with suppress(httpcore.WriteError):  # who hung up may have said why
            self._flush()
        most, left = min(max_bytes, self._deadline.room), self._deadline.left(httpcore.ReadTimeout)
        data = self._inner.read(most, left)
        self._count(len(data))
        self._deadline.read(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Keep it for the next read."""
        del timeout
        self._held += buffer

    def _flush(self) -> None:
        data, self._held = bytes(self._held), bytearray()
        for start in range(0, len(data), _PIECE):
            piece = data[start : start + _PIECE]
            self._count(len(piece))
            self._inner.write(piece, self._deadline.left(httpcore.WriteTimeout))

    def close(self) -> None:
        """Hang up; what was not sent is not."""
        with suppress(OSError):
            self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        """The same under TLS."""
        del timeout
        self._flush()
        left = min(CONNECT, self._deadline.left(httpcore.ConnectTimeout))
        inner = self._inner.start_tls(ssl_context, server_hostname, left)
        self._count(GREETING)
        self._deadline.step()
        return Stream(inner, self._deadline, self._count)

    def get_extra_info(self, info: str) -> Any:
        """As the library knows it."""
        return self._inner.get_extra_info(info)
