"""The loopback end of the sums, over sockets: who is answered, and that nobody holds it up."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from typing import final

import pytest

from backchannel.server.process.exporter import Exporter
from backchannel.server.process.sockets import listen
from tests.server.inside import Loop
from tests.server.plain import received
from tests.support.relay import until

PAGE = b"backchannel_relay_bugs_total 0.0\n"


def free_port() -> int:
    with listen("127.0.0.1", 0) as listener:
        port: int = listener.getsockname()[1]
        return port


@final
class Served:
    """An exporter on a loop in a thread."""

    def __init__(self, *ports: int) -> None:
        self._ports = ports or (free_port(),)
        self._exporter = Exporter(self._ports, lambda: PAGE)
        self._loop = Loop()
        self._loop.run(self._start())

    async def _start(self) -> None:
        self._exporter.start()

    def close(self) -> None:
        async def end() -> None:
            self._exporter.close()
            await asyncio.sleep(0.1)  # as uvicorn lets connections end

        self._loop.run(end())
        self._loop.close()

    def connect(self, which: int = 0) -> socket.socket:
        """Once it listens."""
        for _ in until(60):
            with suppress(ConnectionRefusedError):
                return socket.create_connection(("127.0.0.1", self._ports[which]), timeout=60)
        raise AssertionError

    def told(self, request: bytes, which: int = 0) -> bytes:
        """All that is answered to it, with its headers."""
        with self.connect(which) as plain:
            plain.sendall(request)
            return received(plain)


@pytest.fixture
def served() -> Iterator[Served]:
    with closing(Served()) as served:
        yield served


def asked(host: bytes, line: bytes = b"GET /metrics HTTP/1.1") -> bytes:
    return b"%s\r\nHost: %s\r\nConnection: close\r\n\r\n" % (line, host)


@pytest.mark.parametrize("host", [b"127.0.0.1:9441", b"127.0.0.1", b"localhost:9441", b"LOCALHOST"])
def test_whoever_asks_this_machine_is_told(served: Served, host: bytes) -> None:
    said = served.told(asked(host))
    assert said.startswith(b"HTTP/1.1 200 ")
    assert b"content-type: text/plain; version=0.0.4" in said
    assert b"cache-control: no-store" in said
    assert said.endswith(b"\r\n\r\n" + PAGE)


@pytest.mark.parametrize(
    "host",
    [
        b"relay.example",
        b"127.0.0.1.relay.example",
        b"localhost.relay.example:9441",
        b"www.localhost",
        b"127.0.0.1@relay.example",
        b"2130706433",
        b"0.0.0.0",
        b"[::1]:9441",
        b"",
        b"localhost, relay.example",
    ],
)
def test_attack_a_name_that_was_pointed_here_is_told_nothing(served: Served, host: bytes) -> None:
    """A page that somebody on this machine looks at could else read it (DNS rebinding)."""
    said = served.told(asked(host))
    assert said.startswith(b"HTTP/1.1 400 ")
    assert PAGE not in said


def test_attack_no_name_at_all_is_told_nothing(served: Served) -> None:
    for request in (b"GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n", b"GET /metrics\r\n\r\n"):
        assert PAGE not in served.told(request)


@pytest.mark.parametrize("verb", [b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"])
def test_nothing_but_reading(served: Served, verb: bytes) -> None:
    said = served.told(asked(b"localhost", verb + b" /metrics HTTP/1.1"))
    assert said.startswith(b"HTTP/1.1 405 ")
    assert PAGE not in said


@pytest.mark.parametrize("path", [b"/", b"/v1/relay", b"/metrics/", b"/metrics/x", b"//metrics"])
def test_no_other_page_is_there(served: Served, path: bytes) -> None:
    said = served.told(asked(b"localhost", b"GET %s HTTP/1.1" % path))
    assert PAGE not in said
    assert b"redirect" not in said.lower()


def test_no_other_origin_may_read_it(served: Served) -> None:
    request = asked(b"localhost\r\nOrigin: https://relay.example")
    assert b"access-control" not in served.told(request).lower()


def test_attack_51_headers_without_end_are_cut_off(served: Served) -> None:
    with served.connect() as plain:
        plain.sendall(b"GET /metrics HTTP/1.1\r\nX: " + b"y" * 20_000)
        assert received(plain).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("said", [b"", b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"])
def test_attack_51_who_only_stays_there_makes_room(served: Served, said: bytes) -> None:
    """Whether it was answered or never asked: the monitoring is answered all the same."""
    with ExitStack() as stack:
        staying = [stack.enter_context(served.connect()) for _ in range(8)]
        for plain in staying:
            plain.sendall(said)
            assert not said or plain.recv(10).startswith(b"HTTP/1.1")
        assert served.told(asked(b"localhost")).endswith(PAGE)


def test_it_ends_at_once_with_scrapers_connected() -> None:
    port = free_port()
    served = Served(port)
    with served.connect() as plain:
        plain.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert plain.recv(10).startswith(b"HTTP/1.1")
        served.close()
        while plain.recv(10_000):
            pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=60)


def test_each_worker_has_a_port_of_its_own() -> None:
    ports = (free_port(), free_port())
    with closing(Served(*ports)) as one:
        assert PAGE in one.told(asked(b"localhost"))
        with closing(Served(*ports)) as two:
            assert PAGE in two.told(asked(b"localhost"), 1)


def test_the_next_worker_waits_for_the_port_of_the_one_before() -> None:
    port = free_port()
    before = Served(port)
    assert PAGE in before.told(asked(b"localhost"))
    with closing(Served(port)) as after:
        before.close()
        assert PAGE in after.told(asked(b"localhost"))


def test_whoever_has_the_port_the_relay_ends_as_it_should() -> None:
    with listen("127.0.0.1", 0) as other:
        Served(other.getsockname()[1]).close()
