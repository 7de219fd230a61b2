"""Taking connections in turns: nobody is lost, neither when descriptors run out nor at the end."""

import asyncio
import os
import resource
import socket
from pathlib import Path

import pytest

from backchannel.server.process import turns
from backchannel.server.process.turns import Turns


class Greeting(asyncio.Protocol):
    """Says that it is there, and closes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"here")
        transport.close()


async def greeted(client: socket.socket) -> bytes:
    client.setblocking(False)
    return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 100), 30)


def filled() -> list[int]:
    """No number below the highest of these is free."""
    highest = max(int(each.name) for each in Path("/proc/self/fd").iterdir())
    return [os.dup(0) for _ in range(highest)]


@pytest.mark.asyncio
async def test_everybody_of_a_crowd_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        taking = Turns(listener, Greeting)
        clients = [socket.create_connection(listener.getsockname()) for _ in range(20)]
        for client in clients:
            with client:
                assert await greeted(client) == b"here"
        taking.close()
        await taking.wait_closed()


@pytest.mark.asyncio
async def test_attack_51_without_a_descriptor_to_give_it_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And does not spin meanwhile, nor forget who waits."""
    monkeypatch.setattr(turns, "_PAUSE", 0.05)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taking = Turns(listener, Greeting)
        with socket.create_connection(listener.getsockname()) as client:
            holes = filled()
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(holes) + 1, limits[1]))
            try:
                answer = asyncio.create_task(greeted(client))
                await asyncio.sleep(0.2)
                assert not answer.done()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
                for hole in holes:
                    os.close(hole)
            assert await answer == b"here"
        taking.close()


@pytest.mark.asyncio
async def test_nobody_is_taken_any_more_once_it_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taking = Turns(listener.dup(), Greeting)
        taking.close()
        with socket.create_connection(listener.getsockname()) as client:
            await asyncio.sleep(0.05)
            client.setblocking(False)
            with pytest.raises(BlockingIOError):
                client.recv(1)
