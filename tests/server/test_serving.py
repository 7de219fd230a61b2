"""How a relay's process ends and begins anew: nobody is refused, nobody is left without an answer,
and what is wrong with relay.toml is found before the relay that works is gone.
"""

import asyncio
import os
import pty
import resource
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from backchannel.protocol.drop import Operation, Page, Read
from backchannel.protocol.types import Hour
from backchannel.server.limits import WAITING_OF_DROP
from tests.server.certificates import make_certificate
from tests.server.plain import connection, received
from tests.server.writing import complete, drop_of, progress, writing
from tests.support.relay import (
    PROGRAM,
    DropClient,
    RefusedError,
    RelayProcess,
    noise,
    run,
    running_relay,
    until,
)

GET = b"GET /v1/relay HTTP/1.1\r\nhost: x\r\n\r\n"
READERS = 1200
ROUNDS = 4


@pytest.fixture
def relay() -> Iterator[RelayProcess]:
    with running_relay() as relay:
        yield relay


def logged(relay: RelayProcess, text: str) -> None:
    """Wait until the relay said this."""
    for _ in until(60):
        if text in relay.log.read_text():
            return


def hup(relay: RelayProcess) -> None:
    assert relay.process is not None
    relay.process.send_signal(signal.SIGHUP)


def test_hup_begins_anew_with_what_relay_toml_says_now(relay: RelayProcess) -> None:
    before, client, process = relay.url, drop_of(relay), relay.process
    assert process is not None
    (relay.data / "relay.toml").write_text("quota = 1\n")
    relay.begin_anew()
    assert relay.url == before
    assert process is relay.process
    assert process.poll() is None
    with pytest.raises(RefusedError, match="507 quota"):
        client.append(*noise(2))
    assert run("health", "--data", str(relay.data)).returncode == 0
    assert relay.stop() == 0
    assert not (relay.data / "relay.address").exists()


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("quota = 'many'", "quota"),
        ("[[[", "cannot be read"),
        ("tls_cert = '/none'\ntls_key = '/none'", "TLS certificate"),
        ("port = 1\nhost = '192.0.2.1'", ""),
    ],
)
def test_hup_with_a_bad_file_leaves_the_relay_as_it_is(
    relay: RelayProcess, wrong: str, why: str
) -> None:
    client = drop_of(relay)
    (relay.data / "relay.toml").write_text(wrong + "\n")
    hup(relay)
    logged(relay, "relay.toml is not taken over")
    assert why in relay.log.read_text()
    assert client.append(*noise())
    (relay.data / "relay.toml").write_text("")
    relay.begin_anew()
    assert len(client.read().rows) == 1


def test_hups_while_it_begins_anew_do_not_end_it(relay: RelayProcess) -> None:
    process = relay.process
    assert process is not None
    for _ in range(200):
        hup(relay)
        assert process.poll() is None
        time.sleep(0.02)  # so that they come at every moment of it
    drop_of(relay)
    assert process.poll() is None


def test_hup_with_a_broken_program_leaves_the_relay_as_it_is(
    relay: RelayProcess, tmp_path: Path
) -> None:
    """As in the middle of an upgrade, or after one that failed."""
    relay.stop()
    relay.start(env={**os.environ, "PYTHONPATH": str(tmp_path)})
    (tmp_path / "uvicorn.py").write_text("an upgrade that broke off")
    hup(relay)
    logged(relay, "the program cannot be loaded")
    drop_of(relay)
    (tmp_path / "uvicorn.py").unlink()
    relay.begin_anew()


def test_hup_moves_to_another_port_only_once_it_is_had(relay: RelayProcess) -> None:
    relay.stop()
    config = relay.data / "relay.toml"
    config.write_text("port = 0\n")
    relay.port = ()
    relay.start()
    before = relay.url
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config.write_text(f"port = {port}\n")
        hup(relay)
        logged(relay, f"cannot listen on 127.0.0.1 port {port}")
        drop_of(relay)
    relay.begin_anew()
    assert relay.url == f"http://127.0.0.1:{port}" != before
    drop_of(relay)


