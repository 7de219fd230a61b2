"""Attack classes 51 and 52: what one stranger or one member can make a relay hold or do."""

import asyncio
import re
import resource
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from backchannel.protocol.drop import Operation, Read
from backchannel.protocol.types import DropId, Hour
from backchannel.server import connection as connections
from backchannel.server import room, wakeup
from backchannel.server.connection import patient
from backchannel.server.limits import HEADERS
from backchannel.server.repository import Repository
from backchannel.server.wakeup import Wakeup
from tests.server.certificates import make_certificate
from tests.server.inside import Inside
from tests.server.plain import connection, received
from tests.support.relay import (
    HTTP,
    DropClient,
    RefusedError,
    RelayProcess,
    noise,
    running_relay,
    until,
)

GET = b"GET /v1/relay HTTP/1.1\r\nhost: x\r\n\r\n"
CHUNKED = b"POST /v1/read HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def quiet() -> Iterator[RelayProcess]:
    """A relay whose log is looked at."""
    with running_relay() as relay:
        yield relay
        relay.stop()
        assert "ERROR" not in relay.log.read_text(), "nothing that a stranger sends is a bug"


def taken(plain: socket.socket, piece: bytes, most: int) -> int:
    """How many bytes of an endless stream the relay takes before it hangs up."""
    sent = 0
    try:
        while sent < most:
            sent += plain.send(piece)
    except ConnectionError:
        pass
    return sent


def described(plain: socket.socket) -> bool:
    said = b""
    while b"max_blocks" not in said and (piece := plain.recv(65_536)):
        said += piece
    return b"max_blocks" in said


@pytest.mark.parametrize(
    "endless", [b"a: b\r\n" * 5000, b"a" * 30_000], ids=["many lines", "one line"]
)
def test_attack_51_trailers_without_end_are_refused(quiet: RelayProcess, endless: bytes) -> None:
    """They come after the headers and are not body, so that no other bound held them."""
    most = 64 << 20
    with connection(quiet) as plain:
        plain.sendall(CHUNKED + b"0\r\nx: ")
        assert taken(plain, endless, most) < most


def test_attack_51_chunk_extensions_without_end_are_refused(quiet: RelayProcess) -> None:
    most = 64 << 20
    with connection(quiet) as plain:
        plain.sendall(CHUNKED + b"1;")
        assert taken(plain, b"a" * 30_000, most) < most


def test_a_chunked_body_of_the_largest_size_is_taken(quiet: RelayProcess) -> None:
    """Frames of it count, and its bytes do not."""
    client = DropClient.connect(quiet.url)
    client.create(quiet.voucher())
    body = client.request(Operation.APPEND, b"".join(noise(64))).pack()
    pieces = (body[at : at + 1400] for at in range(0, len(body), 1400))
    answer = HTTP.post(f"{quiet.url}/v1/append", content=pieces)
    assert len(body) > HEADERS
    assert answer.status_code == 200


def test_attack_51_a_queue_of_requests_is_refused(quiet: RelayProcess) -> None:
    """One packet held thousands, and each cost kilobytes."""
    with connection(quiet) as plain:
        plain.sendall(GET * 1000)
        said = received(plain)
    assert said.count(b"HTTP/1.1 ") <= 1
    with connection(quiet) as plain:
        for _ in range(3):
            plain.sendall(GET)
            assert described(plain), "one after the other they are answered"


def test_attack_55_who_hangs_up_before_the_answer_is_no_bug(quiet: RelayProcess) -> None:
    for ending in (b"", b"\x00 nonsense\r\n\r\n"):
        with connection(quiet) as plain:
            plain.sendall(CHUNKED + b"5\r\nabcde\r\n" + ending)
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0] + [0] * 4))
    assert HTTP.get(f"{quiet.url}/v1/relay").status_code == 200


def test_attack_51_a_handshake_that_does_not_come_ends_the_connection(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path)
    options = ("--tls-cert", str(certificate), "--tls-key", str(key))
    relay = RelayProcess.make(tmp_path / "relay", *options)
    (relay.data / "relay.toml").write_text("header_seconds = 0.5\n")
    relay.start()
    with connection(relay) as plain:
        began = time.monotonic()
        assert received(plain) == b""
        assert time.monotonic() - began < 30
    with connection(relay) as plain:
        context = ssl.create_default_context(cafile=str(certificate))
        context.check_hostname = False
        with context.wrap_socket(plain) as safe:
            safe.sendall(GET)
            assert described(safe)
    assert relay.stop() == 0


def resident(relay: RelayProcess) -> int:
    """Bytes of memory that its process holds."""
    assert relay.process is not None
    status = Path(f"/proc/{relay.process.pid}/status").read_text("ascii")
    return int(re.findall(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)[0]) * 1024


def sockets(relay: RelayProcess) -> int:
    """How many files and connections its process holds open."""
    assert relay.process is not None
    return len([*Path(f"/proc/{relay.process.pid}/fd").iterdir()])


BEGINNINGS = [
    b"",
    b"POST /v1/append HTTP/1.1\r\nhost: x\r\nx-many: " + b"a" * 8000,
    b"POST /v1/append HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\n" + b"a" * 2000,
    b"POST /v1/read HTTP/1.1\r\nhost: x\r\ncontent-length: 84\r\n\r\n" + b"a" * 84,
]


