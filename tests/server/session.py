"""A whole session of one relay, with all that people, strangers and bad luck do to it; what is said
about it afterwards must name none of them.
"""

import os
import socket
import sqlite3
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

from backchannel.protocol.drop import Operation, show_voucher
from tests.server.plain import connection, received
from tests.support.relay import HTTP, DropClient, RefusedError, RelayProcess, noise

SETTINGS = (
    'log_level = "debug"\nquota = 70\nbody_seconds = 0.2\nheader_seconds = 0.5\n'
    "most_requests = 8\nrate_blocks = 100\n"
)
MARK = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
"""Stands in the message of a bug that the session meets."""
BUGGY = (
    "from backchannel.server import service\n"
    "kept = service.page\n"
    "def page(store, retention, door, asked, hour):\n"
    "    if asked.most == 13:\n"
    f"        raise KeyError('{MARK}', door.drop.hex())\n"
    "    return kept(store, retention, door, asked, hour)\n"
    "service.page = page\n"
    "from backchannel.server.cli import main; main()"
)
PROGRAM = (sys.executable, "-c", BUGGY)
BUG = 13


@dataclass
class Session:
    """What happened, and whom it must not name."""

    relay: RelayProcess
    clients: list[DropClient] = field(default_factory=list)
    vouchers: list[bytes] = field(default_factory=list)
    ports: set[int] = field(default_factory=set)

    @classmethod
    def begin(cls, relay: RelayProcess, settings: str = "") -> "Session":
        """A relay with a bug, that serves."""
        (relay.data / "relay.toml").write_text(SETTINGS + settings)
        session = cls(relay)
        session._start()
        return session

    def _start(self, *more: str) -> None:
        self.relay.start(*more, program=PROGRAM)
        self.ports.add(urlsplit(self.relay.url).port or 0)
        for client in self.clients:
            client.url = self.relay.url

    def _again(self, *more: str) -> None:
        self.relay.stop()
        self._start(*more)

    def crowd(self) -> None:
        """People, and those who are none."""
        for _ in range(3):
            self._person()
        self._refusals()
        self._strangers()
        self._flood()
        self._bug()

    def play(self) -> None:
        """All of it."""
        self.crowd()
        self.misfortune()

    def misfortune(self) -> None:
        """What happens to the relay; then its people leave."""
        self._damage()
        self._trouble()
        self._leap()
        for client in self.clients[:3]:
            client.seal()
            client.delete()
        self._again()

    def names(self) -> list[bytes]:
        """Ids, keys, vouchers and ports, in the forms in which they might be said."""
        relay = HTTP.get(f"{self.relay.url}/v1/relay").json()["static_key"]
        raw = [bytes.fromhex(relay), *self.vouchers]
        for each in self.clients:
            raw += [each.drop, each.access.expose(), each.close.expose()]
        shown = [show_voucher(voucher).encode() for voucher in self.vouchers]
        forms: list[Callable[[bytes], bytes]] = [
            lambda name: name,
            lambda name: name.hex().encode(),
            lambda name: name.hex().upper().encode(),
            lambda name: repr(name)[2:-1].encode(),
            lambda name: str(int.from_bytes(name)).encode(),
        ]
        ports = [str(port).encode() for port in self.ports]
        return [form(name) for name in raw for form in forms] + shown + ports + [MARK.encode()]

    def _person(self) -> DropClient:
        client = DropClient.connect(self.relay.url)
        voucher = self.relay.voucher()
        self.clients.append(client)
        self.vouchers.append(voucher)
        client.create(voucher)
        client.append(*noise(2))
        client.read()
        client.read(position=3, wait=1)
        return client

    def _refusals(self) -> None:
        first, stranger = self.clients[0], DropClient.connect(self.relay.url)
        ahead = DropClient.connect(self.relay.url)
        ahead.drop, ahead.access, ahead.ahead = first.drop, first.access, 5
        self.clients.append(stranger)
        for attempt in (
            lambda: first.append(*noise(64), *noise(64)),
            lambda: first.append(b"short"),
            lambda: first.with_wrong_key().read(),
            lambda: stranger.create(self.vouchers[0]),
            ahead.read,
            lambda: [first.append(*noise(60)) for _ in range(3)],
            lambda: first.send(first.request(Operation.READ, b"\xff" * 16)),
        ):
            with pytest.raises(RefusedError):
                attempt()

    def _strangers(self) -> None:
        said = (
            b"NONSENSE \x00\xff\r\n\r\n",
            b"POST /v1/read HTTP/1.1\r\nhost: x\r\ncontent-length: 84\r\n\r\nabc",
            b"POST /v1/append HTTP/1.1\r\nhost: x\r\ncontent-length: 4164\r\n\r\n"
            + os.urandom(4164),
            b"POST /v1/append HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n",
            b"GET /" + self.clients[0].drop.hex().encode() + b" HTTP/1.1\r\nhost: x\r\n\r\n",
            b"POST /v1/read HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 20_000,
            b"POST /v1/create HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        )
        for each in said:
            with connection(self.relay) as plain:
                plain.sendall(each)
                plain.shutdown(socket.SHUT_WR)
                self.ports.add(plain.getsockname()[1])
                received(plain)

    def _flood(self) -> None:
        """More bodies than may be in hand, none of which ends."""
        with ExitStack() as crowd:
            for _ in range(30):
                plain = crowd.enter_context(connection(self.relay))
                plain.sendall(
                    b"POST /v1/append HTTP/1.1\r\nhost: x\r\ncontent-length: 4164\r\n\r\nabc"
                )
                self.ports.add(plain.getsockname()[1])

    def _bug(self) -> None:
        with pytest.raises(RefusedError, match="503 busy"):
            self.clients[1].read(position=0, most=BUG)  # not in memory

    def _store(self, statement: str) -> None:
        with closing(sqlite3.connect(self.relay.data / "relay.db", timeout=60)) as store, store:
            store.execute(statement)

    def _damage(self) -> None:
        self._store("UPDATE blocks SET sealed = zeroblob(length(sealed))")
        self._again()  # the newest are in memory
        assert self.clients[1].read().rows == ()

    def _trouble(self) -> None:
        """A store that cannot be used, for a while."""
        self._store("ALTER TABLE blocks RENAME TO gone")
        with pytest.raises(RefusedError, match="503 busy"):
            self.clients[1].append(*noise())
        self._store("ALTER TABLE gone RENAME TO blocks")
        self._again()
        assert len(self.clients[1].append(*noise())) == 1

    def _leap(self) -> None:
        """More than a day: a person is to look."""
        self.relay.move_clock(30)
        assert HTTP.get(f"{self.relay.url}/v1/relay").status_code == 503
        self._again("--accept-clock")
