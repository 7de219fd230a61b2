"""A SOCKS5 server on loopback that writes down every connection: under which name, to where, and
each request that passed. Looks up no name: a table of the test says what leads where.
"""

import contextlib
import ipaddress
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Final, NamedTuple, Self, cast

_READS: Final = b"/v1/read"
_DESCRIPTION: Final = b"/v1/relay"
_HEAD, _DROP = b"\r\n\r\n", 16


class Asked(NamedTuple):
    """A request."""

    path: bytes
    drop: bytes
    """Which it is for; none for the relay's description."""

    @property
    def line(self) -> tuple[bytes, bool]:
        """Drop and direction: what must have a name of its own."""
        return self.drop, self.path in {_READS, _DESCRIPTION}


@dataclass
class Seen:
    """One connection."""

    name: str
    """As whom the client came; name and password, which are always alike."""
    host: str
    port: int
    kind: int
    """Of the address: 1 IPv4, 3 a name, 4 IPv6."""
    sent: bytearray = field(default_factory=bytearray)
    """What the client sent through."""

    @property
    def heads(self) -> list[bytes]:
        """Of its requests, without the end."""
        return [head for head, _ in _requests(bytes(self.sent))]

    @property
    def asked(self) -> list[Asked]:
        """Its requests."""
        return [Asked(h.split()[1], body[:_DROP]) for h, body in _requests(bytes(self.sent))]


def _requests(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    while _HEAD in data:
        head, _, data = data.partition(_HEAD)
        found = re.search(rb"\r\nContent-Length: ([0-9]+)", head)
        length = int(found[1]) if found else 0
        yield head, data[:length]
        data = data[length:]


class Socks:
    """One thread for each connection, for as long as the test lasts."""

    def __init__(self, places: Mapping[str, str]) -> None:
        """`places`: where names lead, as `host:port`. All else cannot be reached."""
        self._places = places
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"socks5h://127.0.0.1:{self.port}"
        self.seen: list[Seen] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def fresh(self) -> list[Seen]:
        """What came since this was asked before."""
        found, self.seen = self.seen, []
        return found

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), client.makefile("rb") as said:
            seen = _greeted(client, cast("BinaryIO", said))
            self.seen.append(seen)
            place = self._places.get(seen.host)
            if place is None:
                client.sendall(b"\x05\x04\x00\x01" + bytes(6))
                return
            host, _, port = place.rpartition(":")
            with socket.create_connection((host, int(port))) as relay:
                client.sendall(b"\x05\x00\x00\x01" + bytes(6))
                back = threading.Thread(target=_pass_on, args=(relay, client), daemon=True)
                back.start()
                _pass_on(client, relay, seen.sent)
                back.join(10)


def _greeted(client: socket.socket, said: BinaryIO) -> Seen:
    def read(count: int) -> bytes:
        found = said.read(count)
        if len(found) < count:  # who only greets
            raise ConnectionResetError
        return found

    assert read(3) == b"\x05\x01\x02"  # one method: by name
    client.sendall(b"\x05\x02")
    assert read(1) == b"\x01"
    name, password = read(read(1)[0]), read(read(1)[0])
    assert name == password
    client.sendall(b"\x01\x00")
    assert read(3) == b"\x05\x01\x00"
    kind = read(1)[0]
    value = read(read(1)[0] if kind == 3 else {1: 4, 4: 16}[kind])
    host = value.decode() if kind == 3 else str(ipaddress.ip_address(value))
    return Seen(name.decode(), host, int.from_bytes(read(2)), kind)


def _pass_on(source: socket.socket, target: socket.socket, kept: bytearray | None = None) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65_536):
            if kept is not None:
                kept += piece
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
