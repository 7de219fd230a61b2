"""How incidents stand: a pure fold of what was said. Who counts for whom, what time makes of it,
and what an insider gains.
"""

import hashlib
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from msgspec.structs import replace

from backchannel.client.hotline.deadlines import Due, due
from backchannel.client.hotline.incidents import Spoken, Ticket, fold
from backchannel.protocol import limits
from backchannel.protocol.hotline import Attend, Incident, Named
from backchannel.protocol.roster import Entry, Role
from backchannel.protocol.types import ContentHash, Hour, MessageId, Slot, Timestamp, start_of

HOUR = Hour(500_000)
NOON = start_of(HOUR)
OPEN = Incident((), 0, 0, 1, "P7", HOUR, 30, 360, 0, "Shots at the bridge.")


def entry(slot: int, alias: str, party: str, role: Role = "participant") -> Entry:
    return Entry(slot, alias, party, role, bytes(32))


TABLE = (
    entry(0, "Fox", "Bridge", "facilitator"),
    entry(1, "Heron", "North"),
    entry(2, "Wren", "South"),
    entry(3, "Ibis", "North"),
    entry(4, "Owl", "South"),
    entry(5, "Rook", "South", "observer"),
)


class Said:
    """What was said, in order."""

    def __init__(self, seats: Sequence[Entry] = TABLE) -> None:
        self.seats = seats
        self.all: list[Spoken] = []

    def say(
        self, slot: int, signal: object, hour: int = 0, ident: bytes = b"", late: int = 0
    ) -> Named:
        """By somebody, so many hours after the first; `late` seconds after its hour began."""
        number, who = len(self.all), next(e for e in self.seats if e.slot == slot)
        ident = ident or hashlib.sha256(b"%d" % number).digest()[:16]
        self.all.append(
            Spoken(
                Hour(HOUR + hour), number, ContentHash(number.to_bytes(32)), MessageId(ident),
                Slot(slot), who.alias, who.party, who.role,
                Timestamp(NOON + 3600 * hour + late), Hour(HOUR + hour + 24), signal,
            )
        )  # fmt: skip
        return Named(slot, ident)

    def attend(self, slot: int, of: Named, act: Any, *into: Named, hour: int = 0) -> None:
        self.say(slot, Attend(of, act, into, ""), hour)

    def update(self, slot: int, of: Named, hour: int = 0, **more: Any) -> Named:
        return self.say(slot, replace(OPEN, of=(of,), opened=HOUR, text="News.", **more), hour)

    def tickets(self, hours: int = 0) -> list[Ticket]:
        """Of what lives so many hours after the first."""
        return fold([each for each in self.all if each.expires > HOUR + hours], self.seats)

    @property
    def ticket(self) -> Ticket:
        (found,) = self.tickets()
        return found

    def due(self, minutes: int, duty: Iterable[int] = (), ladder: Iterable[int] = ()) -> Due:
        now, slots = Timestamp(NOON + 60 * minutes), [Slot(each) for each in duty]
        return due(self.ticket, now, self.seats, slots, [Slot(each) for each in ladder])


@pytest.fixture
def said() -> Said:
    return Said()


# --- The way of an incident -----------------------------------------------------------------------


def test_an_incident_is_opened_acknowledged_answered_and_closed_by_both(said: Said) -> None:
    name = said.say(1, OPEN)
    assert said.ticket.state == "open"
    said.attend(2, name, "ack")
    assert said.ticket.state == "acknowledged"
    said.update(4, name)
    assert said.ticket.state == "answered"
    said.attend(1, name, "close")
    assert said.ticket.state == "answered"
    said.attend(2, name, "close")
    assert said.ticket.state == "closed"


def test_an_answer_needs_no_acknowledgement_before_it(said: Said) -> None:
    said.update(2, said.say(1, OPEN))
    assert said.ticket.state == "answered"


def test_what_the_side_that_opened_it_says_next_stands_and_of_the_other_only_words(
    said: Said,
) -> None:
    name = said.say(1, OPEN)
    said.update(3, name, severity=2, place="P8", hold=1)
    said.update(2, name, severity=0, place="nowhere", ack=4320)
    asked = said.ticket.gravest.asked
    assert (asked.severity, asked.place, asked.hold, asked.ack) == (2, "P8", 1, 30)
    assert (said.ticket.newest, said.ticket.last.author) == ("News.", 2)


