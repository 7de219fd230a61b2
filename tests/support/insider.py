"""A member who breaks rules: makes cores that honest code would not, and hands them to others."""

import re

from backchannel.protocol import sender_key
from backchannel.protocol.block import unwrap, wrap
from backchannel.protocol.codec import encode
from backchannel.protocol.content import Content, Part
from backchannel.protocol.core import Head, Kind, head_of
from backchannel.protocol.drop import Drop
from backchannel.protocol.errors import ForbiddenError, RemoteProtocolError
from backchannel.protocol.outcome import Alarm, Append, Arrival, Event, Keep, Said
from backchannel.protocol.posting import Posting
from backchannel.protocol.sender_key import Parent
from backchannel.protocol.snapshot import load, save
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import Block, Core, Hour, MessageId, RosterHash, Slot, hour_of
from tests.support.world import RELAY, Member, news

Kinds = type[RemoteProtocolError] | tuple[type[RemoteProtocolError], ...]


def refuses(member: Member, arrival: Arrival, kind: Kinds, match: str | None = None) -> None:
    """`arrival` is refused for this reason, and not a byte of `member` changes, but for the list
    of refused posts; or it raises an alarm, where its author is known and was not to write it.
    """
    door = member.channel or member.candidate
    assert door is not None
    before = _apart_from_refused(member)
    try:
        (alarm,) = door.receive(arrival, member.now)
    except kind as error:
        assert re.search(match or "", str(error)), error  # noqa: PT017 - or an alarm is as good
        assert _apart_from_refused(member) == before
    else:
        assert isinstance(alarm, Alarm)
        assert issubclass(ForbiddenError, kind)
        assert re.search(match or "", alarm.reason), alarm


def forbids(member: Member, arrival: Arrival, match: str) -> None:
    """`arrival` is authentic and not for its author to say: one alarm says so, once; nothing else
    changes.
    """
    before = _unjudged(member)
    (alarm,) = news(member.member.receive(arrival, member.now))
    assert isinstance(alarm, Alarm)
    assert re.search(match, alarm.reason), alarm
    assert _unjudged(member) == before
    assert member.member.receive(arrival, member.now) == []


def _unjudged(member: Member) -> bytes:
    """All but which cores were seen, and refused, and are awaited no more."""
    state = load(member.snapshot(), ChannelState)
    state.record.refused, state.wants = {}, []
    for epoch in state.epochs:
        epoch.seen = {}
    return save(state)


def _apart_from_refused(member: Member) -> bytes:
    if member.channel is None:
        return member.snapshot()
    record = member.state.record
    kept, record.refused = record.refused, {}
    snapshot = member.snapshot()
    record.refused = kept
    return snapshot


def waits(member: Member, arrival: Arrival) -> None:
    """`arrival` is kept for later, and shows nothing."""
    before = len(member.state.pending)
    assert member.receive(arrival) == []
    assert len(member.state.pending) == before + 1


def texts(events: list[Event]) -> list[str]:
    return [each.text for each in events if isinstance(each, Said)]


def owed(member: Member) -> list[Arrival]:
    """What a member is about to send, as it would arrive."""
    hour = hour_of(member.time())
    appends = [each for each in member.disk.outbox if isinstance(each, Append)]
    return [Arrival(each.drop.id, hour, each.block) for each in appends]


def core_in(member: Member, arrival: Arrival) -> Core:
    """The core of a block of a drop that `member` reads."""
    (epoch,) = [
        each
        for each in member.state.epochs
        for relay in each.relays
        if Drop.of_epoch(each.secret, relay.public).id == arrival.drop
    ]
    outer, clock = Drop.of_epoch(epoch.secret, RELAY.public).outer, member.member.clocks[epoch.id]
    window = (clock.hour, Hour(hour_of(member.now) + 1))
    return unwrap(arrival.block, outer, clock, arrival.hour, window)


def kinds(member: Member) -> list[Kind]:
    """What a member owes the channel's drops, in order."""
    return [Kind(core_in(member, each)[0]) for each in owed(member)]


class Insider:
    """Works on a copy of `member`, so that one lie does not stand in the way of the next."""

    def __init__(self, member: Member) -> None:
        self.member = member.twin()
        self.state = self.member.state

    def posting(self) -> Posting:
        member = self.member
        return Posting(member.state, member.member.clocks, member.now, member.entropy)

    def head(self, kind: Kind, hours: int = 0) -> Head:
        posting = self.posting()
        return Head(kind, Hour(posting.hour + hours), posting.entropy.draw(16))

    def arrival(self, core: bytes, stored: Hour | None = None) -> Arrival:
        """A core in the channel's drop."""
        posting = self.posting()
        drop = Drop.of_epoch(self.state.epoch.secret, RELAY.public)
        block = wrap(Core(core), drop.outer, self.member.member.clock, posting.entropy)
        return Arrival(drop.id, posting.hour if stored is None else stored, block)

    def noise(self, kind: int, start: bytes = b"", hours: int = 0) -> Core:
        """A core whose fields are `start` and then noise."""
        posting = self.posting()
        head = bytes([kind]) + (posting.hour + hours).to_bytes(4) + posting.entropy.draw(16)
        return Core((head + start).ljust(4056, b"\x5a"))

    def part(
        self, data: bytes, place: int = 0, total: int = 1, name: int = 7, order: int = 1
    ) -> bytes:
        return Part(MessageId(bytes([name]) * 16), order, place, total, data).pack()

    def seal(
        self,
        part: bytes,
        roster: RosterHash | None = None,
        parents: tuple[Parent, ...] = (),
        hours: int = 0,
    ) -> Core:
        """A post of any part under any roster; its slots are right."""
        posting, state = self.posting(), self.state
        state.own, core, _ = sender_key.seal_post(
            posting.generation(),
            state.me,
            roster or state.expected,
            parents,
            part,
            posting.clock,
            self.head(Kind.GROUP, hours),
            posting.entropy,
        )
        return core

    def key_block(self) -> Core:
        """A new generation of the member's, for its readers' true steps."""
        posting = self.posting()
        posting.new_generation()
        return next(each.core for each in posting.events if isinstance(each, Keep))

    def with_step(self, core: Core, slot: int, step: int) -> Core:
        """A key block that names another step to one reader: a lie under the right mask."""
        line, clock = self.state.peers[Slot(slot)].line, self.member.member.clock
        assert line is not None
        mask, at = line.masks[0], 70 + 52 * slot
        true, _ = sender_key.wrapped(core, self.state.me, Slot(slot), mask, clock, head_of(core))
        masked = int.from_bytes(core[at : at + 3]) ^ true ^ step
        return Core(core[:at] + masked.to_bytes(3) + core[at + 3 :])

    def post(self, content: Content, roster: RosterHash | None = None, name: int = 7) -> Arrival:
        """Any content as one block."""
        return self.arrival(self.seal(self.part(encode(content), name=name), roster))


def as_if_by(core: Core, slot: Slot) -> Core:
    """The same core in somebody else's name."""
    return Core(core[:21] + bytes([slot]) + core[22:])


def other_drop(arrival: Arrival) -> Arrival:
    return arrival._replace(drop=type(arrival.drop)(bytes(16)))


def cut(arrival: Arrival, size: int) -> Arrival:
    return arrival._replace(block=Block(arrival.block[:size].ljust(size, b"\0")))
