"""A member who breaks rules: makes cores that honest code would not, and hands them to others."""

import pytest

from backchannel.protocol import sender_key
from backchannel.protocol.block import wrap
from backchannel.protocol.codec import encode
from backchannel.protocol.content import Content, Part
from backchannel.protocol.core import Head, Kind
from backchannel.protocol.drop import Drop
from backchannel.protocol.errors import RemoteProtocolError
from backchannel.protocol.outcome import Append, Arrival, Event, Said
from backchannel.protocol.posting import Posting
from backchannel.protocol.sender_key import Parent
from backchannel.protocol.types import Block, Core, Hour, MessageId, RosterHash, Slot, hour_of
from tests.support.world import RELAY, Member

Kinds = type[RemoteProtocolError] | tuple[type[RemoteProtocolError], ...]


def refuses(member: Member, arrival: Arrival, kind: Kinds, match: str | None = None) -> None:
    """`arrival` is refused for this reason, and not a byte of `member` changes."""
    door = member.channel or member.candidate
    assert door is not None
    before = member.snapshot()
    with pytest.raises(kind, match=match):
        door.receive(arrival, member.now)
    assert member.snapshot() == before


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


class Insider:
    """Works on a copy of `member`, so that one lie does not stand in the way of the next."""

    def __init__(self, member: Member) -> None:
        self.member = member.twin()
        self.state = self.member.state

    def posting(self) -> Posting:
        member = self.member
        return Posting(member.state, member.member.clock, member.now, member.entropy)

    def head(self, kind: Kind, hours: int = 0) -> Head:
        posting = self.posting()
        return Head(kind, Hour(posting.hour + hours), posting.entropy.draw(16))

    def arrival(self, core: bytes, stored: Hour | None = None) -> Arrival:
        """A core in the channel's drop."""
        posting = self.posting()
        drop = Drop.of_epoch(self.state.secret, RELAY.public)
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
        state.own, core = sender_key.seal_post(
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
