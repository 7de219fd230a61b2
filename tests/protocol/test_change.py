"""How a facilitator changes who is here and by which rules: wishes, drafts, epochs, seals."""

import pytest

from backchannel.protocol import change, limits
from backchannel.protocol import command as commands
from backchannel.protocol.command import Command
from backchannel.protocol.core import Kind
from backchannel.protocol.drop import Drop
from backchannel.protocol.errors import DecodeError, LocalProtocolError
from backchannel.protocol.outcome import (
    Acted,
    Alarm,
    Append,
    Ended,
    Lost,
    OpenDrop,
    RosterAdopted,
    SealDrop,
    Shortened,
)
from backchannel.protocol.posting import Posting
from backchannel.protocol.roster import Policy
from backchannel.protocol.successor import Rival
from backchannel.protocol.types import Slot, Timestamp, hour_of
from tests.support.insider import core_in, owed
from tests.support.world import LIFETIME, RELAY, Member, World


@pytest.fixture
def trio() -> World:
    """A founder who facilitates alone, and two guests."""
    return World.of(3)


@pytest.fixture
def two() -> World:
    """Founder and Second facilitate; Third takes part."""
    world = World()
    world.admit_facilitator("Second")
    world.settle()
    world.admit("Third")
    world.settle()
    return world


def act(member: Member, command: Command) -> None:
    member.act(command)
    member.flush()


def refused(member: Member, command: Command, match: str) -> None:
    """It is said why not, and nothing has changed: no state, no clock, nothing to send."""
    before, clocks = member.snapshot(), dict(member.member.clocks)
    with pytest.raises((LocalProtocolError, DecodeError), match=match):
        member.act(command)
    assert member.snapshot() == before
    assert member.member.clocks == clocks


def numbers(world: World) -> list[int]:
    return [member.state.epoch.number for member in world.inside]


def same_roster(*members: Member) -> bool:
    return len({member.state.current().hash for member in members}) == 1


# --- Somebody goes --------------------------------------------------------------------------------


def test_who_alone_facilitates_removes_at_once_and_everybody_follows(trio: World) -> None:
    act(trio.founder, commands.Remove("Guest 1"))
    assert [e.alias for e in trio.founder.state.current().entries] == ["Founder", "Guest 2"]
    trio.settle()
    assert same_roster(trio.founder, trio[2])
    assert (trio.founder.state.epoch.number, trio[2].state.epoch.number) == (1, 1)
    trio.founder.say("among us")
    trio.founder.flush()
    trio.settle()
    assert trio[2].said == [(0, "among us")]
    assert trio[1].said == []


def test_a_removed_member_is_told_and_speaks_no_more(trio: World) -> None:
    act(trio.founder, commands.Remove("Guest 1", "compromised"))
    trio.settle()
    assert Ended("compromised", Slot(0)) in trio[1].told
    assert trio[1].state.ended == "compromised"
    with pytest.raises(LocalProtocolError, match="not a member"):
        trio[1].say("still here?")
    outbox = len(trio[1].disk.outbox)
    trio.pass_time(hours=limits.EPOCH_HOURS + 1)
    trio[1].tick()
    assert len(trio[1].disk.outbox) == outbox


def test_a_compromised_device_is_an_alarm_to_those_who_stay(trio: World) -> None:
    act(trio.founder, commands.Remove("Guest 1", "compromised"))
    trio.settle()
    for member in (trio.founder, trio[2]):
        assert [e.kind for e in member.told if isinstance(e, Alarm)] == ["compromised"]


def test_everybody_sees_who_did_what(trio: World) -> None:
    act(trio.founder, commands.Remove("Guest 1"))
    trio.settle()
    for member in (trio.founder, trio[2]):
        acted = [e for e in member.told if isinstance(e, Acted)][-1]
        assert (acted.version, acted.by) == (4, "Founder")
        assert [(each.what, each.alias, each.detail) for each in acted.changes] == [
            ("removed", "Guest 1", ""),
            ("epoch", "", "1"),
        ]
        assert acted.expires == hour_of(trio.now) + LIFETIME
        assert RosterAdopted(4) in member.told


@pytest.mark.parametrize(
    ("command", "match"),
    [
        (commands.Remove("Nobody"), "nobody of that name"),
        (commands.Remove("Founder"), "do not remove yourself"),
        (commands.SetRole("Nobody", "observer"), "in another role"),
        (commands.SetRole("Guest 1", "participant"), "in another role"),
        (commands.SetRole("Founder", "observer"), "your own role"),
        (commands.SetPolicy(Policy(LIFETIME)), "the rules already"),
        (commands.SetPolicy(Policy(24, unattributed=3)), "at least 4"),
        (commands.LastBlocks(()), "no change of yours"),
    ],
)
def test_what_cannot_be_done(trio: World, command: Command, match: str) -> None:
    refused(trio.founder, command, match)


