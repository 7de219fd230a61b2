"""Attack class 51: clients that send or read slowly, or without end, hold nothing for long."""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from backchannel.client.wire.relay import PATIENCE
from backchannel.protocol.drop import Operation, Read
from backchannel.protocol.types import Hour
from backchannel.server.settings import Settings
from tests.server.certificates import make_certificate
from tests.server.plain import connection, received
from tests.support.relay import (
    HTTP,
    PROGRAM,
    DropClient,
    RelayProcess,
    noise,
    running_relay,
    until,
)


@pytest.fixture(scope="module")
def impatient() -> Iterator[RelayProcess]:
    """A relay that gives headers and bodies half a second."""
    with running_relay(start=False) as relay:
        config = relay.data / "relay.toml"
        config.write_text("header_seconds = 0.5\nbody_seconds = 0.5\n")
        yield relay.start()


@pytest.mark.parametrize("begun", [b"", b"\r\n", b"POST /v1/read HTTP/1.1\r\nhost: x\r\n"])
def test_attack_51_slow_headers_end_the_connection(impatient: RelayProcess, begun: bytes) -> None:
    with connection(impatient) as plain:
        plain.sendall(begun)
        began = time.monotonic()
        assert received(plain) == b""
        assert time.monotonic() - began < 50


def test_attack_51_slow_headers_after_a_good_request_end_the_connection(
    impatient: RelayProcess,
) -> None:
    with connection(impatient) as plain:
        plain.sendall(b"GET /v1/relay HTTP/1.1\r\nhost: x\r\n\r\n")
        said = b""
        while b"max_blocks" not in said:
            said += plain.recv(65_536)
        plain.sendall(b"\r\n")
        began = time.monotonic()
        assert received(plain) == b""
        assert time.monotonic() - began < 50


def test_attack_51_a_slow_body_is_malformed(impatient: RelayProcess) -> None:
    with connection(impatient) as plain:
        plain.sendall(b"POST /v1/read HTTP/1.1\r\nhost: x\r\ncontent-length: 84\r\n\r\nabc")
        assert plain.recv(65_536).startswith(b"HTTP/1.1 422")


def test_attack_51_headers_without_end_are_refused(impatient: RelayProcess) -> None:
    with connection(impatient) as plain:
        plain.sendall(b"GET /v1/relay HTTP/1.1\r\nx: " + b"a" * 60_000)
        assert received(plain).startswith((b"HTTP/1.1 400", b""))
    assert HTTP.get(f"{impatient.url}/v1/relay").status_code == 200


def keep_sending(plain: socket.socket, data: bytes) -> None:
    for _ in until(60):
        plain.sendall(data)


def test_attack_51_an_answer_that_nobody_reads_is_dropped(impatient: RelayProcess) -> None:
    client = DropClient.connect(impatient.url)
    client.create(impatient.voucher())
    client.append(*noise(64))
    with connection(impatient) as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        asked = client.request(Operation.READ, Read(1, Hour(0), 64, 0).pack()).pack()
        head = b"POST /v1/read HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(asked)
        with pytest.raises(ConnectionError):
            keep_sending(plain, head + asked)


def test_attack_51_many_slow_clients_leave_others_served(impatient: RelayProcess) -> None:
    client = DropClient.connect(impatient.url)
    client.create(impatient.voucher())
    slow = [
        socket.create_connection(("127.0.0.1", urlsplit(impatient.url).port or 0))
        for _ in range(100)
    ]
    for plain in slow:
        plain.sendall(b"POST /v1/append HTTP/1.1\r\nhost: x\r\ncontent-length: 4164\r\n\r\n")
    client.append(*noise())
    for plain in slow:
        plain.close()
    assert len(client.read().rows) == 1


