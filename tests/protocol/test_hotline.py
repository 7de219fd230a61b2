"""The duty list, tests and their echoes, and what is handed on of incidents: SPEC.md section 15."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from backchannel.protocol import command as commands
from backchannel.protocol import hotline, limits, watch
from backchannel.protocol.core import Kind
from backchannel.protocol.errors import LocalProtocolError
from backchannel.protocol.hotline import Duties, Duty, Heard, Incident, Named, Signal, Watch
from backchannel.protocol.outcome import Expired, Outcome, Rang
from backchannel.protocol.types import Hour, MessageId, Slot
from tests.support.crowd import crowd
from tests.support.insider import Insider, core_in, forbids, owed
from tests.support.world import START, Member, World

ALWAYS, NEVER = b"\xff" * 21, bytes(21)
SIDES = ("North", "South")
INCIDENT = Incident((), 0, 0, 2, "P7", 500_000, 30, 360, 1, "Shots at the bridge.")


@pytest.fixture
def line() -> World:
    """The founder of the Bridge, two of the North (slots 1 and 3), two of the South (2 and 4)."""
    made = crowd(5, SIDES, "hotline")
    for member in made.members:
        member.carry(Outcome([], []))  # saved, for a twin
    return made


def ring(world: World, member: Member, signal: Signal) -> Rang:
    events = member.act(commands.Ring(signal))  # type: ignore[arg-type]  # any, for tests
    member.flush()
    return next(each for each in events if isinstance(each, Rang))


def read_all(world: World) -> None:
    for member in world.members:
        member.listen()


def duty(world: World) -> list[Duties | None]:
    return [each.state.hotline.duties for each in world.members]


def echoes(member: Member) -> list[int]:
    """Authors of the echoes that came."""
    found = [each for each in member.told if isinstance(each, Rang)]
    return [each.author for each in found if isinstance(each.signal, Heard)]


# --- Hours of a week ------------------------------------------------------------------------------


@pytest.mark.parametrize(("hour", "place"), [(0, 72), (95, 167), (96, 0), (489_937, 121)])
def test_a_week_begins_on_monday_at_midnight(hour: int, place: int) -> None:
    assert hotline.hour_of_week(Hour(hour)) == place


@given(st.sets(st.integers(0, 167)))
def test_hours_of_a_week_are_bits(hours: set[int]) -> None:
    week = hotline.week_of(hours)
    assert len(week) == limits.WEEK
    assert {hour for hour in range(168) if hotline.has(week, hour)} == hours


def test_the_first_hour_is_the_highest_bit() -> None:
    assert hotline.week_of({0, 7, 167}) == b"\x81" + bytes(19) + b"\x01"


# --- The duty list --------------------------------------------------------------------------------


def test_everybody_has_the_duty_list_and_the_next_one_replaces_it_whole(line: World) -> None:
    first = Duty(24, (Watch(1, ALWAYS), Watch(2, NEVER)), (4, 3))
    ring(line, line.founder, first)
    read_all(line)
    for found in duty(line):
        assert found is not None
        assert found.tests == 24
        assert [(each.slot, each.hours) for each in found.watches] == [(1, ALWAYS), (2, NEVER)]
        assert [each.slot for each in found.ladder] == [4, 3]
    ring(line, line.founder, Duty(0, (Watch(3, ALWAYS),), ()))
    read_all(line)
    for found in duty(line):
        assert found is not None
        assert [each.slot for each in found.watches] == [3]
        assert (found.tests, found.ladder) == (0, ())


def test_of_two_lists_the_last_stands_in_whatever_order_they_come(line: World) -> None:
    lists = [Duty(hours, (), ()) for hours in (1, 2, 3)]
    insider = Insider(line.founder)
    arrivals = [
        insider.arrival(insider.seal(insider.part(hotline_bytes(each), name=n, order=n)))
        for n, each in enumerate(lists, 1)
    ]
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        reader = line[1].twin()
        for place in order:
            reader.receive(arrivals[place])
        found = reader.state.hotline.duties
        assert found is not None
        assert found.tests == 3


def hotline_bytes(signal: Signal) -> bytes:
    from backchannel.protocol.codec import encode

    return encode(signal)


def test_only_who_facilitates_says_who_is_on_duty(line: World) -> None:
    with pytest.raises(LocalProtocolError, match="does not say who is on duty"):
        line[1].act(commands.Ring(Duty(0, (), ())))
    forbids(line[2], Insider(line[1]).post(Duty(0, (), ())), "does not say who is on duty")


def test_a_slot_where_nobody_stands_is_on_no_duty(line: World) -> None:
    ring(line, line.founder, Duty(0, (Watch(1, ALWAYS), Watch(9, ALWAYS)), (9,)))
    read_all(line)
    assert watch.on_duty(line[2].state, 0) == [1]


def test_attack_123_who_comes_to_the_slot_of_somebody_who_went_is_on_no_duty(line: World) -> None:
    ring(line, line.founder, Duty(0, (Watch(1, ALWAYS), Watch(2, ALWAYS)), (1,)))
    read_all(line)
    state = line[2].state
    roster = state.current()
    entries = tuple(
        replace(each, identity=b"i" * 32) if each.slot == 1 else each for each in roster.entries
    )
    state.roster = replace(roster, entries=entries)
    assert watch.on_duty(state, 0) == [2]
    found = state.hotline.duties
    assert found is not None
    assert watch.still_here(state, found.ladder) == []


def test_nobody_is_on_duty_where_nobody_said_so(line: World) -> None:
    assert watch.on_duty(line[1].state, 0) == []
    ring(line, line.founder, Duty(0, (Watch(1, hotline.week_of({5})),), ()))
    assert [watch.on_duty(line.founder.state, hour) for hour in (4, 5, 6)] == [[], [1], []]


def test_a_newcomer_is_told_the_list_and_any_newer_one_takes_its_place() -> None:
    world = World.of(2)
    ring(world, world.founder, Duty(24, (Watch(1, ALWAYS),), (1,)))
    world.settle()
    guest = world.admit("Guest 2")
    world.settle()
    found = guest.state.hotline.duties
    assert found is not None
    assert (found.tests, [each.slot for each in found.watches]) == (24, [1])
    reader = guest.twin()
    heard = reader.receive(Insider(world.founder).post(Duty(12, (), (), 1)))
    assert any(isinstance(each, Rang) for each in heard)
    assert reader.state.hotline.duties == found  # retold again changes nothing
    ring(world, world.founder, Duty(6, (), ()))
    world.settle()
    assert [each.tests for each in duty(world) if each] == [6, 6, 6]


def test_a_newcomer_who_takes_no_part_is_told_as_well() -> None:
    world = World.of(1)
    assert world.admit("Guest 1").state.hotline.duties is None


# --- Tests ----------------------------------------------------------------------------------------


def test_one_of_each_other_party_echoes_and_whoever_is_on_duty_is_the_one(line: World) -> None:
    ring(line, line.founder, Duty(0, (Watch(4, ALWAYS),), ()))
    read_all(line)
    ring(line, line[1], hotline.Test(3))
    line.settle()
    assert sorted(echoes(line[1])) == [0, 4]
    line.minutes(6)
    assert sorted(echoes(line[1])) == [0, 4]  # nobody answers an echo, nor late


def test_where_nobody_is_on_duty_the_lowest_slot_of_the_party_echoes(line: World) -> None:
    ring(line, line[1], hotline.Test(0))
    line.settle()
    assert sorted(echoes(line[1])) == [0, 2]


def test_who_is_not_on_duty_echoes_when_whoever_is_does_not(line: World) -> None:
    ring(line, line[1], hotline.Test(0))
    line[2].online = False
    line.settle()
    assert echoes(line[1]) == [0]
    line.minutes(4)
    assert sorted(echoes(line[1])) == [0, 4]
    line[2].online = True
    line.settle()
    assert sorted(echoes(line[1])) == [0, 4]  # it has seen that its party did


def test_attack_124_a_test_in_a_room_of_64_costs_one_post_for_each_other_party() -> None:
    world = crowd(64, SIDES, "hotline")
    before = world.drops.count()
    ring(world, world[1], hotline.Test(0))
    spoke = world.drops.count() - before
    for member in world.members:
        member.listen()
    for member in world.members:
        member.tick()
        member.flush()
    for _ in range(5):
        world.pass_time(seconds=60)
        for member in world.members:
            member.sync()
    read_all(world)
    assert sorted(echoes(world[1])) == [0, 2]
    posts = [core_in(world[1], row)[0] for row in next(iter(world.drops.rows.values()))[before:]]
    assert posts.count(Kind.GROUP) == 3
    assert spoke >= 1


def test_an_echo_is_never_echoed_nor_a_test_of_ones_own_party(line: World) -> None:
    ring(line, line[1], hotline.Test(0))
    line.settle([line[1], line[3]])
    line.minutes(4)
    assert [each.over for each in line[3].state.hotline.trials] == [True]
    assert line[3].disk.outbox == ()
    reader = line[2].twin()
    before = reader.state.hotline.trials
    reader.receive(Insider(line[1]).post(Heard(Named(2, b"t" * 16))))
    assert reader.state.hotline.trials == before


def test_attack_124_one_member_has_so_many_tests_an_hour_echoed_and_no_more(line: World) -> None:
    for _ in range(limits.TESTS_OF_ONE):
        ring(line, line[1], hotline.Test(0))
    with pytest.raises(LocalProtocolError, match="4 times an hour"):
        line[1].act(commands.Ring(hotline.Test(0)))
    reader, insider = line[2].twin(), Insider(line[3])
    for name in range(limits.TESTS_OF_ONE + 3):
        reader.receive(insider.post(hotline.Test(0), name=name))
    assert len(reader.state.hotline.trials) == limits.TESTS_OF_ONE
    line.pass_time(hours=1)
    ring(line, line[1], hotline.Test(0))


def test_a_test_that_is_found_later_is_history(line: World) -> None:
    for hours, count in ((1, 1), (2, 0)):
        reader = line[2].twin()
        ring(line, line[1], hotline.Test(0))
        arrival = owed(line[1]) or next(iter(line.drops.rows.values()))[-1:]
        line.pass_time(hours=hours)
        reader.receive(arrival[-1])
        assert len(reader.state.hotline.trials) == count
    reader = line[2].twin()
    reader.listen()
    line.pass_time(hours=2)
    reader.tick()
    assert reader.state.hotline.trials == []


def test_elsewhere_no_program_echoes() -> None:
    world = crowd(3, SIDES)
    ring(world, world[1], hotline.Test(0))
    world.settle()
    assert echoes(world[1]) == []
    assert [each.over for each in world[2].state.hotline.trials] == [False]


def test_attack_125_an_echo_of_a_copy_is_no_echo_of_the_test(line: World) -> None:
    """Somebody else's test under the same id: its echo names that one."""
    said = ring(line, line[1], hotline.Test(0))
    reader, insider = line[2].twin(), Insider(line[3])
    part = insider.part(hotline_bytes(hotline.Test(0)))
    copy = said.id + part[16:]
    reader.receive(insider.arrival(insider.seal(copy)))
    reader.tick()
    (trial,) = reader.state.hotline.trials
    assert (trial.slot, trial.id) == (3, said.id)
    tester = line[1].twin()
    tester.receive(owed(reader)[-1])
    found = [each.signal for each in tester.told if isinstance(each, Rang)]
    assert found == [Heard(Named(3, said.id))]


