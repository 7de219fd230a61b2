"""Attack classes 49 to 56 on a relay, by their numbers in the list of classes."""

import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from backchannel.protocol import drop as protocol_drop
from backchannel.protocol.drop import Operation, Read, show_voucher
from backchannel.protocol.primitives import X25519Public, dh
from backchannel.protocol.secret import X25519Private
from backchannel.protocol.types import Hour
from backchannel.server.authorize import Floor
from backchannel.server.limits import FLOOR
from backchannel.server.repository import Repository
from tests.server.inside import Inside, Opener
from tests.support.relay import (
    HTTP,
    DropClient,
    RefusedError,
    RelayProcess,
    noise,
    running_relay,
    until,
)


def refused(client: DropClient, operation: Operation = Operation.READ) -> httpx.Response:
    """The whole answer to a request that should not be carried out."""
    payload = {
        Operation.READ: Read(1, Hour(0), 1, 0).pack(),
        Operation.APPEND: noise()[0],
    }.get(operation, b"")
    request = client.request(operation, payload)
    return client.http.post(f"{client.url}/v1/{operation.name.lower()}", content=request.pack())


def with_wrong_key(client: DropClient) -> DropClient:
    return DropClient(client.http, client.relay, client.url, client.drop)


@pytest.mark.parametrize(
    "operation", [Operation.APPEND, Operation.READ, Operation.SEAL, Operation.DELETE]
)
def test_attack_49_unknown_drop_and_wrong_key_answer_alike(
    inside: Inside, operation: Operation
) -> None:
    wrong = refused(with_wrong_key(inside.drop()), operation)
    unknown = refused(inside.stranger(), operation)
    assert wrong.status_code == unknown.status_code == 404
    assert wrong.content == unknown.content == b'{"code":"unknown-drop"}'
    assert wrong.headers == unknown.headers


def test_attack_49_a_create_tells_nobody_without_the_key_that_a_drop_is_there(
    inside: Inside,
) -> None:
    client = inside.drop()
    stranger = inside.stranger()
    request = stranger.request(Operation.CREATE, bytes(81))
    taken = request._replace(drop=client.drop)
    answers = [
        inside.http.post("http://relay/v1/create", content=asked.pack())
        for asked in (request, taken)
    ]
    assert [answer.json() for answer in answers] == [{"code": "unknown-drop"}] * 2


def test_attack_50_refusals_wait_for_the_floor_after_the_same_work(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = inside.drop()
    slept: list[float] = []
    exchanges: list[X25519Public] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    def counted(private: X25519Private, public: X25519Public) -> bytes:
        if private == inside.relay.authorizer._private:
            exchanges.append(public)
        return dh(private, public)

    monkeypatch.setattr(protocol_drop, "dh", counted)
    inside.relay.floor = Floor(FLOOR, monotonic=lambda: 7.0, sleep=sleep)
    work = []
    for asking in (with_wrong_key(client), inside.stranger()):
        exchanges.clear()
        assert refused(asking).status_code == 404
        work.append(len(exchanges))
    assert work == [1, 1]
    assert slept == [FLOOR, FLOOR]
    assert client.read().rows == ()
    assert slept == [FLOOR, FLOOR]


def test_attack_50_the_floor_counts_from_the_whole_request(open_inside: Opener) -> None:
    """Else a slow sender would see past it."""
    inside = open_inside()
    marks: list[float] = []
    ticks = iter(range(100))

    async def sleep(seconds: float) -> None:
        marks.append(seconds)

    inside.relay.floor = Floor(10.0, monotonic=lambda: next(ticks), sleep=sleep)
    assert refused(inside.stranger()).status_code == 404
    assert marks == [9.0]  # two marks, before and after the body; the later one counts


@contextmanager
def connection(relay: RelayProcess) -> Iterator[socket.socket]:
    address = urlsplit(relay.url)
    assert address.hostname is not None
    with socket.create_connection((address.hostname, address.port), timeout=20) as plain:
        yield plain


def received(plain: socket.socket) -> bytes:
    """Everything until the relay closes; nothing where it resets."""
    pieces = []
    try:
        while piece := plain.recv(65_536):
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces)


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
        assert time.monotonic() - began < 5


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
        assert time.monotonic() - began < 5


def test_attack_51_a_slow_body_is_malformed(impatient: RelayProcess) -> None:
    with connection(impatient) as plain:
        plain.sendall(b"POST /v1/read HTTP/1.1\r\nhost: x\r\ncontent-length: 84\r\n\r\nabc")
        assert plain.recv(65_536).startswith(b"HTTP/1.1 422")


def test_attack_51_headers_without_end_are_refused(impatient: RelayProcess) -> None:
    with connection(impatient) as plain:
        plain.sendall(b"GET /v1/relay HTTP/1.1\r\nx: " + b"a" * 60_000)
        assert received(plain).startswith((b"HTTP/1.1 400", b""))
    assert HTTP.get(f"{impatient.url}/v1/relay").status_code == 200


def test_attack_51_an_answer_that_nobody_reads_is_dropped(impatient: RelayProcess) -> None:
    client = DropClient.connect(impatient.url)
    client.create(impatient.voucher())
    client.append(*noise(64))
    with connection(impatient) as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        asked = client.request(Operation.READ, Read(1, Hour(0), 64, 0).pack()).pack()
        head = b"POST /v1/read HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(asked)
        plain.sendall((head + asked) * 40)
        with pytest.raises(ConnectionError):
            for _ in until(10):
                plain.sendall(b"x")


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


