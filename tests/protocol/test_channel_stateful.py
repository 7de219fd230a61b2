"""A channel in bad weather: whatever is lost, doubled, late or crashed, everybody ends with the
same conversation. And a room in upheaval: whoever comes, goes, acts at once or lost its state,
everybody ends with the same roster and record, or an alarm.

Invariants at all times: nothing twice, nothing misattributed, nothing at or past its hour, nothing
to whom it was not said, no exception but declared ones.
`HYPOTHESIS_PROFILE=long` walks further.
"""

import os
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from backchannel.protocol import command as commands
from backchannel.protocol import limits, record
from backchannel.protocol.errors import LocalProtocolError
from backchannel.protocol.identity import identity_hash
from backchannel.protocol.outcome import Alarm, Ended, Said
from backchannel.protocol.roster import ROLES, Role, Roster
from backchannel.protocol.threads import has_room
from backchannel.protocol.types import (
    MAIN_THREAD,
    DropId,
    Hour,
    MessageId,
    RosterHash,
    Slot,
    ThreadId,
    hour_of,
)
from tests.support.world import CALM, Disk, Member, Weather, World

pytestmark = pytest.mark.slow

MOST = 5
LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
MEMBERS = st.integers(0, MOST - 1)
WEATHER = st.builds(
    Weather,
    lost=st.just(frozenset(range(12))) | st.frozensets(st.integers(0, 11), max_size=6),
    shuffle=st.integers(0, 3),
    twice=st.booleans(),
    late=st.integers(0, 2),
)


