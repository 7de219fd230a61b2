"""C2: what the relay sees of a post does not tell what it is. Every kind of it, by real clients and
over real HTTP: sizes, numbers of requests, answers, and the blocks themselves.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby

import pytest

from backchannel.client.rounds.sync import Sync
from backchannel.protocol import command, limits
from backchannel.protocol.block import unwrap
from backchannel.protocol.core import Kind, head_of
from backchannel.protocol.drop import MAC
from backchannel.protocol.epoch import EpochClock
from backchannel.protocol.errors import AuthenticationError
from backchannel.protocol.outcome import Invited
from backchannel.protocol.roster import Policy
from backchannel.protocol.secret import OuterSecret
from backchannel.protocol.types import MAIN_THREAD, Core, Hour, hour_of
from tests.support.clients import NAME, Client, Party, party
from tests.support.noise import doubts
from tests.support.relay import noise
from tests.support.wire import Exchange, Tap

pytestmark = [pytest.mark.system, pytest.mark.slow]

HEAD = 68  # bytes of a request before its payload
NEW_KEYS = {"an epoch", "a removal", "a role"}
"""After them each reader asks two drops for a while, and says in the old one that it came along."""
STORED = 12  # of an answer, for each block appended


@dataclass
class Watched:
    """A channel of four, and what the wire showed of each thing done in it."""

    party: Party
    tap: Tap
    writers: dict[str, list[Exchange]] = field(default_factory=dict)
    connections: dict[str, int] = field(default_factory=dict)
    """How many its writer made."""
    idle: dict[str, list[Exchange]] = field(default_factory=dict)
    """A reader's round just before."""
    readers: dict[str, list[Exchange]] = field(default_factory=dict)
    """And just after."""

    def record(self, what: str, who: str, asked: command.Command) -> None:
        """Let one do it, and another read it."""
        client = self.party.clients[who]
        reader = self.party.clients["Heron" if who != "Heron" else "Ibis"]
        self.idle[what] = self.reading(reader)
        before = self.tap.connections
        with Sync(client.app, client.vault) as rounds:
            rounds.act(NAME, asked, Invited)
            rounds.deliver()
        self.writers[what] = self.tap.exchanges(before)
        self.connections[what] = self.tap.connections - before
        self.readers[what] = self.reading(reader)
        self.party.settle()

    def reading(self, reader: Client) -> list[Exchange]:
        """A round of somebody who has nothing to say."""
        before = self.tap.connections
        reader.sync()
        return self.tap.exchanges(before)


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    taps: list[Tap] = []

    def through(url: str) -> str:
        taps.append(Tap(url))
        return taps[0].url

    with party("Heron", "Ibis", "Wren", through=through, vouchers=12) as made, taps[0] as tap:
        seen = Watched(made, tap)
        made.settle()
        for what, who, asked in deeds():
            seen.record(what, who, asked)
        yield seen


def deeds() -> Iterator[tuple[str, str, command.Command]]:
    """Everything that a member or a facilitator does, and what their programs do by themselves."""
    yield "a word", "Fox", command.Say(MAIN_THREAD, "a")
    yield "a full block", "Ibis", command.Say(MAIN_THREAD, "b" * 2500)
    yield "an answer", "Heron", command.Say(MAIN_THREAD, "yes", about=bytes(16))
    yield "a quote", "Fox", command.Say(MAIN_THREAD, "so", 1, 1, bytes(16), "quoted words")
    yield "a note to one", "Fox", command.Whisper("Wren", "for you alone")
    yield "a note to the reader", "Fox", command.Whisper("Heron", "n" * 500)
    yield "a thread", "Fox", command.Begin("Topic", 24)
    yield "a raised hand", "Wren", command.RaiseHand()
    yield "the floor", "Fox", command.GiveFloor()
    yield "a digest", "Fox", command.Digest()
    yield "rules", "Fox", command.SetPolicy(Policy(100, unattributed=4))
    yield "nobody's words", "Wren", command.SayUnattributed(MAIN_THREAD, "nobody said this")
    yield "a file", "Fox", command.SendFile(MAIN_THREAD, "f.txt", b"x" * 100_000)
    yield "a long text", "Fox", command.Say(MAIN_THREAD, "c" * 20_000)
    yield "a role", "Fox", command.SetRole("Wren", "facilitator")
    yield "an epoch", "Fox", command.Turn()
    yield "a removal", "Fox", command.Remove("Wren")


