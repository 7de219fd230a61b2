"""Relays that are down, slow, strange or not themselves: told apart, and not believed."""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator

import pytest
import time_machine

from backchannel.client.errors import (
    ClientError,
    ClockApart,
    DropFull,
    DropSealed,
    RateLimited,
    RelayDown,
    RelayGarbage,
    RelayKeyChanged,
    RelaySlow,
    TooFast,
    UnknownDrop,
    UsageMistake,
    VoucherRefused,
)
from backchannel.client.exits import Exit
from backchannel.client.machine import clock
from backchannel.client.wire import stream
from backchannel.client.wire.budget import Budget
from backchannel.client.wire.pace import Paces
from backchannel.client.wire.relay import Relay, describe
from backchannel.client.wire.respite import PROVED, UNPROVED
from backchannel.protocol import limits
from backchannel.protocol.drop import Drop, DropKeys, Operation, Page, Request, Stored
from backchannel.protocol.primitives import X25519Public, x25519_public
from backchannel.protocol.secret import DropSecret, X25519Private
from backchannel.protocol.types import Block, Hour, Timestamp
from tests.support.liar import KEY, OTHER, PRIVATE, Liar, Script, description, http
from tests.support.people import ENTROPY, NOON

DROP = Drop(DropSecret(bytes(range(32))), KEY)
CLOSE = X25519Private(hashlib.sha256(b"close").digest())
BLOCK = Block(bytes(4096))
PATIENCE = 0.3
CHUNKED = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n"
LONG = b"a" * 60_000


def says(*pieces: bytes, key: X25519Public = KEY) -> Script:
    """Describes itself, and answers everything else with `pieces`."""
    return lambda request: [description(key)] if request.startswith(b"GET") else pieces


def honest(status: int, payload: bytes, drop: Drop = DROP) -> Script:
    """Answers every request for a drop with an authentic status and payload."""

    def answer(raw: bytes) -> Iterable[bytes]:
        line, _, rest = raw.partition(b"\r\n")
        operation = Operation[line.split()[1].rsplit(b"/", 1)[1].decode().upper()]
        request = Request.read(operation, rest.partition(b"\r\n\r\n")[2])
        private = CLOSE if operation in {Operation.SEAL, Operation.DELETE} else drop.access
        keys = DropKeys.of_relay(request.drop, x25519_public(private), PRIVATE, KEY)
        request.verify(keys)
        yield http(status, request.answer(status, payload, keys))

    return answer


def relay(url: str, patience: float = 10) -> Relay:
    """Over a link that is known to be fast."""
    paces = Paces(limits.MOST_BLOCKS)
    return Relay(url, KEY, lambda: NOON, ENTROPY, patience=patience, paces=paces)


def failure(script: Script, patience: float = 10) -> ClientError:
    """What an append to such a relay raises."""
    with (
        Liar(script) as liar,
        relay(liar.url, patience) as asked,
        pytest.raises(ClientError) as caught,
    ):
        asked.append(DROP, [BLOCK])
    return caught.value


def test_a_relay_describes_itself() -> None:
    with Liar(says()) as liar:
        assert describe(liar.url) == (KEY, 500_000, (24, 72), 64)


@pytest.mark.parametrize(
    "answer",
    [
        http(200, b"<html>welcome</html>"),
        http(200, b"[" * 10_000),
        http(200, b"null"),
        http(200, b"{}"),
        http(404, b"{}"),
        description(protocol="backchannel/2"),
        description(static_key="00"),
        description(static_key="ff" * 32),
        description(static_key=7),
        description(hour="soon"),
        description(classes=7),
        b"\x00\x01\x02 what is this\r\n\r\n",
        b"",
        http(301, b"", "Location: https://elsewhere.example/"),
    ],
)
def test_something_else_is_not_taken_for_a_relay(answer: bytes) -> None:
    with Liar(lambda _: [answer]) as liar, pytest.raises(RelayGarbage) as caught:
        describe(liar.url)
    assert caught.value.status is Exit.RELAY


def test_requests_carry_nothing_that_tells_people_apart() -> None:
    """No user agent, no cookie, no language: every request of every client looks the same."""
    cookie = http(200, b"", "Set-Cookie: who=you")
    with Liar(says(cookie)) as liar, relay(liar.url) as asked:
        for _ in range(2):
            with pytest.raises(RelayGarbage):
                asked.append(DROP, [BLOCK])
        heads = [raw.partition(b"\r\n\r\n")[0].decode().split("\r\n") for raw in liar.requests]
    names = {line.partition(":")[0].lower() for head in heads for line in head[1:]}
    assert names == {"host", "content-length"}
    assert {head[0] for head in heads} == {"POST /v1/append HTTP/1.1", "GET /v1/relay HTTP/1.1"}


