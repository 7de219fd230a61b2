"""Hours of a week as people write them, and whether somebody is there in each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backchannel.client.errors import UsageMistake
from backchannel.client.hotline import duty
from backchannel.protocol import command as commands
from backchannel.protocol.hotline import Duty, Watch, week_of
from backchannel.protocol.roster import Roster
from tests.support.crowd import crowd
from tests.support.world import World

EVERY = set(range(168))


@pytest.fixture
def line() -> World:
    """A founder of the Bridge; Guests 1 and 3 of the North, Guest 2 of the South."""
    return crowd(4, ("North", "South"), "hotline")


def told(world: World, watches: dict[int, str], ladder: tuple[int, ...] = ()) -> None:
    listed = tuple(Watch(s, week_of(duty.hours(watches[s]))) for s in sorted(watches))
    world.founder.act(commands.Ring(Duty(24, listed, ladder)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("always", EVERY),
        ("mon-sun", EVERY),
        ("00-24", EVERY),
        ("06-06", EVERY),
        ("mon 00-01", {0}),
        ("sun 23-24", {167}),
        ("Mon 06-08", {6, 7}),
        ("mon 22-02", {22, 23, 24, 25}),
        ("sun 23-01", {167, 0}),
        ("sat-mon 00-01", {120, 144, 0}),
        ("mon-tue 6-7, fri 6-7", {6, 30, 102}),
        ("05-06", {5 + 24 * day for day in range(7)}),
        ("tue", set(range(24, 48))),
    ],
)
def test_hours_as_people_write_them(text: str, expected: set[int]) -> None:
    assert duty.hours(text) == expected


@pytest.mark.parametrize(
    "text", ["", " ", "mon-", "monday", "24-25", "mon 06:00-08:00", "6", "mon, ", "never", "25-06"]
)
def test_what_are_no_hours(text: str) -> None:
    with pytest.raises(UsageMistake, match="no hours of a week") as refused:
        duty.hours(text)
    assert "mon-fri 06-18" in str(refused.value.next_step)


@given(st.sets(st.integers(0, 167)))
def test_runs_hold_each_hour_once(hours: set[int]) -> None:
    runs = duty.spans(hours)
    held = [hour % 168 for start, end in runs for hour in range(start, end)]
    assert sorted(held) == sorted(hours)
    assert all((end - start == 168) or (end % 168 not in hours) for start, end in runs)


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        (EVERY, "always"),
        (set(), "never"),
        ({6, 7}, "Mon 06:00 to Mon 08:00"),
        ({167, 0}, "Sun 23:00 to Mon 01:00"),
        ({0, 2}, "Mon 00:00 to Mon 01:00, Mon 02:00 to Mon 03:00"),
    ],
)
def test_how_hours_are_said(hours: set[int], said: str) -> None:
    assert duty.said(hours) == said


def test_every_hour_is_covered_or_it_is_named_with_its_side(line: World) -> None:
    told(line, {1: "always", 2: "mon-fri"})
    assert duty.gaps(line.founder.state) == {"South": set(range(120, 168))}
    told(line, {1: "06-18", 2: "always", 3: "18-06"})
    assert duty.gaps(line.founder.state) == {}


def test_without_a_list_nobody_is_there(line: World) -> None:
    assert duty.gaps(line.founder.state) == {"North": EVERY, "South": EVERY}
    assert duty.document(line.founder.state)["set"] is False


def test_who_goes_leaves_a_gap_and_no_rung(line: World) -> None:
    told(line, {1: "always", 2: "always"}, ladder=(2, 3))
    state = line.founder.state
    roster = state.current()
    here = tuple(each for each in roster.entries if each.slot != 2)
    state.roster = Roster(
        **{f: getattr(roster, f) for f in roster.__struct_fields__} | {"entries": here}
    )
    assert [entry.alias for entry in duty.ladder(state)] == ["Guest 3"]
    assert duty.gaps(state) == {"Bridge": EVERY}  # the North faces whoever facilitates now


def test_the_list_for_programs(line: World) -> None:
    told(line, {1: "mon", 2: "always"}, ladder=(3,))
    found = duty.document(line.founder.state)
    assert found["tests_hours"] == 24
    assert found["watches"][0] == {
        "alias": "Guest 1", "party": "North", "hours": "Mon 00:00 to Tue 00:00",
    }  # fmt: skip
    assert found["ladder"] == ["Guest 3"]
    assert found["gaps"] == {"North": "Tue 00:00 to Mon 00:00"}
