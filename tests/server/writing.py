"""Clients that append all the time, and notice whatever goes wrong."""

import contextlib
import threading
from collections.abc import Iterator
from typing import final

import httpx

from tests.support.relay import DropClient, RefusedError, RelayProcess, noise, until

_WRITERS = 6


def drop_of(relay: RelayProcess) -> DropClient:
    client = DropClient.connect(relay.url)
    client.create(relay.voucher())
    return client


@final
class Writer(threading.Thread):
    """Appends all the time, over one connection or over a new one each time."""

    def __init__(
        self, client: DropClient, ended: threading.Event, *, kept: bool, stubborn: bool
    ) -> None:
        super().__init__()
        limits = httpx.Limits(max_keepalive_connections=1 if kept else 0)
        client.http = httpx.Client(timeout=60, trust_env=False, limits=limits)
        self._client = client
        self._ended = ended
        self._stubborn = stubborn
        """Whether a broken connection is no trouble: it sends the same block again."""
        self.acknowledged: list[bytes] = []
        self.trouble: Exception | None = None

    def run(self) -> None:
        try:
            with self._client.http:
                while not self._ended.is_set():
                    (block,) = noise()
                    self._append(block)
                    self.acknowledged.append(block)
        except (httpx.HTTPError, RefusedError) as trouble:
            self.trouble = trouble

    def _append(self, block: bytes) -> None:
        while True:
            try:
                self._client.append(block)
            except (httpx.ReadError, httpx.RemoteProtocolError):
                if not self._stubborn:
                    raise
            else:
                return

    def stored(self) -> list[bytes]:
        blocks: list[bytes] = []
        with httpx.Client(trust_env=False) as self._client.http:
            page = self._client.read()
            blocks += [row.block for row in page.rows]
            while page.more:
                page = self._client.read(position=page.following)
                blocks += [row.block for row in page.rows]
        return blocks


@contextlib.contextmanager
def writing(relay: RelayProcess, *, stubborn: bool = False) -> Iterator[list[Writer]]:
    """Several, each at a drop of its own, until the block ends."""
    ended = threading.Event()
    writers = [
        Writer(drop_of(relay), ended, kept=number % 2 == 0, stubborn=stubborn)
        for number in range(_WRITERS)
    ]
    for writer in writers:
        writer.start()
    try:
        yield writers
    finally:
        ended.set()
        for writer in writers:
            writer.join()


def progress(writers: list[Writer]) -> None:
    """Wait until each had something acknowledged from now on."""
    before = [len(writer.acknowledged) for writer in writers]
    for _ in until(60):
        now = [len(writer.acknowledged) for writer in writers]
        if all(after > then for then, after in zip(before, now, strict=True)):
            return
        assert not any(writer.trouble for writer in writers)


def complete(writers: list[Writer]) -> None:
    """Nobody had trouble, and what was acknowledged is there, each block once and in order."""
    for writer in writers:
        assert writer.trouble is None
        assert writer.stored() == writer.acknowledged