class Storm(RuleBasedStateMachine):
    """Members who speak, greet, join and crash while the network does its worst."""

    def __init__(self) -> None:
        super().__init__()
        self.spoken: dict[tuple[Slot, MessageId], tuple[str, int, Hour]] = {}
        self.heard: dict[str, set[tuple[Slot, MessageId]]] = {}
        self.world = World(hear=self.hear)
        self.count = 0
        self.hours = 0

    def hear(self, member: Member, said: Said) -> None:
        """What must hold of every text at the moment when it is shown."""
        name = (said.author, said.id)
        heard = self.heard.setdefault(member.name, set())
        assert name not in heard, "delivered twice"
        heard.add(name)
        if said.author == member.state.me:
            self.spoken[name] = (said.text, member.state.current().version, said.expires)
        assert self.spoken[name][0] == said.text, "misattributed"
        assert said.expires > hour_of(member.now), "delivered past its hour"

    def who(self, place: int) -> Member:
        inside = [each for each in self.world.inside if each.state.roster is not None]
        return inside[place % len(inside)]

    def text(self, size: int = 0) -> str:
        self.count += 1
        return f"{self.count} ".ljust(size, "é")

    @initialize(count=st.integers(1, 3), skews=st.lists(st.integers(0, 1800), max_size=MOST))
    def found(self, count: int, skews: list[int]) -> None:
        for number in range(1, count):
            self.world.admit(f"Guest {number}")
            self.world.settle()
        self.skews = dict(enumerate(skews))
        self.set_skews()

    def set_skews(self) -> None:
        for place, member in enumerate(self.world.members):
            member.skew = self.skews.get(place, 0)

    def speak(self, member: Member, text: str, thread: ThreadId = MAIN_THREAD) -> Said | None:
        return member.say(text, thread)

    def act(self, member: Member, command: commands.Command) -> None:
        member.act(command)

    def can_admit(self) -> bool:
        return True

    # What people do.

    @rule(place=MEMBERS, thread=st.integers(0, 3), send=st.booleans())
    def say(self, place: int, thread: int, send: bool) -> None:
        member = self.who(place)
        known = [MAIN_THREAD, *member.state.threads]
        self.speak(member, self.text(), known[thread % len(known)])
        if send:
            member.flush()

    @rule(place=MEMBERS, size=st.integers(1_400, 6_000))
    def say_much(self, place: int, size: int) -> None:
        self.speak(self.who(place), self.text(size))

    @rule(place=MEMBERS, lifetime=st.sampled_from([1, 2, 5, 168, None]))
    def begin(self, place: int, lifetime: int | None) -> None:
        member = self.who(place)
        if has_room(member.state, member.state.me):
            self.act(member, commands.Begin(self.text(), lifetime))

    @precondition(lambda self: self.can_admit())
    @rule()
    def invite_or_admit(self) -> None:
        """Whoever has answered is let in; otherwise one more is invited."""
        self.world.founder.online = True
        answered = self.waiting()
        for alias in answered:
            self.act(self.world.founder, commands.Admit(alias))
        if not answered and len(self.world.members) < MOST:
            self.world.invite(f"Guest {len(self.world.members)}", valid=2000)
            self.set_skews()

    @precondition(lambda self: len(self.world.members) < MOST and self.can_admit())
    @rule(greeted=st.booleans())
    def join(self, greeted: bool) -> None:
        self.world.founder.online = True
        guest = self.world.admit(f"Guest {len(self.world.members)}")
        self.set_skews()
        if greeted:
            guest.sync()

    def waiting(self) -> list[str]:
        guests = self.world.founder.state.guests
        return [each.join.alias for each in guests if each.state == "waiting" and each.join]

    # What the world does.

    @rule(place=MEMBERS, weather=WEATHER)
    def sync(self, place: int, weather: Weather) -> None:
        members = self.world.members
        self.read(members[place % len(members)], weather)

    @rule(weathers=st.lists(WEATHER, min_size=MOST, max_size=MOST), speaker=MEMBERS)
    def storm(self, weathers: list[Weather], speaker: int) -> None:
        """Everybody reads, each in weather of its own; somebody answers."""
        for member, weather in zip(self.world.members, weathers, strict=False):
            self.read(member, weather)
        self.speak(self.who(speaker), self.text())

    def read(self, member: Member, weather: Weather) -> None:
        member.sync(weather)
        if member.channel is None and member.candidate and member.candidate.phase == "deciding":
            member.accept(member.name)
            member.flush()

    @rule(place=MEMBERS)
    def fall_silent(self, place: int) -> None:
        member = self.who(place)
        member.online = not member.online

    @rule(seconds=st.sampled_from([1, 31, 62, 600]))
    def wait(self, seconds: int) -> None:
        self.world.pass_time(seconds=seconds)

    @precondition(lambda self: self.hours < 2)
    @rule()
    def wait_an_hour(self) -> None:
        """Twice only: a thing that was asked for in vain four times is given up."""
        self.hours += 1
        self.world.pass_time(hours=1)

    @rule(hours=st.integers(2, 30))
    def sunshine(self, hours: int) -> None:
        """All is well for a while: keys renew, lines move."""
        self.calm()
        self.world.pass_time(hours=hours)
        self.hours = 0

    @rule(place=MEMBERS, sent=st.integers(0, 3), saved=st.booleans())
    def crash(self, place: int, sent: int, saved: bool) -> None:
        """After saving, with a part of what is owed sent; or before, with all of it undone."""
        member = self.who(place)
        disk = member.disk
        if not saved:
            said = self.speak(member, self.text())
            member.tick()
            if said is not None:
                del self.spoken[said.author, said.id]
                self.heard[member.name].discard((said.author, said.id))
        member.restart(disk)
        member.flush(sent)

    # What must be.

    @invariant()
    def only_what_was_said(self) -> None:
        for member in self.world.inside:
            assert self.heard.get(member.name, set()) <= set(self.spoken)

    def calm(self) -> None:
        """Everybody comes back, speaks once, and has the time that asking takes."""
        for member in self.world.members:
            member.online = True
        for hour in range(40):
            self.round(speak=hour < 3)
            if hour >= 3 and self.quiet():
                return
            self.world.pass_time(hours=1)

    def round(self, speak: bool) -> None:
        for _ in range(4):
            self.world.pass_time(seconds=40)
            for member in self.world.members:
                self.read(member, CALM)
        if speak:
            for member in self.world.inside:
                if member.state.roster is not None:
                    self.speak(member, self.text())
                    member.flush()

    def quiet(self) -> bool:
        inside = self.world.inside
        return all(
            member.state.roster is not None
            and not any(want.times < limits.ASKS for want in member.state.wants)
            and not (member.state.owed or member.state.transcript.missing)
            and all(peer.line and peer.line.answered for peer in member.state.peers.values())
            and member.state.current().version == inside[0].state.current().version
            for member in inside
        )

    def teardown(self) -> None:
        if not self.world.members or not hasattr(self, "skews"):
            return
        self.calm()
        assert self.quiet(), self.unrest()
        for member in self.world.inside:
            self.has_all(member)
        self.same_order()

    def unrest(self) -> str:
        return "\n".join(
            f"{each.name}: wants {each.state.wants} owed {each.state.owed} "
            f"missing {len(each.state.transcript.missing)} pending {len(each.state.pending)} "
            f"roster {each.state.roster and each.state.roster.version} "
            f"answered {[(s, p.line and p.line.answered) for s, p in each.state.peers.items()]}"
            for each in self.world.inside
        )

    def has_all(self, member: Member) -> None:
        alive = hour_of(self.world.now) + 2
        first = member.state.transcript.first
        due = {
            name
            for name, (_, version, expires) in self.spoken.items()
            if version >= first and expires > alive
        }
        lacking = due - self.heard.get(member.name, set())
        assert not lacking, (member.name, [self.spoken[name] for name in lacking])

    def same_order(self) -> None:
        everywhere = set.intersection(
            *({each.id for each in member.disk.said} for member in self.world.inside)
        )
        orders = {
            tuple(
                each.id
                for each in sorted(member.disk.said, key=lambda s: (s.hour, s.order, s.hash))
                if each.id in everywhere
            )
            for member in self.world.inside
        }
        assert len(orders) == 1


