"""How two lists of members that stand against each other come to an end."""

import pytest
from msgspec.structs import replace

from backchannel.protocol import command as commands
from backchannel.protocol import limits, settlement
from backchannel.protocol.content import Gone
from backchannel.protocol.errors import LocalProtocolError
from backchannel.protocol.outcome import Alarm, Ended, Lost
from backchannel.protocol.successor import Rival
from backchannel.protocol.types import RosterHash, Slot
from tests.support.world import Member, World

OTHER = RosterHash(b"o" * 32)
SILENT = RosterHash(b"s" * 32)


@pytest.fixture
def world() -> World:
    """Founder and Second facilitate; Third takes part."""
    world = World()
    world.admit_facilitator("Second")
    world.settle()
    world.admit("Third")
    world.settle()
    return world


def rival(member: Member, name: RosterHash = OTHER, **more: object) -> Rival:
    """Another list, of Second's."""
    state = member.state
    made = Rival(Slot(1), state.epoch.id, version=state.current().version)
    state.rivals[name] = replace(made, **more)
    return state.rivals[name]


def turned(world: World) -> tuple[Member, RosterHash]:
    """Founder is in an epoch that began after the rival's, and has a draft that ends it."""
    founder, over = world.founder, world.founder.state.epoch
    founder.act(commands.Turn())
    founder.flush()
    world.settle()
    assert over.ending is not None
    over.ending.sealed = False  # another member's program does not know
    rival(founder, epoch=over.id)
    founder.act(commands.Turn())
    draft = founder.state.draft
    assert draft is not None
    return founder, draft.roster


def test_what_settles_rivals_names_those_too_whose_issuers_came_over(world: World) -> None:
    state = world.founder.state
    made = rival(world.founder)
    state.record.conceded[SILENT] = made
    assert list(settlement.named(state)) == [OTHER, SILENT]
    state.rivals = {}
    assert settlement.named(state) == {}


def test_who_facilitates_since_there_are_rivals_settles_nothing(world: World) -> None:
    """Seed 2061: to the other branch it is a participant who changes who is here."""
    founder, third = world.founder, world[2]
    founder.act(commands.SetRole("Third", "facilitator"))
    founder.flush()
    world.settle()
    assert third.state.facilitates(third.state.me)
    rival(third)
    assert settlement.settlers(third.state) == [0, 1]
    with pytest.raises(LocalProtocolError, match="facilitated before"):
        third.act(commands.Turn())
    third.state.roles.clear()
    assert settlement.settlers(third.state) == [0, 1, 2]


@pytest.mark.parametrize("accomplice", [False, True])
def test_attack_177_who_alone_facilitated_before_does_not_hold_on_to_the_channel(
    accomplice: bool,
) -> None:
    """By a rival of the very roster that let somebody else facilitate, and no word after it."""
    world = World.of(3)
    hostile, other, third = world.members
    hostile.act(commands.SetRole(other.name, "facilitator"))
    hostile.flush()
    world.settle()
    for each in (other, third):
        rival(each, by=Slot(0), behind=(Slot(2),) if accomplice else ())
        world.pass_time(seconds=limits.RIVAL_STANDS)
        each.tick()
    assert settlement.settlers(other.state) == [0, 1]
    other.act(commands.Remove(hostile.name, "removed"))
    other.flush()
    for each in (other, third) * 3:
        each.sync()
    for each in (other, third):
        assert [entry.slot for entry in each.state.current().entries] == [1, 2]
        assert not each.state.rivals
    third.say("goes on")
    third.flush()
    other.sync()
    assert (2, "goes on") in other.said


def test_whom_a_rival_took_away_stays_in_nothing_that_names_it(world: World) -> None:
    """Seed 2160: in the rival's branch nobody has keys for who went."""
    founder = world.founder
    rival(founder, gone=(Gone(Slot(2), "removed"),))
    with pytest.raises(LocalProtocolError, match="begin a new epoch first"):
        founder.act(commands.SetRole("Third", "observer"))
    founder.act(commands.Turn())
    founder.flush()
    founder.sync()
    assert [entry.slot for entry in founder.state.current().entries] == [0, 1]


@pytest.mark.parametrize("behind", [(), (Slot(0),)])
@pytest.mark.parametrize("left", [False, True], ids=["stays", "asked to go"])
def test_a_rival_that_took_my_place_away_and_stands_says_so(
    world: World, behind: tuple[Slot, ...], left: bool
) -> None:
    """After the alarm, never in its place; its issuer alone may still come over. Seed 304947,
    "rosters converge": who had asked to go facilitated by name, and never came anywhere again.
    """
    third = world[2]
    third.state.leavers = {Slot(0): third.state.since} if left else {}
    rival(third, gone=(Gone(Slot(2), "removed"),), behind=behind)
    third.tick()
    world.pass_time(seconds=limits.RIVAL_STANDS)
    third.tick()
    kinds = [type(each) for each in third.told if isinstance(each, Alarm | Ended)]
    assert kinds == ([Alarm, Ended] if behind or left else [Alarm])


def test_what_was_to_settle_rivals_in_a_drop_that_is_sealed_is_given_up(world: World) -> None:
    """Seed 202: it waited to be read back for ever, and nobody could settle anything."""
    founder, roster = turned(world)
    over = founder.state.epochs[0]
    drop = over.drops()[0][1].id
    here = founder.state.epoch.drops()[0][1].id
    for _ in range(2):
        assert founder.act(commands.Sealed(drop)) == []  # another relay may have it
        world.pass_time(hours=1)
    assert founder.act(commands.Sealed(here)) == []
    assert [type(each) for each in founder.act(commands.Sealed(drop))] == [Lost]
    assert not founder.state.draft
    assert roster in founder.state.record.conceded
    assert settlement.common(founder.state) is founder.state.epoch


def test_a_drop_that_is_sealed_takes_no_other_change_away(world: World) -> None:
    founder = world.founder
    over = founder.state.epoch
    founder.act(commands.Turn())
    founder.flush()
    world.settle()
    founder.act(commands.SetRole("Third", "observer"))
    world.pass_time(hours=2)
    assert founder.act(commands.Sealed(over.drops()[0][1].id)) == []
    assert founder.state.draft is not None