def test_a_change_that_others_would_refuse_is_not_made(trio: World) -> None:
    """They would hold it against who issued it, whatever they agreed to."""
    crisis = commands.SetPolicy(Policy(LIFETIME, "hotline"))
    act(trio.founder, crisis)
    trio.settle()
    for member in trio.members[1:]:
        (name,) = member.state.proposals
        act(member, commands.Consent(name))
    trio.settle()
    refused(trio.founder, crisis, "at most 72 hours")


# --- A new epoch ----------------------------------------------------------------------------------


def test_a_new_epoch_opens_its_drops_before_anybody_is_told(trio: World) -> None:
    trio.founder.flush()
    trio.founder.act(commands.Turn())
    outbox = trio.founder.disk.outbox
    opened, *rest = outbox
    assert isinstance(opened, OpenDrop)
    assert opened.drop.id == Drop.of_epoch(trio.founder.state.epoch.secret, RELAY.public).id
    assert all(isinstance(each, Append) for each in rest)
    kinds = [Kind(core_in(trio[1], each)[0]) for each in owed(trio.founder)]
    assert kinds == [Kind.GROUP, Kind.EPOCH, Kind.ROSTER]


def test_attack_60_everybody_has_the_same_secret_and_nobody_an_old_one(trio: World) -> None:
    before = trio.founder.state.epoch
    act(trio.founder, commands.Turn())
    trio.settle()
    secrets = {member.state.epoch.secret.expose() for member in trio.members}
    assert len(secrets) == 1
    assert before.secret.expose() not in secrets
    assert numbers(trio) == [1, 1, 1]
    closes = {member.state.epoch.close is None for member in trio.members[1:]}
    assert closes == {True}


def test_the_old_drop_is_sealed_once_all_have_come(trio: World) -> None:
    old = trio.founder.state.epoch
    drop = Drop.of_epoch(old.secret, RELAY.public)
    act(trio.founder, commands.Turn())
    trio.settle([trio.founder, trio[1]])
    assert drop.id not in trio.drops.sealed
    trio.settle()
    assert drop.id in trio.drops.sealed
    assert old.ending is not None
    assert old.ending.sealed


def test_the_old_drop_is_sealed_after_a_day_whoever_is_away(trio: World) -> None:
    drop = Drop.of_epoch(trio.founder.state.epoch.secret, RELAY.public)
    act(trio.founder, commands.Turn())
    trio.pass_time(hours=limits.SEAL_HOURS - 1)
    trio.settle([trio.founder, trio[1]])
    assert drop.id not in trio.drops.sealed
    trio.pass_time(hours=1)
    trio.settle([trio.founder])
    assert drop.id in trio.drops.sealed
    trio.settle()
    assert same_roster(*trio.members)


def test_who_comes_after_the_seal_says_what_it_has_to_say_in_the_new_drop(trio: World) -> None:
    trio[2].online = False
    act(trio.founder, commands.Turn())
    trio.pass_time(hours=limits.SEAL_HOURS)
    trio.settle()
    trio[2].online = True
    trio.settle()
    assert numbers(trio) == [1, 1, 1]
    trio[2].say("late, and here")
    trio[2].flush()
    trio.settle()
    assert (2, "late, and here") in trio.founder.said


def test_attack_71_a_full_drop_is_sealed_with_the_change_as_its_last_blocks(trio: World) -> None:
    """Whoever is about to be removed has filled it: its removal still gets in."""
    old = trio.founder.state.epoch
    trio.founder.act(commands.Remove("Guest 1"))
    cores = [core for core, _ in trio.founder.disk.cores.values()]
    mine = tuple(core for core in cores if core[0] in (Kind.EPOCH, Kind.ROSTER))
    events = trio.founder.member.act(commands.LastBlocks(mine), trio.now, trio.founder.entropy)
    (sealed,) = events.effects
    assert isinstance(sealed, SealDrop)
    assert len(sealed.blocks) == len(mine)
    assert old.ending is not None
    assert old.ending.sealed
    refused(trio.founder, commands.LastBlocks(mine), "no change of yours")


def test_only_a_change_of_ones_own_seals_a_drop(trio: World) -> None:
    trio.founder.say("hello")
    core = list(trio.founder.disk.cores.values())[-1][0]
    refused(trio.founder, commands.LastBlocks((core,)), "no change of yours")


# --- Roles and rules ------------------------------------------------------------------------------


