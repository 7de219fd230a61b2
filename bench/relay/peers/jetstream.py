"""NATS JetStream with `sync_interval: always`: each message is on the disk before its answer."""

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from typing import final

from bench.libsignal import Missing
from bench.relay.installing import from_debian
from bench.relay.load import Address, Dialect, Refused
from bench.relay.peers.peer import Peer
from bench.relay.place import folder, free_port, serving

_SINCE = (2, 10)
"""The first that can be told to sync always; Debian has it since 13."""
_SUITE = "trixie"
_HELLO = b'CONNECT {"verbose":false,"pedantic":false}\r\n'
_inboxes = count()


@final
class Nats(Dialect):
    """The text protocol of NATS: a message is published with an inbox for its acknowledgement."""

    def __init__(self) -> None:
        inbox = f"_INBOX.{next(_inboxes)}"
        self._greeting = _HELLO + f"SUB {inbox} 1\r\nPING\r\n".encode("ascii")
        self._head = f"PUB blocks {inbox} 4096\r\n".encode("ascii")
        self._data = b""
        self._greeted = False

    def greeting(self) -> bytes:
        return self._greeting

    def ask(self, request: bytes) -> bytes:
        return self._head + request

    def feed(self, data: bytes) -> bool:
        self._data += data
        if b"-ERR" in self._data or b'"error"' in self._data:
            raise Refused(self._data.decode("ascii", "replace"))
        if self._greeted:
            whole = self._data.replace(b"PING\r\n", b"").endswith(b"}\r\n")
        else:
            whole = self._greeted = b"PONG\r\n" in self._data
        if whole:
            self._data = b""
        return whole


@contextmanager
def jetstream() -> Iterator[Peer]:
    """One server, one stream on the disk."""
    program, port = _program(), free_port()
    with folder() as where:
        config = where / "nats.conf"
        store = f'store_dir: "{where}", max_file_store: 20GB, sync_interval: always'
        config.write_text(f"listen: 127.0.0.1:{port}\njetstream {{ {store} }}\n")
        with serving([program, "--config", str(config)], port, where / "log") as pid:
            _make_stream(port)
            yield Peer(Address(port, Nats, pid), _payloads, 3000)


def _program() -> str:
    """One that can sync always: this machine's own, or Debian's."""
    own = shutil.which("nats-server")
    if own and _version(own) >= _SINCE:
        return own
    found = str(from_debian("nats", ["nats-server"], _SUITE) / "usr" / "sbin" / "nats-server")
    if _version(found) < _SINCE:
        raise Missing("nats-server is too old for sync_interval: always")
    return found


def _version(program: str) -> tuple[int, ...]:
    done = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=False, timeout=30
    )
    found = re.search(r"v(\d+)\.(\d+)", done.stdout)
    return tuple(map(int, found.groups())) if found else (0,)


def _make_stream(port: int) -> None:
    asked = {"name": "BLOCKS", "subjects": ["blocks"], "storage": "file", "retention": "limits"}
    payload = json.dumps(asked).encode("ascii")
    with closing(socket.create_connection(("127.0.0.1", port), 10)) as nats:
        head = f"SUB _INBOX.made 1\r\nPUB $JS.API.STREAM.CREATE.BLOCKS _INBOX.made {len(payload)}"
        nats.sendall(_HELLO + head.encode("ascii") + b"\r\n" + payload + b"\r\n")
        told = b""
        while b"_INBOX.made" not in told or not told.endswith(b"}\r\n"):
            told += nats.recv(1 << 16)
    if b'"error"' in told:
        raise Refused(told.decode("ascii", "replace"))


def _payloads(wanted: int) -> list[bytes]:
    return [os.urandom(4096) + b"\r\n" for _ in range(wanted)]
