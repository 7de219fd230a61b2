"""A channel of many members whose lines all stand, without the hours of reading that made them.

Each core goes straight to whom it is for, by the same code that posts and reads.
"""

from itertools import combinations

import msgspec

from backchannel.protocol.channel import Channel
from backchannel.protocol.core import content_hash, head_of
from backchannel.protocol.epoch import EpochClock
from backchannel.protocol.epochs import Epoch
from backchannel.protocol.identity import BundleKeys, identity_hash
from backchannel.protocol.outcome import Keep
from backchannel.protocol.peer import Peer
from backchannel.protocol.posting import Posting
from backchannel.protocol.reading import read
from backchannel.protocol.reception import Reception
from backchannel.protocol.roster import Entry, Format, Roster
from backchannel.protocol.snapshot import FORMAT
from backchannel.protocol.state import ChannelState
from backchannel.protocol.transcript import Transcript
from backchannel.protocol.types import Core, Slot, hour_of
from tests.support.entropy import ScriptedEntropy
from tests.support.world import Member, World


def crowd(count: int, sides: tuple[str, ...] = ("North",), kind: Format = "plenary") -> World:
    """A settled channel of `count` members, of each side in turn; its drop holds none of what
    settled it.
    """
    world = World(24, kind=kind) if kind != "plenary" else World()
    keys = {
        Slot(slot): BundleKeys.draw(ScriptedEntropy(f"keys {slot}")) for slot in range(1, count)
    }
    roster = _roster(world.founder.state, keys, sides)
    for slot, own in keys.items():
        state = _state(world.founder.state, roster, slot, own)
        clock = EpochClock(world.founder.member.clock.hour, world.founder.member.clock.value)
        world.join(state.alias, Channel(state, {state.epoch.id: clock}))
    _acquaint(world, roster)
    for a, b in combinations(world.members, 2):
        _greet(b, a)
    for member in world.members:
        _renew(member, world)
    for member in world.members:
        member.state.record.sent.clear()  # as if the drop had shown it before it forgot
    return world


def _roster(founder: ChannelState, keys: dict[Slot, BundleKeys], sides: tuple[str, ...]) -> Roster:
    before = founder.current()
    entries = [
        Entry(
            slot,
            f"Guest {slot}",
            sides[(slot - 1) % len(sides)],
            "participant",
            identity_hash(own.identity.public()),
        )
        for slot, own in keys.items()
    ]
    return msgspec.structs.replace(
        before, version=2, previous=before.hash, entries=(*before.entries, *entries)
    )


def _state(founder: ChannelState, roster: Roster, slot: Slot, keys: BundleKeys) -> ChannelState:
    here = founder.epoch
    return ChannelState(
        format=FORMAT,
        id=founder.id,
        name=founder.name,
        alias=f"Guest {slot}",
        me=slot,
        keys=keys,
        epochs=[Epoch(here.id, here.number, here.secret, here.relays, here.began)],
        policy=founder.policy,
        charter=founder.charter,
        disclosure=founder.disclosure,
        roster=roster,
        expected=roster.hash,
        transcript=Transcript(first=2),
        prekey_since=here.began,
    )


def _acquaint(world: World, roster: Roster) -> None:
    bundles = {member.state.me: member.state.keys.public() for member in world.members}
    for member in world.members:
        state = member.state
        state.roster, state.expected = roster, roster.hash
        state.knows(roster)
        state.peers = {slot: Peer(bundle) for slot, bundle in bundles.items() if slot != state.me}


def _posting(member: Member) -> Posting:
    return Posting(member.state, member.member.clocks, member.now, member.entropy)


def _hand(core: Core, to: Member) -> None:
    state, clocks, now = to.state, to.member.clocks, to.now
    head, name = head_of(core), content_hash(core)
    read(Reception(state, clocks, state.epoch, core, head, name, hour_of(now), now))


def _cores(posting: Posting) -> list[Core]:
    return [event.core for event in posting.events if isinstance(event, Keep)]


def _greet(a: Member, b: Member) -> None:
    """An intro and its reply."""
    posting = _posting(a)
    posting.greet(b.state.me)
    for core in _cores(posting):
        if core[22] == b.state.me:
            _hand(core, b)
    answering = _posting(b)
    answering.reply(a.state.me)
    for core in _cores(answering):
        _hand(core, a)


def _renew(member: Member, world: World) -> None:
    """A sender key that rests on the answers, for everybody."""
    posting = _posting(member)
    posting.new_generation()
    for core in _cores(posting):
        for other in world.members:
            if other is not member:
                _hand(core, other)
