"""How long an exchange may take: silence ends it, and dawdling; a slow link has its time."""

import socket
from typing import Any

import httpcore
import pytest

from backchannel.client.machine import clock
from backchannel.client.wire import stream
from backchannel.client.wire.stream import (
    ADDRESSES,
    EARNED,
    FLOOR,
    Backend,
    Deadline,
    TooMuchError,
)

LIMITLESS = 1 << 40
PATIENCE = 60.0


class Time:
    """What the client takes for the time."""

    def __init__(self) -> None:
        self.now = 1000.0

    def elapsed(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    made = Time()
    monkeypatch.setattr(clock, "elapsed", made.elapsed)
    return made


def lasts(time: Time, every: float, count: int, wait: float = 0.0, limit: int = 1_000_000) -> float:
    """Seconds until an exchange is given up, in which so many bytes come at such times."""
    deadline, began = Deadline(), time.now
    deadline.set(PATIENCE, wait, LIMITLESS)
    for _ in range(limit):
        try:
            left = deadline.left(httpcore.ReadTimeout)
        except httpcore.ReadTimeout:
            return time.now - began
        if every > left:
            return time.now + left - began
        time.now += every
        deadline.read(count)
    raise AssertionError("for ever")


def test_silence_ends_it(time: Time) -> None:
    assert lasts(time, 1e9, 1) == PATIENCE
    assert lasts(time, 1e9, 1, wait=20) == PATIENCE + 20


@pytest.mark.parametrize(("every", "count"), [(60.0, 1), (59.0, 1), (1.0, 1), (1.0, 100), (0.1, 1)])
def test_attack_who_answers_a_little_at_a_time_holds_nobody_up_for_long(
    time: Time, every: float, count: int
) -> None:
    """However it is spread: under `FLOOR` no more time comes than goes."""
    assert lasts(time, every, count) <= PATIENCE + max(every, 2 * PATIENCE)


def test_attack_145_more_than_was_asked_for_is_not_read(time: Time) -> None:
    deadline = Deadline()
    deadline.set(PATIENCE, most=100)
    time.now += 1
    deadline.read(60)
    assert deadline.room == 41
    with pytest.raises(TooMuchError):
        deadline.read(deadline.room)
    deadline.set(PATIENCE, most=100)
    deadline.read(100)


@pytest.mark.parametrize("rate", [FLOOR, 2 * FLOOR, 100 * FLOOR])
def test_attack_who_answers_without_end_at_a_good_rate_is_left_too(time: Time, rate: int) -> None:
    assert lasts(time, 1.0, rate) <= PATIENCE + EARNED


def test_a_link_of_two_kilobytes_a_second_has_time_for_a_page(time: Time) -> None:
    """Of 64 blocks, if it was asked for that many: 263 kB are 131 seconds, and stalls."""
    deadline = Deadline()
    deadline.set(PATIENCE, most=LIMITLESS)
    for second in range(131):
        assert deadline.left(httpcore.ReadTimeout) > 0, second
        time.now += 1
        deadline.read(2000)


def test_a_question_of_many_bytes_has_time_to_get_there(time: Time) -> None:
    deadline = Deadline()
    deadline.set(PATIENCE, written=2 * 4164)
    time.now += 2 * 4164 / FLOOR
    assert deadline.left(httpcore.ReadTimeout) == PATIENCE
    deadline.set(PATIENCE, written=1_000_000)
    assert deadline.left(httpcore.ReadTimeout) == PATIENCE + EARNED


def test_a_stall_after_a_good_beginning_is_waited_for_as_long_as_silence(time: Time) -> None:
    deadline = Deadline()
    deadline.set(PATIENCE, most=LIMITLESS)
    deadline.read(1_000_000)
    time.now += 1
    deadline.read(1)
    assert deadline.left(httpcore.ReadTimeout) == PATIENCE


class Ends(httpcore.MockStream):
    """Remembers what goes out."""

    def __init__(self, answers: list[bytes]) -> None:
        super().__init__(answers)
        self.written: list[bytes] = []

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        del timeout
        self.written.append(buffer)


def test_a_request_goes_out_in_one_piece_and_every_byte_is_counted() -> None:
    """Of two pieces the second may be lost alone, and a relay hangs up on half a request."""
    deadline, counted = Deadline(), list[int]()
    deadline.set(PATIENCE, most=LIMITLESS)
    inner = Ends([b"answer"])
    made = stream.Stream(inner, deadline, counted.append)
    made.write(b"head")
    made.write(b"body")
    assert inner.written == []
    assert made.read(100) == b"answer"
    assert inner.written == [b"headbody"]
    assert counted == [8, 6]


def backend(patience: float = PATIENCE) -> Backend:
    deadline = Deadline()
    deadline.set(patience)
    return Backend(deadline, lambda _moved: None)


def stands_for(monkeypatch: pytest.MonkeyPatch, name: str, *addresses: str) -> None:
    """Whoever has a name says what it stands for."""
    real = socket.getaddrinfo

    def found(host: str, port: int, *rest: Any, **more: Any) -> list[Any]:
        of = addresses if host == name else [host]
        return [each for address in of for each in real(address, port, *rest, **more)]

    monkeypatch.setattr(socket, "getaddrinfo", found)


@pytest.mark.parametrize("takes", [1e9, 0.0])
def test_attack_172_a_name_of_hundreds_of_dead_addresses_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, time: Time, takes: float
) -> None:
    tried = []

    class Dead:
        """Refuses, or says nothing."""

        def connect_tcp(self, host: str, _port: int, timeout: float, *_: object) -> None:
            tried.append(host)
            time.now += min(timeout, takes)
            raise httpcore.ConnectTimeout

    monkeypatch.setattr(httpcore, "SyncBackend", Dead)
    stands_for(monkeypatch, "many.example", *(f"192.0.2.{number}" for number in range(200)))
    began = time.now
    with pytest.raises(httpcore.ConnectTimeout):
        backend().connect_tcp("many.example", 443)
    assert time.now - began <= PATIENCE
    assert len(tried) <= ADDRESSES


def test_where_one_address_of_a_name_is_dead_the_next_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stands_for(monkeypatch, "two.example", "127.0.0.2", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = backend()
        made.connect_tcp("two.example", listener.getsockname()[1])
        made.close()


def test_a_name_that_stands_for_nothing_is_a_relay_that_cannot_be_reached() -> None:
    with pytest.raises(httpcore.ConnectError):
        backend().connect_tcp("nowhere.invalid", 443)


def test_attack_143_who_takes_a_question_a_little_at_a_time_holds_nobody_up_for_long(
    time: Time,
) -> None:
    """The system gives each piece that it gets rid of as long as the first."""

    class Slow(Ends):
        """Takes 8 kB just before it is given up."""

        def write(self, buffer: bytes, timeout: float | None = None) -> None:
            for _ in range(0, len(buffer), 8192):
                time.now += (timeout or 0) * 0.99

    deadline, began, question = Deadline(), time.now, bytes(262_144)
    deadline.set(PATIENCE, most=LIMITLESS, written=len(question))
    made = stream.Stream(Slow([b"answer"]), deadline, lambda _moved: None)
    made.write(question)
    with pytest.raises(httpcore.TimeoutException):
        made.read(100)
    assert time.now - began <= 2 * (PATIENCE + EARNED)