def test_no_two_requests_are_the_same() -> None:
    with Liar(honest(200, b"")) as liar, relay(liar.url) as asked:
        asked.seal(DROP.id, CLOSE)
        asked.seal(DROP.id, CLOSE)
        first, second = liar.requests
    assert first != second


def test_authentic_answers_are_read() -> None:
    where = Stored(7, Hour(500_000))
    page = Page(9, more=True, rows=(where._replace(block=BLOCK),))
    with Liar(honest(200, where.pack())) as liar, relay(liar.url) as asked:
        assert asked.append(DROP, [BLOCK]) == (where,)
    with Liar(honest(200, page.pack())) as liar, relay(liar.url) as asked:
        assert asked.read(DROP, 1, Hour(0)) == page
    with Liar(honest(200, b"")) as liar, relay(liar.url) as asked:
        asked.create(DROP, x25519_public(CLOSE), bytes(16), 0)
        asked.delete(DROP.id, CLOSE)


@pytest.mark.parametrize(
    ("status", "code", "kind", "exit_code"),
    [
        (403, b"voucher-refused", VoucherRefused, Exit.REFUSED),
        (409, b"wrong-hour", ClockApart, Exit.RELAY),
        (409, b"sealed", DropSealed, Exit.GONE),
        (507, b"quota", DropFull, Exit.REFUSED),
    ],
)
def test_an_authentic_refusal_is_believed(
    status: int, code: bytes, kind: type[ClientError], exit_code: Exit
) -> None:
    error = failure(honest(status, code))
    assert type(error) is kind
    assert error.status is exit_code
    assert error.next_step


@pytest.mark.parametrize("status", [200, 403, 409, 507])
def test_a_status_that_is_not_authentic_is_not_believed(status: int) -> None:
    assert type(failure(says(http(status, bytes(32) + b"sealed")))) is RelayGarbage
    assert type(failure(says(http(status, b"")))) is RelayGarbage


def test_an_authentic_answer_to_another_request_is_not_believed() -> None:
    """A replayed "nothing new" (attack 73)."""
    said: list[bytes] = []

    def replay(raw: bytes) -> Iterable[bytes]:
        said.extend(honest(200, Page(1, more=False, rows=()).pack())(raw))
        return [said[0]]

    script: Script = lambda raw: says()(raw) if raw.startswith(b"GET") else replay(raw)  # noqa: E731
    with Liar(script) as liar, relay(liar.url) as asked:
        assert asked.read(DROP, 1, Hour(0)).rows == ()
        with pytest.raises(RelayGarbage):
            asked.read(DROP, 1, Hour(0))


@pytest.mark.parametrize("payload", [b"", bytes(11), bytes(24), Stored(1, Hour(1)).pack() + b"x"])
def test_an_authentic_answer_that_is_not_the_protocol_is_garbage(payload: bytes) -> None:
    assert type(failure(honest(200, payload))) is RelayGarbage


@pytest.mark.parametrize("operation", [Operation.APPEND, Operation.SEAL])
@pytest.mark.parametrize("count", [1, 2, 64])
def test_an_exchange_of_blocks_is_told_where_each_stands(operation: Operation, count: int) -> None:
    """Whoever sends them, as the outbox does: fewer places than blocks are an unkept promise."""
    private = CLOSE if operation is Operation.SEAL else DROP.access
    blocks, places = bytes(4096 * count), [Stored(n, Hour(1)).pack() for n in range(1, 66)]
    for told in (count, count - 1, count + 1):
        said = b"".join(places[:told])
        with Liar(honest(200, said)) as liar, relay(liar.url) as asked:
            if told == count:
                assert asked.exchange(operation, DROP.id, private, blocks) == said
                continue
            with pytest.raises(RelayGarbage):
                asked.exchange(operation, DROP.id, private, blocks)


