"""What a person may do, and that it is done: threads, labels, who waits."""

import pytest

from backchannel.protocol import command as commands
from backchannel.protocol import lobby
from backchannel.protocol.command import Command
from backchannel.protocol.errors import LocalProtocolError
from backchannel.protocol.outcome import Shortened, ThreadBegan
from backchannel.protocol.roster import Policy
from backchannel.protocol.successor import Rival
from backchannel.protocol.types import MAIN_THREAD, MessageId, Slot, ThreadId
from tests.support.world import LIFETIME, Member, World


@pytest.fixture
def trio() -> World:
    return World.of(3)


def refused(member: Member, command: Command, match: str) -> None:
    before = member.snapshot()
    with pytest.raises(LocalProtocolError, match=match):
        member.act(command)
    assert member.snapshot() == before


def act(world: World, member: Member, command: Command) -> None:
    member.act(command)
    member.flush()
    world.settle()


def began(member: Member, lifetime: int) -> ThreadId:
    events = member.act(commands.Begin("Water", lifetime))
    member.flush()
    return next(each.thread for each in events if isinstance(each, ThreadBegan))


# --- Texts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("authority", "release"), [(3, 0), (-1, 0), (0, 3), (0, -1)])
def test_a_label_that_there_is_not(trio: World, authority: int, release: int) -> None:
    command = commands.Say(MAIN_THREAD, "hello", authority, release)
    refused(trio.founder, command, "no such label")


def test_a_text_is_heard_as_it_was_meant(trio: World) -> None:
    about = MessageId(b"a" * 16)
    command = commands.Say(MAIN_THREAD, "hello", 2, 1, about, "cafe\u0301", carried=True)
    act(trio, trio.founder, command)
    (said,) = trio[1].disk.said
    assert (said.authority, said.release, said.carried) == (2, 1, True)
    assert (said.about, said.quote, said.text) == (about, "caf\u00e9", "hello")
    assert (said.to, said.out_of_turn) == (None, False)


def test_a_text_that_is_said_again_under_its_id_is_heard_once(trio: World) -> None:
    first = trio[1].say("once")
    trio[1].flush()
    act(trio, trio[1], commands.Say(MAIN_THREAD, "once", id=first.id))
    assert trio.founder.said == [(1, "once")]


def test_nobody_talks_while_two_lists_of_members_stand(trio: World) -> None:
    state = trio[1].state
    state.rivals[state.current().hash] = Rival(Slot(0), state.epoch.id)
    for command in (
        commands.Say(MAIN_THREAD, "hello"),
        commands.Whisper("Founder", "hello"),
        commands.SendFile(MAIN_THREAD, "name", b"data"),
        commands.SayUnattributed(MAIN_THREAD, "hello"),
    ):
        refused(trio[1], command, "settle that first")
    act(trio, trio[1], commands.Leave())


# --- The floor ------------------------------------------------------------------------------------


def test_who_has_not_the_floor_waits_and_the_facilitator_does_not(trio: World) -> None:
    act(trio, trio.founder, commands.GiveFloor("Guest 1"))
    for command in (
        commands.Say(MAIN_THREAD, "and I say"),
        commands.SendFile(MAIN_THREAD, "name", b"data"),
    ):
        refused(trio[2], command, "somebody else has the floor")
    trio[1].say("mine")
    trio.founder.say("order, please")
    act(trio, trio[2], commands.RaiseHand())
    assert trio.founder.state.hands == [2]
    act(trio, trio.founder, commands.GiveFloor("Guest 2"))
    assert {tuple(member.state.hands) for member in trio.members} == {()}
    trio[2].say("at last")
    act(trio, trio.founder, commands.GiveFloor())
    assert {member.state.floor for member in trio.members} == {None}
    refused(trio.founder, commands.GiveFloor("Nobody"), "nobody of that name")


def test_a_hand_is_taken_down_again(trio: World) -> None:
    act(trio, trio[1], commands.RaiseHand())
    act(trio, trio[2], commands.RaiseHand())
    act(trio, trio[1], commands.RaiseHand(raised=False))
    assert {tuple(member.state.hands) for member in trio.members} == {(2,)}


