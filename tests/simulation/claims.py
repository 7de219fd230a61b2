"""What must hold, whatever the network, the clocks and the devices do: each claim by its name.

Owns the ledger of what was said, by whom and to whom. Makes nothing happen.
"""

from collections.abc import Iterable
from typing import NamedTuple

from backchannel.protocol.identity import identity_hash
from backchannel.protocol.outcome import Alarm, Said
from backchannel.protocol.types import Hour, MessageId, Slot, hour_of
from tests.simulation.person import Person
from tests.support.world import Member

MOST_STATE = 1_500_000
"""Bytes of a saved state of six people."""


class Broken(AssertionError):
    """A claim that does not hold."""

    def __init__(self, claim: str, detail: object) -> None:
        super().__init__(f"{claim}: {detail}")
        self.claim = claim


class Message(NamedTuple):
    """Something that was said."""

    author: str
    text: str
    hour: Hour
    expires: Hour
    to: frozenset[str]
    """Aliases of whom it was said to, the author among them."""
    version: int
    """Of the roster it was said under."""


Name = tuple[Slot, MessageId]


class Ledger:
    """What was said, and who heard it."""

    def __init__(self) -> None:
        self.spoken: dict[Name, Message] = {}
        self.heard: dict[str, dict[Name, Said]] = {}
        self.again: set[Name] = set()
        """Said again in a later epoch: where it stands depends on which a reader had first."""
        self.given_up: set[tuple[int, bytes]] = set()
        """Notes that were said again, with new ids."""
        self.eased: set[str] = set()
        """Whose role may have become lighter: what was on the way counts once others name it."""

    def hear(self, member: Member, said: Said) -> None:
        """What must hold of every text at the moment when it is shown."""
        name = (said.author, said.id)
        heard = self.heard.setdefault(member.name, {})
        if name in heard and said.author != member.state.me:
            raise Broken("delivered once", (member.name, said.text))
        if name in heard:
            self.again.add(name)  # to who came since, too
            to = self.spoken[name].to | self._said(member, said).to
            self.spoken[name] = self.spoken[name]._replace(to=to)
        if said.author == member.state.me and said.id not in {i for _, i in heard}:
            self.spoken[name] = self._said(member, said)
        if name not in self.spoken:
            raise Broken("nothing that was not said", (member.name, said.text))
        message = self.spoken[name]
        if message.text != said.text:
            raise Broken("nothing misattributed", (member.name, said.text, message))
        if said.expires <= hour_of(member.now):
            raise Broken("nothing shown past its hour", (member.name, said.text))
        if member.name not in message.to:
            raise Broken("heard by those it was said to", (member.name, message))
        heard[name] = said

    def _said(self, member: Member, said: Said) -> Message:
        entries = member.state.current().entries
        to = {e.alias for e in entries if said.to in (None, e.slot) or e.slot == member.state.me}
        version = member.state.current().version
        return Message(member.name, said.text, said.hour, said.expires, frozenset(to), version)

    def mark(self, member: Member) -> tuple[set[Name], dict[Name, Said]]:
        """To come back to, where a device loses what it had not saved."""
        return set(self.spoken), dict(self.heard.get(member.name, {}))

    def back(self, member: Member, mark: tuple[set[Name], dict[Name, Said]]) -> None:
        spoken, self.heard[member.name] = mark
        self.spoken = {name: each for name, each in self.spoken.items() if name in spoken}


# At all times.

NEVER = {"fork", "cited", "forbidden", "epoch", "compromised"}
"""Alarms that no race of honest people raises; that there are two rosters it may show."""


def at_all_times(people: Iterable[Person], told: dict[str, int]) -> None:
    """`told`: how many events of each were looked at already."""
    for person in people:
        for event in person.told[told.get(person.name, 0) :]:
            if isinstance(event, Alarm) and event.kind in NEVER:
                raise Broken("no alarm in an honest run", (person.name, event))
        told[person.name] = len(person.told)


# In the end.


def members(people: Iterable[Person]) -> list[Person]:
    """Who has its place still."""
    return [
        each
        for each in people
        if each.channel is not None and each.state.roster and not each.state.ended
    ]


def in_the_end(people: list[Person], ledger: Ledger) -> None:
    here = members(people)
    for person in people:
        if (size := len(person.saved().disk.state)) > MOST_STATE:
            raise Broken("state is bounded", (person.name, size))
    rosters = {each.state.current().hash for each in here}
    if len(rosters) > 1:
        raise Broken("rosters converge", [(p.name, p.state.current().version) for p in here])
    _nobody_is_out_whom_others_have(people, here)
    for person in here:
        _nobody_is_invited_again(person, here)
    ledger.given_up = set[tuple[int, bytes]]().union(*(each.unsent for each in people))
    for person in here:
        _all_is_delivered(person, here, ledger)
    _one_order(here, ledger)


def missed(people: Iterable[Person], here: list[Person]) -> list[Person]:
    """Who is out, and whom others have. Who went of its own accord may wait for somebody to see to
    it.
    """
    places = {entry.identity for each in here for entry in each.state.current().entries}
    out = [p for p in people if p.channel is not None and p.state.ended not in {"", "left"}]
    return [p for p in out if identity_hash(p.state.keys.public().identity) in places]


def _nobody_is_out_whom_others_have(people: list[Person], here: list[Person]) -> None:
    for person in missed(people, here):
        raise Broken("nobody is out whom others have", (person.name, person.state.ended))


def _nobody_is_invited_again(person: Person, here: list[Person]) -> None:
    for other in here:
        if other is person:
            continue
        peer = person.state.peers.get(other.state.me)
        if peer is None or peer.line is None or not peer.line.answered:
            raise Broken("nobody is invited again", (person.name, other.name))


def _all_is_delivered(person: Person, here: list[Person], ledger: Ledger) -> None:
    alive, stay = hour_of(person.time()) + 2, {each.name for each in here}
    heard = ledger.heard.get(person.name, {})
    halves = {version for each in here for version in each.state.record.split}
    for name, message in ledger.spoken.items():
        shortened = message.hour + person.state.lifetime  # since, for all that there is
        due = min(message.expires, shortened) > alive and person.name in message.to
        due = due and message.author in stay - ledger.eased and name not in ledger.given_up
        if due and name not in heard and message.version not in halves:
            raise Broken("everything said is delivered", (person.name, message))


def _one_order(here: list[Person], ledger: Ledger) -> None:
    screens = [ledger.heard.get(each.name, {}) for each in here]
    everywhere = set.intersection(*(set(screen) for screen in screens)) if screens else set()
    everywhere -= ledger.again
    orders = {
        tuple(
            name
            for name, _ in sorted(screen.items(), key=lambda s: (s[1].hour, s[1].order, s[1].hash))
            if name in everywhere
        )
        for screen in screens
    }
    if len(orders) > 1:
        raise Broken("one order on all screens", len(everywhere))