def test_last_blocks_go_with_the_seal_and_under_the_close_key() -> None:
    where, other = Stored(7, Hour(500_000)), Block(b"\1" * 4096)
    with Liar(honest(200, where.pack() + where.pack())) as liar, relay(liar.url) as asked:
        assert asked.seal(DROP.id, CLOSE, [BLOCK, other]) == (where, where)
        (body,) = (raw.partition(b"\r\n\r\n")[2] for raw in liar.requests)
    sent = Request.read(Operation.SEAL, body)
    sent.verify(DropKeys.of_client(DROP.id, CLOSE, KEY))
    assert sent.payload == BLOCK + other


@pytest.mark.parametrize("said", [b"x", bytes(12), Stored(1, Hour(1)).pack()])
def test_a_seal_without_blocks_is_answered_with_nothing(said: bytes) -> None:
    with (
        Liar(honest(200, said)) as liar,
        relay(liar.url) as asked,
        pytest.raises(RelayGarbage),
    ):
        asked.seal(DROP.id, CLOSE)


@pytest.mark.parametrize("status", [301, 302, 307, 400, 413, 422, 500, 502])
def test_redirects_and_strange_answers_are_not_followed(status: int) -> None:
    with Liar(says(http(200, b""))) as elsewhere:
        error = failure(says(http(status, b"", f"Location: {elsewhere.url}/v1/append")))
        assert elsewhere.requests == []
    assert type(error) is RelayGarbage
    assert str(status) in error.message


def test_an_unknown_drop_is_gone() -> None:
    error = failure(says(http(404, b'{"code": "unknown-drop"}')))
    assert type(error) is UnknownDrop
    assert error.status is Exit.GONE


@pytest.mark.parametrize("status", [200, 403, 404, 500])
def test_a_relay_with_another_key_is_told_apart_whatever_it_answers(status: int) -> None:
    error = failure(says(http(status, bytes(100)), key=OTHER))
    assert type(error) is RelayKeyChanged
    assert error.status is Exit.KEY_CHANGED
    assert "by voice" in error.next_step


def test_describing_a_pinned_relay_checks_its_key() -> None:
    with Liar(says(key=OTHER)) as liar, relay(liar.url) as asked, pytest.raises(RelayKeyChanged):
        asked.describe()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (["Retry-After: 7"], 7),
        ([], 30),
        (["Retry-After: 0"], 30),
        (["Retry-After: Wed, 21 Oct 2026 07:28:00 GMT"], 30),
        (["Retry-After: 99999999999999999999"], UNPROVED),
        (["Retry-After: -5"], 30),
        (["Retry-After: \xb2"], 30),
        (["Retry-After: 1e9"], 30),
    ],
)
@pytest.mark.parametrize("status", [503, 429])
def test_attack_113_a_busy_relay_is_let_alone_for_as_long_as_it_says_but_not_for_long(
    status: int, headers: list[str], seconds: int
) -> None:
    """Whoever stands on the way may say it: an unproved wait has the shorter bound."""
    error = failure(says(http(status, b'{"code": "busy"}', *headers)))
    assert type(error) is RateLimited
    assert seconds <= error.retry_after <= seconds * 5 // 4
    assert error.next_step == f"try again in {error.span}"


@pytest.mark.parametrize(
    ("code", "seconds"),
    [(b"too-fast 7", 7), (b"too-fast 0", 0), (b"too-fast 999999999", PROVED)],
)
def test_attack_113_a_proved_wait_is_longer_and_has_an_end_too(code: bytes, seconds: int) -> None:
    error = failure(honest(429, code))
    assert type(error) is TooFast
    assert seconds <= error.retry_after <= seconds * 5 // 4


@pytest.mark.parametrize(
    "code", [b"too-fast", b"too-fast -1", b"too-fast 9999999999", b"too-fast 7\n", b"fast 7"]
)
def test_a_proved_wait_of_another_shape_is_garbage(code: bytes) -> None:
    script: Script = lambda raw: (says() if raw.startswith(b"GET") else honest(429, code))(raw)  # noqa: E731
    assert type(failure(script)) is RelayGarbage


def test_a_full_drop_says_when_it_may_have_room() -> None:
    error = failure(honest(507, b"quota"))
    assert (error.retry_after, error.next_step) == (None, DropFull.usual_next)

    def later(raw: bytes) -> Iterable[bytes]:
        for piece in honest(507, b"quota")(raw):
            yield piece.replace(b"\r\n\r\n", b"\r\nRetry-After: 2400\r\n\r\n", 1)

    error = failure(later)
    assert error.retry_after == 2400
    assert error.next_step == "in 40 minutes, not sooner: backchannel sync"


