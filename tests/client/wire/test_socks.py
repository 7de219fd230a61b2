"""Through a proxy: what it sees, that nothing goes around it, and what a hostile one can do."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import httpcore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backchannel.client.errors import ClientError, ProxyDown, RelayDown, RelaySlow, UsageMistake
from backchannel.client.exits import Exit
from backchannel.client.machine import clock
from backchannel.client.wire.address import Address
from backchannel.client.wire.relay import Relay, describe
from backchannel.client.wire.route import Proxy
from backchannel.client.wire.socks import Socks as Socks5
from backchannel.client.wire.transport import Transport, _certificates
from backchannel.protocol.drop import Drop, Page, Stored
from backchannel.protocol.secret import DropSecret
from backchannel.protocol.types import Block, Hour
from tests.client.wire.test_relay import honest
from tests.server.certificates import make_certificate
from tests.support.liar import KEY, Liar, description, http
from tests.support.people import ENTROPY, NOON
from tests.support.socks import Seen, Socks

ONION = f"{'a' * 56}.onion"
DROPS = [Drop(DropSecret(bytes([n]) * 32), KEY) for n in range(2)]
PATIENCE = 0.3


@contextmanager
def proxied(liar: Liar) -> Iterator[Socks]:
    with Socks({ONION: liar.url.removeprefix("http://")}) as socks:
        yield socks


def relay(socks: Socks) -> Relay:
    return Relay(f"http://{ONION}", KEY, lambda: NOON, ENTROPY, proxy=socks.url)


def names(seen: list[Seen]) -> dict[tuple[bytes, bool], set[str]]:
    """As whom each drop and direction was asked for."""
    found: dict[tuple[bytes, bool], set[str]] = {}
    for each in seen:
        for asked in each.asked:
            found.setdefault(asked.line, set()).add(each.name)
    return found


# What the proxy sees.


def well(raw: bytes) -> Iterator[bytes]:
    """A relay that holds nothing, and takes everything."""
    if raw.startswith(b"GET"):
        yield description()
    else:
        reads = raw.startswith(b"POST /v1/read")
        payload = Page(1, more=False, rows=()).pack() if reads else Stored(1, Hour(1)).pack()
        for drop in DROPS:
            with suppress(Exception):
                yield from honest(200, payload, drop)(raw)


def test_each_drop_and_direction_has_a_name_of_its_own_and_the_description_too() -> None:
    with Liar(well) as liar, proxied(liar) as socks:
        with relay(socks) as asked:
            for _ in range(2):  # the liar hangs up: what comes again has the name that it had
                for drop in DROPS:
                    asked.read(drop, 1, Hour(0))
                    asked.append(drop, [Block(bytes(4096))])
            asked.describe()
        found = names(socks.seen)
    assert len(socks.seen) == 9
    assert {len(each) for each in found.values()} == {1}
    assert len(found) == len(set.union(*found.values())) == 5


def test_no_name_is_used_by_two_relays_or_again_by_the_next_command() -> None:
    with Liar(well) as liar, proxied(liar) as socks:
        for _ in range(3):
            with relay(socks) as asked:
                asked.read(DROPS[0], 1, Hour(0))
            describe(f"http://{ONION}", proxy=socks.url)
    assert len({each.name for each in socks.seen}) == len(socks.seen) == 6


def test_a_program_that_stays_comes_under_another_name_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is said an hour apart is not one member's by the circuit."""
    with Liar(well) as liar, proxied(liar) as socks, relay(socks) as asked:
        for seconds in (600, 0, 600):
            monkeypatch.setattr("backchannel.client.wire.relay._NAMED_FOR", seconds)
            asked.append(DROPS[0], [Block(bytes(4096))])
        first, second, third = (each.name for each in socks.seen)
    assert first != second == third


@pytest.mark.parametrize(
    ("address", "kind", "host"),
    [
        ("https://relay.example", 3, "relay.example"),
        ("https://192.0.2.7", 1, "192.0.2.7"),
        ("https://[2001:db8::7]:8443", 4, "2001:db8::7"),
        ("https://1.2.3", 3, "1.2.3"),
        (f"http://{ONION}", 3, ONION),
    ],
)
def test_attack_92_names_and_numbers_alike_are_the_proxys_business(
    address: str, kind: int, host: str
) -> None:
    with Socks({}) as socks, pytest.raises(RelayDown, match="The proxy does not get to"):
        describe(address, proxy=socks.url)
    (seen,) = socks.seen
    assert (seen.kind, seen.host, seen.port) == (kind, host, Address.parse(address).port)


def test_a_redirect_leads_nowhere() -> None:
    away = http(302, b"", "Location: http://elsewhere.example/v1/relay")
    with Liar(lambda _: [away]) as liar, proxied(liar) as socks:
        with pytest.raises(ClientError):
            describe(f"http://{ONION}", proxy=socks.url)
        assert [each.host for each in socks.seen] == [ONION]


