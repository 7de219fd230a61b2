"""Attack class 51: what the pieces of a request, or of its answer, may cost or hold."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from backchannel.server import exchange
from backchannel.server.connection import patient
from backchannel.server.limits import FIELDS, HEADERS

POST = b"POST / HTTP/1.1\r\nhost: x\r\n"
GET = b"GET / HTTP/1.1\r\nhost: x\r\n"


async def at_once(_scope: Any, _receive: Any, send: Any) -> None:
    """Answers, whatever else is to come."""
    size = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": size})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[socket.socket]:
    """A client of an application behind our connections. They share one loop: what is sent before
    the client waits arrives in one piece.
    """
    config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_keep_alive=1)
    config.load()
    kind, state = patient(60, 10), ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: kind(config, state, {}), "127.0.0.1", 0)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        client.setblocking(False)
        await loop.sock_connect(client, server.sockets[0].getsockname())
        yield client
    server.close()
    for each in list(state.connections):
        each.transport.abort()
    await asyncio.sleep(0)


async def said(client: socket.socket) -> bytes:
    return await asyncio.get_running_loop().sock_recv(client, 65_536)


@pytest.mark.asyncio
async def test_attack_51_small_pieces_of_a_body_cost_what_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each piece added up all before it: a packet of 120 kB stopped the relay for four seconds."""
    count = 2000
    lengths = 0

    def counted(chunk: bytes) -> int:
        nonlocal lengths
        lengths += 1
        return len(chunk)

    monkeypatch.setattr(exchange, "len", counted, raising=False)
    bodies: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        while message["more_body"]:
            message = await receive()
        bodies.append(lengths)
        await at_once(scope, receive, send)

    async with served(app) as client:
        pieces = b"1\r\na\r\n" * count
        client.sendall(POST + b"transfer-encoding: chunked\r\n\r\n" + pieces + b"0\r\n\r\n")
        assert (await said(client)).endswith(b"ok")
    assert bodies[0] <= 3 * count


@pytest.mark.asyncio
@pytest.mark.parametrize("line", [b"a:\r\n", b"a: " + b"b" * 4000 + b"\r\n"])
async def test_attack_51_headers_that_come_in_one_piece_are_bounded_too(line: bytes) -> None:
    """The count began anew where they ended: 120 kB of them became ten megabytes for as long as
    the request was in hand.
    """
    begun: list[object] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        begun.append(scope)
        await at_once(scope, receive, send)

    async with served(app) as client:
        client.sendall(GET + line * (5 * HEADERS // len(line)) + b"\r\n")
        assert (await said(client)).startswith(b"HTTP/1.1 400 ")
    assert not begun


@pytest.mark.asyncio
@pytest.mark.parametrize("trailers", [False, True])
async def test_attack_51_many_short_headers_are_refused(*, trailers: bool) -> None:
    """16 kB of them, which were allowed, took half a megabyte for each stranger who was slow."""
    begun: list[object] = []

    async def app(scope: Any, receive: Any, _send: Any) -> None:
        begun.append(scope)
        while (await receive())["type"] != "http.disconnect":
            pass

    many = b"a:\r\n" * (FIELDS + 1)
    assert len(many) < HEADERS // 10
    async with served(app) as client:
        if trailers:
            client.sendall(POST + b"transfer-encoding: chunked\r\n\r\n0\r\n" + many)
        else:
            client.sendall(POST + b"content-length: 9\r\n" + many)
        assert (await said(client)).startswith(b"HTTP/1.1 400 ")
    assert len(begun) == trailers


@pytest.mark.asyncio
async def test_as_many_headers_as_a_proxy_may_add_are_taken() -> None:
    async with served(at_once) as client:
        client.sendall(GET + b"a: b\r\n" * (FIELDS - 1) + b"\r\n")
        assert (await said(client)).endswith(b"ok")


@pytest.mark.asyncio
async def test_attack_51_a_body_that_nobody_wants_does_not_hold_a_connection() -> None:
    """It was answered; one more byte of its body, and nothing was awaited from it ever again."""
    async with served(at_once) as client:
        client.sendall(GET + b"content-length: 9\r\n\r\n")
        assert (await said(client)).endswith(b"ok")
        client.sendall(b"a")
        assert await asyncio.wait_for(said(client), 20) == b""


@pytest.mark.asyncio
async def test_attack_51_nor_does_one_that_goes_on_and_on() -> None:
    async with served(at_once) as client:
        client.sendall(GET + b"content-length: 999999999\r\n\r\n")
        assert (await said(client)).endswith(b"ok")
        ended = asyncio.create_task(said(client))
        async with asyncio.timeout(20):
            while not ended.done():
                try:
                    await asyncio.get_running_loop().sock_sendall(client, b"a")
                except ConnectionError:
                    break
                await asyncio.sleep(0.01)
        ended.cancel()
        await asyncio.gather(ended, return_exceptions=True)


@pytest.mark.asyncio
async def test_attack_115_who_was_not_asked_for_a_body_is_not_heard_on() -> None:
    """A proxy that was answered instead gives the connection to somebody else, whose request would
    be taken for the body that never came.
    """
    async with served(at_once) as client:
        client.sendall(POST + b"content-length: 200\r\nexpect: 100-continue\r\n\r\n")
        answer = await said(client)
        assert b"connection: close\r\n" in answer
        assert answer.endswith(b"ok")
        assert await asyncio.wait_for(said(client), 20) == b""
