"""Several workers on one PostgreSQL, as an operator runs them."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from backchannel.protocol.drop import Page
from tests.server.conftest import use
from tests.server.writing import complete, drop_of, progress, writing
from tests.support.postgres import Postgres
from tests.support.relay import DropClient, RelayProcess, run, until

ROUNDS = 2
KILLS = 2


@pytest.fixture
def relay(postgres: Postgres, template: str, tmp_path: Path) -> Iterator[RelayProcess]:
    relay = RelayProcess.make(tmp_path / "relay")
    url = postgres.fresh(template)
    use(relay.data, url, workers=2)
    yield relay.start()
    relay.stop()
    postgres.drop(url)


def workers(relay: RelayProcess) -> list[int]:
    """Their process ids."""
    assert relay.process is not None
    process = relay.process.pid
    return [
        int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()
    ]


@pytest.mark.slow
def test_writers_notice_nothing_of_workers_that_are_replaced(relay: RelayProcess) -> None:
    first = workers(relay)
    with writing(relay) as writers:
        for _ in range(ROUNDS):
            relay.begin_anew()
            progress(writers)
    complete(writers)
    assert len(workers(relay)) == 2
    assert not set(first) & set(workers(relay))


@pytest.mark.slow
def test_attack_56_a_worker_that_is_killed_loses_nothing(relay: RelayProcess) -> None:
    """Whose connection broke sends the same again, and it stands there once."""
    with writing(relay, stubborn=True) as writers:
        for kill in range(1, KILLS + 1):
            progress(writers)
            os.kill(workers(relay)[0], signal.SIGKILL)
            for _ in until(60):
                if relay.log.read_text().count("a worker ended (-9)") == kill:
                    break
        progress(writers)
    complete(writers)
    for _ in until(60):
        if len(workers(relay)) == 2:
            break
    assert run("health", "--data", str(relay.data)).returncode == 0


def test_who_waits_at_a_worker_that_leaves_is_answered(relay: RelayProcess) -> None:
    clients = [drop_of(relay) for _ in range(8)]
    pages: list[Page] = []

    def wait(client: DropClient) -> None:
        pages.append(client.read(wait=60))

    waiting = [threading.Thread(target=wait, args=(client,)) for client in clients]
    for each in waiting:
        each.start()
    relay.begin_anew()
    for each in waiting:
        each.join(60)
    assert pages == [Page(1, more=False, rows=())] * len(clients)


def test_workers_share_who_comes_at_once(relay: RelayProcess) -> None:
    """Clients keep their connections: whoever took them all would do all the work."""
    before = [sockets_of(worker) for worker in workers(relay)]
    address = urlsplit(relay.url)
    with ExitStack() as stack:
        for _ in range(64):
            where = (str(address.hostname), address.port)
            client = stack.enter_context(socket.create_connection(where, 30))
            client.sendall(b"GET /v1/relay HTTP/1.1\r\nhost: x\r\n\r\n")
            stack.callback(client.recv, 100)
        for _ in until(60):
            now = [sockets_of(worker) for worker in workers(relay)]
            if sum(now) - sum(before) >= 60:
                break
    assert all(after - then >= 4 for then, after in zip(before, now, strict=True))


def sockets_of(process: int) -> int:
    count = 0
    for file in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            count += str(file.readlink()).startswith("socket:")
    return count
