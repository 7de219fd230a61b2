"""A relay at work while its disk is recorded, and what it must still hold on whatever was left.

Every request and every answer is marked in the recording; `broken` compares what a relay finds
when it starts again with what had been answered before the loss.
"""

import _sqlite3
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple, final

import pytest

from backchannel.protocol.drop import Read
from backchannel.protocol.expiry import PLACE, Place, PlaceKind
from backchannel.protocol.types import Block, DropId, Hour
from backchannel.server import database, service
from backchannel.server.errors import OperatorError
from backchannel.server.home import Home
from backchannel.server.operate import setup
from backchannel.server.relay import Relay
from backchannel.server.repository import Repository
from backchannel.server.service import Brought
from backchannel.server.settings import Settings
from backchannel.server.writer import Order, commit
from tests.server.inside import Inside
from tests.support.powerloss.disk import Files
from tests.support.powerloss.recorder import Recording, files_of, put, quick_folder, recording
from tests.support.relay import DropClient, door_of, noise

SETTINGS = Settings()
LIVES = {0: 24, 1: 72}  # hours that blocks of these classes live
STEP = 10  # hours between two turns: a real hour that turns meanwhile ends nothing


class Asked(NamedTuple):
    """What a client or the clock wanted."""

    number: int
    verb: str
    drop: DropId
    hour: int
    """Of the demo clock."""
    keep: int = 0
    blocks: tuple[Block, ...] = ()

    @property
    def end(self) -> int:
        """The hour in which its blocks die."""
        return self.hour + LIVES[self.keep]


class Answered(NamedTuple):
    """That it is done."""

    number: int
    positions: tuple[int, ...]


class Keys(NamedTuple):
    """Expiry keys that stood in the file, each with the hour of the demo clock when it dies."""

    found: frozenset[tuple[int, bytes]]


@final
class Client:
    """Asks a relay for things, and marks what it asked and what was answered."""

    def __init__(self, inside: Inside, made: Recording) -> None:
        self._inside = inside
        self._made = made
        self._count = 0
        self._hour = 0
        self._drops: dict[DropId, tuple[DropClient, int]] = {}

    def create(self, keep: int) -> DropId:
        client, voucher = self._inside.stranger(), self._inside.voucher()
        with self._asking("create", client.drop, keep):
            client.create(voucher, keep)
        self._drops[client.drop] = client, keep
        return client.drop

    def append(self, drop: DropId, count: int = 1) -> None:
        client, keep = self._drops[drop]
        blocks = tuple(noise(count))
        with self._asking("append", drop, keep, blocks) as positions:
            positions += [row.position for row in client.append(*blocks)]

    def together(self, *drops: DropId) -> None:
        """At once, so that some share a commit."""
        with ThreadPoolExecutor(len(drops)) as pool:
            list(pool.map(self.append, drops))

    def seal(self, drop: DropId) -> None:
        with self._asking("seal", drop):
            self._drops[drop][0].seal()

    def delete(self, drop: DropId) -> None:
        with self._asking("delete", drop):
            self._drops[drop][0].delete()

    def turn(self) -> None:
        """The clock goes on, and the sweep comes by."""
        self._made.mark(Keys(frozenset(_keys(self._inside.home.places.read_bytes(), self._hour))))
        self._hour += STEP
        with self._asking("turn", DropId(b"")):
            self._inside.move_clock(self._hour)
            self._inside.sweep()

    @contextmanager
    def _asking(
        self, verb: str, drop: DropId, keep: int = 0, blocks: tuple[Block, ...] = ()
    ) -> Iterator[list[int]]:
        self._count += 1
        asked, positions = Asked(self._count, verb, drop, self._hour, keep, blocks), list[int]()
        self._made.mark(asked)
        yield positions
        self._made.mark(Answered(asked.number, tuple(positions)))


def _keys(data: bytes, hour: int) -> Iterator[tuple[int, bytes]]:
    """Every expiry key of a file, when the demo clock shows `hour`."""
    places = [Place.read(data[at : at + PLACE]) for at in range(0, len(data), PLACE)]
    highest = max(place.hour for place in places if place.kind is PlaceKind.HEADER)
    for place in places:
        if place.kind is PlaceKind.EXPIRY:
            yield place.hour - highest + hour, place.value


def busy_days(client: Client) -> None:
    """Blocks come, alone and together; drops are sealed and deleted; hours turn."""
    long, short = client.create(1), client.create(0)
    for day in range(4):
        passing = client.create(0)
        client.append(long, 1 + day)
        client.together(long, short, passing, short)
        client.turn()
        client.append(short, 2)
        client.delete(passing)
        client.turn()
        last = client.create(1)
        client.together(last, long, short, last)
        client.seal(last)
        client.turn()


@contextmanager
def recorded(work: Callable[[Client], None]) -> Iterator[tuple[Home, Recording]]:
    """What a real relay writes while it is worked with; and an empty home beside its own."""
    with quick_folder() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(setup, "PLACES", 24)  # so few that the file grows, too
        home = Home(folder / "relay")
        setup.make(home)
        with recording(home.path, _sqlite3) as made, Inside(home, SETTINGS) as inside:
            work(Client(inside, made))
        yield Home(folder / "found"), made


class Held(NamedTuple):
    """One drop as a relay gives it out."""

    sealed: bool
    blocks: dict[int, Block]


Store = dict[DropId, Held]