def operation(exchange: Exchange) -> str:
    return exchange.path.rpartition("/")[2]


def appends(exchanges: list[Exchange]) -> list[Exchange]:
    return [each for each in exchanges if each.path == "/v1/append"]


def count_of(exchange: Exchange) -> int:
    return (len(exchange.request.body) - HEAD) // limits.BLOCK


def blocks_of(exchanges: list[Exchange]) -> list[bytes]:
    """All that was appended."""
    cut = [each.request.body[HEAD:] for each in appends(exchanges)]
    return [part[at : at + 4096] for part in cut for at in range(0, len(part), 4096)]


def shape(exchange: Exchange) -> tuple[object, ...]:
    """All that can be told of an append but the number of its blocks and the noise in them."""
    count = count_of(exchange)
    request, answer = exchange
    return (
        *(request.first, bare(request.headers), len(request.body) - limits.BLOCK * count),
        *(answer.first, bare(answer.headers), len(answer.body) - STORED * count),
    )


def bare(headers: bytes) -> bytes:
    """Without the length, which follows from the body's."""
    return re.sub(rb"(?i)(content-length: *)\d+", rb"\1", headers)


def test_one_thing_said_or_done_is_one_request_of_one_size_with_one_answer(
    watched: Watched,
) -> None:
    single = {
        what: [(each.path, each.request.size, each.status, each.answer.size) for each in seen]
        for what, seen in watched.writers.items()
        if len(blocks_of(seen)) == 1
    }
    assert len(single) >= 9, sorted(single)
    assert {"a word", "a full block", "a note to one", "nobody's words", "a thread"} <= {*single}
    assert len({tuple(each) for each in single.values()}) == 1, single
    assert {watched.connections[what] for what in single} == {1}


def test_the_number_of_blocks_tells_what_threats_says_it_tells(watched: Watched) -> None:
    """The relay counts. A table of this stands in THREATS.md. Into how many requests what is more
    than two blocks goes depends on the link.
    """
    counted = {
        what: ([name for name, _ in groupby(map(operation, seen))], len(blocks_of(seen)))
        for what, seen in watched.writers.items()
    }
    several = {what: each for what, each in counted.items() if each != (["append"], 1)}
    assert several == {
        "rules": (["append"], 2),
        "a role": (["append"], 2),
        "a long text": (["append"], 8),
        "a file": (["append"], 28),
        "an epoch": (["create", "append"], 3),
        "a removal": (["create", "append"], 3),
    }


def test_what_takes_several_blocks_tells_their_number_and_nothing_else(watched: Watched) -> None:
    """In founding, lobbies and greetings, too."""
    every = appends(watched.tap.exchanges())
    assert {count_of(each) for each in every} > {1, 2}
    assert {each.status for each in every} == {200}
    assert len({shape(each) for each in every}) == 1


def test_a_round_with_news_asks_for_the_same_as_a_round_without(watched: Watched) -> None:
    """Requests, by size, and by number as far as two blocks; how many there are of more depends on
    the link. What is answered grows with the blocks that are new, each by the same: 4,108 bytes.
    """
    for what in {*watched.readers} - NEW_KEYS:
        idle, seen = watched.idle[what], watched.readers[what]
        asked, usual = Counter(map(asked_for, seen)), Counter(map(asked_for, idle))
        assert {*asked} == {*usual}, what
        assert asked == usual or blocks_in(seen) > 2, what
        assert not blocks_of(idle)
    for each in (each for seen in watched.readers.values() for each in seen):
        if each.path == "/v1/read":
            assert (len(each.answer.body) - MAC - 9) % (12 + limits.BLOCK) == 0


