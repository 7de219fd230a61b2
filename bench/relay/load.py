"""The load: connections that each send a request made beforehand, and the next when the answer is
whole. The same for a relay, its floors and its peers; what an answer looks like is told by a
`Dialect`.

Owns what is measured of them: answers per second, and how long each took. Makes no request, and
knows nothing of who answers.
"""

import asyncio
import gc
import resource
import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar, final

import uvloop

from bench.relay.place import worked

T = TypeVar("T")
PATIENCE = 120.0
"""Seconds that one round may take."""


class Refused(Exception):
    """An answer that is not what was hoped for, from its beginning."""


class Dialect(ABC):
    """How one connection speaks."""

    def greeting(self) -> bytes:
        """What it says first, to be answered before the clock runs."""
        return b""

    def ask(self, request: bytes) -> bytes:
        """A request as this connection sends it."""
        return request

    @abstractmethod
    def feed(self, data: bytes) -> bool:
        """Whether an answer ends with these bytes; `Refused` for a bad one."""


class Address(NamedTuple):
    """Where somebody listens, and how to speak to them."""

    port: int
    dialect: Callable[[], Dialect]
    pid: int | None = None
    """The process that serves, alone or with its children."""


class Driven(NamedTuple):
    """What a round showed."""

    rate: float
    """Answers a second."""
    p99: float
    """Milliseconds that 99 of 100 answers took at most."""
    median: float
    """Milliseconds."""
    busy: float
    """The share of its core that the load itself took; near 1 it would have been the limit."""
    server: float | None
    """Microseconds of a core that the server took for an answer."""


@final
class Http(Dialect):
    """Answers of HTTP/1.1 that are 200, and say their length or come in chunks."""

    def __init__(self) -> None:
        self._head = b""
        self._left = 0

    def feed(self, data: bytes) -> bool:
        if self._left:
            self._left -= len(data)
            return not self._left
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            return False
        length = _length(self._head[: end + 2])
        if length is None:
            return self._ended()
        self._left = end + 4 + length - len(self._head)
        self._head = b""
        return not self._left

    def _ended(self) -> bool:
        """By the last chunk, which is empty."""
        if not self._head.endswith(b"\r\n0\r\n\r\n"):
            return False
        self._head = b""
        return True


def _length(head: bytes) -> int | None:
    """Of the body; none where it comes in chunks."""
    lower = head.lower()
    at = lower.find(b"content-length:")
    if lower[9:12] != b"200" or (at < 0 and b"chunked" not in lower):
        raise Refused(head.decode("latin-1"))
    return int(lower[at + 15 : lower.index(b"\r\n", at)]) if at > 0 else None


@final
class _Connection(asyncio.Protocol):
    """Sends what `following` gives until it gives no more."""

    def __init__(self, dialect: Dialect, following: Iterator[bytes], took: list[float]) -> None:
        self._dialect, self._following, self._took = dialect, following, took
        loop = asyncio.get_running_loop()
        self.greeted, self.done, self.lost = (loop.create_future() for _ in range(3))
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def greet(self) -> None:
        if words := self._dialect.greeting():
            self._transport.write(words)
        else:
            self.greeted.set_result(None)

    def data_received(self, data: bytes) -> None:
        try:
            whole = self._dialect.feed(data)
        except Refused as error:
            self._fail(error)
            return
        if whole and self.greeted.done():
            self._took.append(time.perf_counter() - self._began)
            self.ask()
        elif whole:
            self.greeted.set_result(None)

    def ask(self) -> None:
        request = next(self._following, None)
        if request is not None:
            self._began = time.perf_counter()
            self._transport.write(self._dialect.ask(request))
        elif not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(error or Refused("the connection was closed"))
        self.lost.set_result(None)

    def close(self) -> None:
        self.greeted.cancel()
        self.done.cancel()
        self._transport.close()

    def _fail(self, error: Exception) -> None:
        for future in (self.greeted, self.done):
            if not future.done():
                future.set_exception(error)


async def drive(address: Address, requests: Iterable[bytes], writers: int) -> Driven:
    """All requests, by so many connections that share them."""
    loop, took = asyncio.get_running_loop(), list[float]()
    following = iter(requests)
    connections = []
    for _ in range(writers):
        _, made = await loop.create_connection(
            lambda: _Connection(address.dialect(), following, took), "127.0.0.1", address.port
        )
        connections.append(made)
    try:
        async with asyncio.timeout(PATIENCE):
            for each in connections:
                each.greet()
            await asyncio.gather(*(each.greeted for each in connections))
            return await _run(connections, took, address.pid)
    finally:
        for each in connections:
            each.close()
        await asyncio.gather(*(each.lost for each in connections))


async def _run(connections: list[_Connection], took: list[float], pid: int | None) -> Driven:
    gc.disable()
    served = worked(pid) if pid else 0.0
    began, own = time.perf_counter(), time.process_time()
    try:
        for each in connections:
            each.ask()
        await asyncio.gather(*(each.done for each in connections))
    finally:
        gc.enable()
    elapsed = time.perf_counter() - began
    busy = (time.process_time() - own) / elapsed
    server = (worked(pid) - served) / len(took) * 1e6 if pid else None
    took.sort()
    p99 = took[int(len(took) * 0.99)]
    return Driven(len(took) / elapsed, p99 * 1000, statistics.median(took) * 1000, busy, server)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """On a fast loop of its own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(coroutine)


def want_connections() -> None:
    """As many as the system grants."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