@pytest.mark.slow
def test_attack_51_ten_thousand_strangers_take_little_memory_and_no_more_the_next_time(
    tmp_path: Path,
) -> None:
    """Silent, in the middle of a header or a body, or refused: and members are served."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(10_000, hard - 500)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    relay = RelayProcess.make(tmp_path / "relay")
    (relay.data / "relay.toml").write_text("header_seconds = 300\nbody_seconds = 300\n")
    client = DropClient.connect(relay.start().url)
    client.create(relay.voucher())
    before, peaks = resident(relay), []
    for _ in range(2):
        with ExitStack() as many:
            for number in range(count):
                stranger = many.enter_context(connection(relay))
                stranger.sendall(BEGINNINGS[number % len(BEGINNINGS)])
            client.append(*noise(64))
            assert len(client.read().rows) == 64
            peaks.append(resident(relay) - before)
        next(each for each in until(60) if sockets(relay) < count // 100)  # they have gone
    assert peaks[0] < count * 16_384
    assert peaks[1] < peaks[0] * 1.2 + (16 << 20)
    assert relay.stop() == 0
    assert "ERROR" not in relay.log.read_text()


class Unread(asyncio.Transport):
    """A connection whose other end reads nothing, so that it never closes by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = asyncio.Event()
        self.closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 1

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.aborted.set()


@pytest.mark.asyncio
@pytest.mark.parametrize("said", [b"nonsense\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n", b""])
async def test_attack_51_closing_does_not_wait_for_who_does_not_read(said: bytes) -> None:
    """A refusal, an answer that is the last, an idle end: each closes, then hangs up."""

    async def app(_scope: object, _receive: object, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(app, log_config=None, lifespan="off")
    config.load()
    spoken = patient(0.1, 10)(config=config, server_state=ServerState(), app_state={})
    transport = Unread()
    spoken.connection_made(transport)
    if said:
        spoken.data_received(said)
    else:
        spoken.shutdown()
    await asyncio.wait_for(transport.aborted.wait(), 10)
    assert transport.closing
    spoken.connection_lost(None)


@pytest.mark.asyncio
async def test_attack_51_answers_that_are_not_read_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is up to 262 kB, where the system does not take it: who is slow for longest makes room,
    and who reads on counts no more.
    """
    monkeypatch.setattr(connections, "UNREAD", 3)

    async def app(_scope: object, _receive: object, _send: object) -> None: ...

    config = uvicorn.Config(app, log_config=None, lifespan="off")
    config.load()
    kind, state, transports = patient(60, 100), ServerState(), [Unread() for _ in range(6)]
    made = [kind(config, state, {}) for _ in transports]
    for each, transport in zip(made, transports, strict=True):
        each.connection_made(transport)
    for each in made[:4]:
        each.pause_writing()
    assert [transport.aborted.is_set() for transport in transports] == [True] + [False] * 5
    made[1].resume_writing()
    made[4].pause_writing()
    assert not any(transport.aborted.is_set() for transport in transports[1:])
    made[5].pause_writing()
    assert [transport.aborted.is_set() for transport in transports] == [
        True, False, True, False, False, False,
    ]  # fmt: skip
    for each in made:
        each.connection_lost(None)
    assert not kind.unread


@pytest.mark.asyncio
async def test_attack_52_one_drop_does_not_take_all_that_may_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wakeup, "WAITING_OF_DROP", 2)
    bells = Wakeup(10)
    crowded, other = DropId(bytes(16)), DropId(bytes(15) + b"1")
    with ExitStack() as many:
        waiting = [many.enter_context(bells.listen(crowded)) for _ in range(3)]
        bells.ring(crowded)
        assert [await bell.rung(60) for bell in waiting] == [True, True, False]
        late = many.enter_context(bells.listen(other))
        bells.ring(other)
        assert await late.rung(60)


def test_attack_52_a_read_of_late_hours_looks_at_few_rows(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """84 bytes made the store read a whole drop, and find nothing."""
    client = inside.drop()
    for _ in range(4):
        client.append(*noise(64))
    looks: list[int] = []
    came = Repository._came

    def counted(self: Repository, number: int, first: int, since: Hour) -> bool:
        looks.append(first)
        return came(self, number, first, since)

    monkeypatch.setattr(Repository, "_came", counted)
    assert client.read(hour=2**32 - 1).rows == ()
    assert len(looks) <= 10


def test_pages_from_any_hour_hold_what_came_since(inside: Inside) -> None:
    client = inside.drop()
    hour, positions = client.hour(), {}
    for ahead in (0, 1, 1, 3):
        inside.move_clock(ahead)
        positions[client.append(*noise())[0].position] = hour + ahead
    for since in range(5):
        for first in range(1, 6):
            rows = client.read(position=first, hour=hour + since).rows
            since_then = [at for at, came in positions.items() if came >= hour + since]
            assert [row.position for row in rows] == [at for at in since_then if at >= first]


def test_attack_53_blocks_leave_room_for_forgetting(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are deleted by writing to the log first: on a full disk they could not go."""
    monkeypatch.setattr(room, "LOOK_EVERY", 0)
    client = inside.drop()
    client.append(*noise())
    with monkeypatch.context() as patch:
        patch.setattr(room, "RESERVED", 1 << 62)
        with pytest.raises(RefusedError, match="503 busy"):
            client.append(*noise())
        assert len(client.read().rows) == 1
        client.seal()
    client.delete()


def test_an_unauthenticated_read_never_waits(inside: Inside) -> None:
    asked = inside.drop().with_wrong_key()
    payload = Read(1, Hour(0), 1, 60).pack()
    began = time.monotonic()
    with pytest.raises(RefusedError, match="404 unknown-drop"):
        asked.send(asked.request(Operation.READ, payload))
    assert time.monotonic() - began < 50