def test_all_reads_are_alike_whoever_reads_what(watched: Watched) -> None:
    """In a lobby or a channel, from the start or where one was."""
    reads = [each for each in watched.tap.exchanges() if each.path == "/v1/read"]
    assert len(reads) > 100
    assert len({(each.request.first, each.request.headers) for each in reads}) == 1
    assert {len(each.request.body) for each in reads} == {HEAD + 16}


def blocks_in(exchanges: list[Exchange]) -> int:
    """That were read."""
    answers = [each.answer.body for each in exchanges if each.path == "/v1/read"]
    return sum((len(body) - MAC - 9) // (12 + limits.BLOCK) for body in answers)


def asked_for(exchange: Exchange) -> tuple[str, int]:
    return exchange.path, exchange.request.size


def test_a_reader_sends_nothing_because_of_what_it_read(watched: Watched) -> None:
    sent = {what: appends(seen) for what, seen in watched.readers.items() if appends(seen)}
    assert set(sent) <= NEW_KEYS, sorted(sent)


def test_the_deeds_cover_every_kind_of_core_that_members_post(watched: Watched) -> None:
    in_lobbies, unsent = {Kind.CARD, Kind.JOIN}, {Kind.COVER}
    assert set(kinds_of(watched)) == {*Kind} - in_lobbies - unsent


def test_no_kind_of_block_is_told_from_noise(watched: Watched) -> None:
    for kind, blocks in kinds_of(watched).items():
        assert doubts(blocks) == [], kind


def test_no_block_on_the_wire_is_told_from_noise(watched: Watched) -> None:
    """Lobbies' too; a block that is sent again is another."""
    sent = blocks_of(watched.tap.exchanges())
    assert len(sent) > 100
    assert doubts(sent) == []


def kinds_of(watched: Watched) -> dict[Kind, list[bytes]]:
    """Every block on the wire, by what is in it: as members see it, who have the keys."""
    found: dict[Kind, list[bytes]] = {}
    doors = [door for client in watched.party.clients.values() for door in doors_of(client)]
    for block in blocks_of(watched.tap.exchanges()):
        core = next(filter(None, (opened(block, *door) for door in doors)), None)
        if core is not None:
            found.setdefault(head_of(core).kind, []).append(block)
    return found


def doors_of(client: Client) -> list[tuple[OuterSecret, EpochClock, Hour]]:
    session, hour = client.look(), hour_of(client.tools.now())
    return [
        (drop.outer, session.channel.clocks[epoch.id], hour)
        for epoch in session.state.epochs
        for _, drop in epoch.drops()
    ]


def opened(block: bytes, outer: OuterSecret, clock: EpochClock, hour: Hour) -> Core | None:
    try:
        return unwrap(block, outer, clock, hour, (Hour(hour - 1), Hour(hour + 1)))
    except AuthenticationError:
        return None


# The control: a relay that asked would see it.


@pytest.mark.parametrize(
    "blocks",
    [
        [*noise(3), b"short"],
        [noise(1)[0]] * 2,
        [each[:100] + b"\0" + each[101:] for each in noise(200)],
        [each[:4095] + bytes([each[4095] & 127]) for each in noise(200)],
        [bytes(byte & 254 for byte in each) for each in noise(3)],
        [each[:2048] + each[:2048] for each in noise(2)],
        [b"text " * 819 + b"!"] * 2,
    ],
    ids=["a size", "a repetition", "a byte", "a bit", "a bias", "halves", "words"],
)
def test_what_is_no_noise_is_told(blocks: list[bytes]) -> None:
    assert doubts(blocks)
