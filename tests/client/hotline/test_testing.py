"""Whether the line carries: what a summary notes of tests, and what is late. And who is called
together.
"""

from typing import Any

import pytest
from msgspec.structs import replace

from backchannel.client.filter import one_line
from backchannel.client.hotline import convenes, sides, testing
from backchannel.client.hotline.incidents import Spoken
from backchannel.protocol import limits
from backchannel.protocol.hotline import Coming, Convene
from backchannel.protocol.roster import Entry, Role
from backchannel.protocol.types import ContentHash, Hour, MessageId, Slot, Timestamp

NOON = Timestamp(500_000 * 3600)
HOUR = Hour(500_000)


def entry(slot: int, party: str, role: Role = "participant") -> Entry:
    return Entry(slot, f"Guest {slot}", party, role, bytes(32))


TABLE = (entry(0, "Bridge", "facilitator"), entry(1, "North"), entry(2, "South"))


def after(seconds: int) -> Timestamp:
    return Timestamp(NOON + seconds)


def south(about: dict[str, Any], seconds: int, tests: int = 0, since: int = 0) -> testing.Line:
    (line,) = testing.lines(about, TABLE, "North", tests, since, after(seconds))
    return line


# --- Sides ----------------------------------------------------------------------------------------


def test_sides_are_the_parties_that_sit_at_the_table() -> None:
    assert sides.sides(TABLE) == ["North", "South"]
    assert sides.sides(TABLE[:2]) == ["North", "Bridge"]
    assert sides.sides((*TABLE, entry(3, "NORTH"), entry(4, "East", "observer"))) == [
        "North", "South",
    ]  # fmt: skip
    assert sides.others(TABLE, "north") == ["South"]
    assert sides.others(TABLE, "Bridge") == ["North", "South"]


@pytest.mark.parametrize(
    ("party", "role", "speaks"),
    [("South", "participant", True), ("SOUTH", "facilitator", True),
     ("South", "observer", False), ("South", "note-taker", False), ("North", "participant", False)],
)  # fmt: skip
def test_who_stands_for_a_side(party: str, role: str, speaks: bool) -> None:
    assert sides.speaks(party, role, ["South"]) is speaks


# --- Tests ----------------------------------------------------------------------------------------


def test_the_canned_texts_are_different_neutral_lines() -> None:
    assert len(set(testing.CANNED)) == limits.CANNED
    assert all(one_line(each) == each and len(each) <= 80 for each in testing.CANNED)


def test_texts_are_taken_in_turn() -> None:
    about, seen = testing.fresh(NOON), []
    for number in range(limits.CANNED + 1):
        seen.append(about["turn"])
        about = testing.sent(about, f"{number:02}", 900, NOON)
    assert seen == [*range(limits.CANNED), 0]
    assert len(about["sent"]) == 16


def test_an_echo_is_timed_from_sending_to_the_first_of_a_party() -> None:
    about = testing.sent(testing.fresh(NOON), "aa", 900, NOON)
    assert south(about, 1).echo is None
    for seconds in (3, 9):
        about = testing.echoed(about, "aa", "South", after(seconds))
    assert south(about, 10)[:4] == ("South", 3, NOON, 0)
    assert testing.echoes(about, "aa") == {"South": 3}
    assert testing.echoes(about, "bb") == {}
    assert testing.echoed(about, "bb", "South", after(9)) == about


def test_a_test_that_is_not_echoed_in_time_alarms_until_a_later_one_is() -> None:
    about = testing.sent(testing.fresh(NOON), "aa", 900, NOON)
    assert not south(about, 900).alarm
    assert south(about, 901).silent == NOON
    assert south(about, 901).alarm
    about = testing.sent(about, "bb", 900, after(1000))
    assert south(about, 1001).silent == NOON
    about = testing.echoed(about, "bb", "South", after(1002))
    assert not south(about, 5000).alarm


def test_a_test_may_have_another_time_than_usual() -> None:
    about = testing.within(testing.sent(testing.fresh(NOON), "aa", 900, NOON), "aa", 60)
    assert south(about, 61).alarm
    assert testing.within(about, "bb", 5) == about


def test_where_agreed_tests_stop_coming_the_other_end_alarms_too() -> None:
    about = testing.fresh(NOON)
    late = 24 * 3600 + testing.GRACE
    assert not south(about, late, tests=24).overdue
    assert south(about, late + 1, tests=24).alarm
    assert not south(about, late + 1).alarm  # nothing was agreed
    assert not south(about, late + 1, tests=24, since=NOON + 10).alarm  # or only later
    about = testing.heard(about, "South", after(3600))
    assert not south(about, late + 3600, tests=24).alarm
    assert south(about, late + 3601, tests=24).alarm


def test_a_test_that_comes_late_does_not_hide_the_last() -> None:
    about = testing.heard(testing.fresh(NOON), "South", after(9))
    assert testing.heard(about, "South", after(3)) == about


def test_ones_own_side_owes_a_test_when_its_time_has_come() -> None:
    about = testing.heard(testing.fresh(NOON), "North", after(60))
    day = 24 * 3600
    assert not testing.owed(about, "North", 24, 0, after(day + 59))
    assert testing.owed(about, "North", 24, 0, after(day + 60))
    assert not testing.owed(about, "North", 0, 0, after(9 * day))


# --- Calls ----------------------------------------------------------------------------------------


def said(slot: int, number: int, signal: object) -> Spoken:
    return Spoken(
        HOUR, number, ContentHash(number.to_bytes(32)), MessageId(number.to_bytes(16)), Slot(slot),
        f"Guest {slot}", "North", "participant", NOON, Hour(HOUR + 24), signal,
    )  # fmt: skip


CALL = Convene(HOUR + 2, "The bridge", "P7")


def test_the_newest_answer_of_each_counts() -> None:
    first = said(1, 1, CALL)
    answers = [(2, 1), (3, 0), (2, 0), (3, 1)]
    every = [first, *(said(s, n, Coming(first.name, yes)) for n, (s, yes) in enumerate(answers, 2))]
    (call,) = convenes.fold(reversed(every), 2, HOUR)
    assert (call.coming, call.not_coming) == (("Guest 1", "Guest 3"), ("Guest 2",))
    assert call.mine is False
    assert convenes.fold(every, 7, HOUR)[0].mine is None
    assert convenes.fold(every, 1, HOUR)[0].mine is True
    late = said(1, 9, Coming(first.name, 0))
    assert convenes.fold([*every, late], 1, HOUR)[0].mine is False


def test_a_call_is_shown_until_who_is_late_has_come_too() -> None:
    every = [said(1, 1, CALL)]
    assert len(convenes.fold(every, 2, Hour(HOUR + 3))) == 1
    assert convenes.fold(every, 2, Hour(HOUR + 4)) == []


def test_attack_130_of_one_member_the_newest_calls_are_shown_and_of_all_the_first_to_meet() -> None:
    flood = [said(1, n, replace(CALL, when=HOUR + 3)) for n in range(1, 1001)]
    other = said(2, 2000, CALL)
    found = convenes.fold([*flood, other], 3, HOUR)
    assert len(found) == limits.CONVENES_OF_ONE + 1
    assert found[0].by == other
    assert {call.by.order for call in found[1:]} == {997, 998, 999, 1000}


def test_an_answer_to_what_nobody_called_is_left() -> None:
    assert convenes.fold([said(2, 1, Coming(said(1, 9, CALL).name, 1))], 2, HOUR) == []