# --- Threads --------------------------------------------------------------------------------------


def test_who_began_a_thread_and_facilitators_make_its_life_shorter(trio: World) -> None:
    thread = began(trio[1], 48)
    trio.settle()
    refused(trio[2], commands.Shorten(thread, 24), "who began a thread, or facilitates")
    act(trio, trio[1], commands.Shorten(thread, 24))
    act(trio, trio.founder, commands.Shorten(thread, 12))
    for member in trio.members:
        assert member.state.threads[thread].lifetime == 12
        assert Shortened(thread, 12) in member.told


@pytest.mark.parametrize("lifetime", [0, 48, 49])
def test_a_threads_life_is_never_made_longer(trio: World, lifetime: int) -> None:
    thread = began(trio[1], 48)
    refused(trio[1], commands.Shorten(thread, lifetime), "only made shorter")
    refused(trio[1], commands.Shorten(ThreadId(b"?" * 16), 1), "only made shorter")


def test_a_thread_lives_no_longer_than_its_channel(trio: World) -> None:
    refused(trio[1], commands.Begin("topic", LIFETIME + 1), "no longer than its channel")


def test_one_member_does_not_fill_the_list_of_threads(trio: World) -> None:
    for _ in range(8):
        began(trio[1], 24)
    refused(trio[1], commands.Begin("one more"), "fall out of use")


# --- Who waits ------------------------------------------------------------------------------------


def vouching(count: int) -> World:
    """A channel in which so many vouch for a newcomer; Ann waits."""
    world = World.of(3)
    act(world, world.founder, commands.SetPolicy(Policy(LIFETIME, vouches=count)))
    world.knock("Ann")
    return world


def test_nobody_comes_in_before_enough_have_vouched() -> None:
    world = vouching(2)
    refused(world.founder, commands.Admit("Ann"), "2 members must vouch for them, and 0 did")
    refused(world[1], commands.Vouch("Ann"), "nobody of that name is presented")
    refused(world[1], commands.Objection("Ann"), "nobody of that name is presented")
    act(world, world.founder, commands.Present("Ann"))
    act(world, world[1], commands.Vouch("Ann"))
    act(world, world[1], commands.Vouch("Ann"))
    refused(world.founder, commands.Admit("Ann"), "and 1 did")
    act(world, world[2], commands.Vouch("Ann"))
    act(world, world.founder, commands.Admit("Ann"))
    assert world[3].state.current().named("Ann") is not None
    assert {len(member.state.candidates) for member in world.members[:3]} == {0}


def test_a_quiet_no_is_enough() -> None:
    world = vouching(1)
    act(world, world.founder, commands.Present("Ann"))
    act(world, world[1], commands.Vouch("Ann"))
    act(world, world[2], commands.Objection("Ann"))
    refused(world.founder, commands.Admit("Ann"), "somebody here objects")
    (known,) = world[1].state.candidates.values()
    assert not known.objected


def test_only_who_has_answered_is_presented() -> None:
    world = World.of(2)
    world.invite("Ann")
    refused(world.founder, commands.Present("Ann"), "not answered yet")
    refused(world.founder, commands.Present("Bea"), "nobody of that name waits")


def test_who_is_to_be_replaced_is_here(trio: World) -> None:
    invite = commands.Invite("Ann", "North", "participant", 24, "Nobody")
    refused(trio.founder, invite, "nobody of that name is here to be replaced")


def test_attack_66_nobody_comes_back_with_old_keys(trio: World) -> None:
    """A new place for old keys would revive old lines."""
    gone = trio[1].state.keys.public()
    act(trio, trio.founder, commands.Remove("Guest 1"))
    assert lobby._shares_a_key(trio.founder.state, gone)
    fresh = trio.knock("Ann")
    assert not lobby._shares_a_key(trio.founder.state, fresh.waiting.state.keys.public())  # type: ignore[union-attr]