def test_attack_51_slow_bodies_make_room_for_others(tmp_path: Path) -> None:
    """A stranger begins as many requests as there are places, and never ends them."""
    relay = RelayProcess.make(tmp_path / "relay")
    (relay.data / "relay.toml").write_text("most_requests = 4\n")
    relay.start()
    client = DropClient.connect(relay.url)
    client.create(relay.voucher())
    with ExitStack() as many:
        slow = [many.enter_context(connection(relay)) for _ in range(8)]
        for plain in slow:
            plain.sendall(b"POST /v1/append HTTP/1.1\r\nhost: x\r\ncontent-length: 4164\r\n\r\nx")
            assert HTTP.get(f"{relay.url}/v1/relay").status_code == 200  # so they come in order
        for plain in slow[:4]:
            assert plain.recv(65_536).startswith(b"HTTP/1.1 503"), "the first to come go first"
        client.append(*noise())
    assert len(client.read().rows) == 1
    assert relay.stop() == 0


def test_attack_51_who_comes_slowly_is_not_pushed_out_by_who_hardly_comes(tmp_path: Path) -> None:
    """A stranger who began bodies all the time, a byte of each, had all others come again."""
    relay = RelayProcess.make(tmp_path / "relay")
    (relay.data / "relay.toml").write_text("most_requests = 4\n")
    relay.start()
    client = DropClient.connect(relay.url)
    client.create(relay.voucher())
    body = client.request(Operation.APPEND, b"".join(noise(64))).pack()
    with ExitStack() as many:
        honest = many.enter_context(connection(relay))
        honest.sendall(
            b"POST /v1/append HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
        )
        pieces = [body[at : at + 32_768] for at in range(0, len(body), 32_768)]
        for piece in pieces:
            honest.sendall(piece)
            for _ in range(5):
                plain = many.enter_context(connection(relay))
                plain.sendall(b"POST /v1/append HTTP/1.1\r\ncontent-length: 4164\r\n\r\nx")
                assert HTTP.get(f"{relay.url}/v1/relay").status_code == 200
        assert honest.recv(65_536).startswith(b"HTTP/1.1 200")
    assert len(client.read().rows) == 64
    assert relay.stop() == 0


def test_attack_51_past_the_most_connections_the_next_is_closed(tmp_path: Path) -> None:
    """With few descriptors: refused at the door, rather than failing inside."""
    command = ["sh", "-c", 'ulimit -n 80; exec "$@"', "sh", *PROGRAM]
    relay = RelayProcess.make(tmp_path / "relay")
    relay.start(program=command)
    with ExitStack() as many:
        kept = [many.enter_context(connection(relay)) for _ in range(40)]
        time.sleep(0.5)
        closed = [plain for plain in kept if ended(plain)]
        assert 20 <= len(closed) < 40
    for _ in until(60):
        try:
            assert HTTP.get(f"{relay.url}/v1/relay").status_code == 200
        except httpx.HTTPError:
            continue
        break
    assert relay.stop() == 0


@pytest.mark.parametrize("said", [b"", b"POST /v1/read HTTP/1.1\r\nhost: x\r\n"])
def test_attack_51_who_asks_for_nothing_makes_room_for_who_does(
    tmp_path: Path, said: bytes
) -> None:
    """Connections cost a stranger little, and are let wait for long: lines are bad."""
    command = ["sh", "-c", 'ulimit -n 80; exec "$@"', "sh", *PROGRAM]
    relay = RelayProcess.make(tmp_path / "relay")
    relay.start(program=command)
    with ExitStack() as many:
        kept = many.enter_context(httpx.Client(trust_env=False))
        assert kept.get(f"{relay.url}/v1/relay").status_code == 200
        for _ in range(40):
            many.enter_context(connection(relay)).sendall(said)
        assert HTTP.get(f"{relay.url}/v1/relay").status_code == 200, "the next is let in"
        assert kept.get(f"{relay.url}/v1/relay").status_code == 200, "who was served stays"
    assert relay.stop() == 0


