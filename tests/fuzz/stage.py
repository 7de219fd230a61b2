"""A channel of three to be fuzzed: a victim, insiders who make any core, and cores to spoil.

The victim is put back as it was after whatever changed it. Knows no door's rules.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Final, final

from backchannel.protocol import command as commands
from backchannel.protocol import line
from backchannel.protocol.block import outer_key
from backchannel.protocol.channel import Channel
from backchannel.protocol.content import Announcement, Part
from backchannel.protocol.core import Kind, content_hash
from backchannel.protocol.drop import Drop
from backchannel.protocol.epoch import roster_secret, unattributed_secret
from backchannel.protocol.errors import RemoteProtocolError
from backchannel.protocol.labels import Label
from backchannel.protocol.outcome import Append, Arrival
from backchannel.protocol.primitives import hash_, xseal
from backchannel.protocol.roster import PIECE, Policy, seal_piece
from backchannel.protocol.secret import ItemKey
from backchannel.protocol.sender_key import PART, Parent
from backchannel.protocol.types import (
    MAIN_THREAD,
    Block,
    Core,
    DropId,
    Hour,
    MessageId,
    RosterHash,
    Slot,
    hour_of,
)
from tests.fuzz.target import Bytes
from tests.support.entropy import ScriptedEntropy
from tests.support.insider import Insider, core_in
from tests.support.world import LIFETIME, RELAY, World

_KINDS: Final = list(range(13))
_NONCE: Final = bytes(24)


@final
class Stage:
    """Made once; what a victim forgets, the next attempt does not remember."""

    def __init__(self) -> None:
        self.world = _world()
        self.authors = [Insider(self.world[0]), Insider(self.world[2])]
        self.victim = self.world[1].twin()
        self.clean = self.victim.snapshot()
        self.library = _library(self.world)
        self.drop = Drop.of_epoch(self.victim.state.epoch.secret, RELAY.public)
        self.reader = self.victim.member
        """Whom an arrival is for that rests on another."""
        self._dirty = False

    def channel(self) -> Channel:
        """The victim's, as it was in the beginning."""
        if self._dirty:
            self.victim.restart()
            self._dirty = False
        self.reader = self.victim.member
        return self.reader

    def soil(self) -> None:
        """The victim has changed."""
        self._dirty = True

    def arrival(self, take: Bytes) -> Arrival:
        """A block that somebody with all of a member's keys made as `take` says."""
        way = take.choose(_WAYS)
        return way(self, take)

    def hour(self, take: Bytes) -> Hour:
        """Mostly this one."""
        off = take.byte()
        return Hour(hour_of(self.world.now) + (off - 250 if off > 200 else 0))

    def wrapped(self, core: bytes, take: Bytes) -> Arrival:
        """Under the outer key of its hour, if there is one, with any hour of a relay."""
        block = Block(_NONCE + xseal(self._outer(Hour(int.from_bytes(core[1:5]))), _NONCE, core))
        stored = self.hour(take) if take.byte() % 8 else Hour(abs(take.number()))
        return Arrival(self.drop.id, stored, block)

    def _outer(self, hour: Hour) -> ItemKey:
        clock, now = self.world[0].member.clock, hour_of(self.world.now)
        known = clock.hour <= hour <= now + 100
        return outer_key(self.drop.outer, clock, hour if known else now)


@cache
def stage() -> Stage:
    """The one of this process."""
    return Stage()


def _world() -> World:
    world = World()
    for name in ("Owl", "Elk"):
        world.admit(name)
        world.settle()
    world.founder.act(commands.SetPolicy(Policy(LIFETIME, unattributed=4)))
    world.founder.act(commands.Begin("borders", 24))
    world.settle()
    for member in world.members:
        member.say("here")
    world.settle()
    world[2].act(commands.Whisper("Owl", "between us"))
    world[0].act(commands.SendFile(MAIN_THREAD, "plan.txt", b"plan" * 2000))
    world.settle()
    for member in world.members:  # what was sent and what was told is over
        member.restart()
    return world


def _library(world: World) -> list[Core]:
    """Cores of every kind: some were read, some are about to be."""
    reader = world[0].twin()
    rows = world.drops.rows[Drop.of_epoch(reader.state.epoch.secret, RELAY.public).id]
    cores = [core_in(reader, each) for each in rows]
    founder, guest = world[0].twin(), world[2].twin()
    founder.act(commands.Remove("Elk"))
    guest.act(commands.Say(MAIN_THREAD, "long " * 1000))
    guest.act(commands.Whisper("Owl", "and this"))
    guest.member.tick(guest.now, guest.entropy)
    fresh = [
        core_in(world[0], Arrival(each.drop.id, hour_of(world.now), each.block))
        for member in (founder, guest)
        for each in member.disk.outbox
        if isinstance(each, Append) and each.drop.id in {p.drop.id for p in world[0].member.polls()}
    ]
    newest = {kind: [core for core in cores if core[0] == kind][-3:] for kind in Kind}
    return fresh + [core for each in newest.values() for core in each]