def test_attack_125_an_echo_of_a_copy_spares_nobody_the_test(line: World) -> None:
    said = ring(line, line[1], hotline.Test(0))
    reader = line[4].twin()
    reader.listen()
    watch._spare(reader.state, Slot(2), Named(3, said.id))
    assert [each.over for each in reader.state.hotline.trials] == [False]
    watch._spare(reader.state, Slot(2), Named(1, said.id))
    assert [each.over for each in reader.state.hotline.trials] == [True]


def test_who_is_in_no_roster_spares_nobody(line: World) -> None:
    state = line[2].state
    ring(line, line[1], hotline.Test(0))
    line[2].listen()
    (trial,) = state.hotline.trials
    watch._spare(state, Slot(9), Named(1, trial.id))
    assert [each.over for each in state.hotline.trials] == [False]
    assert not watch._same_party(state, Slot(9), Slot(9))


# --- What is handed on ----------------------------------------------------------------------------


def test_an_incident_comes_to_everybody_with_the_hour_when_it_dies(line: World) -> None:
    mine = ring(line, line[1], INCIDENT)
    read_all(line)
    assert mine.expires == mine.hour + 24
    for member in line.members:
        assert mine in member.told


def test_what_died_on_the_way_is_counted_and_not_shown(line: World) -> None:
    insider, before = Insider(line[1]), line[2].disk.expired
    incident, test = insider.post(INCIDENT), insider.post(hotline.Test(0), name=8)
    listening = insider.post(hotline.Duty(0, (), ()), name=9)
    assert listening
    line.pass_time(hours=24)
    (gone,) = line[2].receive(incident)[:1]
    assert gone == Expired(Slot(1))
    assert line[2].disk.expired == before + 1
    assert not [e for e in line[2].receive(test) if isinstance(e, Rang | Expired)]