def test_who_goes_on_takes_back_its_own_close_and_no_other(said: Said) -> None:
    name = said.say(1, OPEN)
    said.attend(1, name, "close")
    said.attend(2, name, "close")
    said.update(2, name)
    (case,) = said.ticket.cases
    assert (case.closed_here, case.closed_there) == (True, False)


def test_everybody_sees_the_same_in_whatever_order_it_came(said: Said) -> None:
    one, other = said.say(1, OPEN), said.say(2, replace(OPEN, severity=2))
    said.attend(2, one, "merge", other)
    said.update(4, one)
    said.attend(3, other, "ack")
    said.attend(1, one, "close")
    seen = said.tickets()
    for seed in range(20):
        mixed = sorted(said.all, key=lambda each: hashlib.sha256(bytes([seed]) + each.id).digest())
        assert fold(mixed, TABLE) == seen


# --- Whose word counts ----------------------------------------------------------------------------


@pytest.mark.parametrize("slot", [1, 3])
@pytest.mark.parametrize("act", ["ack", "close"])
def test_attack_127_nobody_acknowledges_an_incident_of_its_own_side(
    said: Said, slot: int, act: str
) -> None:
    said.attend(slot, said.say(1, OPEN), act)
    assert said.ticket.state == "open"
    assert said.due(30).late == "ack"


@pytest.mark.parametrize(("opener", "closers"), [(1, [2, 4]), (2, [1, 3]), (1, [1, 3])])
def test_attack_127_no_side_closes_for_the_other(
    said: Said, opener: int, closers: list[int]
) -> None:
    name = said.say(opener, OPEN)
    for slot in closers:
        said.attend(slot, name, "close")
    assert not said.ticket.closed


@pytest.mark.parametrize("slot", [0, 5])
def test_who_stands_for_no_side_neither_acknowledges_nor_closes(said: Said, slot: int) -> None:
    name = said.say(1, OPEN)
    said.attend(1, name, "close")
    for act in ("ack", "close"):
        said.attend(slot, name, act)
    said.update(slot, name)
    assert said.ticket.state == "open"


def test_of_a_facilitators_incident_any_side_is_the_other(said: Said) -> None:
    name = said.say(0, OPEN)
    said.attend(2, name, "close")
    said.attend(0, name, "close")
    assert said.ticket.closed


def test_where_one_party_alone_participates_whoever_facilitates_is_the_other_side() -> None:
    said = Said(TABLE[:2])
    said.attend(0, said.say(1, OPEN), "ack")
    assert said.ticket.state == "acknowledged"


def test_a_partys_name_is_its_own_however_it_is_spelt() -> None:
    said = Said((*TABLE[:2], entry(2, "Wren", "NORTH"), entry(3, "Owl", "South")))
    said.attend(2, said.say(1, OPEN), "ack")
    assert said.ticket.state == "open"


def test_attack_128_an_id_that_is_used_again_names_another_incident(said: Said) -> None:
    """Of an earlier hour, even: else the other side would take an incident over, and answer it."""
    name = said.say(1, OPEN)
    said.say(2, replace(OPEN, text="Mine."), hour=-1, ident=name.id)
    assert [(each.cases[0].opener, each.state) for each in said.tickets()] == [
        (2, "open"), (1, "open"),
    ]  # fmt: skip


def test_attack_128_nobody_opens_an_incident_in_anothers_name(said: Said) -> None:
    said.update(2, Named(1, b"never was".ljust(16, b".")), reached=2)
    (case,) = said.ticket.cases
    assert (case.alias, case.party) == ("Wren", "South")
    assert said.ticket.state == "answered"  # as its own side says; nobody else is called by it


def test_attack_128_what_is_said_of_an_unknown_incident_is_left(said: Said) -> None:
    unknown = Named(1, b"never was".ljust(16, b"."))
    for act in ("ack", "close"):
        said.attend(2, unknown, act)
    assert said.tickets() == []
    known = said.say(1, OPEN)
    said.attend(0, known, "merge", unknown)
    assert len(said.ticket.cases) == 1