class Upheaval(Storm):
    """Several facilitators change who is here, while the network does its worst."""

    def __init__(self) -> None:
        super().__init__()
        self.under: dict[tuple[Slot, MessageId], Roster] = {}
        self.old: dict[str, tuple[Disk, dict[DropId, int]]] = {}
        self.revived: set[str] = set()
        self.lossy = False
        """Whether anything was lost for good on its way."""

    def hear(self, member: Member, said: Said) -> None:
        super().hear(member, said)
        name, mine = (said.author, said.id), member.state.keys.identity.public()
        if said.author == member.state.me:
            self.under[name] = member.state.current()
        present = {entry.identity for entry in self.under[name].entries}
        assert identity_hash(mine) in present, "heard by somebody it was not said to"

    @initialize(count=st.integers(1, 2), skews=st.lists(st.integers(0, 1800), max_size=MOST))
    def found(self, count: int, skews: list[int]) -> None:
        self.world.admit_facilitator("Second")
        self.world.settle()
        for number in range(count):
            self.world.admit(f"Guest {number}")
            self.world.settle()
        self.skews = dict(enumerate(skews))
        self.set_skews()
        self.world.pass_time(hours=2)
        self.world.settle()

    def speak(self, member: Member, text: str, thread: ThreadId = MAIN_THREAD) -> Said | None:
        with suppress(LocalProtocolError):
            return member.say(text, thread)
        return None

    def act(self, member: Member, command: commands.Command) -> None:
        with suppress(LocalProtocolError):
            member.act(command)

    def facilitators(self) -> list[Member]:
        inside = [each for each in self.world.inside if each.state.roster is not None]
        return [each for each in inside if each.state.facilitates(each.state.me)] or inside

    def facilitator(self, place: int) -> Member:
        found = self.facilitators()
        return found[place % len(found)]

    def can_admit(self) -> bool:
        state = self.world.founder.state
        free = state.draft is None and not state.rivals and not state.ended
        return free and state.facilitates(state.me) and state.epoch.close is not None

    # What facilitators do.

    @rule(by=MEMBERS, whom=MEMBERS, send=st.booleans())
    def remove(self, by: int, whom: int, send: bool) -> None:
        member = self.facilitator(by)
        self.act(member, commands.Remove(self.alias(whom)))
        if send:
            member.flush()

    def alias(self, place: int) -> str:
        entries = self.facilitator(0).state.current().entries
        return entries[place % len(entries)].alias

    @rule(by=MEMBERS, whom=MEMBERS, role=st.sampled_from(ROLES))
    def set_role(self, by: int, whom: int, role: Role) -> None:
        self.act(self.facilitator(by), commands.SetRole(self.alias(whom), role))

    @rule(by=MEMBERS)
    def turn(self, by: int) -> None:
        self.act(self.facilitator(by), commands.Turn())

    @rule(first=MEMBERS, whom=MEMBERS)
    def all_at_once(self, first: int, whom: int) -> None:
        """Every facilitator changes something before it reads what the others did."""
        members = self.facilitators()
        for number, member in enumerate(members):
            command = commands.Remove(self.alias(whom)) if number else commands.Turn()
            self.act(member, command)
        for number in range(len(members)):
            members[(first + number) % len(members)].flush()

    @rule(place=MEMBERS)
    def leave(self, place: int) -> None:
        self.act(self.who(place), commands.Leave())

    # What happens to devices.

    @rule(place=MEMBERS)
    def copy(self, place: int) -> None:
        member = self.who(place)
        self.old.setdefault(member.name, (member.disk, dict(member.read)))

    @precondition(lambda self: self.old and not self.revived)
    @rule(place=MEMBERS)
    def revive(self, place: int) -> None:
        """A device is restored from an old copy, against all advice, and used."""
        name = sorted(self.old)[place % len(self.old)]
        (member,) = [each for each in self.world.members if each.name == name]
        disk, read = self.old[name]
        member.restart(disk)
        member.read, member.late = dict(read), []
        self.heard[name] = {(each.author, each.id) for each in disk.said}
        self.revived.add(name)

    def read(self, member: Member, weather: Weather) -> None:
        super().read(member, weather)
        self.lossy |= bool(weather.lost)
        if member.channel is not None and member.online and member.member.due(member.now):
            self.act(member, commands.Turn())
            member.flush()

    # What must be in the end.

    def calm(self) -> None:
        for member in self.world.members:
            member.online = True
        for hour in range(9):
            self.read_sealed()
            for member in self.world.inside if hour in {3, 6} else ():
                if member.state.roster is not None:
                    self.act(member, commands.Digest(asks=True))
            self.round(speak=hour < 3)
            self.world.pass_time(hours=1)

    def teardown(self) -> None:
        if not self.world.members or not hasattr(self, "skews"):
            return
        self.calm()
        here = [each for each in self.world.inside if each.state.roster and not each.state.ended]
        for member in self.world.inside:
            if member.state.ended not in {"", "left"}:
                assert any(isinstance(each, Ended) for each in member.told)
        honest = [each for each in here if each.name not in self.revived]
        for member in honest:
            for other in honest:
                alike = self.roster(member) == self.roster(other) and self.alike(member, other)
                assert alike or self.alarmed(member) or self.alarmed(other), self.unrest()
        halves = any(each.state.record.split for each in honest)
        if not (self.revived or self.lossy or halves):  # nothing but honest people, and time
            told = {kind for each in honest for kind in self.alarmed(each)}
            assert not told - {"rival"}, (told, self.unrest())

    def read_sealed(self) -> None:
        """Nobody posts again what was lost of a sealed drop: it has to be read there."""
        for member in self.world.members:
            for drop in self.world.drops.sealed & set(member.read):
                member.read[drop] = 0

    def roster(self, member: Member) -> RosterHash:
        return member.state.current().hash

    def alarmed(self, member: Member) -> list[str]:
        return [each.kind for each in member.told if isinstance(each, Alarm)]

    def alike(self, one: Member, two: Member) -> bool:
        """Whether both accepted the same, since both were there."""
        first = max(each.state.transcript.first for each in (one, two))
        since = max(each.state.since for each in (one, two))
        kept = [
            {
                row: sorted(cores)
                for row, cores in record.rows(each.state).items()
                if row[0] > since and row[1] >= first
            }
            for each in (one, two)
        ]
        return kept[0] == kept[1]


TestStorm = Storm.TestCase
TestUpheaval = Upheaval.TestCase
TestStorm.settings = settings(
    max_examples=2000 if LONG else 60,
    stateful_step_count=60 if LONG else 25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestUpheaval.settings = settings(
    TestStorm.settings,
    max_examples=2000 if LONG else 40,
)
