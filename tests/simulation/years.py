"""Two years of a channel that is used weekly: epochs turn, keys renew, relays come, go and die,
people come and go, programs are upgraded. Tells how large what is kept is, as time passes.
"""

import random  # noqa: TID251 - a run must come again
from typing import Final, NamedTuple

from backchannel.protocol import command as commands
from backchannel.protocol import snapshot
from backchannel.protocol.outcome import Alarm
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import MAIN_THREAD, hour_of
from tests.simulation import claims
from tests.simulation.claims import Broken, Ledger
from tests.simulation.person import Person
from tests.simulation.schedule import Shape
from tests.simulation.starts import by_script, founded
from tests.support.world import RELAYS

DAYS: Final = 730
SHAPE: Final = Shape(members=5, facilitators=1, relays=1, lifetime=504)
EVERY: Final = 168
"""Hours between two rounds of one member."""
MOST_STATE: Final = 100_000
MOST_CORES: Final = 500


class Sizes(NamedTuple):
    """What the largest vault holds."""

    day: int
    people: int
    state: int
    """Bytes."""
    cores: int
    rows: int
    """Of the relays that stand."""
    version: int
    epoch: int


class Years:
    """One run."""

    def __init__(self, seed: int = 0) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - a run must come again
        self.ledger = Ledger()
        self.scene = founded(SHAPE).copied(f"years {seed}", self.ledger.hear)
        self.next = {each.name: self.chance.randrange(EVERY) for each in self.scene.people}
        self.told: dict[str, int] = {each.name: len(each.told) for each in self.scene.people}
        self.dead: set[str] = set()
        self.said = 0
        self.start = self.scene.now
        self.sizes: list[Sizes] = []

    @property
    def founder(self) -> Person:
        return self.scene.people[0]

    def run(self, days: int = DAYS) -> list[Sizes]:
        for day in range(days):
            self.once(day, days)
            for hour in range(0, 24, 4):
                for person in claims.members(self.scene.people):
                    if self.next[person.name] <= day * 24 + hour:
                        self.week(person)
                self.scene.pass_time(hours=4)
            claims.at_all_times(self.scene.people, self.told)
            self.no_alarm()
            if day % 30 == 29:
                self.sizes.append(self.measured(day + 1))
        self.meet()
        claims.in_the_end(self.scene.people, self.ledger)
        return self.sizes

    def week(self, person: Person) -> None:
        """One person looks, says something or not, and is away for a week."""
        self.upgraded(person)
        person.sync()
        for _ in range(self.chance.choice((0, 1, 1, 2, 5))):
            self.said += 1
            person.ask(commands.Say(MAIN_THREAD, f"{self.said}"))
        person.flush()
        person.sync()
        self.forget(person)
        self.next[person.name] += EVERY - 24 + self.chance.randrange(48)

    def upgraded(self, person: Person) -> None:
        """The program is another one: it reads what the former saved, and saves the same."""
        before = person.state
        person.restart()
        state = person.saved().disk.state
        if person.state != before or snapshot.load(state, ChannelState) != before:
            raise Broken("saved state survives an upgrade", person.name)

    def forget(self, person: Person) -> None:
        """As a vault does with what has expired; and a relay."""
        now = hour_of(self.scene.now)
        cores = {n: each for n, each in person.disk.cores.items() if each[1] > now}
        person.disk = person.disk.__class__(**{**vars(person.disk), "cores": cores})
        person.mine = {core: said for core, said in person.mine.items() if said.expires > now}
        known = {poll.drop.id for each in self.scene.people for poll in each.member.polls()}
        for drop in [drop for drop in self.scene.drops.rows if drop not in known]:
            del self.scene.drops.rows[drop]

    # What happens once in a while.

    def once(self, day: int, days: int) -> None:
        """Two moves, the second with the old relay dead; people who go and come."""
        at = {days // 5: 1, days // 2: 2}
        if day in at:
            self.move(at[day], dead=day == days // 2)
        if day % 120 == 60:
            self.admit(f"Newcomer {day // 120}")
        if day % 120 == 100:
            self.remove()

    def move(self, number: int, *, dead: bool) -> None:
        if dead:
            self.dead.add(self.founder.state.relays[0].url)
            for person in self.scene.people:
                person.cut = set(self.dead)
        self.founder.sync()
        self.founder.act(commands.SetRelays((RELAYS[number],)))
        self.founder.flush()
        for person in claims.members(self.scene.people) if dead else ():
            if person is not self.founder:
                person.take(self.founder.pack())

    def admit(self, alias: str) -> None:
        self.founder.sync()
        guest = self.scene.admit(alias)
        guest.cut = set(self.dead)
        day = (self.scene.now - self.start) // 3600
        self.next[alias] = day + 4
        self.told[alias] = 0

    def remove(self) -> None:
        entries = [e.alias for e in self.founder.state.current().entries if e.slot]
        self.founder.sync()
        self.founder.act(commands.Remove(self.chance.choice(entries)))
        self.founder.flush()

    # What must be.

    def no_alarm(self) -> None:
        for person in claims.members(self.scene.people):
            alarms = [each for each in person.told if isinstance(each, Alarm)]
            if alarms:
                raise Broken("no alarm in two years", (person.name, alarms[0]))

    def meet(self) -> None:
        """All at once, for the end."""
        for hour in range(8):
            for _ in range(2):
                self.scene.pass_time(seconds=300)
                for person in claims.members(self.scene.people):
                    person.sync()
            if hour in {1, 3}:
                for person in claims.members(self.scene.people):
                    self.said += 1
                    person.ask(commands.Say(MAIN_THREAD, f"{self.said}"))
                    person.flush()
            self.scene.pass_time(hours=1)

    def measured(self, day: int) -> Sizes:
        here = claims.members(self.scene.people)
        sizes = Sizes(
            day,
            len(here),
            max(len(each.saved().disk.state) for each in here),
            max(len(each.disk.cores) for each in here),
            self.scene.drops.count(),
            self.founder.state.current().version,
            self.founder.state.epoch.number,
        )
        if sizes.state > MOST_STATE or sizes.cores > MOST_CORES:
            raise Broken("state is bounded", sizes)
        return sizes


def run(days: int = DAYS, seed: int = 0) -> list[Sizes]:
    """`Broken` where a claim does not hold."""
    with by_script():
        return Years(seed).run(days)


if __name__ == "__main__":
    for each in run():
        print(each)
