"""Workers that need no store: what a supervisor is tried with, at a hundredth of a relay's weight.

Each answers every request with its process id. The file `behaviour` in the relay's folder says what
those that begin from now on do: serve, refuse, or crash.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from backchannel.server.cli import main
from backchannel.server.process.start import Start
from backchannel.server.process.tether import Tether

PROGRAM = (sys.executable, "-c", "from tests.server.standin import supervise; supervise()")
CRASH = b"GET /crash"
_WORKER = "from tests.server.standin import work; work()"


def supervise() -> None:
    """`serve`, with workers of this kind."""

    def command(start: Start, *more: str) -> list[str]:
        return [sys.executable, "-c", _WORKER, str(start.home.path / "behaviour"), *more]

    Start.command = command  # type: ignore[method-assign,assignment]
    main()


def work() -> None:
    """One worker, to its end."""
    behaviour = Path(sys.argv[1])
    said = behaviour.read_text() if behaviour.exists() else "serve"
    with behaviour.with_name("began").open("a") as file:
        file.write(f"{os.getpid()} {' '.join(sys.argv[2:])}\n")
    if said == "refuse":
        sys.exit(9)
    asyncio.run(_work(crash=said == "crash"))


async def _work(*, crash: bool) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    tether = Tether.of_supervisor()
    assert tether is not None
    for how in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(how, ended.set)
    tether.watch(loop, ended.set)
    servers = [await asyncio.start_server(_answer, sock=each) for each in tether.listeners.sockets]
    tether.ready()
    if crash:
        os.kill(os.getpid(), signal.SIGKILL)
    await ended.wait()
    for each in tether.listeners.sockets:
        loop.remove_reader(each)  # Server.close() would drop what it accepted just now
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others)
    for server in servers:
        server.close()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    asked = await reader.readuntil(b"\r\n\r\n")
    if asked.startswith(CRASH):
        os.kill(os.getpid(), signal.SIGKILL)
    said = str(os.getpid()).encode()
    writer.write(b"HTTP/1.0 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(said), said))
    await writer.drain()
    writer.close()