def test_hup_takes_a_renewed_certificate(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    relay = RelayProcess.make(tmp_path / "relay")
    (relay.data / "relay.toml").write_text(f"tls_cert = '{certificate}'\ntls_key = '{key}'\n")
    relay.start()
    shown = [shown_by(relay)]
    make_certificate(tmp_path)
    relay.begin_anew()
    shown.append(shown_by(relay))
    assert relay.stop() == 0
    assert shown[0] != shown[1] == certificate.read_text()


def shown_by(relay: RelayProcess) -> str:
    import ssl

    address = urlsplit(relay.url)
    return ssl.get_server_certificate((str(address.hostname), int(address.port or 0)))


def test_hup_is_no_confirmation_of_a_clock_that_leapt(relay: RelayProcess) -> None:
    """`--accept-clock` was said once, about one leap."""
    relay.restart("--accept-clock")
    relay.move_clock(48)
    hup(relay)
    assert relay.process is not None
    assert relay.process.wait(60) == 6
    assert "the clock is" in relay.log.read_text()


def test_a_connection_that_was_just_made_is_answered_across_hup(relay: RelayProcess) -> None:
    """Its request may be under way while the relay begins anew."""
    reader = drop_of(relay)
    told = threading.Thread(target=lambda: reader.read(wait=60))
    told.start()
    with connection(relay) as silent, connection(relay) as late:
        late.sendall(GET[:20])
        hup(relay)
        told.join()  # who waits is told first that the relay is leaving
        silent.sendall(GET)
        late.sendall(GET[20:])
        for each in (silent, late):
            answer = received(each)
            assert answer.startswith(b"HTTP/1.1 200")
            assert b"connection: close" in answer


@pytest.mark.slow
def test_writers_notice_nothing_of_a_relay_that_begins_anew(relay: RelayProcess) -> None:
    """Round after round: no refused connection, no broken one, each block there once."""
    with writing(relay) as writers:
        for _ in range(ROUNDS):
            relay.begin_anew()
            progress(writers)
    complete(writers)


@pytest.mark.slow
def test_everybody_who_waits_is_answered_when_a_relay_ends(relay: RelayProcess) -> None:
    """Who is not in time is told `busy`, so that a page tells of an end in time."""
    (relay.data / "relay.toml").write_text(f"most_requests = {READERS}\n")  # they come at once
    relay.begin_anew()
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < READERS + 200:
        pytest.skip(f"this system grants {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    clients = [drop_of(relay) for _ in range(READERS // WAITING_OF_DROP + 1)]
    pages = asyncio.run(wait_all(relay, [clients[i % len(clients)] for i in range(READERS)]))
    assert pages == [Page(1, False, ())] * READERS


async def wait_all(relay: RelayProcess, clients: list[DropClient]) -> list[Page]:
    """What each reader is told, when the relay ends with all of them waiting."""
    assert relay.process is not None
    address, hour = urlsplit(relay.url), clients[0].hour()

    async def wait(client: DropClient) -> Page:
        keys = client.keys(Operation.READ)
        payload = Read(1, Hour(0), 64, 60).pack()
        request = client.request_at(Operation.READ, payload, hour, keys)
        body = request.pack()
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        head = f"POST /v1/read HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        answer = await reader.read()
        writer.close()
        status, said = answer[9:12], answer.partition(b"\r\n\r\n")[2]
        return Page.read(request.read_answer(int(status), said, keys))

    files = f"/proc/{relay.process.pid}/fd"
    before = len(os.listdir(files))  # noqa: PTH208
    waiting = [asyncio.create_task(wait(client)) for client in clients]
    while len(os.listdir(files)) < before + len(clients):  # noqa: PTH208, ASYNC110
        await asyncio.sleep(0.05)
    code = await asyncio.to_thread(relay.stop)
    assert code == 0
    return await asyncio.gather(*waiting)


def test_a_terminal_that_hangs_up_ends_the_relay(tmp_path: Path) -> None:
    """To a service HUP says: begin anew. Somebody who closed a window means the end."""
    relay = RelayProcess.make(tmp_path / "relay")
    terminal, line = pty.openpty()
    controlling = "import fcntl, os, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    program = (*PROGRAM[:2], controlling + PROGRAM[2])
    relay.start(program=program, stdin=line)
    os.close(line)
    os.close(terminal)
    assert relay.process is not None
    assert relay.process.wait(60) == 0
    assert not (relay.data / "relay.address").exists()
