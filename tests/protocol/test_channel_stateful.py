"""A channel in bad weather: whatever is lost, doubled, late or crashed, everybody ends with the
same conversation.

Invariants at all times: nothing twice, nothing misattributed, nothing at or past its hour, no
exception but declared ones.
`HYPOTHESIS_PROFILE=long` walks further.
"""

import os

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
from backchannel.protocol import limits
from backchannel.protocol.outcome import Said
from backchannel.protocol.threads import has_room
from backchannel.protocol.types import MAIN_THREAD, Hour, MessageId, Slot, hour_of
from tests.support.world import CALM, Member, Weather, World

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

    # What people do.

    @rule(place=MEMBERS, thread=st.integers(0, 3), send=st.booleans())
    def say(self, place: int, thread: int, send: bool) -> None:
        member = self.who(place)
        known = [MAIN_THREAD, *member.state.threads]
        member.say(self.text(), known[thread % len(known)])
        if send:
            member.flush()

    @rule(place=MEMBERS, size=st.integers(1_400, 6_000))
    def say_much(self, place: int, size: int) -> None:
        self.who(place).say(self.text(size))

    @rule(place=MEMBERS, lifetime=st.sampled_from([1, 2, 5, 168, None]))
    def begin(self, place: int, lifetime: int | None) -> None:
        member = self.who(place)
        if has_room(member.state, member.state.me):
            member.act(commands.Begin(self.text(), lifetime))

    @rule()
    def invite_or_admit(self) -> None:
        """Whoever has answered is let in; otherwise one more is invited."""
        self.world.founder.online = True
        answered = self.waiting()
        for alias in answered:
            self.world.founder.act(commands.Admit(alias))
        if not answered and len(self.world.members) < MOST:
            self.world.invite(f"Guest {len(self.world.members)}", valid=2000)
            self.set_skews()

    @precondition(lambda self: len(self.world.members) < MOST)
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
        self.who(speaker).say(self.text())

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
            said = member.say(self.text())
            member.tick()
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
                    member.say(self.text())
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


TestStorm = Storm.TestCase
TestStorm.settings = settings(
    max_examples=2000 if LONG else 100,
    stateful_step_count=60 if LONG else 25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