@contextmanager
def restarted(home: Home, hour: int) -> Iterator[Relay]:
    """The relay on what its folder holds, the demo clock at `hour`."""
    home.demo_hours.write_text(str(hour))
    relay = Relay.open(home, SETTINGS, accept_clock=True)
    try:
        yield relay
    finally:
        relay.close()


def found(relay: Relay, drops: Sequence[DropId]) -> Store:
    """All that it gives out of these drops."""
    store = Store()
    hour = relay.retention.highest
    with relay._read_engine.begin() as connection:
        repository = database.repository(connection)
        for drop in drops:
            row = repository.drop(drop)
            if row is not None:
                asked = Read(1, Hour(0), 64, 0)
                door = door_of(repository, drop)
                page = service.page(repository, relay.retention, door, asked, hour)
                assert not page.more
                blocks = {each.position: each.block for each in page.rows if each.block}
                store[drop] = Held(row.sealed, blocks)
    return store


def append(relay: Relay, ledger: "Ledger", store: Store, made: Recording) -> None:
    """A block more for a drop that takes one, as the writer does it, marked as clients mark it."""
    drop = next((drop for drop, held in store.items() if not held.sealed), None)
    if drop is None:
        return
    asked = Asked(0, "append", drop, ledger.hour, ledger.keep(drop), tuple(noise()))

    def job(repository: Repository, hour: Hour) -> int:
        door, quota = door_of(repository, drop), SETTINGS.quota
        brought = [Brought(relay.retention.digest(drop, block), block) for block in asked.blocks]
        taken = service.append(repository, relay.retention, door, brought, quota, hour)
        return taken[0].position

    made.mark(asked)
    with relay._write_engine.connect() as connection:
        now = relay.clock.now
        (done,) = commit(connection, lambda: relay.retention.turn(now()), [Order(job)])
    assert done.value is not None, done.error
    made.mark(Answered(asked.number, (done.value,)))


@final
class Ledger:
    """What was asked and answered before power was lost."""

    def __init__(self, said: Sequence[object]) -> None:
        self._asked = [each for each in said if isinstance(each, Asked)]
        answers = {each.number: each.positions for each in said if isinstance(each, Answered)}
        self._answers = answers
        turns = [each for each in self._asked if each.verb == "turn"]
        self.hour = max((each.hour for each in turns), default=0)
        """That the clock showed."""
        done = (each.hour for each in turns if each.number in answers)
        self._over = max(done, default=0)
        """The last hour whose turn was swept."""
        keys = (pair for each in said if isinstance(each, Keys) for pair in each.found)
        self._keys = {value for end, value in keys if end <= self._over}

    @property
    def drops(self) -> list[DropId]:
        """All that were ever asked for."""
        return [each.drop for each in self._of("create")]

    def keep(self, drop: DropId) -> int:
        """Its class."""
        return next(each.keep for each in self._of("create") if each.drop == drop)

    def broken(self, store: Store, files: Files, hour: int) -> list[str]:
        """Every promise that what was found does not keep; `hour` is what the clock shows now."""
        return [
            *self._drops(store),
            *(fault for each in self._of("append") for fault in self._append(each, store, hour)),
            *self._strangers(store),
            *self.leftover(files),
        ]

    def leftover(self, files: Files) -> list[str]:
        """Dead keys that stand in a file."""
        return [
            f"an erased key is in {name}"
            for name, data in files.items()
            for key in self._keys
            if key in data
        ]

    def _of(self, verb: str) -> list[Asked]:
        return [each for each in self._asked if each.verb == verb]

    def _done(self, verb: str) -> set[DropId]:
        return {each.drop for each in self._of(verb) if each.number in self._answers}

    def _drops(self, store: Store) -> Iterator[str]:
        going = {each.drop for each in self._of("delete")}
        for drop in self.drops:
            if drop in self._done("create") - going and drop not in store:
                yield "a drop is lost"
            if drop in self._done("delete") and drop in store:
                yield "a deleted drop is back"
            if drop in self._done("seal") and not store.get(drop, Held(True, {})).sealed:
                yield "a sealed drop is open"

    def _append(self, asked: Asked, store: Store, hour: int) -> Iterator[str]:
        there = {block: at for at, block in store.get(asked.drop, Held(False, {})).blocks.items()}
        kept = [there[block] for block in asked.blocks if block in there]
        if asked.end <= self._over and kept:
            yield "an expired block is back"
        if len(kept) not in {0, len(asked.blocks)}:
            yield "an append is there in part"
        due = asked.drop in store and asked.end > max(hour, self.hour)
        if due and kept != list(self._answers.get(asked.number, kept)):
            yield "an acknowledged block is lost"

    def _strangers(self, store: Store) -> Iterator[str]:
        sent = {block for each in self._of("append") for block in each.blocks}
        for held in store.values():
            if not sent.issuperset(held.blocks.values()):
                yield "a block that nobody sent"


def start(home: Home, files: Files, ledger: Ledger, hour: int) -> list[str]:
    """Let a relay start on `files`, and say which promises are broken."""
    put(files, home.path)
    try:
        with restarted(home, hour) as relay:
            store = found(relay, ledger.drops)
    except OperatorError:
        return ["the relay does not start"]
    except sqlite3.DatabaseError:
        return ["the relay cannot read its store"]
    return [*ledger.leftover(files), *ledger.broken(store, files_of(home.path), hour)]
