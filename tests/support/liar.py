"""A server on loopback that answers whatever a test says, and remembers what it was asked."""

import contextlib
import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Self

from backchannel.protocol.primitives import X25519Public, x25519_public
from backchannel.protocol.secret import X25519Private

PRIVATE = X25519Private(hashlib.sha256(b"relay").digest())
KEY = x25519_public(PRIVATE)
OTHER = x25519_public(X25519Private(hashlib.sha256(b"another relay").digest()))
Script = Callable[[bytes], Iterable[bytes]]


class Liar:
    """One thread; connections are served one after another."""

    def __init__(self, script: Script, port: int = 0) -> None:
        """`script` is given a whole request and gives pieces of an answer; then the line is cut."""
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", port))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.over = threading.Event()
        """Set at the end of the test: whatever is slow waits on this."""
        self.requests: list[bytes] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(10)
                    self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        request = _whole_request(connection)
        if request:
            self.requests.append(request)
            for piece in self._script(request):
                connection.sendall(piece)


def _whole_request(connection: socket.socket) -> bytes:
    held = b""
    for piece in _pieces(connection):
        held += piece
        head, end, body = held.partition(b"\r\n\r\n")
        if end and len(body) >= _length(head):
            return held
    return b""


def _pieces(connection: socket.socket) -> Iterator[bytes]:
    while piece := connection.recv(65_536):
        yield piece


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def http(status: int, body: bytes, *headers: str) -> bytes:
    """An answer of HTTP/1.1."""
    lines = (f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers, "", "")
    return "\r\n".join(lines).encode() + body


def description(key: X25519Public = KEY, **more: object) -> bytes:
    """How a relay with that key describes itself, but for what is said."""
    found: dict[str, object] = {
        "protocol": "backchannel/1",
        "static_key": key.value.hex(),
        "hour": 500_000,
        "classes": [24, 72],
        "max_blocks": 64,
    }
    return http(200, json.dumps(found | more).encode())
