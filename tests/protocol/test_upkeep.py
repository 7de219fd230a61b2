"""What time asks of a member: echoes, prekeys, close secrets, seals, and what it forgets."""

from dataclasses import replace

import pytest

from backchannel.protocol import command as commands
from backchannel.protocol import content as c
from backchannel.protocol import limits
from backchannel.protocol.channel import Channel
from backchannel.protocol.command import Command
from backchannel.protocol.core import Kind
from backchannel.protocol.drop import Drop
from backchannel.protocol.epoch import KEPT_BEHIND
from backchannel.protocol.epochs import Epoch
from backchannel.protocol.errors import RefusedError, StateError
from backchannel.protocol.identity import prekey_id
from backchannel.protocol.outcome import Append, Arrival, Lost
from backchannel.protocol.posting import Posting
from backchannel.protocol.roster import Policy
from backchannel.protocol.types import Hour, Slot, hour_of
from tests.support.insider import Insider, core_in, owed, refuses
from tests.support.world import LIFETIME, RELAY, Member, World


@pytest.fixture
def trio() -> World:
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


def drop_of(epoch: Epoch) -> Drop:
    return Drop.of_epoch(epoch.secret, RELAY.public)


# --- The first act in a new epoch -----------------------------------------------------------------


def test_the_first_act_is_an_echo_in_the_drop_that_is_over(trio: World) -> None:
    old = drop_of(trio[1].state.epoch)
    act(trio.founder, commands.Turn())
    trio[1].listen()
    trio[1].tick()
    first, *_ = owed(trio[1])
    assert first.drop == old.id
    assert core_in(trio[1], first)[0] == Kind.GROUP
    trio.founder.receive(first)
    assert trio.founder.state.come[Slot(1)] == trio.founder.state.current().version


def test_an_echo_is_given_once_and_none_to_a_sealed_drop(trio: World) -> None:
    act(trio.founder, commands.Turn())
    trio[1].listen()
    over = trio[1].state.epochs[0]
    assert over.ending is not None
    over.ending.sealed = True
    trio[1].tick()
    assert drop_of(over).id not in {each.drop for each in owed(trio[1])}
    assert over.ending.echoed
    trio[1].flush()
    trio[1].tick()
    assert owed(trio[1]) == []


# --- Prekeys --------------------------------------------------------------------------------------


def test_a_prekey_is_renewed_weekly_and_everybody_is_told(trio: World) -> None:
    before = trio[1].state.keys.prekey.public()
    trio.pass_time(hours=limits.EPOCH_HOURS - 1)
    trio.settle()
    assert trio[1].state.keys.prekey.public() == before
    trio.pass_time(hours=1)
    trio.settle()
    after = trio[1].state.keys.prekey.public()
    assert after != before
    for member in (trio.founder, trio[2]):
        assert member.state.peers[Slot(1)].bundle.prekey == after


def stale_intro(world: World) -> Arrival:
    """Of Guest 2 to Guest 1, under the prekey that Guest 1 had before."""
    writer = world[2].twin()
    state = writer.state
    posting = Posting(state, writer.member.clocks, writer.now, writer.entropy)
    peer = state.peers[Slot(1)]
    old = world[1].state.prekeys[0].keys.public() if world[1].state.prekeys else None
    if old is not None:
        peer.bundle = type(peer.bundle)(peer.bundle.identity, old)
    peer.line = None
    posting.greet(Slot(1))
    effect = posting.effects[-1]
    assert isinstance(effect, Append)
    return Arrival(effect.drop.id, posting.hour, effect.block)


def unmet() -> World:
    """Guest 1 has renewed its prekey, and does not know Guest 2's intro yet."""
    world = World.of(3)
    for one, other in ((1, 2), (2, 1)):
        peer = world[one].state.peers[Slot(other)]
        peer.line, peer.heard, peer.greeting, peer.to_greet = None, None, None, False
    world.pass_time(hours=limits.EPOCH_HOURS)
    world[1].tick()
    return world


def test_an_intro_to_a_prekey_that_gave_way_opens_for_a_lifetime() -> None:
    world = unmet()
    (kept,) = world[1].state.prekeys
    assert kept.id == prekey_id(kept.keys.public())
    world.pass_time(hours=LIFETIME - 1)
    world[1].tick()
    assert world[1].state.peers[Slot(2)].heard is None
    world[1].receive(stale_intro(world))
    assert world[1].refused == []
    assert world[1].state.peers[Slot(2)].heard is not None


def test_attack_7_after_a_lifetime_no_copy_of_the_device_opens_it() -> None:
    world = unmet()
    old = world[1].state.prekeys[0]
    world.pass_time(hours=LIFETIME + 1)
    world[1].tick()
    assert old.id not in {each.id for each in world[1].state.prekeys}
    assert old.keys.kem.expose() not in world[1].snapshot()
    world[1].state.prekeys.insert(0, old)
    late = stale_intro(world)
    world[1].state.prekeys.remove(old)
    refuses(world[1], late, RefusedError, "prekey that is not here")


# --- What closes a drop ---------------------------------------------------------------------------


