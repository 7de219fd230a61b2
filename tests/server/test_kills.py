"""Attack class 56: whatever is killed while many write, what was acknowledged is there, at its
place and once; and so is what was sent again because nobody knew.

`make kills` does 200 rounds of each; every `make test` a few.
"""

import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import httpx
import pytest

from backchannel.protocol.drop import Page
from backchannel.protocol.types import Block, Hour
from tests.server.conftest import Furnish, use
from tests.support import postgres
from tests.support.postgres import Postgres, running_postgres
from tests.support.relay import DropClient, RefusedError, RelayProcess, noise, until

ROUNDS: Final = int(os.environ.get("BACKCHANNEL_KILLS", "3"))
_WRITERS: Final = 6
_MOST: Final = 8  # blocks of one request
_LONGEST: Final = 300  # milliseconds of writing before something is killed
_SOME: Final = 4  # workers killed before their supervisor is ended, too
_BACK: Final = 60.0  # seconds after which all must work again

Batch = tuple[Block, ...]


def chance(below: int) -> int:
    """Any number from 0 on."""
    return int.from_bytes(os.urandom(4)) % below


@dataclass
class Writer(DropClient):
    """Writes to a shared drop over a connection of its own, and notes what became of it."""

    placed: dict[Block, int] = field(default_factory=dict)
    """The position that each acknowledged block was given."""
    doubtful: list[Batch] = field(default_factory=list)
    """What was sent and not answered."""
    known: Hour | None = None

    @classmethod
    def beside(cls, client: DropClient) -> Self:
        made = cls(httpx.Client(timeout=_BACK, trust_env=False), client.relay, client.url)
        made.drop, made.access, made.close = client.drop, client.access, client.close
        return made

    def hour(self) -> Hour:
        """Asked for once, so that it is appends that the relay is busy with."""
        if self.known is None:
            self.known = super().hour()
        return self.known

    def put(self, batch: Batch) -> None:
        for row, block in zip(self.append(*batch), batch, strict=True):
            assert self.placed.setdefault(block, row.position) == row.position

    def write(self, over: threading.Event, began: threading.Event) -> None:
        """Until it is told to end, or nobody answers."""
        while not over.is_set():
            batch = tuple(noise(1 + chance(_MOST)))
            try:
                self.put(batch)
            except (httpx.HTTPError, RefusedError):
                self.doubtful.append(batch)
                return
            began.set()

    def again(self, url: str) -> None:
        """Send what nobody answered, as an outbox does, until it is acknowledged."""
        self.url, self.known = url, None
        for batch in self.doubtful:
            for _ in until(_BACK):
                with suppress(httpx.HTTPError, RefusedError):
                    self.put(batch)
                    break
        self.doubtful.clear()


@dataclass
class Ledger:
    """One drop, those who write to it, and what was found in it."""

    client: DropClient
    writers: list[Writer]
    found: dict[Block, int] = field(default_factory=dict)
    following: int = 1

    def round(self, kill: Callable[[], object], mend: Callable[[], str]) -> None:
        """Write, kill, mend, send again, look."""
        over, began = threading.Event(), threading.Event()
        threads = [
            threading.Thread(target=writer.write, args=(over, began)) for writer in self.writers
        ]
        for thread in threads:
            thread.start()
        assert began.wait(_BACK)
        over.wait(chance(_LONGEST) / 1000)
        kill()
        over.set()
        for thread in threads:
            thread.join()
        self.client.url = mend()
        for writer in self.writers:
            writer.again(self.client.url)
        self._look()

    def _look(self) -> None:
        """What came since the last time."""
        for block, position in self._rows(self.following):
            assert block not in self.found, "stored twice"
            self.found[block] = position
            self.following = position + 1
        assert self.found == self._placed()

    def whole(self) -> None:
        """All of it once more, from the beginning."""
        rows = list(self._rows(1))
        assert dict(rows) == self._placed()
        assert len(rows) == len(self.found)

    def _placed(self) -> dict[Block, int]:
        return {block: at for writer in self.writers for block, at in writer.placed.items()}

    def _rows(self, position: int) -> Iterator[tuple[Block, int]]:
        more = True
        while more:
            page = self._page(position)
            yield from ((row.block, row.position) for row in page.rows)
            position, more = page.following, page.more

    def _page(self, position: int) -> Page:
        """A connection that the killed process had not taken yet is reset: one asks again."""
        for _ in until(_BACK):
            with suppress(httpx.TransportError):
                return self.client.read(position=position)
        raise AssertionError


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RelayProcess]:
    relay = RelayProcess.make(tmp_path / "relay")
    (relay.data / "relay.toml").write_text("rate_blocks = 0\nrate_requests = 0\n")
    yield relay
    relay.stop()
    assert "ERROR" not in relay.log.read_text()


def ledger(relay: RelayProcess) -> Ledger:
    """A drop of that relay, which runs."""
    client = DropClient.connect(relay.url)
    client.create(relay.voucher())
    return Ledger(client, [Writer.beside(client) for _ in range(_WRITERS)])


@pytest.fixture
def server() -> Iterator[Postgres]:
    """One that may be killed."""
    if why := postgres.missing():
        pytest.skip(why)
    with running_postgres() as running:
        yield running


def play(relay: RelayProcess, kill: Callable[[], object], mend: Callable[[], str]) -> None:
    kept = ledger(relay)
    with ExitStack() as connections:
        for writer in kept.writers:
            connections.enter_context(writer.http)
        for _ in range(ROUNDS):
            kept.round(kill, mend)
        kept.whole()


@pytest.mark.slow
@pytest.mark.stores
def test_attack_56_acknowledged_blocks_survive_kill_9(relay: RelayProcess, store: Furnish) -> None:
    store(relay.data)
    play(relay.start(), relay.kill, lambda: relay.start().url)


@pytest.mark.slow
def test_attack_56_and_a_database_server_that_is_killed(
    relay: RelayProcess, server: Postgres
) -> None:
    """The relay goes on, and has its connections back by itself."""
    use(relay.data, server.fresh())

    def mend() -> str:
        server.start()
        return relay.url

    play(relay.start(), server.kill, mend)


@pytest.mark.slow
def test_attack_56_and_one_worker_of_two(relay: RelayProcess, server: Postgres) -> None:
    """The other goes on, and the supervisor begins a new one: ever later where that happens often,
    so that it has to begin anew now and then itself.
    """
    use(relay.data, server.fresh(), workers=2)
    relay.start()
    rounds = itertools.count(1)

    def kill() -> None:
        running = workers(relay)
        os.kill(running[chance(len(running))], signal.SIGKILL)

    def mend() -> str:
        if not next(rounds) % _SOME:
            relay.restart()
        for _ in until(_BACK):
            if len(workers(relay)) == 2:
                break
        return relay.url

    play(relay, kill, mend)


def workers(relay: RelayProcess) -> list[int]:
    """The processes that the supervisor runs."""
    assert relay.process is not None
    pid = relay.process.pid
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