def test_how_far_it_has_come_is_believed_of_the_side_that_waits(said: Said) -> None:
    name = said.say(1, OPEN)
    said.update(1, name, reached=1)
    assert said.ticket.state == "acknowledged"


# --- What expires ---------------------------------------------------------------------------------


def test_an_incident_lives_on_as_long_as_somebody_goes_on_with_it(said: Said) -> None:
    name = said.say(1, OPEN)
    said.attend(2, name, "ack", hour=1)
    said.update(1, name, hour=20, reached=1)
    assert [each.state for each in said.tickets(hours=23)] == ["acknowledged"]
    (later,) = said.tickets(hours=30)
    assert later.cases[0].opened == HOUR
    assert (later.name, later.state) == (name, "acknowledged")
    assert said.tickets(hours=44) == []


def test_of_one_whose_opening_expired_the_answer_alone_is_its_authors(said: Said) -> None:
    name = said.say(1, OPEN)
    said.update(2, name, hour=20)
    (later,) = said.tickets(hours=30)
    assert later.cases[0].party == "South"
    said.attend(2, name, "close", hour=21)
    assert not said.tickets(hours=30)[0].closed


# --- Deadlines, duty and the ladder ---------------------------------------------------------------


def test_who_is_on_duty_on_the_other_side_is_called_and_where_nobody_is_all_of_it(
    said: Said,
) -> None:
    said.say(1, OPEN)
    assert said.due(0, duty=[1, 4]) == Due("", 0, (Slot(4),))
    assert said.due(0, duty=[1]) == Due("", 0, (Slot(2), Slot(4)))


def test_after_each_period_that_passes_one_more_of_the_ladder_is_called(said: Said) -> None:
    said.say(1, OPEN)
    ladder = [2, 3, 0]
    steps = {minutes: said.due(minutes, [4], ladder) for minutes in (29, 30, 60, 90, 900)}
    assert steps == {
        29: Due("", 0, (Slot(4),)),
        30: Due("ack", 1, (Slot(4), Slot(2))),
        60: Due("ack", 2, (Slot(4), Slot(2))),  # nobody of its own side
        90: Due("ack", 3, (Slot(4), Slot(2), Slot(0))),
        900: Due("ack", 3, (Slot(4), Slot(2), Slot(0))),
    }


def test_once_acknowledged_nobody_is_called_until_the_answer_is_late(said: Said) -> None:
    said.attend(2, said.say(1, OPEN), "ack")
    assert said.due(359, [4], [0]) == Due("", 0, ())
    assert said.due(360, [4], [0]) == Due("answer", 0, (Slot(4),))
    said.update(2, said.ticket.name)
    assert said.due(10_000, [4], [0]) == Due("", 0, ())


def test_of_a_closed_incident_nothing_is_due(said: Said) -> None:
    name = said.say(1, OPEN)
    for slot in (1, 2):
        said.attend(slot, name, "close")
    assert said.due(10_000) == Due("", 0, ())


@pytest.mark.parametrize(("late", "minute"), [(0, 30), (600, 40), (7200, 90)])
def test_deadlines_run_from_when_it_came_and_at_latest_from_the_end_of_its_hour(
    said: Said, late: int, minute: int
) -> None:
    said.say(1, OPEN, late=late)
    assert said.due(minute - 1).late == ""
    assert said.due(minute).late == "ack"


def test_a_clock_that_was_set_back_is_no_deadline(said: Said) -> None:
    said.say(1, OPEN)
    assert said.due(-60).late == ""


# --- Merging --------------------------------------------------------------------------------------


def test_simultaneous_reports_of_one_event_become_one_incident_of_the_first(said: Said) -> None:
    one, other = said.say(1, OPEN), said.say(2, replace(OPEN, severity=2, text="Fire."))
    said.attend(2, other, "merge", one)
    ticket = said.ticket
    assert ticket.name == one
    assert [each.name for each in ticket.cases] == [one, other]
    assert ticket.gravest.asked.severity == 2