def test_every_facilitator_gets_the_close_secret_once_and_nobody_else(two: World) -> None:
    close = two.founder.state.epoch.close
    assert close is not None
    assert two[1].state.epoch.close == close
    assert two[2].state.epoch.close is None
    assert two.founder.state.epoch.given == [1]
    two.founder.flush()
    two.founder.tick()
    assert two.founder.disk.outbox == ()


def test_only_the_issuer_of_the_roster_hands_out_the_secret(two: World) -> None:
    two[1].flush()
    two[1].tick()
    assert two[1].state.epoch.given == []
    act(two[1], commands.Turn())
    two.settle()
    assert two.founder.state.epoch.close == two[1].state.epoch.close
    assert two[1].state.epoch.given == [0]


# --- Forgetting -----------------------------------------------------------------------------------


def test_an_epoch_that_is_over_is_forgotten_with_its_last_readable_hour(trio: World) -> None:
    old = trio.founder.state.epoch
    act(trio.founder, commands.Turn())
    trio.settle()
    trio.pass_time(hours=LIFETIME + limits.SEAL_HOURS + 2 * limits.CLOCK_SKEW)
    trio.founder.tick()
    assert old.id in trio.founder.member.clocks
    trio.pass_time(hours=1)
    trio.founder.tick()
    assert [each.number for each in trio.founder.state.epochs] == [1]
    assert set(trio.founder.member.clocks) == {trio.founder.state.epoch.id}
    assert old.secret.expose() not in trio.founder.snapshot()
    assert {poll.drop.id for poll in trio.founder.member.polls()} == {
        drop_of(trio.founder.state.epoch).id
    }


@pytest.mark.parametrize("contested", [False, True])
def test_ones_sender_key_of_an_epoch_that_is_over_goes_with_its_drop(
    trio: World, *, contested: bool
) -> None:
    """Nobody posts there any more; but where rivals were announced, as long as it is kept."""
    trio[1].say("hello")
    before = trio[1].state.own
    trio.settle()
    act(trio.founder, commands.Turn())
    trio.settle()
    over = trio[1].state.epochs[0]
    assert before is not None
    assert over.ending is not None
    assert over.ending.own is not None
    assert over.ending.own.id == before.id
    assert trio[1].state.own is not None
    assert trio[1].state.own.id != before.id
    over.contested = contested
    trio.pass_time(hours=limits.SEAL_HOURS)
    trio[1].tick()
    assert over.ending.own is not None
    trio.pass_time(hours=1)
    trio[1].tick()
    assert (over.ending.own is not None) == contested


def test_every_clock_forgets_the_hours_behind_the_window(trio: World) -> None:
    act(trio.founder, commands.Turn())
    trio.settle()
    trio.pass_time(hours=LIFETIME + 5)
    trio.founder.tick()
    oldest = Hour(hour_of(trio.now) - LIFETIME - KEPT_BEHIND)
    assert {clock.hour for clock in trio.founder.member.clocks.values()} == {oldest}


def test_a_clock_of_an_epoch_that_never_began_goes(two: World) -> None:
    two[1].act(commands.Turn())
    assert len(two[1].member.clocks) == 2
    act(two.founder, commands.Turn())
    two[1].disk = two[1].disk.__class__()  # what it sent is lost
    two[1].listen()
    two[1].tick()
    drafted = {each.id for each in two[1].state.epochs}
    assert set(two[1].member.clocks) == drafted


def test_a_draft_that_never_came_back_is_given_up(two: World) -> None:
    two.founder.act(commands.SetPolicy(Policy(24)))
    two.pass_time(hours=LIFETIME + 1)
    events = two.founder.tick()
    assert Lost(4) in events
    assert two.founder.state.draft is None


def test_a_change_that_was_lost_on_its_way_is_sent_again_until_it_is_read_back(two: World) -> None:
    two.founder.flush()
    two.founder.act(commands.SetPolicy(Policy(24)))
    two.founder.disk = replace(two.founder.disk, outbox=())
    two.pass_time(seconds=limits.REPOST_AGAIN - 1)
    two.settle()
    assert two.founder.state.draft is not None
    two.pass_time(seconds=1)
    two.settle()
    assert [member.state.draft for member in two.members] == [None] * 3
    assert {member.state.lifetime for member in two.members} == {24}


def test_state_without_the_clock_of_an_epoch_does_not_open(trio: World) -> None:
    act(trio.founder, commands.Turn())
    clocks = {name: (clock.hour, clock.value) for name, clock in trio.founder.member.clocks.items()}
    assert len(clocks) == 2
    assert Channel.open(trio.founder.snapshot(), clocks).snapshot() == trio.founder.snapshot()
    for name in clocks:
        fewer = {other: each for other, each in clocks.items() if other != name}
        with pytest.raises(StateError, match="keys of an epoch are gone"):
            Channel.open(trio.founder.snapshot(), fewer)


def test_who_is_a_member_no_more_asks_and_says_nothing(trio: World) -> None:
    liar = Insider(trio.founder)
    act(trio.founder, commands.Remove("Guest 1"))
    trio.settle()
    trio[1].receive(liar.post(c.Ask((b"?" * 32,), (), ())))
    trio.pass_time(hours=limits.EPOCH_HOURS + 1)
    trio[1].flush()
    trio[1].tick()
    assert [each for each in trio[1].disk.outbox if isinstance(each, Append)] == []