def test_describing_a_busy_relay_asks_to_wait_too() -> None:
    busy = http(503, b"", "Retry-After: 5")
    with Liar(lambda _: [busy]) as liar, pytest.raises(RateLimited, match="5 seconds"):
        describe(liar.url)


def test_a_relay_that_is_down_is_down() -> None:
    with Liar(says()) as liar:
        url = liar.url
    with relay(url) as asked, pytest.raises(RelayDown):
        asked.append(DROP, [BLOCK])


@pytest.fixture
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question's bytes have half a second to get there, in place of twenty."""
    monkeypatch.setattr(stream, "FLOOR", 10_000)


def slowly(liar: list[Liar], piece: bytes) -> Callable[[bytes], Iterator[bytes]]:
    """One byte after another, for as long as the test lasts."""

    def answer(_: bytes) -> Iterator[bytes]:
        for byte in itertools.cycle(piece):
            if liar[0].over.wait(0.01):
                return
            yield bytes([byte])

    return answer


@pytest.mark.parametrize(
    "start", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"]
)
@pytest.mark.usefixtures("brisk")
def test_a_relay_that_answers_a_byte_at_a_time_holds_nobody_up(start: bytes) -> None:
    """Attack 51 turned round: each byte is in time, the whole is not."""
    liars: list[Liar] = []
    drip = slowly(liars, b"X-Slow: y\r\n")

    def script(request: bytes) -> Iterator[bytes]:
        yield start
        yield from drip(request)

    with Liar(script) as liar, relay(liar.url, PATIENCE) as asked:
        liars.append(liar)
        before = clock.elapsed()
        with pytest.raises(RelaySlow):
            asked.append(DROP, [BLOCK])
        assert clock.elapsed() - before < 10 * PATIENCE


@pytest.mark.usefixtures("brisk")
def test_a_relay_that_never_answers_is_slow() -> None:
    liars: list[Liar] = []

    def script(_: bytes) -> Iterator[bytes]:
        liars[0].over.wait(60)
        yield b""

    with Liar(script) as liar, relay(liar.url, PATIENCE) as asked:
        liars.append(liar)
        with pytest.raises(RelaySlow):
            asked.append(DROP, [BLOCK])


@pytest.mark.parametrize("declared", [True, False])
def test_an_answer_larger_than_any_is_cut_off(declared: bool) -> None:
    sent = 0

    def script(_: bytes) -> Iterator[bytes]:
        nonlocal sent
        yield b"HTTP/1.1 200 OK\r\n"
        yield b"Content-Length: 1000000000\r\n\r\n" if declared else b"\r\n"
        for _piece in range(15_000):
            sent += 65_536
            yield bytes(65_536)

    assert type(failure(script)) is RelayGarbage
    assert sent < 50_000_000


def test_an_answer_longer_than_was_asked_for_is_cut_off() -> None:
    """Who asks for one block is not sent 64: somebody may pay for each."""
    rows = tuple(Stored(n, Hour(1), BLOCK) for n in range(1, 65))
    with Liar(honest(200, Page(65, more=False, rows=rows).pack())) as liar:
        budget = Budget()
        asked = Relay(liar.url, KEY, lambda: NOON, ENTROPY, budget)
        with asked, pytest.raises(RelayGarbage, match="more than was asked"):
            asked.read(DROP, 1, Hour(0), most=1)
        assert budget.spent < 200_000


@pytest.mark.parametrize(
    ("once", "ever"),
    [
        (b"", b"HTTP/1.1 103 X\r\nLink: " + LONG + b"\r\n\r\n"),
        (CHUNKED, b"1;" + LONG + b"\r\na\r\n"),
        (CHUNKED + b"0\r\n", b"X: " + LONG + b"\r\n"),
    ],
    ids=["before", "between", "after"],
)
def test_attack_145_what_stands_around_an_answer_has_no_end(once: bytes, ever: bytes) -> None:
    """A gigabyte in some seconds, of which no byte is of the body."""

    def script(_: bytes) -> Iterator[bytes]:
        yield once
        while True:
            yield ever

    budget = Budget(50_000)
    with Liar(script) as liar, Relay(liar.url, KEY, lambda: NOON, ENTROPY, budget) as asked:
        with pytest.raises(RelayGarbage, match="more than was asked"):
            asked.read(DROP, 1, Hour(0), most=1)
        assert budget.spent < 50_000


