"""How incidents stand: a pure fold of what was said of them, as far as it lives: SPEC.md section
15, "Hotline".

Knows no vault and no screen. The same messages give everybody the same tickets; deadlines run from
when each machine first had one.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Final, NamedTuple

from backchannel.client.hotline.sides import others, speaks
from backchannel.protocol import limits
from backchannel.protocol.alias import alike
from backchannel.protocol.hotline import REACHED, Attend, Incident, Named
from backchannel.protocol.roster import Entry
from backchannel.protocol.types import ContentHash, Hour, MessageId, Slot, Timestamp, start_of

ACKNOWLEDGED: Final = REACHED.index("acknowledged")
ANSWERED: Final = REACHED.index("answered")


class Spoken(NamedTuple):
    """Something that was said on a hotline, with who it was then."""

    hour: Hour
    order: int
    hash: ContentHash
    id: MessageId
    author: Slot
    alias: str
    party: str
    role: str
    came: Timestamp
    """When this machine first had it."""
    expires: Hour
    signal: object

    @property
    def name(self) -> Named:
        """How others name it."""
        return Named(self.author, self.id)

    @property
    def since(self) -> Timestamp:
        """From when deadlines run: nobody has it later than at the end of its hour, as it were."""
        return Timestamp(min(self.came, start_of(Hour(self.hour + 1))))


class Case(NamedTuple):
    """One incident by itself: how far it is, by the sides of who opened it."""

    name: Named
    place: tuple[Hour, int, ContentHash]
    """Where it began: hour, order and hash, by which the first of several is known."""
    opener: Slot
    alias: str
    party: str
    since: Timestamp
    asked: Incident
    """What is asked: as the side that opened it last said."""
    reached: int
    closed_here: bool
    """By the side that opened it."""
    closed_there: bool
    """By the other side."""

    @property
    def opened(self) -> Hour:
        """The hour in which it began."""
        return self.place[0]

    @property
    def closed(self) -> bool:
        """By both."""
        return self.closed_here and self.closed_there


class Ticket(NamedTuple):
    """One incident, or several that were merged; the first has the name of all."""

    cases: tuple[Case, ...]
    said: tuple[Spoken, ...]
    """All that was said of it, in order."""

    @property
    def name(self) -> Named:
        """Of the incident."""
        return self.cases[0].name

    @property
    def reached(self) -> int:
        """As far as the case that is least far."""
        return min(each.reached for each in self.cases)

    @property
    def closed(self) -> bool:
        """Whether all of it is."""
        return all(each.closed for each in self.cases)

    @property
    def state(self) -> str:
        """`open`, `acknowledged`, `answered` or `closed`."""
        return "closed" if self.closed else REACHED[self.reached]

    @property
    def gravest(self) -> Case:
        """Whose severity counts."""
        return max(self.cases, key=lambda each: each.asked.severity)

    @property
    def last(self) -> Spoken:
        """Who said words last."""
        return next(each for each in reversed(self.said) if _words(each))

    @property
    def newest(self) -> str:
        """The words that were said last."""
        return _words(self.last)


def _words(spoken: Spoken) -> str:
    return str(getattr(spoken.signal, "text", ""))


def fold(spoken: Iterable[Spoken], seats: Sequence[Entry]) -> list[Ticket]:
    """The tickets of what lives, in the order in which they were opened. Of one member's that are
    not closed only the first few: nobody drowns the others'. Takes a time that grows with what was
    said, whatever was merged with what.
    """
    every = sorted(each for each in spoken if isinstance(each.signal, Incident | Attend))
    begun = _begun(every)
    about: dict[Named, list[Spoken]] = {name: [] for name in begun}
    for each in every:
        for name in {each.name, *_about(each.signal)} & begun.keys():
            about[name].append(each)
    tickets = [_ticket(group, begun, about, seats) for group in _groups(every, begun)]
    tickets.sort(key=lambda each: each.cases[0].place)
    return _bounded(tickets)


def _begun(every: Sequence[Spoken]) -> dict[Named, Spoken]:
    """What stands for the beginning of each: the opening, or what first goes on with it where that
    is gone. Then it is its author's: nobody opens one in another's name.
    """
    incidents = [each for each in every if isinstance(each.signal, Incident)]
    found = {each.name: each for each in incidents if not _about(each.signal)}
    for each in incidents:
        for name in _about(each.signal):
            found.setdefault(name, each)
    return found


def _about(signal: object) -> tuple[Named, ...]:
    """What a signal names."""
    if isinstance(signal, Attend):
        return (signal.of, *signal.into)
    return signal.of if isinstance(signal, Incident) else ()


class _Group(NamedTuple):
    """Incidents that were taken for one."""

    names: list[Named]
    merges: list[Spoken]
    """Who said so, in order."""


def _groups(every: Sequence[Spoken], begun: Mapping[Named, Spoken]) -> list[_Group]:
    """By somebody who may say so."""
    merges: list[tuple[Named, Spoken]] = []
    above = {name: name for name in begun}

    def top(name: Named) -> Named:
        while above[name] != name:
            above[name] = name = above[above[name]]
        return name

    for each in every:
        names = [name for name in _about(each.signal) if name in begun]
        parties = [begun[name].party for name in names]
        may = each.role == "facilitator" or any(_same(each.party, party) for party in parties)
        if len(names) == 2 and may:
            above[top(names[0])] = top(names[1])
            merges.append((names[0], each))
    groups: dict[Named, _Group] = {}
    for name in begun:
        groups.setdefault(top(name), _Group([], [])).names.append(name)
    for name, each in merges:
        groups[top(name)].merges.append(each)
    return list(groups.values())


@lru_cache(maxsize=1024)
def _same(one: str, other: str) -> bool:
    return alike(one, other)


def _ticket(
    group: _Group,
    begun: Mapping[Named, Spoken],
    about: Mapping[Named, Sequence[Spoken]],
    seats: Sequence[Entry],
) -> Ticket:
    """What was said of one after the last merge is said of all; before that nobody knew of the
    others, so it counts for nothing else.
    """
    names = group.names
    said = sorted({each.hash: each for name in names for each in about[name]}.values())
    shared = [each for each in said if group.merges and each > group.merges[-1]]
    facing = {party: others(seats, party) for party in {begun[name].party for name in names}}

    @cache
    def after(party: str, *, here: bool, there: bool) -> _Way:
        return _way(party, shared, facing[party], _Way(0, here, there))

    cases = []
    for name in names:
        party = begun[name].party
        own = [each for each in about[name] if not (group.merges and each > group.merges[-1])]
        before = _way(party, own, facing[party], _Way())
        end = after(party, here=before.here, there=before.there)
        way = end._replace(reached=max(before.reached, end.reached))
        cases.append(_case(name, begun[name], about[name], way))
    return Ticket(tuple(sorted(cases, key=lambda each: each.place)), tuple(said))


class _Way(NamedTuple):
    """How far something is that a party opened."""

    reached: int = 0
    here: bool = False
    there: bool = False


def _way(party: str, said: Sequence[Spoken], facing: list[str], way: _Way) -> _Way:
    """On from `way`, by what the two sides said."""
    reached, here, there = way
    for each in said:
        if _same(each.party, party):
            here = _closes(each.signal, closed=here)
        elif _about(each.signal) and speaks(each.party, each.role, facing):
            there = _closes(each.signal, closed=there)
            reached = max(reached, _reaches(each.signal))
    return _Way(reached, here, there)


def _case(name: Named, first: Spoken, said: Sequence[Spoken], way: _Way) -> Case:
    begun = first.signal
    assert isinstance(begun, Incident)  # noqa: S101 - nothing else opens one
    told = [
        each.signal
        for each in said
        if isinstance(each.signal, Incident) and _same(each.party, first.party)
    ]
    reached = max(way.reached, *(each.reached for each in told))
    hour = Hour(begun.opened) if begun.of else first.hour
    place = hour, first.order, first.hash
    who = first.author, first.alias, first.party
    return Case(name, place, *who, first.since, told[-1], reached, way.here, way.there)


def _closes(signal: object, *, closed: bool) -> bool:
    """Whether a side has done with it, after it said this: who goes on takes it back."""
    return isinstance(signal, Attend) and (closed or signal.act == "close")


def _reaches(signal: object) -> int:
    """How far the other side brings it by saying this."""
    answers = isinstance(signal, Incident) or (isinstance(signal, Attend) and signal.act == "close")
    return ANSWERED if answers else ACKNOWLEDGED


def _bounded(tickets: list[Ticket]) -> list[Ticket]:
    """Of what several opened it is enough that one of them has room: who has none hides nothing by
    merging it into its own.
    """
    counts: dict[Slot, int] = {}
    kept = []
    for each in tickets:
        openers = {case.opener for case in each.cases}
        for opener in openers:
            counts[opener] = counts.get(opener, 0) + (not each.closed)
        if each.closed or min(counts[e] for e in openers) <= limits.INCIDENTS_OF_ONE:
            kept.append(each)
    return kept
