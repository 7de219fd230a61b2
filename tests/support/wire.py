"""What goes over the wire: a relay's address behind which everything is written down, and the raw
packets of this machine's loopback. Understands HTTP as far as lengths go, and no block.
"""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import NamedTuple, Self, final
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PATIENCE = 120  # seconds
_ALL_PROTOCOLS = 3
_OUTGOING = 4  # loopback shows each packet going out and coming in
_TCP = 6


class Message(NamedTuple):
    """One HTTP message: its first line, its other headers, its body."""

    first: str
    headers: bytes
    body: bytes

    @property
    def size(self) -> int:
        """Bytes on the wire."""
        return len(self.first) + len(self.headers) + 4 + len(self.body)


class Exchange(NamedTuple):
    """A request and its answer."""

    request: Message
    answer: Message

    @property
    def path(self) -> str:
        """As in `POST /v1/read HTTP/1.1`."""
        return self.request.first.split(" ")[1]

    @property
    def status(self) -> int:
        """Of the answer."""
        return int(self.answer.first.split(" ")[1])


@dataclass
class _Connection:
    asked: bytearray = field(default_factory=bytearray)
    answered: bytearray = field(default_factory=bytearray)


@final
class Tap:
    """Stands before a relay and hands every byte on, both ways."""

    def __init__(self, relay: str) -> None:
        self._target = (urlsplit(relay).hostname or "", urlsplit(relay).port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        """For clients: in place of the relay's."""
        self._connections: list[_Connection] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def everything(self) -> dict[str, bytes]:
        """All bytes of all connections, each direction by itself."""
        return {
            f"connection {number}, {way}": bytes(data)
            for number, each in enumerate(list(self._connections))
            for way, data in (("there", each.asked), ("back", each.answered))
        }

    @property
    def connections(self) -> int:
        """How many there were."""
        return len(self._connections)

    def exchanges(self, since: int = 0) -> list[Exchange]:
        """All that was asked and answered in full, connection by connection, from one on."""
        return [
            Exchange(asked, answered)
            for each in self._connections[since:]
            for asked, answered in zip(
                _messages(bytes(each.asked)), _messages(bytes(each.answered)), strict=False
            )
        ]

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                relay = socket.create_connection(self._target, _PATIENCE)
                client.settimeout(_PATIENCE)
                kept = _Connection()
                self._connections.append(kept)
                for source, sink, record in (
                    (client, relay, kept.asked),
                    (relay, client, kept.answered),
                ):
                    threading.Thread(
                        target=_hand_on, args=(source, sink, record), daemon=True
                    ).start()


def _hand_on(source: socket.socket, sink: socket.socket, record: bytearray) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            record += data  # before it is handed on: who has an answer finds it here
            sink.sendall(data)
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


def _messages(data: bytes) -> Iterator[Message]:
    while data:
        head, found, rest = data.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        size = int(length[1]) if length else 0
        if not found or len(rest) < size:
            return
        first, _, headers = head.partition(b"\r\n")
        yield Message(first.decode("latin-1"), headers, rest[:size])
        data = rest[size:]


@final
class Packets:
    """Every packet that this machine's loopback carries to or from one port."""

    def __init__(self, port: int) -> None:
        self._port = port.to_bytes(2)
        self._socket = socket.socket(
            socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(_ALL_PROTOCOLS)
        )
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 26)
        self._socket.bind(("lo", 0))
        self._socket.settimeout(0.2)
        self._flows: dict[bytes, bytearray] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def stop(self) -> dict[str, bytes]:
        """End; headers and contents of all that was seen, flow by flow."""
        self._ended.set()
        self._thread.join()
        self._socket.close()
        return {f"packets {name.hex()}": bytes(data) for name, data in self._flows.items()}

    def _listen(self) -> None:
        while not self._ended.is_set():
            with suppress(TimeoutError):
                packet, address = self._socket.recvfrom(1 << 17)
                if address[2] == _OUTGOING:
                    self._take(packet[14:])

    def _take(self, packet: bytes) -> None:
        """An IPv4 packet: the contents join those of its flow, so that none is cut in two."""
        header = (packet[0] & 15) * 4
        if packet[0] >> 4 != 4 or packet[9] != _TCP:
            return
        ports = packet[header : header + 4]
        if self._port in (ports[:2], ports[2:]):
            self._flows.setdefault(ports, bytearray()).extend(
                packet[header + (packet[header + 12] >> 4) * 4 :]
            )


@contextmanager
def packets(port: int) -> Iterator[Packets | None]:
    """Listening on loopback; none where this machine does not let us."""
    try:
        listening = Packets(port)
    except (PermissionError, AttributeError):
        yield None
        return
    try:
        yield listening
    finally:
        listening.stop()