def test_attack_52_a_full_drop_is_told_and_others_go_on(open_inside: Opener) -> None:
    inside = open_inside(quota=3)
    client, other = inside.drop(), inside.drop()
    blocks = noise(3)
    client.append(*blocks)
    with pytest.raises(RefusedError, match="507 quota"):
        client.append(*noise())
    assert client.append(*blocks)[0].position == 1, "what is there costs nothing"
    other.append(*noise(3))


def test_attack_52_an_append_past_the_quota_is_refused_whole(open_inside: Opener) -> None:
    client = open_inside(quota=3).drop()
    client.append(*noise(2))
    with pytest.raises(RefusedError, match="507 quota"):
        client.append(*noise(2))
    assert client.read().following == 3


def test_attack_52_expired_blocks_make_room(open_inside: Opener) -> None:
    inside = open_inside(quota=1)
    client = inside.drop(keep=0)
    client.append(*noise())
    inside.move_clock(24)
    inside.sweep()
    assert client.append(*noise())[0].position == 2


def test_attack_53_a_full_disk_is_busy_and_nothing_is_lost(inside: Inside) -> None:
    client = inside.drop()
    kept = [noise()[0] for _ in range(4)]
    for block in kept:
        client.append(block)

    def full(store: Repository, _hour: Hour) -> None:
        (pages,) = store._driver.execute("PRAGMA page_count").fetchone()
        store._driver.execute(f"PRAGMA max_page_count = {pages}")

    inside.write(full)
    with pytest.raises(RefusedError, match="503 busy"):
        client.append(*noise(64))
    assert [row.block for row in client.read().rows] == kept
    inside.write(lambda store, _: store._driver.execute("PRAGMA max_page_count = 1073741823"))
    assert client.append(*noise())[0].position == 5


LEAKS = re.compile(rb"127\.0\.0\.1|\b4096\b|\b4164\b|Traceback|/v1/")


def test_attack_55_the_log_of_a_whole_session_says_nothing(tmp_path: Path) -> None:
    with running_relay(start=False) as relay:
        (relay.data / "relay.toml").write_text(
            'log_level = "debug"\nquota = 2\nbody_seconds = 0.2\n'
        )
        relay.start()
        client = DropClient.connect(relay.url)
        voucher = relay.voucher()
        client.create(voucher)
        client.append(*noise(2))
        client.read(wait=1)
        for attempt in (
            lambda: client.append(*noise()),
            lambda: client.append(b"short"),
            lambda: with_wrong_key(client).read(),
            lambda: DropClient.connect(relay.url).create(voucher),
        ):
            with pytest.raises(RefusedError):
                attempt()
        with connection(relay) as plain:
            plain.sendall(b"NONSENSE \x00\xff\r\n\r\n")
            received(plain)
        with connection(relay) as plain:
            plain.sendall(b"POST /v1/read HTTP/1.1\r\nhost: x\r\ncontent-length: 84\r\n\r\nabc")
            plain.recv(100)
        client.seal()
        client.delete()
        relay.restart()
        relay.kill()
        said = relay.log.read_bytes()
    lines = [line for line in said.splitlines() if not line.startswith(b"listening on ")]
    assert not LEAKS.search(b"\n".join(lines))
    port = str(urlsplit(relay.url).port).encode()
    for secret in (client.drop.hex().encode(), show_voucher(voucher).encode(), port):
        assert secret not in b"\n".join(lines)


def test_attack_55_a_bug_is_logged_by_its_place_only(
    inside: Inside, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from backchannel.server import logs

    def broken(*_arguments: object, **_named: object) -> None:
        msg = f"secret {client.drop.hex()}"
        raise KeyError(msg)

    client = inside.drop()
    with logs_of_a_relay(logs):
        monkeypatch.setattr(inside.relay.authorizer, "of_drop", broken)
        with pytest.raises(RefusedError, match="503 busy"):
            client.read()
    said = capsys.readouterr().err
    assert said.startswith("ERROR a bug in answering a request")
    assert "KeyError at test_attacks.py" in said
    assert "secret" not in said
    assert client.drop.hex() not in said


@contextmanager
def logs_of_a_relay(logs: object) -> Iterator[None]:
    import logging

    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    root.handlers = []
    logs.configure("debug")  # type: ignore[attr-defined]
    try:
        yield
    finally:
        root.handlers, root.level = before
        logging.captureWarnings(capture=False)


def test_attack_56_the_writer_waits_for_the_disk(inside: Inside) -> None:
    def pragmas(store: Repository, _hour: Hour) -> list[object]:
        names = ("synchronous", "journal_mode", "secure_delete", "foreign_keys")
        return [store._driver.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert inside.write(pragmas) == [2, "wal", 1, 1]


@pytest.mark.slow
def test_attack_56_acknowledged_blocks_survive_kill_9(tmp_path: Path) -> None:
    relay = RelayProcess.make(tmp_path / "relay").start()
    client = DropClient.connect(relay.url)
    client.create(relay.voucher())
    acknowledged: list[bytes] = []
    for _ in range(6):
        client.url = relay.url
        threads = [
            threading.Thread(target=keep_writing, args=(client, acknowledged)) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.2 + os.urandom(1)[0] / 1000)
        relay.kill()
        for thread in threads:
            thread.join()
        relay.start()
    client.url = relay.url
    found = everything(client)
    relay.stop()
    assert len(acknowledged) > 8
    assert set(acknowledged) <= set(found)
    assert len(found) == len(set(found))


def keep_writing(client: DropClient, acknowledged: list[bytes]) -> None:
    while True:
        (block,) = noise()
        try:
            client.append(block)
        except httpx.HTTPError:
            return
        acknowledged.append(block)


def everything(client: DropClient) -> list[bytes]:
    blocks: list[bytes] = []
    position, more = 1, True
    while more:
        page = client.read(position=position)
        blocks += [row.block for row in page.rows]
        position, more = page.following, page.more
    return blocks