def test_attack_171_who_asked_once_and_rests_makes_room_for_who_comes(tmp_path: Path) -> None:
    """And who is slow to say something is not pushed out for it."""
    command = ["sh", "-c", 'ulimit -n 80; exec "$@"', "sh", *PROGRAM]
    relay = RelayProcess.make(tmp_path / "relay")
    relay.start(program=command)
    with ExitStack() as many:
        slow = many.enter_context(connection(relay))
        slow.sendall(b"GET /v1/relay HTTP/1.1\r\n")
        for _ in range(40):
            plain = many.enter_context(connection(relay))
            plain.sendall(b"GET /v1/relay HTTP/1.1\r\nhost: x\r\n\r\n")
            assert plain.recv(65_536).startswith(b"HTTP/1.1 200")
        slow.sendall(b"host: x\r\nconnection: close\r\n\r\n")
        assert received(slow).startswith(b"HTTP/1.1 200")
    assert relay.stop() == 0


def test_attack_171_who_begins_no_handshake_makes_room_for_who_does(tmp_path: Path) -> None:
    command = ["sh", "-c", 'ulimit -n 80; exec "$@"', "sh", *PROGRAM]
    certificate, key = make_certificate(tmp_path)
    relay = RelayProcess.make(tmp_path / "relay")
    (relay.data / "relay.toml").write_text(f"tls_cert = '{certificate}'\ntls_key = '{key}'\n")
    relay.start(program=command)
    tls = ssl.create_default_context(cafile=str(certificate))
    with ExitStack() as many:
        for _ in range(100):
            many.enter_context(connection(relay))
        with httpx.Client(verify=tls, trust_env=False) as client:
            url = relay.url.replace("127.0.0.1", "localhost")
            assert client.get(f"{url}/v1/relay").status_code == 200
    assert relay.stop() == 0


def test_who_is_far_away_has_time_to_say_something(tmp_path: Path) -> None:
    """Time goes by ten times as fast: after 24 seconds comes what was lost once and again."""
    faster = 10
    relay = RelayProcess.make(tmp_path / "relay")
    patience = Settings().header_seconds / faster
    (relay.data / "relay.toml").write_text(f"header_seconds = {patience}\n")
    relay.start()
    with connection(relay) as plain:
        time.sleep(24 / faster)
        plain.sendall(b"GET /v1/relay HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert received(plain).startswith(b"HTTP/1.1 200")
    assert relay.stop() == 0


def test_a_relay_waits_no_shorter_than_a_client_does() -> None:
    """With a body it has as long as it does for a relay that has answered before."""
    assert Settings().header_seconds >= PATIENCE
    assert Settings().body_seconds >= 2 * PATIENCE


def ended(plain: socket.socket) -> bool:
    plain.setblocking(False)
    try:
        return plain.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


def waited(client: DropClient, seconds: int) -> float:
    """Seconds in which a read of an empty drop is answered that would wait so long."""
    began = time.monotonic()
    assert client.read(wait=seconds).rows == ()
    return time.monotonic() - began


def test_a_reader_that_leaves_frees_its_place(tmp_path: Path) -> None:
    relay = RelayProcess.make(tmp_path / "relay")
    (relay.data / "relay.toml").write_text("most_waiting = 1\n")
    relay.start()
    client = DropClient.connect(relay.url)
    client.create(relay.voucher())
    asked = client.request(Operation.READ, Read(1, Hour(0), 1, 60).pack()).pack()
    for _ in until(60):
        with connection(relay) as plain:
            head = b"POST /v1/read HTTP/1.1\r\nhost: x\r\ncontent-length: 84\r\n\r\n"
            plain.sendall(head + asked)
            time.sleep(0.5)
            if waited(client, 2) < 2:  # the one place is taken
                break
    next(each for each in until(60) if waited(client, 2) > 1.5)  # it is free, so this one waits
    assert relay.stop() == 0


def test_a_relay_that_ends_is_not_held_by_a_slow_client(tmp_path: Path) -> None:
    relay = RelayProcess.make(tmp_path / "relay").start()
    with connection(relay) as plain:
        plain.sendall(b"POST /v1/read HTTP/1.1\r\nhost: x\r\ncontent-length: 84\r\n\r\nabc")
        time.sleep(0.3)
        began = time.monotonic()
        assert relay.stop() == 0
        assert time.monotonic() - began < 8
        assert not received(plain).startswith(b"HTTP/1.1 500")
