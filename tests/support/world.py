"""Several members, one relay, a clock and bad weather, all in memory: the protocol through its
doors.

A member is a `Channel` or `Candidate` with what a shell keeps beside it: cores, messages, an
outbox. It saves before
anything leaves it; what was saved survives a crash, and what was owed to the relay is sent again.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from backchannel.protocol import command as commands
from backchannel.protocol.candidate import Candidate
from backchannel.protocol.channel import Channel
from backchannel.protocol.errors import RemoteProtocolError
from backchannel.protocol.lobby import lobby_of
from backchannel.protocol.outcome import (
    Admitted,
    Alone,
    Append,
    Arrival,
    DeleteDrop,
    Event,
    Expired,
    Invited,
    Keep,
    OpenDrop,
    Outcome,
    Repost,
    Said,
    SealDrop,
)
from backchannel.protocol.primitives import x25519_public
from backchannel.protocol.roster import Disclosure, Entry, Format, Policy, Relay, Role
from backchannel.protocol.secret import ClockValue, X25519Private
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import (
    MAIN_THREAD,
    Block,
    ContentHash,
    Core,
    DropId,
    EpochId,
    Hour,
    Slot,
    ThreadId,
    Timestamp,
    hour_of,
)
from tests.support.entropy import ScriptedEntropy

START = Timestamp(500_000 * 3600 + 60)
RELAY_PRIVATE = X25519Private(hashlib.sha256(b"a relay of a test").digest())
RELAY = Relay("https://relay.example", x25519_public(RELAY_PRIVATE).value)
RELAYS = (
    RELAY,
    *(
        Relay(f"https://{name}.example", hashlib.sha256(name.encode()).digest()[:31] + b"\1")
        for name in ("second", "third", "fourth")
    ),
)
DISCLOSURE = Disclosure("The Bridge", "Nobody", "The Bridge")
CHARTER = "We speak for ourselves."
LIFETIME = 168


class Drops:
    """The relay: drops of rows, in order, each with the hour when it came. The same block is taken
    once.
    """

    def __init__(self) -> None:
        self.rows: dict[DropId, list[Arrival]] = {}
        self.sealed: set[DropId] = set()

    def open(self, drop: DropId) -> None:
        self.rows.setdefault(drop, [])

    def append(self, drop: DropId, block: Block, hour: Hour) -> None:
        rows = self.rows.get(drop, [])
        if drop in self.sealed:
            return
        if all(row.block != block for row in rows):
            rows.append(Arrival(drop, hour, block))

    def seal(self, drop: DropId, blocks: Iterable[Block], hour: Hour) -> None:
        for block in blocks:
            self.append(drop, block, hour)
        self.sealed.add(drop)

    def delete(self, drop: DropId) -> None:
        self.rows.pop(drop, None)

    def take(self, request: "Request", hour: Hour) -> None:
        """What a member asks of it."""
        match request:
            case OpenDrop():
                self.open(request.drop.id)
            case Append() | Alone():
                self.append(request.drop.id, request.block, hour)
            case SealDrop():
                self.seal(request.drop.id, request.blocks, hour)
            case DeleteDrop():
                self.delete(request.drop.id)

    def count(self) -> int:
        return sum(map(len, self.rows.values()))


def news(events: Iterable[Event]) -> list[Event]:
    """All but what is kept of every core alike."""
    return [each for each in events if not isinstance(each, Keep)]


@dataclass
class Weather:
    """What the way from the relay to one member does to a batch of rows."""

    lost: frozenset[int] = frozenset()
    """Places of rows in the batch that never arrive, modulo 12."""
    shuffle: int = 0
    """Seed of the order; 0 keeps it."""
    twice: bool = False
    late: int = 0
    """How many rows at the end come with the next batch."""

    def blow(self, rows: list[Arrival]) -> tuple[list[Arrival], list[Arrival]]:
        """What arrives now, and what arrives later."""
        here = [row for place, row in enumerate(rows) if place % 12 not in self.lost]
        cut = max(0, len(here) - self.late)
        now, later = here[:cut], here[cut:]
        if self.shuffle:
            now = sorted(
                now, key=lambda row: hashlib.sha256(row.block + bytes([self.shuffle])).digest()
            )
        return (now * 2 if self.twice else now), later


CALM = Weather()


Request = OpenDrop | Append | Alone | SealDrop | DeleteDrop


@dataclass(frozen=True)
class Disk:
    """What a shell has saved of one member."""

    state: bytes = b""
    clocks: dict[EpochId, tuple[Hour, bytes]] = field(default_factory=dict)
    cores: dict[ContentHash, tuple[Core, Hour]] = field(default_factory=dict)
    said: tuple[Said, ...] = ()
    expired: int = 0
    outbox: tuple[Request, ...] = ()


Hear = Callable[["Member", Said], None]


@dataclass
class Member:
    """One device of one person."""

    name: str
    drops: Drops
    time: Callable[[], Timestamp]
    hear: Hear
    candidate: Candidate | None = None
    channel: Channel | None = None
    skew: int = 0
    """Seconds by which its clock is ahead."""
    online: bool = True
    cut: set[str] = field(default_factory=set)
    """Addresses of relays that it cannot reach."""
    disk: Disk = field(default_factory=Disk)
    read: dict[DropId, int] = field(default_factory=dict)
    late: list[Arrival] = field(default_factory=list)
    refused: list[RemoteProtocolError] = field(default_factory=list)
    told: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.entropy = ScriptedEntropy(self.name)
        self._save(Outcome([], []))

    @property
    def now(self) -> Timestamp:
        return Timestamp(self.time() + self.skew)

    @property
    def state(self) -> ChannelState:
        return self.member.state

    @property
    def member(self) -> Channel:
        assert self.channel is not None
        return self.channel

    @property
    def waiting(self) -> Candidate:
        assert self.candidate is not None
        return self.candidate

    @property
    def said(self) -> list[tuple[int, str]]:
        return [(each.author, each.text) for each in self.disk.said]

    def snapshot(self) -> bytes:
        """All that it holds, its clock aside."""
        if self.channel is not None:
            return self.channel.snapshot()
        return self.candidate.snapshot() if self.candidate is not None else b""

    # Doors.

    def act(self, command: commands.Command) -> list[Event]:
        return self.carry(self.member.act(command, self.now, self.entropy))

    def say(self, text: str, thread: ThreadId = MAIN_THREAD) -> Said:
        events = self.act(commands.Say(thread, text))
        return next(each for each in events if isinstance(each, Said))

    def tick(self) -> list[Event]:
        return self.carry(self.member.tick(self.now, self.entropy))

    def accept(self, alias: str) -> None:
        assert self.candidate is not None
        self.carry(self.candidate.accept(alias, self.now, self.entropy))

    def receive(self, arrival: Arrival) -> list[Event]:
        """As a shell does: what is refused is noted, what is not is saved."""
        events = self._take(arrival)
        self.carry(Outcome([], events))
        return events

    def _take(self, arrival: Arrival) -> list[Event]:
        door = self.channel or self.candidate
        assert door is not None
        try:
            return door.receive(arrival, self.now)
        except RemoteProtocolError as error:
            self.refused.append(error)
            return []

    def sync(self, weather: Weather = CALM) -> None:
        """Read what is new, do what time asks, send what is owed."""
        if not self.online:
            return
        self.listen(weather)
        if self.channel is not None:
            self.level()
            self.tick()
        self.flush()

    def level(self) -> None:
        """Bring to each relay that was read to its end what it lacks."""
        if len(self.state.relays) > 1 or any(over.lacking for over in self.state.epochs):
            for poll in self.member.polls():
                if poll.relay not in self.cut:
                    self.act(commands.Level(poll.drop.id))

    def listen(self, weather: Weather = CALM) -> None:
        """Read what is new, and say nothing."""
        rows, self.late = weather.blow(self.late + self._fetch())
        events: list[Event] = []
        polled, admitted = self._polled(), self.channel is not None
        for row in rows:
            if row.drop not in polled:
                polled = self._polled()  # an epoch began, or who is admitted left the lobby
            if row.drop in polled:
                events += self._take(row) if admitted else self.receive(row)
                if not admitted and self.channel is not None:
                    admitted, events, polled = True, [], self._polled()
        if admitted:
            self.carry(Outcome([], events))

    def _polled(self) -> set[DropId]:
        door = self.channel or self.candidate
        assert door is not None
        return {poll.drop.id for poll in door.polls()}

    def _fetch(self) -> list[Arrival]:
        door = self.channel or self.candidate
        assert door is not None
        lobbies = (
            {lobby_of(guest).drop.id for guest in self.state.guests} if self.channel else set()
        )
        fresh: list[Arrival] = []
        for poll in door.polls():
            if poll.relay in self.cut:
                continue
            rows = self.drops.rows.get(poll.drop.id, [])
            fresh += rows[self.read.get(poll.drop.id, 0) :]
            if (
                self.channel is not None and poll.drop.id not in lobbies
            ):  # a lobby is small, and is read whole each time
                self.read[poll.drop.id] = len(rows)
        return fresh

    # Keeping.

    def carry(self, outcome: Outcome) -> list[Event]:
        """Save first; what is owed leaves with `flush`."""
        events = self._save(outcome)
        for effect in outcome.effects:
            if isinstance(effect, Repost):
                core, expires = self.disk.cores.get(effect.hash, (None, 0))
                if core is not None and expires > hour_of(self.now):
                    self.act(commands.Repost(core, effect.drop))
        return events

    def _save(self, outcome: Outcome) -> list[Event]:
        events = outcome.events
        if any(isinstance(each, Admitted) for each in events) and self.candidate is not None:
            self.channel = Channel(*self.candidate.channel())
        said = [each for each in events if isinstance(each, Said)]
        for each in said:
            self.hear(self, each)
        kept = {each.hash: (each.core, each.expires) for each in events if isinstance(each, Keep)}
        owed = [each for each in outcome.effects if not isinstance(each, Repost)]
        clocks = self.channel.clocks if self.channel is not None else {}
        self.disk = Disk(
            self.snapshot(),
            {name: (clock.hour, clock.value.expose()) for name, clock in clocks.items()},
            {**self.disk.cores, **kept},
            (*self.disk.said, *said),
            self.disk.expired + sum(isinstance(each, Expired) for each in events),
            (*self.disk.outbox, *owed),
        )
        self.told += [each for each in events if not isinstance(each, Said | Keep)]
        return events

    def flush(self, most: int | None = None) -> None:
        """Send what is owed, in order; `most` of it, when the line breaks then."""
        owed = self.disk.outbox
        left = [effect for effect in owed if effect.relay in self.cut]
        for effect in owed[:most] if self.online else ():
            if effect.relay in self.cut:
                continue
            self.drops.take(effect, hour_of(self.time()))
        if most is None and self.online:
            self.disk = replace(self.disk, outbox=tuple(left))

    def restart(self, disk: Disk | None = None) -> None:
        """Everything in memory is gone; what was saved is opened again."""
        self.disk = disk or self.disk
        if self.disk.clocks:
            saved = self.disk.clocks.items()
            clocks = {name: (hour, ClockValue(value)) for name, (hour, value) in saved}
            self.channel = Channel.open(self.disk.state, clocks)
        elif self.disk.state:
            self.candidate = Candidate.open(self.disk.state)
            self.channel = None

    def twin(self) -> "Member":
        """A second member with a copy of everything: a thief, or a way to try."""
        copy = Member(self.name, self.drops, self.time, lambda _member, _said: None)
        copy.read, copy.skew = dict(self.read), self.skew
        copy.restart(self.disk)
        return copy


class World:
    """A relay, a clock, and the members in the order in which they came, the founder first."""

    person: type[Member] = Member

    def __init__(
        self,
        lifetime: int = LIFETIME,
        hear: Hear = lambda _member, _said: None,
        kind: Format = "plenary",
        relays: tuple[Relay, ...] = (RELAY,),
    ) -> None:
        self.now = START
        self.drops = Drops()
        self.members: list[Member] = []
        self._hear = hear
        channel, outcome = Channel.create(
            Entry(0, "Founder", "Bridge", "facilitator", bytes(32)),
            "North",
            relays,
            Policy(lifetime, kind),
            CHARTER,
            DISCLOSURE,
            self.now,
            ScriptedEntropy("founder"),
        )
        self.founder = self._add(
            self.person("Founder", self.drops, self.time, hear, channel=channel)
        )
        self.founder.carry(outcome)
        self.founder.flush()

    def time(self) -> Timestamp:
        return self.now

    def pass_time(self, hours: int = 0, seconds: int = 0) -> None:
        self.now = Timestamp(self.now + 3600 * hours + seconds)

    def _add(self, member: Member) -> Member:
        self.members.append(member)
        return member

    def join(self, name: str, channel: Channel) -> Member:
        """Somebody who is a member already."""
        return self._add(self.person(name, self.drops, self.time, self._hear, channel=channel))

    def __getitem__(self, place: int) -> Member:
        return self.members[place]

    @property
    def inside(self) -> list[Member]:
        """Those who are members already."""
        return [each for each in self.members if each.channel is not None]

    def invite(
        self, alias: str, role: Role = "participant", valid: int = 24, party: str = "North"
    ) -> Member:
        """Somebody with words, and the card still unread."""
        events = self.founder.act(commands.Invite(alias, party, role, valid))
        self.founder.flush()
        invited = next(each for each in events if isinstance(each, Invited))
        relay = next(each for each in RELAYS if each.url == invited.relay)
        candidate = Candidate.begin(" ".join(invited.words), relay.url, relay.key)
        return self._add(self.person(alias, self.drops, self.time, self._hear, candidate=candidate))

    def knock(
        self, alias: str, role: Role = "participant", valid: int = 24, party: str = "North"
    ) -> Member:
        """Somebody who has answered, and waits; the founder knows."""
        guest = self.invite(alias, role, valid, party)
        guest.sync()
        guest.accept(alias)
        guest.flush()
        self.founder.sync()
        return guest

    def admit(self, alias: str, role: Role = "participant", party: str = "North") -> Member:
        """A newcomer who has read the admission and nothing else; others know nothing yet."""
        guest = self.knock(alias, role, party=party)
        self.founder.act(commands.Admit(alias))
        self.founder.flush()
        if self.founder.state.draft is not None:  # another facilitator might have been first
            self.founder.sync()
        guest.listen()
        return guest

    def admit_facilitator(self, alias: str) -> Member:
        """One more who facilitates."""
        return self.admit(alias, "facilitator")

    def settle(self, members: Iterable[Member] | None = None, rounds: int = 4) -> None:
        """Everybody reads and answers in calm weather, a few times."""
        for _ in range(rounds):
            for member in list(members if members is not None else self.members):
                member.sync()

    def minutes(self, count: int = 4) -> None:
        """Time for asks and for what was asked for to come again."""
        for _ in range(count):
            self.pass_time(seconds=40)
            self.settle(rounds=1)

    @classmethod
    def of(
        cls, count: int, lifetime: int = LIFETIME, relays: tuple[Relay, ...] = (RELAY,)
    ) -> "World":
        """A settled channel of `count` members."""
        world = cls(lifetime, relays=relays)
        for number in range(1, count):
            world.admit(f"Guest {number}")
            world.settle()
        return world

    def slot(self, member: Member) -> Slot:
        return member.state.me