def test_attack_129_merging_makes_no_incident_milder_nor_acknowledges_it_for_another(
    said: Said,
) -> None:
    grave, mild = said.say(1, replace(OPEN, severity=2)), said.say(2, replace(OPEN, severity=0))
    said.attend(2, grave, "merge", mild)
    ticket = said.ticket
    assert ticket.gravest.asked.severity == 2
    assert [each.reached for each in ticket.cases] == [1, 0]  # the North has not seen the other
    assert ticket.state == "open"
    assert said.due(30).called == (1, 3)
    said.attend(1, mild, "ack")
    assert said.ticket.state == "acknowledged"


def test_attack_129_what_was_said_before_a_merge_counts_for_nothing_else(said: Said) -> None:
    """Else one of a side would merge another's grave report into an old one that is dealt with."""
    old = said.say(2, OPEN)
    said.attend(1, old, "ack")
    said.attend(1, old, "close")
    grave = said.say(4, replace(OPEN, severity=2))
    said.attend(2, grave, "merge", old)
    said.attend(2, old, "close")
    assert said.ticket.state == "open"
    assert not said.ticket.closed
    assert said.due(0, duty=[3]).called == (3,)
    said.attend(1, old, "ack")
    assert said.ticket.state == "acknowledged"
    said.attend(3, old, "close")
    assert said.ticket.closed


def test_what_is_merged_is_closed_by_both_sides_at_once(said: Said) -> None:
    one, other = said.say(1, OPEN), said.say(2, OPEN)
    said.attend(1, one, "merge", other)
    said.attend(1, one, "close")
    assert not said.ticket.closed
    said.attend(2, other, "close")
    assert said.ticket.closed


def test_attack_129_nobody_merges_what_is_none_of_its_sides_but_who_facilitates() -> None:
    said = Said((*TABLE, entry(6, "Lark", "East")))
    one, other = said.say(1, OPEN), said.say(3, OPEN)
    said.attend(6, one, "merge", other)
    said.attend(2, one, "merge", other)
    assert len(said.tickets()) == 2
    said.attend(0, one, "merge", other)
    assert len(said.ticket.cases) == 2


def test_merges_join_what_was_joined_before(said: Said) -> None:
    names = [said.say(slot, OPEN) for slot in (1, 2, 1, 2)]
    said.attend(1, names[0], "merge", names[1])
    said.attend(1, names[2], "merge", names[3])
    assert len(said.tickets()) == 2
    said.attend(2, names[3], "merge", names[0])
    assert said.ticket.name == names[0]
    assert len(said.ticket.cases) == 4


# --- Too many -------------------------------------------------------------------------------------


def test_attack_130_ten_thousand_incidents_of_one_hide_none_of_the_others(said: Said) -> None:
    for _ in range(10_000):
        said.say(2, OPEN)
    for one, other in pairwise(said.all[: 9 * 1000]):
        said.attend(2, one.name, "merge", other.name)
    theirs = said.say(1, OPEN)
    tickets = said.tickets()
    assert len(tickets[0].cases) == 9 * 1000
    openers = [each.cases[0].opener for each in tickets]
    assert openers.count(Slot(2)) == limits.INCIDENTS_OF_ONE
    assert theirs in [each.name for each in tickets]


def test_attack_161_whoever_opens_too_many_hides_nothing_by_merging_it_into_them(
    said: Said,
) -> None:
    names = [said.say(2, OPEN) for _ in range(limits.INCIDENTS_OF_ONE + 1)]
    theirs = said.say(1, replace(OPEN, severity=2))
    said.attend(2, theirs, "merge", names[-1])
    assert [theirs] == [
        case.name for each in said.tickets() for case in each.cases if case.opener == 1
    ]


def test_what_is_closed_makes_room(said: Said) -> None:
    names = [said.say(1, OPEN) for _ in range(limits.INCIDENTS_OF_ONE + 1)]
    assert names[-1] not in [each.name for each in said.tickets()]
    for slot in (1, 2):
        said.attend(slot, names[0], "close")
    assert [each.name for each in said.tickets()] == names
