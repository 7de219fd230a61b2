"""The network of a client in this process, over a poor link on which time is only counted: an hour
of it goes by in seconds, the same way each time. Requests go to a real relay, and its answers come
back; what the link does to them, and how long the relay waits, is computed.

Stands where httpcore's own network stands, below everything that the client does.
"""

import random  # noqa: TID251 - chance that is the same each time, and no secret
import re
from collections.abc import Iterable, Iterator
from typing import Any, final

import httpcore
import pytest

from backchannel.client.machine import clock
from backchannel.server.limits import KEEP_ALIVE
from backchannel.server.settings import Settings
from tests.support.poor_link import DiedError, Line, Link, Way

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_REAL = httpcore.SyncBackend
_TIMEOUT = 20.0  # real seconds, in which a relay beside us answers
_SETTINGS = Settings()


@final
class VirtualNetwork(httpcore.NetworkBackend):
    """One client's way to one relay, and the clock there."""

    def __init__(self, link: Link, seed: int) -> None:
        self.link = link
        self.chance = random.Random(seed)  # noqa: S311 - a model's
        self.there, self.back = Line(), Line()
        self.now = 1.0
        """Seconds since some moment."""
        self.moved = [0, 0]
        """Bytes as the ends wrote them: there, and back."""
        self.connections = 0
        self.broken = 0
        """Connections that ended in the middle of something."""

    def elapsed(self) -> float:
        """In place of the client's clock."""
        return self.now

    def install(self, patch: pytest.MonkeyPatch) -> "VirtualNetwork":
        """Have all that connects from now on go this way."""
        patch.setattr(httpcore, "SyncBackend", lambda: self)
        patch.setattr(clock, "elapsed", self.elapsed)
        return self

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """There and back, each with its chance; the first time-out of a connection is a second."""
        end, again, moment = self.now + (timeout or 0), 1.0, self.now
        while self._lost() or self._lost():
            moment, again = moment + again, again * 2
        if moment + 2 * self.link.delay > end:
            self.now = end
            raise httpcore.ConnectTimeout
        self.now = moment + 2 * self.link.delay
        self.connections += 1
        inner = _REAL().connect_tcp(host, port, _TIMEOUT, local_address, socket_options)
        return _Stream(self, inner)

    def _lost(self) -> bool:
        return self.chance.random() < self.link.loss


@final
class _Stream(httpcore.NetworkStream):
    def __init__(self, network: VirtualNetwork, inner: httpcore.NetworkStream) -> None:
        self._network = network
        self._inner = inner
        self._there = Way(network.link, network.there, network.chance)
        self._back = Way(network.link, network.back, network.chance)
        self._due = network.now + network.link.delay + _SETTINGS.header_seconds
        """When the relay is tired of waiting, at its end."""
        self._answered = 0.0
        """When it had the whole request."""
        self._dead: float | None = None
        self._answer = b""
        self._coming: Iterator[tuple[float, int]] = iter(())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Into the system's hands at once; it is some time until the relay has it."""
        first = 0.0
        try:
            for arrival, size in self._there.carry(self._network.now, len(buffer)):
                self._network.moved[0] += size
                first = first or arrival
                self._arrived(first, arrival)
        except DiedError as error:
            self._dead = error.moment
            return
        self._inner.write(buffer, _TIMEOUT)

    def _arrived(self, first: float, last: float) -> None:
        """The relay has as long for a request's head and the first of its body, and for the rest,
        as its operator says.
        """
        due = self._due if first == last else first + _SETTINGS.body_seconds
        if last > due:
            raise DiedError(due + self._network.link.delay)
        self._answered = last

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """One segment, when it comes."""
        network = self._network
        end = network.now + (timeout or 0)
        try:
            arrival, size = self._next()
        except DiedError as error:
            self._dead = error.moment
            return self._break(end)
        if arrival > end:
            network.now = end
            network.broken += 1
            raise httpcore.ReadTimeout
        network.now = max(network.now, arrival)
        network.moved[1] += size
        data, self._answer = self._answer[:size], self._answer[size:]
        return data

    def _next(self) -> tuple[float, int]:
        if self._dead is not None:
            raise DiedError(self._dead)
        if not self._answer:
            self._answer = self._whole()
            self._coming = self._back.carry(self._answered, len(self._answer))
            self._due = self._answered + KEEP_ALIVE
        return next(self._coming)

    def _break(self, end: float) -> bytes:
        network = self._network
        network.broken += 1
        if self._dead is None or self._dead > end:
            network.now = end
            raise httpcore.ReadTimeout
        network.now = max(network.now, self._dead)
        raise httpcore.ReadError

    def _whole(self) -> bytes:
        held = b""
        while True:
            held += self._inner.read(1 << 20, _TIMEOUT)
            head, found, body = held.partition(b"\r\n\r\n")
            length = _LENGTH.search(head)
            if found and len(body) >= int(length[1] if length else 0):
                return held

    def close(self) -> None:
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        """A connection on which nothing was said for long is closed by the relay."""
        if info == "is_readable":
            return self._network.now - self._network.link.delay > self._due
        return self._inner.get_extra_info(info)
