"""The relay that is measured: the real program on the server's core, with drops of our own, and
requests sealed and authenticated beforehand.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from urllib.parse import urlsplit

from backchannel.protocol import limits
from backchannel.protocol.drop import Create, DropKeys, Operation, Read, Request
from backchannel.protocol.primitives import x25519_public
from backchannel.protocol.types import Hour
from bench.relay.load import Address, Http
from bench.relay.place import SERVER, folder, on
from tests.support.relay import PROGRAM, DropClient, RelayProcess

_ROOM: dict[str, int | str] = {"most_waiting": 10_000, "rate_blocks": 0, "rate_requests": 0}
"""In `relay.toml`, beside defaults: 5,000 may wait, and 32 drops are written to without pause."""


@dataclass
class Ours:
    """One relay, and drops in it."""

    relay: RelayProcess
    drops: list[tuple[DropClient, DropKeys]]
    hour: Hour

    @property
    def address(self) -> Address:
        """For the load."""
        return Address(urlsplit(self.relay.url).port or 0, Http, self.pid)

    @property
    def pid(self) -> int:
        assert self.relay.process is not None  # noqa: S101 - it runs
        return self.relay.process.pid

    def more_drops(self, count: int, keep: int = 2) -> None:
        """Make so many."""
        first = DropClient.connect(self.relay.url)
        self.hour = first.hour()
        for voucher in self.relay.mint(count):
            client = DropClient(first.http, first.relay, first.url)
            asked = Create(voucher, x25519_public(client.access), x25519_public(client.close), keep)
            keys = client.keys(Operation.CREATE)
            client.send(client.request_at(Operation.CREATE, asked.pack(), self.hour, keys))
            self.drops.append((client, keys))

    def look_at_clock(self) -> None:
        """Requests made from now on say the hour that the relay has now."""
        self.hour = self.drops[0][0].hour()

    def appends(self, count: int, blocks: int = 1) -> list[bytes]:
        """Requests with fresh blocks, for each drop in turn."""
        size = blocks * limits.BLOCK
        return [
            self._http(drop, Operation.APPEND, os.urandom(size))
            for drop in islice(cycle(self.drops), count)
        ]

    def reads(self, asked: Iterable[Read]) -> list[bytes]:
        """Requests for a page each, of each drop in turn."""
        turns = zip(cycle(self.drops), asked, strict=False)
        return [self._http(drop, Operation.READ, each.pack()) for drop, each in turns]

    def _http(self, drop: tuple[DropClient, DropKeys], asks: Operation, payload: bytes) -> bytes:
        client, keys = drop
        request = Request.write(asks, client.drop, self.hour, os.urandom(16), payload, keys)
        return http_post(f"/v1/{asks.name.lower()}", request.pack())


def http_post(path: str, body: bytes) -> bytes:
    """A whole request."""
    head = f"POST {path} HTTP/1.1\r\nhost: relay\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode("ascii") + body


@contextlib.contextmanager
def ours(
    drops: int, keep: int = 2, cores: Iterable[int] = (SERVER,), **settings: int | str
) -> Iterator[Ours]:
    """A fresh relay, in a folder of its own."""
    with folder() as where:
        relay = RelayProcess.make(where / "relay")
        _write_settings(relay.data, _ROOM | settings)
        try:
            relay.start(program=on(cores, *PROGRAM))
            made = Ours(relay, [], Hour(0))
            made.more_drops(drops, keep)
            yield made
        finally:
            relay.stop()


def _write_settings(data: Path, chosen: dict[str, int | str]) -> None:
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in chosen.items())
    with (data / "relay.toml").open("a", encoding="utf-8") as file:
        file.write(lines)
