"""One run of a schedule: does what each step says, and asks after every step what must hold."""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from msgspec.structs import replace

from backchannel.protocol import command as commands
from backchannel.protocol import limits
from backchannel.protocol.errors import LocalProtocolError, RemoteProtocolError
from backchannel.protocol.outcome import Arrival
from backchannel.protocol.roster import ROLES, Relay
from backchannel.protocol.types import MAIN_THREAD, DropId, hour_of
from tests.simulation import claims
from tests.simulation.claims import Broken, Ledger
from tests.simulation.person import Gale, Person
from tests.simulation.schedule import SKEW, WEIGHTS, Numbers, Schedule
from tests.simulation.starts import by_script, founded
from tests.support.world import CALM, RELAYS

HOURS = 48
"""Of calm, at most."""
MOST = 8
"""People in one run, those who went among them."""


class Run:
    """One run, from a copy of a settled channel to calm weather."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.ledger = Ledger()
        self.scene = founded(schedule.shape).copied(f"run {schedule.seed}", self.ledger.hear)
        self.dead: set[str] = set()
        self.several = schedule.shape.facilitators > 1
        """Whether more than one may have changed something at once."""
        self.told: dict[str, int] = {}
        self.said = 0
        self.offline: dict[str, int] = {}
        self.met = self.scene.now
        for person, skew in zip(self.scene.people, schedule.skews, strict=False):
            person.skew = skew
        self.remember()

    def remember(self) -> None:
        self.told = {each.name: len(each.told) for each in self.scene.people}

    def run(self) -> None:
        for step in self.schedule.steps:
            VERBS[step.verb](self, step.numbers)
            claims.at_all_times(self.scene.people, self.told)
        self.calm()
        claims.at_all_times(self.scene.people, self.told)
        claims.in_the_end(self.scene.people, self.ledger)

    # Who and what.

    def member(self, number: int) -> Person | None:
        """Somebody who can do something."""
        here = [each for each in self.scene.people if each.speaks]
        return here[number % len(here)] if here else None

    def facilitators(self) -> list[Person]:
        here = [each for each in self.scene.people if each.speaks]
        return [each for each in here if each.state.facilitates(each.state.me)]

    def facilitator(self, number: int) -> Person | None:
        here = self.facilitators()
        return here[number % len(here)] if here else None

    def anybody(self, number: int) -> Person:
        return self.scene.people[number % len(self.scene.people)]

    def alias(self, by: Person, number: int) -> str:
        entries = by.state.current().entries
        return entries[number % len(entries)].alias

    def guest(self, by: Person, number: int) -> str:
        """Who does not facilitate: two who put each other out are at odds, and it shows."""
        here = [each.alias for each in by.state.current().entries if each.role != "facilitator"]
        return here[number % len(here)] if here else "nobody"

    def text(self, size: int = 0) -> str:
        self.said += 1
        return f"{self.said} ".ljust(size, "é")

    def do(self, person: Person | None, command: commands.Command, send: int) -> bool:
        done = person is not None and person.ask(command)
        if person is not None and send % 3:
            person.flush()
        return done

    def living(self) -> list[Relay]:
        return [each for each in RELAYS if each.url not in self.dead]

    # What people say.

    def say(self, n: Numbers) -> None:
        person = self.member(n[0])
        known = [MAIN_THREAD, *(person.state.threads if person else ())]
        self.do(person, commands.Say(known[n[1] % len(known)], self.text()), n[2])

    def say_much(self, n: Numbers) -> None:
        text = self.text(1400 + n[1] % 4000)
        self.do(self.member(n[0]), commands.Say(MAIN_THREAD, text), n[2])

    def whisper(self, n: Numbers) -> None:
        person = self.member(n[0])
        if person is not None:
            self.do(person, commands.Whisper(self.alias(person, n[1]), self.text()), n[2])

    def begin(self, n: Numbers) -> None:
        self.do(self.member(n[0]), commands.Begin(self.text(), (None, 5, 24)[n[1] % 3]), n[2])

    def digest(self, n: Numbers) -> None:
        self.do(self.member(n[0]), commands.Digest(asks=bool(n[1] % 2)), n[2])

    # What the network does.

    def sync(self, n: Numbers) -> None:
        self.anybody(n[0]).sync(self.weather(n[1], n[2]))

    def everybody(self, n: Numbers) -> None:
        for number, person in enumerate(list(self.scene.people)):
            person.sync(self.weather(n[1] + number * 7, n[2] + number))

    def weather(self, kind: int, number: int) -> Gale:
        if kind % 3 == 0:
            return Gale()
        return Gale(
            shuffle=number % 200,
            twice=kind % 2 == 0,
            held=number % 5,
            late=kind % 4,
            ordered=self.several,
        )

    def garbage(self, n: Numbers) -> None:
        """Noise where a block should be changes nothing."""
        person = self.anybody(n[0])
        if person.channel is None:
            return
        polls = person.member.polls()
        drop = polls[n[1] % len(polls)].drop.id
        before = person.member.snapshot()
        noise = person.entropy.draw(limits.BLOCK)
        try:
            person.member.receive(Arrival(drop, hour_of(person.now), noise), person.now)
        except RemoteProtocolError:
            if person.member.snapshot() != before:
                raise Broken("what is refused changes nothing", person.name) from None

    def cut(self, n: Numbers) -> None:
        """Somebody does not reach a relay, or any, for minutes to days."""
        person, urls = self.anybody(n[0]), [each.url for each in RELAYS]
        chosen = urls if n[1] % 5 == 0 else [urls[n[1] % 3]]
        lasts = 60 * 2 ** (n[2] % 12)
        for url in chosen:
            person.until[url] = self.scene.now + lasts
        self.reach()

    def mend(self, n: Numbers) -> None:
        self.anybody(n[0]).until = {}
        self.reach()

    def reach(self) -> None:
        """Who reaches what now."""
        for person in self.scene.people:
            cut = {url for url, until in person.until.items() if until > self.scene.now}
            person.cut = cut | self.dead
            if self.offline.get(person.name, 0) <= self.scene.now:
                person.online = True

    def dies(self, n: Numbers) -> None:
        """A relay is gone for good; the last one seldom is."""
        living = [each.url for each in self.living()]
        if len(living) > 2 and (self.schedule.shape.relays > 1 or n[1] % 2):
            self.dead.add(living[n[0] % len(living)])
        self.reach()

    def away(self, n: Numbers) -> None:
        """A device is off for minutes to days."""
        person = self.anybody(n[0])
        person.online = False
        self.offline[person.name] = self.scene.now + 60 * 2 ** (n[1] % 12)

    def skew(self, n: Numbers) -> None:
        self.anybody(n[0]).skew = n[1] % (2 * SKEW) - SKEW

    # Time.

    def wait(self, n: Numbers) -> None:
        self.go_on(1 + n[0] % 400)

    def hours(self, n: Numbers) -> None:
        self.go_on(600 + n[0] % 30_000)

    def days(self, n: Numbers) -> None:
        self.go_on(3600 * (12 + n[0] % 60))

    def go_on(self, seconds: int) -> None:
        """Time; whoever was away for longer than content lives, by the shortest rules that anybody
        has, would need new keys, so all meet before that.
        """
        lives = [each.state.lifetime for each in claims.members(self.scene.people)]
        if lives and self.scene.now + seconds - self.met > 3600 * min(lives) * 2 // 5:
            self.calm()
        self.scene.pass_time(seconds=seconds)
        self.reach()

    # Devices.

    def undone(self, n: Numbers) -> None:
        """A crash before anything was saved: as if it had not been."""
        person = self.anybody(n[0])
        saved, mark = person.saved(), self.ledger.mark(person)
        if person.speaks:
            person.ask(commands.Say(MAIN_THREAD, self.text()))
            person.tick()
        if person.online:
            person.listen(self.weather(n[1], n[2]))
        del person.told[self.told.get(person.name, 0) :]
        self.ledger.back(person, mark)
        person.crash(saved)

    def unsent(self, n: Numbers) -> None:
        """A crash after saving, with a part of what is owed sent, of which it does not know."""
        person = self.anybody(n[0])
        if person.speaks:
            person.ask(commands.Say(MAIN_THREAD, self.text()))
        saved = person.saved()
        person.flush(n[1] % 4)
        person.crash(saved)

    # By hand.

    def courier(self, n: Numbers) -> None:
        """A file goes from one to another: whole, a part, damaged, or twice."""
        one, other = self.anybody(n[0]), self.anybody(n[1])
        if one is other or not (one.speaks and other.channel is not None):
            return
        file = bytearray(one.pack((0, 10, 40)[n[2] % 3]))
        if n[2] % 5 == 1:
            file = file[len(file) // 2 // limits.BLOCK * limits.BLOCK :]
        if n[2] % 5 == 2 and file:
            file[n[1] % len(file)] ^= 1
        for _ in range(1 + n[2] % 2):
            other.take(bytes(file))

    # What facilitators do.

    def relays(self, n: Numbers) -> None:
        living = self.living()
        count = 1 + n[1] % min(3, len(living))
        chosen = tuple((living[n[2] % len(living) :] + living)[:count])
        self.do(self.facilitator(n[0]), commands.SetRelays(chosen), n[2])

    def turn(self, n: Numbers) -> None:
        self.do(self.facilitator(n[0]), commands.Turn(), n[2])

    def remove(self, n: Numbers) -> None:
        person = self.facilitator(n[0])
        if person is not None and len(person.state.current().entries) > 2:
            self.do(person, commands.Remove(self.guest(person, n[1])), n[2])

    def role(self, n: Numbers) -> None:
        person = self.facilitator(n[0])
        if person is not None:
            role = ROLES[n[2] % len(ROLES)]
            alias = self.guest(person, n[1])
            self.several = self.several or role == "facilitator"
            self.ledger.eased.add(alias)
            self.do(person, commands.SetRole(alias, role), n[1])

    def tighten(self, n: Numbers) -> None:
        person = self.facilitator(n[0])
        if person is not None:
            policy = person.state.policy
            shorter = max(48, policy.lifetime * 2 // 3)
            self.do(person, commands.SetPolicy(replace(policy, lifetime=shorter)), n[1])

    def race(self, n: Numbers) -> None:
        """Every facilitator changes something before it reads what the others did."""
        here = self.facilitators()
        for number, person in enumerate(here):
            alias = self.guest(person, n[1])
            person.ask(commands.Turn() if (n[0] + number) % 2 else commands.Remove(alias))
        for number in range(len(here)):
            here[(n[2] + number) % len(here)].flush()

    def leave(self, n: Numbers) -> None:
        person = self.member(n[0])
        if person is not None and n[1] % 2:
            self.do(person, commands.Leave(), n[2])

    def admit(self, n: Numbers) -> None:
        """Whoever has answered is let in; otherwise one more is invited."""
        founder = self.scene.founder
        if not isinstance(founder, Person) or founder not in self.facilitators():
            return
        waiting = [g.join.alias for g in founder.state.guests if g.state == "waiting" and g.join]
        outside = [each for each in self.scene.people if each.channel is None]
        for alias in waiting:
            self.do(founder, commands.Admit(alias), n[2])
        for person in outside:
            person.sync()
            if person.channel is None and person.waiting.phase == "deciding":
                with suppress(LocalProtocolError):  # it may have expired
                    person.accept(person.name)
                person.flush()
        url = founder.state.relays[0].url
        state = founder.state
        free = state.draft is None and not state.rivals and state.epoch.close is not None
        if free and not outside and len(self.scene.members) < MOST and url not in self.dead:
            guest = self.scene.invite(f"Guest {len(self.scene.members)}", valid=48)
            guest.skew = self.schedule.skews[len(self.scene.members) % 6]
            self.reach()

    # The end.

    def calm(self) -> None:
        """Everybody is back, what still stands is reached, and there is time."""
        self.offline = {}
        for person in self.scene.people:
            person.until = {}
        self.reach()
        for hour in range(HOURS):
            self.rescue()
            quiet = self.quiet()
            self.round(speak=hour in {1, 3})
            if hour > 3 and quiet and self.quiet():
                break
            self.scene.pass_time(hours=1)
        self.met = self.scene.now

    def round(self, *, speak: bool) -> None:
        for _ in range(2):
            self.scene.pass_time(seconds=300)
            for person in self.scene.people:
                person.sync(CALM)
        for person in self.scene.people if speak else ():
            if person.speaks:
                person.ask(commands.Say(MAIN_THREAD, self.text()))
                person.flush()

    def quiet(self) -> bool:
        """Whether nobody waits for anything that may still come."""
        here = claims.members(self.scene.people)
        return len({each.state.current().hash for each in here}) == 1 and not any(
            each.state.owed
            or each.stranded()
            or each.unsaid
            or each.state.draft
            or each.state.rivals
            or any(want.times < limits.ASKS for want in each.state.wants)
            or any(
                peer.line is None or not peer.line.answered for peer in each.state.peers.values()
            )
            for each in here
        )

    def rescue(self) -> None:
        """Who knows of no relay that still stands is handed a file by somebody who does; where
        nobody does a facilitator moves the channel first, and where all who did asked to go at once
        the others hand each other what they have. So are those who moved apart; who was
        told to be out, where others have them still: they know of nothing; and who waits for what
        lies on relays alone that are gone, since an epoch that is over moves to no other.
        """
        here = claims.members(self.scene.people)
        named = [*here, *claims.missed(self.scene.people, here)]
        stuck = [p for p in named if not {relay.url for relay in p.state.relays} - self.dead]
        leads = [each for each in here if each.state.facilitates(each.state.me)]
        lead = next((each for each in leads if each not in stuck), None)
        if lead is None and stuck:
            lead = (leads or stuck)[0]
            lead.ask(commands.SetRelays((self.living()[0],)))
            lead.flush()
        for _ in range(2 if lead is not None else 0):
            for person in stuck:
                if lead is not None and person is not lead:
                    self.exchange(lead, person)
        for person in named:
            if leads and (self.apart(leads[0], person) or self.in_vain(person)):
                self.exchange(leads[0], person)

    def apart(self, lead: Person, person: Person) -> bool:
        """Whether no relay brings them together: they read elsewhere, or where one said how things
        stand nothing stands any more.
        """
        told = {each.relay for each in lead.disk.outbox} & self.dead
        differ = lead.state.current().hash != person.state.current().hash
        return (differ and bool(told)) or not self.reads(person) & self.reads(lead)

    def in_vain(self, person: Person) -> bool:
        """Whether it misses something, or nobody saw something of its own, that no relay has."""
        state = person.state
        lost = [each for each in state.epochs if {relay.url for relay in each.relays} <= self.dead]
        unseen = any(core in each.seen for each in lost for core in state.record.sent)
        return unseen or (bool(lost) and bool(state.transcript.missing))

    def reads(self, person: Person) -> set[DropId]:
        """Drops on relays that still stand."""
        polls = person.member.polls()
        return {poll.drop.id for poll in polls if poll.relay not in self.dead}

    def exchange(self, one: Person, other: Person) -> None:
        """Files by hand, either way."""
        other.take(one.pack())
        other.sync()
        one.take(other.pack())
        one.sync()


VERBS: Final[dict[str, Callable[[Run, Numbers], None]]] = {
    name: getattr(Run, name) for name in WEIGHTS
}


def run(schedule: Schedule) -> None:
    """`Broken` where a claim does not hold."""
    with by_script():
        Run(schedule).run()