@pytest.mark.parametrize(("role", "turns"), [("facilitator", False), ("observer", True)])
def test_a_lighter_role_comes_with_new_keys(trio: World, role: str, *, turns: bool) -> None:
    act(trio.founder, commands.SetRole("Guest 1", role))  # type: ignore[arg-type]
    trio.settle()
    assert {member.state.current().entry(1).role for member in trio.members} == {role}
    assert numbers(trio) == [int(turns)] * 3


def test_a_new_facilitator_is_given_what_closes_drops(trio: World) -> None:
    act(trio.founder, commands.SetRole("Guest 1", "facilitator"))
    trio.settle()
    assert trio[1].state.epoch.close == trio.founder.state.epoch.close
    assert trio[2].state.epoch.close is None
    act(trio[1], commands.Remove("Guest 2"))
    trio.settle()
    assert len(trio.founder.state.current().entries) == 2


def test_a_facilitator_without_the_close_secret_waits_for_it(trio: World) -> None:
    act(trio.founder, commands.SetRole("Guest 1", "facilitator"))
    trio[1].listen()
    refused(trio[1], commands.Turn(), "has not reached you yet")


def test_a_shorter_life_holds_at_once_and_for_what_is_old(trio: World) -> None:
    act(trio.founder, commands.SetPolicy(Policy(24)))
    trio.settle()
    for member in trio.members:
        assert member.state.lifetime == 24
        assert Shortened(None, 24) in member.told
    assert numbers(trio) == [0, 0, 0]


def test_a_longer_life_waits_for_everybody(trio: World) -> None:
    longer = commands.SetPolicy(Policy(LIFETIME + 1))
    act(trio.founder, longer)
    trio.settle()
    refused(trio.founder, longer, "Guest 1, Guest 2")
    for member in trio.members[1:]:
        (name,) = member.state.proposals
        act(member, commands.Consent(name))
    trio.settle()
    act(trio.founder, longer)
    trio.settle()
    assert {member.state.lifetime for member in trio.members} == {LIFETIME + 1}
    assert numbers(trio) == [1, 1, 1]
    assert {len(member.state.proposals) for member in trio.members} == {0}


# --- Two who change something at once -------------------------------------------------------------


def test_a_change_is_a_draft_until_it_is_read_back(two: World) -> None:
    two.founder.act(commands.SetPolicy(Policy(24)))
    assert two.founder.state.current().version == 3
    assert two.founder.state.draft is not None
    refused(two.founder, commands.Turn(), "not come back")
    two.founder.flush()
    two.settle()
    assert [member.state.draft for member in two.members] == [None] * 3
    assert {member.state.lifetime for member in two.members} == {24}


def test_of_two_at_once_the_first_in_the_drop_holds_and_the_other_is_told(two: World) -> None:
    act(two.founder, commands.SetPolicy(Policy(24)))
    act(two[1], commands.SetPolicy(Policy(48)))
    two.settle()
    two.minutes()
    assert same_roster(*two.members)
    assert {member.state.lifetime for member in two.members} == {24}
    assert Lost(4) in two[1].told
    assert not any(isinstance(each, Lost) for each in two.founder.told)
    assert {len(member.state.rivals) for member in two.members} == {0}


def test_two_turns_at_once_end_in_one_epoch(two: World) -> None:
    act(two[1], commands.Remove("Third"))
    act(two.founder, commands.Turn())
    for _ in range(3):
        two.settle()
        two.minutes()
    assert same_roster(two.founder, two[1])
    assert len({member.state.epoch.secret.expose() for member in (two.founder, two[1])}) == 1
    two.founder.say("together")
    two.founder.flush()
    two.settle()
    assert (0, "together") in two[1].said


def test_two_who_let_somebody_in_at_once_do_not_mix_their_guests(two: World) -> None:
    """Both gave the same place: the one who was too late does it again."""
    first = two.knock("Ann")
    second = knock_at(two, two[1], "Bea")
    act(two.founder, commands.Admit("Ann"))
    act(two[1], commands.Admit("Bea"))
    two.settle()
    two.minutes()
    assert Lost(4) in two[1].told
    assert first.state.me == 3
    assert two[1].state.peers[Slot(3)].bundle.identity == first.state.keys.identity.public()
    assert second.channel is None
    act(two[1], commands.Admit("Bea"))
    two.settle()
    two.minutes()
    assert second.state.me == 4
    assert same_roster(*two.members)
    for member in two.members:
        member.say(f"I am {member.name}")
        member.flush()
    two.settle()
    two.minutes()
    for member in two.members:
        assert {text for _, text in member.said} == {
            f"I am {other.name}" for other in two.members
        }, member.name