def test_who_has_answered_once_is_asked_again_where_the_link_breaks_and_for_less() -> None:
    """Every request may be made twice."""
    page, asked_for = Page(9, more=False, rows=()), list[int]()
    answer = honest(200, page.pack())

    def script(raw: bytes) -> Iterable[bytes]:
        asked_for.append(int.from_bytes(raw[-4:-2]))
        yield from answer(raw) if len(asked_for) != 2 else (b"HTTP/1.1 200 OK\r\nContent-",)

    with Liar(script) as liar, relay(liar.url) as asked:
        for _ in range(2):
            assert asked.read(DROP, 1, Hour(0)) == page
    assert asked_for == [64, 64, 16]


def test_who_never_answered_is_asked_once() -> None:
    with Liar(lambda _: [b""]) as liar, relay(liar.url) as asked:
        with pytest.raises(RelayGarbage):
            asked.read(DROP, 1, Hour(0))
        assert len(liar.requests) == 1


def test_attack_45_what_claims_to_be_compressed_is_not_unpacked() -> None:
    import gzip

    bomb = gzip.compress(bytes(10_000_000))
    assert type(failure(says(http(200, bomb, "Content-Encoding: gzip")))) is RelayGarbage


def test_a_kept_connection_that_the_relay_closed_is_made_anew() -> None:
    """The liar hangs up after each answer without saying so."""
    with Liar(honest(200, b"")) as liar, relay(liar.url) as asked:
        for _ in range(3):
            asked.seal(DROP.id, CLOSE)
        assert len(liar.requests) == 3


def test_the_hour_of_a_request_is_the_clocks_at_that_moment() -> None:
    with Liar(honest(200, b"")) as liar, time_machine.travel(NOON, tick=False) as travel:
        import time

        now = lambda: Timestamp(int(time.time()))  # noqa: E731, TID251 - a person's clock
        with Relay(liar.url, KEY, now, ENTROPY) as asked:
            asked.seal(DROP.id, CLOSE)
            travel.shift(3600)
            asked.seal(DROP.id, CLOSE)
        hours = [raw.partition(b"\r\n\r\n")[2][16:20] for raw in liar.requests]
    assert [int.from_bytes(hour) for hour in hours] == [500_000, 500_001]


def test_an_onion_address_is_not_asked_of_the_ordinary_internet() -> None:
    with pytest.raises(UsageMistake, match="only through Tor"):
        relay("http://" + "a" * 56 + ".onion")


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:1", "socks5h://", "127.0.0.1:9050"])
def test_a_proxy_is_socks_or_a_mistake(proxy: str) -> None:
    with pytest.raises(UsageMistake, match="not the address of a proxy"):
        Relay("https://relay.example", KEY, lambda: NOON, ENTROPY, proxy=proxy)


def test_through_a_proxy_the_name_is_resolved_there_and_reads_and_writes_are_kept_apart() -> None:
    """A SOCKS server that writes down what it is told, and refuses."""
    import socket
    import threading

    server = socket.create_server(("127.0.0.1", 0))
    told: list[tuple[bytes, bytes]] = []

    def serve() -> None:
        for _ in range(2):
            line, _ = server.accept()
            with line:
                line.recv(64)
                line.sendall(b"\x05\x02")
                name = line.recv(64)
                line.sendall(b"\x01\x00")
                told.append((name, line.recv(256)))
                line.sendall(b"\x05\x05\x00\x01" + bytes(6))

    thread = threading.Thread(target=serve)
    thread.start()
    proxy = f"socks5h://127.0.0.1:{server.getsockname()[1]}"
    with Relay("https://relay.example", KEY, lambda: NOON, ENTROPY, proxy=proxy) as asked:
        with pytest.raises(RelayDown, match="proxy"):
            asked.append(DROP, [BLOCK])
        with pytest.raises(RelayDown, match="proxy"):
            asked.read(DROP, 1, Hour(0))
    thread.join(60)
    server.close()
    assert all(b"relay.example" in target for _, target in told)
    assert told[0][0] != told[1][0]


def test_secrets_of_a_drop_are_never_in_a_message() -> None:
    secrets = {DROP.access.expose().hex(), CLOSE.expose().hex(), DROP.id.hex()}
    errors = [failure(honest(507, b"quota")), failure(says(http(500, b"")))]
    shown = " ".join(error.message + error.next_step for error in errors)
    assert not any(secret in shown for secret in secrets)