def test_the_bytes_of_a_request_are_the_same_for_everybody() -> None:
    """Literally: another order, another letter's case or one header more tells programs apart."""
    with Liar(well) as liar, proxied(liar) as socks:
        with relay(socks) as asked:
            asked.read(DROPS[0], 1, Hour(0))
            asked.append(DROPS[0], [Block(bytes(4096))])
            asked.describe()
        heads = [head for each in socks.seen for head in each.heads]
    end = f"HTTP/1.1\r\nHost: {ONION}".encode()
    kind = b"\r\nContent-Length: "
    assert heads == [
        b"POST /v1/read " + end + kind + b"84",
        b"POST /v1/append " + end + kind + b"4164",
        b"GET /v1/relay " + end,
    ]


def test_attack_no_tls_session_joins_two_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relay that gives tickets sees none of them again, from whatever circuit."""
    certificate, key = make_certificate(tmp_path, name="relay.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    _certificates.cache_clear()
    context, taken = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), list[tuple[bool | None, object]]()
    context.load_cert_chain(certificate, key)

    def serve() -> None:
        for _ in range(4):
            with context.wrap_socket(listener.accept()[0], server_side=True) as line:
                taken.append((line.session_reused, line.getpeercert()))
                line.recv(1000)
                line.sendall(description())

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        with Socks({"relay.example": f"127.0.0.1:{listener.getsockname()[1]}"}) as socks:
            transport = Transport(Address.parse("https://relay.example"), socks.url)
            with closing(transport):
                for _ in range(2):
                    transport.exchange("GET", "/v1/relay", b"", 1000, 5)
            for _ in range(2):
                describe("https://relay.example", proxy=socks.url)
        thread.join(60)
    _certificates.cache_clear()
    assert taken == [(False, None)] * 4


# Nothing goes around it.


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.9.9.9"])
def test_attack_an_address_of_this_machine_is_not_reached_around_the_proxy(host: str) -> None:
    with Liar(lambda _: [description()]) as liar, Socks({}) as socks:
        port = liar.url.rpartition(":")[2]
        with pytest.raises(UsageMistake, match="this machine") as caught:
            describe(f"http://{host}:{port}", proxy=socks.url)
        assert (liar.requests, socks.seen) == ([], [])
    assert "--proxy none" in caught.value.next_step


def test_a_proxy_that_is_down_is_told_and_not_passed_by() -> None:
    with Socks({}) as socks:
        url = socks.url
    for address in ("https://192.0.2.7", f"http://{ONION}"):
        with pytest.raises(ProxyDown, match="nothing goes around it") as caught:
            describe(address, proxy=url)
        assert caught.value.status is Exit.RELAY
        assert "start Tor" in caught.value.next_step


def test_tor_is_the_service_or_else_the_browsers(monkeypatch: pytest.MonkeyPatch) -> None:
    with Liar(well) as liar, proxied(liar) as socks:
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            nobody = free.getsockname()[1]
        places = (("127.0.0.1", nobody), ("127.0.0.1", socks.port))
        monkeypatch.setattr("backchannel.client.wire.route._TOR_PLACES", places)
        assert describe(f"http://{ONION}", proxy="tor").key == KEY
    assert [place[1] for place in places] == [nobody, socks.port]


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:1", "socks5h://", "127.0.0.1:9050", "socks5h://x:0", "socks5h://x:65536",
        "socks4://x:1", "socks5h://x", "socks5h://me:secret@x:1", "socks5h://x:1/", "Tor",
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_proxy_is_a_mistake(text: str) -> None:
    with pytest.raises(UsageMistake, match="not the address of a proxy"):
        Proxy.parse(text)


@pytest.mark.parametrize(
    "text", ["socks5://x:1", "socks5h://[::1]:9050", "socks5h://tor.local:65535"]
)
def test_a_proxy_has_a_host_and_a_port(text: str) -> None:
    assert str(Proxy.parse(text)) == text.partition("//")[2].replace("[", "").replace("]", "")


# What a hostile proxy can do.

Talk = Callable[[socket.socket], None]


@contextmanager
def hostile(talk: Talk) -> Iterator[str]:
    """Whoever connects is talked to so; the line is cut at the end."""

    def serve() -> None:
        with suppress(OSError):
            while True:
                line = listener.accept()[0]
                with line, suppress(OSError):
                    talk(line)

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"socks5h://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def answers(*pieces: bytes) -> Talk:
    """Each thing that it is told, with the next."""

    def talk(line: socket.socket) -> None:
        for piece in pieces:
            line.recv(1000)
            line.sendall(piece)

    return talk


def failure(talk: Talk, seconds: float = 5) -> ClientError:
    with hostile(talk) as url:
        transport = Transport(Address.parse(f"http://{ONION}"), url)
        with closing(transport), pytest.raises(ClientError) as caught:
            transport.exchange("GET", "/v1/relay", b"", 1000, seconds)
    return caught.value


TAKEN = (b"\x05\x02", b"\x01\x00")


@pytest.mark.parametrize(
    "pieces",
    [
        (b"",),
        (b"\x05",),
        (b"\x04\x02",),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n",),
        (b"\x05\x00",),
        (b"\x05\xff",),
        (b"\x05\x02", b"\x01\x01"),
        (*TAKEN, b"\x04\x00\x00\x01" + bytes(6)),
        (*TAKEN, b"\x05\x00\x00\x09abc"),
        (*TAKEN, b"\x05\x00\x00\x03\xffabc"),
        (*TAKEN, b"\x05\x00\x00\x01\x00"),
        (*TAKEN, b"\x05"),
    ],
)
def test_attack_a_proxy_that_talks_garbage_is_told_in_a_sentence(
    pieces: tuple[bytes, ...],
) -> None:
    assert type(failure(answers(*pieces))) is ProxyDown


def test_who_takes_no_names_keeps_nothing_apart_and_is_not_used() -> None:
    """As `ssh -D` does: two channels would come from one circuit."""
    error = failure(answers(b"\x05\x00"))
    assert "takes no names" in error.message


@pytest.mark.parametrize(
    ("reply", "words"),
    [(1, "failed"), (5, "nothing listens"), (0xF0, "no such onion service"), (0x99, "says 153")],
)
def test_why_the_proxy_gets_no_further_is_said(reply: int, words: str) -> None:
    error = failure(answers(*TAKEN, bytes((5, reply, 0, 1)) + bytes(6)))
    assert type(error) is RelayDown
    assert words in error.message


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ((), ProxyDown),
        ((b"\x05",), ProxyDown),
        (TAKEN[:1], ProxyDown),
        (TAKEN, RelaySlow),  # it may be waiting for the relay
        ((*TAKEN, b"\x05\x00\x00\x03"), RelaySlow),
    ],
)
def test_attack_a_proxy_that_falls_silent_holds_nobody_up(
    said: tuple[bytes, ...], kind: type[ClientError]
) -> None:
    over = threading.Event()

    def talk(line: socket.socket) -> None:
        for piece in said:
            line.recv(1000)
            line.sendall(piece)
        over.wait(60)

    try:
        before = clock.elapsed()
        assert type(failure(talk, PATIENCE)) is kind
        assert clock.elapsed() - before < 10 * PATIENCE
    finally:
        over.set()


def test_attack_a_banner_without_end_is_not_read() -> None:
    sent = 0

    def talk(line: socket.socket) -> None:
        nonlocal sent
        for _ in range(15_000):
            line.sendall(b"\x05\x02" + bytes(65_534))
            sent += 65_536

    failure(talk)
    assert sent < 20_000_000  # what the kernel held


class Says(httpcore.NetworkStream, httpcore.NetworkBackend):
    """A proxy that says these bytes whatever it is told, and hangs up."""

    def __init__(self, data: bytes) -> None:
        self.left = data
        self.closed = False

    def connect_tcp(self, *_: object, **__: object) -> httpcore.NetworkStream:
        return self

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        found, self.left = self.left[:max_bytes], self.left[max_bytes:]
        return found

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        pass

    def close(self) -> None:
        self.closed = True


WELL = b"".join(TAKEN) + b"\x05\x00\x00\x01" + bytes(6)


@given(st.binary(max_size=300) | st.integers(0, len(WELL)).map(lambda n: WELL[:n]), st.binary())
def test_attack_whatever_a_proxy_says_it_is_a_way_or_an_error(said: bytes, more: bytes) -> None:
    line = Says(said + more)
    try:
        Socks5(Proxy.parse("tor"), line).connect_tcp("relay.example", 443)
    except RelayDown:
        assert line.closed
    else:
        assert not line.closed
        assert (said + more).startswith(b"".join(TAKEN) + b"\x05\x00")


@pytest.mark.parametrize(
    "bound", [b"\x01" + bytes(4), b"\x04" + bytes(16), b"\x03\x05proxy", b"\x03\x00"]
)
def test_an_answer_in_pieces_and_with_any_kind_of_address_is_understood(bound: bytes) -> None:
    """Also by whom httpcore would have taken the first piece for all of it."""

    def talk(line: socket.socket) -> None:
        for piece in (*TAKEN, b"\x05\x00\x00" + bound + bytes(2)):
            line.recv(1000)
            for byte in piece:
                line.sendall(bytes((byte,)))
        line.recv(1000)
        line.sendall(description())

    with hostile(talk) as url:
        assert describe(f"http://{ONION}", proxy=url).key == KEY