def test_who_let_somebody_in_too_late_keeps_nobody_in_the_place(two: World) -> None:
    second = knock_at(two, two[1], "Bea")
    act(two.founder, commands.SetPolicy(Policy(24)))
    act(two[1], commands.Admit("Bea"))
    assert Slot(3) in two[1].state.peers
    two.settle()
    assert Lost(4) in two[1].told
    assert Slot(3) not in two[1].state.peers
    act(two[1], commands.Admit("Bea"))
    two.settle()
    two.minutes()
    assert second.state.me == 3
    assert same_roster(*two.members)


def knock_at(world: World, host: Member, alias: str) -> Member:
    """Somebody whom another than the founder has invited."""
    founder, world.founder = world.founder, host
    try:
        return world.knock(alias)
    finally:
        world.founder = founder


# --- Why a turn is due ----------------------------------------------------------------------------


def why(member: Member) -> str:
    return member.member.due(member.now)


def test_an_epoch_turns_weekly(two: World) -> None:
    two.pass_time(hours=limits.EPOCH_HOURS - 1)
    assert why(two.founder) == ""
    two.pass_time(hours=1)
    assert [why(member) for member in two.members] == ["weekly", "", ""]
    two.pass_time(hours=limits.YIELD_HOURS)
    assert [why(member) for member in two.members] == ["weekly", "weekly", ""]
    two.founder.act(commands.Turn())
    assert why(two.founder) == ""  # on its way


def test_who_wants_to_go_is_let_go(two: World) -> None:
    act(two[2], commands.Leave())
    two.settle()
    assert [why(member) for member in two.members] == ["leavers", "", ""]
    two.pass_time(hours=limits.YIELD_HOURS)
    two.settle()
    assert why(two[1]) == "leavers"
    act(two.founder, commands.Turn())
    two.settle()
    assert {len(member.state.current().entries) for member in two.members[:2]} == {2}
    acted = [e for e in two[1].told if isinstance(e, Acted)][-1]
    assert acted.changes[0].what == "left"
    assert two[1].state.leavers == {}


def test_who_is_replaced_goes_when_the_other_has_come(trio: World) -> None:
    guest = handed_over(trio)
    trio.invite("Somebody else")
    assert why(trio.founder) == "replaced"
    act(trio.founder, commands.Turn())
    trio.settle([trio.founder, trio[2], guest])
    aliases = [entry.alias for entry in guest.state.current().entries]
    assert aliases == ["Founder", "Guest 2", "Successor"]
    assert why(trio.founder) == ""
    trio.settle()
    assert trio[1].state.ended == "replaced"


def handed_over(world: World) -> Member:
    """Somebody who comes in for Guest 1."""
    guest = world.knock("Successor")
    world.founder.state.guests[-1].successor = "Guest 1"
    act(world.founder, commands.Admit("Successor"))
    guest.listen()
    world.settle()
    return guest


def rival(member: Member, *, since: int = 0) -> None:
    """A roster of Third's that stands against this member's."""
    name = member.state.current().hash
    member.state.rivals[name] = Rival(Slot(2), member.state.epoch.id, since=Timestamp(since))


def test_rivals_that_stand_are_a_reason_and_the_lowest_slot_goes_first(two: World) -> None:
    """Not those that may still concede: two may act at once in good faith."""
    for member in two.members[:2]:
        rival(member)
        member.tick()
    assert [why(member) for member in two.members] == ["", "", ""]
    two.pass_time(seconds=limits.RIVAL_STANDS)
    for member in two.members[:2]:
        member.tick()
    assert [why(member) for member in two.members] == ["rivals", "", ""]
    two.pass_time(hours=limits.YIELD_HOURS)
    assert why(two[1]) == "rivals"


def test_nobody_comes_in_while_two_lists_stand_against_each_other(two: World) -> None:
    two.knock("Ann")
    rival(two.founder)
    refused(two.founder, commands.Admit("Ann"), "begin a new epoch first")


def test_nobody_else_changes_anything_whatever_calls_it(trio: World) -> None:
    member = trio[1]
    posting = Posting(member.state, member.member.clocks, member.now, member.entropy)
    before = member.snapshot()
    with pytest.raises(LocalProtocolError, match="only a facilitator"):
        change.turn(posting)
    assert member.snapshot() == before


def test_nothing_is_due_of_who_has_no_part_in_it(two: World) -> None:
    newcomer = two.admit("Fourth")
    newcomer.state.roster = None
    two.pass_time(hours=limits.EPOCH_HOURS)
    assert change.due(newcomer.state, hour_of(two.now)) == ""
    two.founder.state.ended = "removed"
    assert why(two.founder) == ""
