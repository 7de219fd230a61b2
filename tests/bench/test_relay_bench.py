"""The relay's benchmark is honest: it counts whole answers and nothing else, and whoever could not
be had is not beaten.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import pytest

from bench.libsignal import Missing
from bench.relay import beside
from bench.relay.findings import Findings
from bench.relay.load import Address, Dialect, Driven, Http, Refused, drive
from bench.relay.peers.jetstream import Nats
from bench.relay.peers.nostr import WebSocket
from bench.relay.peers.redis import BATCH, Resp
from bench.side_by_side import SideBySide

_HTTP = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
_CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
_OK = b'["OK","ab",true,""]'
_WHOLE: dict[str, tuple[Callable[[], Dialect], bytes, bytes]] = {
    "length": (Http, b"", _HTTP),
    "chunks": (Http, b"", _CHUNKED),
    "nats": (Nats, b"INFO {}\r\nPONG\r\n", b'MSG _INBOX.1 1 25\r\n{"stream":"B", "seq":1}\r\n'),
    "redis": (Resp, b"", b"$15\r\n1763807000000-0\r\n" * BATCH),
    "nostr": (WebSocket, b"HTTP/1.1 101 Go\r\n\r\n", b"\x81" + bytes([len(_OK)]) + _OK),
}
_BAD: dict[str, tuple[Callable[[], Dialect], bytes, bytes]] = {
    "status": (Http, b"", b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"),
    "neither length nor chunks": (Http, b"", b"HTTP/1.1 200 OK\r\n\r\n"),
    "nats": (Nats, b"PONG\r\n", b'MSG _INBOX.1 1 2\r\n{"error":{"code":503}}\r\n'),
    "redis": (Resp, b"", b"$15\r\n1763807000000-0\r\n-OOM no\r\n"),
    "nostr": (WebSocket, b"HTTP/1.1 101 Go\r\n\r\n", b"\x81\x0f" + b'["OK","",false]'),
}


@pytest.mark.parametrize("name", _WHOLE)
def test_an_answer_counts_once_and_only_when_it_is_whole(name: str) -> None:
    kind, greeting, answer = _WHOLE[name]
    dialect = kind()
    if greeting:
        assert [dialect.feed(greeting[i : i + 1]) for i in range(len(greeting))].count(True) == 1
    for _ in range(2):
        fed = [dialect.feed(answer[i : i + 1]) for i in range(len(answer))]
        assert fed == [False] * (len(answer) - 1) + [True]
        assert dialect.feed(answer)


@pytest.mark.parametrize("name", _BAD)
def test_a_refusal_counts_as_no_answer(name: str) -> None:
    kind, greeting, answer = _BAD[name]
    dialect = kind()
    if greeting:
        assert dialect.feed(greeting)
    with pytest.raises(Refused):
        dialect.feed(answer)


class _Server(asyncio.Protocol):
    """Answers each four bytes alike."""

    def __init__(self, answer: bytes, asked: list[bytes]) -> None:
        self._answer, self._asked = answer, asked
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._asked.append(data)
        self._transport.write(self._answer)

    def connection_lost(self, _error: Exception | None) -> None:
        self.lost.set_result(None)


@asynccontextmanager
async def _server(answer: bytes, asked: list[bytes]) -> AsyncIterator[Address]:
    connections = list[_Server]()

    def connect() -> _Server:
        connections.append(_Server(answer, asked))
        return connections[-1]

    loop = asyncio.get_running_loop()
    server = await loop.create_server(connect, "127.0.0.1", 0)
    try:
        yield Address(server.sockets[0].getsockname()[1], Http)
    finally:
        server.close()
        await asyncio.gather(*(each.lost for each in connections))


async def _driven(answer: bytes, requests: list[bytes], asked: list[bytes]) -> Driven:
    async with _server(answer, asked) as address:
        return await drive(address, requests, 3)


def test_each_request_is_sent_once() -> None:
    requests, asked = [b"%04d" % number for number in range(50)], list[bytes]()
    driven = asyncio.run(_driven(_HTTP, requests, asked))
    assert sorted(asked) == requests
    assert driven.rate > 0
    assert driven.p99 >= driven.median > 0


def test_a_round_with_a_refusal_has_no_rate() -> None:
    with pytest.raises(Refused):
        asyncio.run(_driven(_BAD["status"][2], [b"0000"] * 9, []))


def test_a_ratio_is_of_neighbours() -> None:
    """A machine that is ten times as fast for one round moves nothing."""
    speed = iter([1.0, 1.0, 1.0, 1.0, 10.0, 10.0, 1.0, 1.0])
    measured = SideBySide(3, {"one": lambda: 3.0 * next(speed), "other": lambda: next(speed)})
    assert measured.ratio("one", "other") == 3.0


def test_who_is_missing_is_not_beaten() -> None:
    def nobody() -> NoReturn:
        raise Missing("it cannot be had")

    found = Findings()
    way = beside.Way(list, 1, 1)
    beside.compare(found, 5, "append_vs_synapse", nobody, None, way)  # type: ignore[arg-type]
    document = found.document()
    assert document["append_vs_synapse"] is None
    assert document["missing"] == {"synapse": "it cannot be had"}
    assert document["reached"] == {"append_vs_synapse": None}


def test_goals_are_held_against_figures() -> None:
    found = Findings(ratios={"append_vs_floor": 0.7, "waiting_kib": 20.0, "bulk_read_vs_mac": 0.1})
    assert found.document()["reached"] == {
        "append_vs_floor": True,
        "waiting_kib": False,
        "bulk_read_vs_mac": None,
    }