def test_an_incident_passes_the_floor_and_a_rival(line: World) -> None:
    line.founder.act(commands.GiveFloor("Guest 2"))
    line.founder.flush()
    read_all(line)
    with pytest.raises(LocalProtocolError, match="has the floor"):
        line[1].say("out of turn")
    ring(line, line[1], INCIDENT)
    line[1].state.rivals = {MessageId(b"r" * 32): None}  # type: ignore[dict-item]  # any rival
    with pytest.raises(LocalProtocolError, match="stand against each other"):
        line[1].say("nobody knows who reads this")
    ring(line, line[1], INCIDENT)


def test_an_incident_passes_in_a_channel_that_is_suspended(line: World) -> None:
    for member in line.members:
        member.state.policy = replace(member.state.policy, standing="suspended")
    with pytest.raises(LocalProtocolError, match="suspended"):
        line[1].say("not now")
    rang = ring(line, line[1], INCIDENT)
    read_all(line)
    assert rang in line[2].told


def test_attack_126_text_with_control_characters_is_not_said_nor_read(line: World) -> None:
    from backchannel.protocol.errors import DecodeError

    evil = replace(INCIDENT, text="all clear\x1b[2J")
    with pytest.raises(DecodeError):
        line[1].act(commands.Ring(evil))
    reader = line[2].twin()
    reader.receive(Insider(line[1]).post(evil))
    assert [str(each) for each in reader.refused] == ["a name holds a character that is none"]


def test_the_clock_starts_where_the_test_expects() -> None:
    assert START % 3600 == 60
