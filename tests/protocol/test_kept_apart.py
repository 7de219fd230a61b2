"""Ways to keep members apart: by what is announced twice, or by what a relay says it never took."""

import pytest

from backchannel.protocol import command as commands
from backchannel.protocol.content import Announcement
from backchannel.protocol.outcome import Alarm
from backchannel.protocol.posting import Posting
from backchannel.protocol.roster import Roster
from tests.protocol.test_schedules_found import at_once, both_whisper, reads, settled
from tests.support.world import Member, World

LIES = pytest.mark.parametrize("lies", [False, True])


def tells(liar: Member, under: Roster, epoch: bytes, *, there: bool = False) -> None:
    """An announcement of a roster that is known, where it stands now, or in the oldest epoch."""
    state = liar.state
    posting = Posting(state, liar.member.clocks, liar.now, liar.entropy)
    told = Announcement(under.version, under.hash, (b"\1" * 32,), epoch)
    if there:
        posting.into(state.epochs[0]).post_as_is(told, under)
    else:
        posting.post(told, under)
    liar.carry(posting.outcome())
    liar.flush()


def halves() -> tuple[World, Member, Roster]:
    """Two change something at once; by the one change `Third` facilitates no more."""
    world = World()
    for name in ("Second", "Third"):
        world.admit_facilitator(name)
        world.settle()
    for number in range(2):
        world.admit(f"Guest {number}")
        world.settle()
    world.pass_time(hours=2)
    first, second, third, one, other = world.members
    before = first.state.current()
    role = commands.SetRole("Third", "participant")
    mine, theirs = at_once(world, (first, role), (second, commands.Turn()))
    for each in (first, third, one):
        reads(world, each, *mine)
    for each in (second, other):
        reads(world, each, *theirs)
    assert first.state.current().entry(third.state.me).role == "participant"
    return world, third, before


def all_hear(world: World) -> None:
    """Whoever went on reads in its new epoch first, then all of the one before."""
    for each in (world[0], world[3]):
        each.listen()
    for each in world.members:
        each.read[each.state.epochs[0].drops()[0][1].id] = 0


@LIES
def test_attack_180_who_facilitates_no_more_keeps_no_halves_apart(*, lies: bool) -> None:
    world, third, before = halves()
    if lies:
        tells(third, before, b"\2" * 32)
    all_hear(world)
    for _ in range(30):
        if settled(world):
            return
        world.pass_time(hours=7)
    raise AssertionError


@LIES
def test_attack_180_who_facilitates_no_more_has_no_halves_accuse_each_other(*, lies: bool) -> None:
    world, third, before = halves()
    if lies:
        tells(third, before, b"")
    all_hear(world)
    assert settled(world)
    for _ in range(5):
        world.pass_time(hours=4)
        for each in world.inside:
            each.act(commands.Digest())
        world.settle()
    told = [e for m in world.inside if m is not third for e in m.told if isinstance(e, Alarm)]
    assert {e.slot for e in told if e.kind == "record"} <= {third.state.me}


@LIES
def test_attack_180_only_who_announced_a_list_says_where_else(*, lies: bool) -> None:
    """`Third` facilitates, and moves what is not its own; `New` came after that epoch."""
    world = World()
    for name in ("Second", "Third"):
        world.admit_facilitator(name)
        world.settle()
    absent = world.admit("Absent")
    world.settle()
    first, second, third, _ = world.members
    first.act(commands.Turn())
    first.flush()
    world.settle([first, second, third])
    absent.online = False  # so the oldest drop is open for a day
    new = world.admit("New")
    world.settle([first, second, third, new])
    drop = first.state.epoch.drops()[0][1].id
    rows, places = world.drops.rows[drop], list[range]()
    for each in (first, second):
        start = len(rows)
        each.act(commands.Turn())
        each.flush()
        places.append(range(start, len(rows)))
    for span, half in zip(places, ((first, third), (second, new)), strict=True):
        for each in half:
            for place in span:
                each.receive(rows[place])
            each.read[drop] = len(rows)
    if lies:
        tells(third, third.state.current(), b"\2" * 32, there=True)
        first.listen()
    for each in (first, second, third, new):
        each.read[drop] = 0
    for _ in range(5):
        settled(world)
        world.pass_time(hours=9)
    assert not new.state.ended
    assert new.state.current().hash == first.state.current().hash


@LIES
def test_attack_181_no_relay_parts_two_for_a_lifetime(*, lies: bool) -> None:
    """It takes an intro, shows it to its reader alone, and says later that it takes no more. From
    then on it, or the next one, is honest.
    """
    world = World.of(3)
    one, new = world[2], world.admit("New")
    one.listen()
    drop = one.state.epoch.drops()[0][1].id
    one.say("greets the newcomer first")
    one.flush()
    new.sync()
    assert new.state.peers[one.state.me].heard is not None
    one.read[drop] = len(world.drops.rows[drop])  # neither its own nor the reply is shown to it
    world.founder.act(commands.Turn())
    world.founder.flush()
    one.listen()
    assert one.state.epoch.number == 1
    if lies:
        one.act(commands.Sealed(drop))
        one.flush()
    for _ in range(6):
        world.settle()
        world.minutes()
        world.pass_time(hours=20)
    one.say("do you hear me")
    new.say("and you me")
    world.settle()
    world.minutes()
    assert (one.state.me, "do you hear me") in new.said
    assert (new.state.me, "and you me") in one.said
    both_whisper(one, new)


@LIES
def test_attack_180_who_came_is_accused_of_nothing_by_what_stands_before_its_time(
    *, lies: bool
) -> None:
    """No rivals at all: `Third` facilitates, and says where `New` does not read what all know."""
    world = World()
    for name in ("Second", "Third"):
        world.admit_facilitator(name)
        world.settle()
    absent = world.admit("Absent")
    world.settle()
    first, second, third, _ = world.members
    first.act(commands.Turn())
    first.flush()
    world.settle([first, second, third])
    absent.online = False
    new = world.admit("New")
    here = [first, second, third, new]
    world.settle(here)
    world.pass_time(hours=3)
    if lies:
        tells(third, third.state.current(), b"", there=True)
    world.settle(here)
    for _ in range(5):
        world.pass_time(hours=4)
        for each in here:
            each.act(commands.Digest())
        world.settle(here)
    told = [e for m in here if m is not third for e in m.told if isinstance(e, Alarm)]
    assert {e.slot for e in told if e.kind == "record"} <= {third.state.me}
