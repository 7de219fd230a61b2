"""Targets: the doors of a lobby, where whoever has twelve words may put anything."""

from functools import cache
from typing import Final, NamedTuple

from backchannel.protocol import command as commands
from backchannel.protocol import invite, limits
from backchannel.protocol.block import outer_key, unwrap
from backchannel.protocol.candidate import Candidate
from backchannel.protocol.core import CoreKey, Head, Kind, head_of
from backchannel.protocol.errors import RemoteProtocolError
from backchannel.protocol.identity import BundleKeys
from backchannel.protocol.invite import Lobby
from backchannel.protocol.lobby import lobby_of
from backchannel.protocol.outcome import Arrival
from backchannel.protocol.primitives import dh, pad, x25519_public, xseal
from backchannel.protocol.roster import PIECE, seal_piece
from backchannel.protocol.secret import X25519Private
from backchannel.protocol.types import Block, Core, Hour, Timestamp, hour_of
from tests.fuzz.target import Bytes, Target
from tests.fuzz.vectors import recorded
from tests.support.entropy import ScriptedEntropy
from tests.support.world import Member, World

_NONCE: Final = bytes(24)


class Porch(NamedTuple):
    """An invite that is answered, seen from both sides, and the cores of its lobby."""

    founder: Member
    lobby: Lobby
    keys: BundleKeys
    """Of the card: whoever answers seals to them."""
    waiting: list[bytes]
    """Who holds the words: before it has read, before it has answered, and after."""
    library: list[Core]
    now: Timestamp


@cache
def porch() -> Porch:
    """The one of this process."""
    world = World()
    guest = world.invite("Owl")
    states = [guest.snapshot()]
    guest.sync()
    states.append(guest.snapshot())
    (invited,) = world.founder.state.guests
    lobby, keys = lobby_of(invited), invited.keys
    assert keys is not None
    open_ = world.founder.twin()
    guest.accept("Owl")
    guest.flush()
    states.append(guest.snapshot())
    world.founder.sync()
    world.founder.act(commands.Admit("Owl"))
    world.founder.flush()
    hour = hour_of(world.now)
    window = (Hour(hour - 2), Hour(hour + 1))
    rows = world.drops.rows[lobby.drop.id]
    library = [unwrap(each.block, lobby.drop.outer, lobby.at, hour, window) for each in rows]
    return Porch(open_, lobby, keys, states, library, world.now)


def _arrival(here: Porch, take: Bytes) -> Arrival:
    way, hour = take.byte() % 4, Hour(hour_of(here.now) + take.byte() % 3 - 1)
    if way == 0:
        core = bytes([take.byte() % 13]) + hour.to_bytes(4) + take.rest()
    elif way == 1:
        core = _spoiled(here, take)
    elif way == 2:
        head = Head(Kind.CARD, hour, take.take(16))
        core = seal_piece(take.rest()[:PIECE], here.lobby.card, here.lobby.at, head)
    else:
        core = _joining(here, Head(Kind.JOIN, hour, take.take(16)), take.rest())
    core = core[: limits.CORE].ljust(limits.CORE, b"\0")
    key = outer_key(here.lobby.drop.outer, here.lobby.at, Hour(int.from_bytes(core[1:5])))
    return Arrival(here.lobby.drop.id, hour, Block(_NONCE + xseal(key, _NONCE, core)))


def _spoiled(here: Porch, take: Bytes) -> bytes:
    core = bytearray(take.choose(here.library))
    for _ in range(take.byte() % 4):
        at, put = abs(take.number()) % len(core), take.some()
        core[at : at + len(put)] = put[: len(core) - at]
    return bytes(core)


@cache
def _encapsulated() -> tuple[bytes, bytes]:
    kem, ciphertext = ScriptedEntropy().encapsulate(porch().keys.public().prekey.kem)
    return kem.expose(), ciphertext


def _joining(here: Porch, head: Head, plain: bytes) -> Core:
    """A join core of any plaintext."""
    bundle, ephemeral = here.keys.public(), X25519Private(b"e" * 32)
    kem, ciphertext = _encapsulated()
    shared = dh(ephemeral, bundle.identity.x), dh(ephemeral, bundle.prekey.x), kem
    key: CoreKey = invite._join_key(shared, here.lobby, bundle, head)
    front = head.pack() + x25519_public(ephemeral).value + ciphertext + key.commitment
    room = limits.CORE - len(front) - limits.TAG
    return Core(front + key.seal(pad(plain[: room - 1], room), front))


def open_join(data: bytes) -> None:
    """The plaintext of a join, without its door."""
    here, head = porch(), Head(Kind.JOIN, hour_of(porch().now), bytes(16))
    core = _joining(here, head, data)
    try:
        invite.open_join(core, head_of(core), here.keys, here.lobby)
    except RemoteProtocolError:
        return


def _facilitator(data: bytes) -> None:
    here = porch()
    channel = here.founder.member
    before = channel.snapshot()
    try:
        channel.receive(_arrival(here, Bytes(data)), here.now)
    except RemoteProtocolError:
        assert channel.snapshot() == before
    else:
        here.founder.restart()


def _candidate(data: bytes) -> None:
    here, take = porch(), Bytes(data)
    candidate = Candidate.open(take.choose(here.waiting))
    for _ in range(1 + take.byte() % 3):
        before = candidate.snapshot()
        try:
            candidate.receive(_arrival(here, Bytes(take.some() + take.take(take.byte()))), here.now)
        except RemoteProtocolError:
            assert candidate.snapshot() == before
        if candidate.phase == "admitted":
            candidate.channel()
            return


def _cards() -> list[bytes]:
    joins = recorded("lobby", "encoded", does="joined")()
    ways = [bytes([way, 1, place, 0]) + bytes(30) for way in range(4) for place in range(3)]
    return [*(bytes([3, 1]) + bytes(16) + each for each in joins), *ways]


def _both() -> list[bytes]:
    return [bytes([state, 2, 60]) + each for state in range(3) for each in _cards()]


TARGETS = [
    Target("join core", open_join, recorded("lobby", "encoded", does="joined"), 4056),
    Target("lobby", _facilitator, _cards, 4200),
    Target("candidate", _candidate, _both, 1000),
]