def _noise(here: Stage, take: Bytes) -> Arrival:
    """Not even a block, or of another drop."""
    drop = here.drop.id if take.byte() % 8 else DropId(take.take(16))
    return Arrival(drop, here.hour(take), Block(take.rest()))


def _any_core(here: Stage, take: Bytes) -> Arrival:
    """A core of any kind, hour and fields."""
    head = bytes([take.choose(_KINDS)]) + here.hour(take).to_bytes(4) + take.take(16)
    return here.wrapped((head + take.rest())[:4056].ljust(4056, b"\0"), take)


def _spoiled(here: Stage, take: Bytes) -> Arrival:
    """A real core, whole or with some bytes changed."""
    core = bytearray(take.choose(here.library))
    for _ in range(take.byte() % 4):
        at, put = abs(take.number()) % len(core), take.some()
        core[at : at + len(put)] = put[: len(core) - at]
    return here.wrapped(bytes(core), take)


def _posted(here: Stage, take: Bytes) -> Arrival:
    """A post whose slots are right, of any parts, parents and content."""
    author = take.choose(here.authors)
    post, own = author.state.transcript, author.state.own
    known = [*post.posts, *map(content_hash, here.library)]
    parents = tuple(
        {Parent(take.choose(known), take.byte()) for _ in range(take.byte() % 5)}
    )[:4]  # fmt: skip
    rosters = [author.state.expected, *author.state.versions, RosterHash(take.take(32))]
    roster = take.choose(rosters) if take.byte() % 8 == 0 else author.state.expected
    part = _part(take)
    core = author.seal(part[:PART], roster, parents, hours=here.hour(take) - author.posting().hour)
    author.state.own = own
    return here.wrapped(core, take)


def _part(take: Bytes) -> bytes:
    if take.byte() % 16 == 0:
        return take.rest()
    alone, name = take.byte() % 4, MessageId(take.take(1) * 16)
    place, total = (0, 1) if alone else (take.byte(), take.byte())
    return Part(name, abs(take.number()), place, total, take.rest()).pack()


def _whispered(here: Stage, take: Bytes) -> Arrival:
    """A line block that says anything."""
    author = take.choose(here.authors)
    peer = author.state.peers[Slot(here.victim.state.me)]
    assert peer.line is not None
    head, clock = author.head(Kind.LINE), author.member.member.clock
    kem, said = peer.bundle.identity.kem, take.rest()[: line.REPLY_CONTENT]
    sent = line.send(peer.line, said, kem, clock, head, ScriptedEntropy("line"))
    return here.wrapped(sent.core, take)


def _of_nobody(here: Stage, take: Bytes) -> Arrival:
    """An unattributed post of any bytes."""
    author = here.authors[0]
    secret = unattributed_secret(author.state.epoch.secret)
    clock, head = author.member.member.clock, author.head(Kind.UNATTRIBUTED)
    return here.wrapped(seal_piece(take.rest()[:PIECE], secret, clock, head), take)


def _roster(here: Stage, take: Bytes) -> Arrival:
    """An announcement of any package in one piece, which the victim reads first; then the piece."""
    author = here.authors[0]
    flags, package = take.byte(), take.rest()[:PIECE]
    secret = roster_secret(author.state.epoch.secret)
    clock, own = author.member.member.clock, author.state.own
    piece = seal_piece(package, secret, clock, author.head(Kind.ROSTER))
    size = int.from_bytes(package[:4])
    named = hash_(Label.ROSTER, package[4 : 4 + size])
    version = author.state.current().version + 1 + flags % 3 - 1
    told = Announcement(version, named, (content_hash(piece),))
    announced = author.post(told)
    author.state.own = own
    here.soil()
    with suppress(RemoteProtocolError):  # its hour may be over
        here.reader.receive(announced, here.victim.now)
    return here.wrapped(piece, Bytes(b"\0\1"))


_WAYS: Final[list[Callable[[Stage, Bytes], Arrival]]] = [
    _noise,
    _any_core,
    _spoiled,
    _posted,
    _whispered,
    _of_nobody,
    _roster,
]
WAYS: Final = len(_WAYS)
