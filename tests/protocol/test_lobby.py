"""A facilitator's side of invites: who knocks, who burns one, who is let in, and what it costs."""

from typing import Any

import msgspec
import pytest

from backchannel.protocol import command as commands
from backchannel.protocol import limits, lobby
from backchannel.protocol.block import wrap
from backchannel.protocol.candidate import Candidate, CandidateState
from backchannel.protocol.core import Head, Kind
from backchannel.protocol.errors import (
    AuthenticationError,
    DecodeError,
    LocalProtocolError,
    RefusedError,
    StaleError,
)
from backchannel.protocol.guest import Guest
from backchannel.protocol.identity import BundleKeys
from backchannel.protocol.invite import Join, open_join
from backchannel.protocol.outcome import (
    Append,
    Arrival,
    Burnt,
    DeleteDrop,
    Invited,
    Knocked,
    Marked,
    OpenDrop,
)
from backchannel.protocol.posting import Posting
from backchannel.protocol.roster import ROLES, Disclosure, Role
from backchannel.protocol.snapshot import FORMAT
from backchannel.protocol.types import Core, Slot, hour_of
from tests.support.entropy import ScriptedEntropy
from tests.support.insider import refuses
from tests.support.world import LIFETIME, Member, World


@pytest.fixture
def world() -> World:
    return World()


def guest_of(world: World, place: int = -1) -> Guest:
    return world.founder.state.guests[place]


def join(
    guest: Member,
    alias: str = "Guest",
    changed: dict[str, object] | None = None,
    name: str = "joiner",
) -> Arrival:
    """An answer to the invite that `guest` has, by anybody who has its words."""
    assert guest.candidate is not None
    words, relay = guest.candidate.state.secret, guest.candidate.state.relay
    candidate = Candidate(CandidateState(FORMAT, words, relay))
    lobby_drop = candidate.polls()[0].drop.id
    for row in guest.drops.rows[lobby_drop]:
        candidate.receive(row, guest.now)
    candidate.state.card = msgspec.structs.replace(candidate.card, **(changed or {}))
    (sent,) = candidate.accept(alias, guest.now, ScriptedEntropy(name)).effects
    assert isinstance(sent, Append)
    return Arrival(lobby_drop, hour_of(guest.now), sent.block)


def into_lobby(world: World, core: Core) -> Arrival:
    door = lobby.lobby_of(guest_of(world))
    block = wrap(core, door.drop.outer, door.at, ScriptedEntropy("outer"))
    return Arrival(door.drop.id, hour_of(world.now), block)


def act_refused(member: Member, command: commands.Command, match: str) -> None:
    before = member.snapshot()
    with pytest.raises((LocalProtocolError, DecodeError), match=match):
        member.act(command)
    assert member.snapshot() == before


# --- Inviting -------------------------------------------------------------------------------------


def test_an_invite_is_twelve_words_and_a_lobby(world: World) -> None:
    world.founder.flush()
    events = world.founder.act(commands.Invite("Guest", "North", "participant", 24))
    (invited,) = [each for each in events if isinstance(each, Invited)]
    assert (len(invited.words), invited.last) == (12, hour_of(world.now) + 24)
    assert [type(each) for each in world.founder.disk.outbox] == [OpenDrop, Append]


@pytest.mark.parametrize("valid", [0, -1, limits.LIFETIME + 1])
def test_an_invite_lasts_an_hour_to_ninety_days(world: World, valid: int) -> None:
    act_refused(world.founder, commands.Invite("Guest", "North", "participant", valid), "hour")


@pytest.mark.parametrize("valid", [1, limits.LIFETIME])
def test_invites_at_the_limits(world: World, valid: int) -> None:
    assert world.founder.act(commands.Invite("Guest", "North", "participant", valid))


@pytest.mark.parametrize("role", ["king", ""])
def test_an_invite_for_a_role_that_there_is_not(world: World, role: Role) -> None:
    act_refused(world.founder, commands.Invite("Guest", "North", role, 24), "a role that there is")


@pytest.mark.parametrize("role", ROLES)
def test_an_invite_for_every_role_that_there_is(world: World, role: Role) -> None:
    guest = world.admit("Guest", role)
    world.settle()
    assert guest.state.current().entry(guest.state.me).role == role


@pytest.mark.parametrize("alias", ["Founder", "FOUNDER", "Other", "oTHER", " bad", ""])
def test_an_invite_for_a_name_that_is_taken_or_none(world: World, alias: str) -> None:
    world.invite("Other")
    act_refused(world.founder, commands.Invite(alias, "North", "participant", 24), "name")


def test_only_a_facilitator_invites_admits_and_refuses() -> None:
    world = World.of(2)
    for command in (
        commands.Invite("Guest", "North", "participant", 24),
        commands.Admit("Guest"),
        commands.Refuse("Guest"),
    ):
        act_refused(world[1], command, "a participant does not invite or admit anybody")


def test_a_facilitator_without_the_close_secret_cannot_invite(world: World) -> None:
    """Nobody could delete the lobby. It comes over the line, once that is answered."""
    second = world.admit_facilitator("Second")
    second.sync()
    act_refused(second, commands.Invite("Guest", "North", "participant", 24), "has not reached")
    world.settle()
    assert second.act(commands.Invite("Guest", "North", "participant", 24))


# --- Knocking -------------------------------------------------------------------------------------


def test_who_answers_waits_with_six_words_to_compare(world: World) -> None:
    guest = world.knock("Guest")
    assert world.founder.told[-1] == Knocked("Guest")
    (waiting,) = lobby.waiting(world.founder.state)
    assert guest.candidate is not None
    assert waiting.check == guest.candidate.check()
    assert (waiting.alias, waiting.party, waiting.role) == ("Guest", "North", "participant")


def test_the_same_answer_again_is_ignored(world: World) -> None:
    arrival = join(world.invite("Guest"))
    world.founder.receive(arrival)
    before = world.founder.snapshot()
    assert world.founder.receive(arrival) == []
    assert world.founder.snapshot() == before


def test_attack_20_two_people_answer_one_invite_and_nobody_is_admitted(world: World) -> None:
    guest = world.invite("Guest")
    world.founder.receive(join(guest))
    assert world.founder.receive(join(guest, name="another")) == [Burnt("Guest")]
    assert lobby.waiting(world.founder.state) == []
    act_refused(world.founder, commands.Admit("Guest"), "nobody of that name")


def test_a_burnt_lobby_is_marked_and_its_prekey_erased(world: World) -> None:
    guest = world.invite("Guest")
    guest.sync()
    world.founder.receive(join(guest))
    world.founder.receive(join(guest, name="another"))
    world.founder.tick()
    world.founder.flush()
    guest.sync()
    assert guest.told[-1] == Marked("burnt")
    assert guest_of(world).keys is None
    world.founder.tick()
    assert world.founder.disk.outbox == ()


def test_attack_20_an_answer_after_admission_is_refused(world: World) -> None:
    words = world.invite("Guest").twin()
    late = join(words, name="another")
    world.members.pop()
    world.founder.receive(join(words))
    world.founder.act(commands.Admit("Guest"))
    refuses(world.founder, late, StaleError, "nobody is waited for")


def test_an_answer_after_the_last_hour_is_refused(world: World) -> None:
    arrival = join(world.invite("Guest", valid=2))
    world.pass_time(hours=3)
    refuses(world.founder, arrival, StaleError, "nobody is waited for")


@pytest.mark.parametrize("hours", [25, 99])
def test_an_answer_of_an_hour_outside_the_invite(world: World, hours: int) -> None:
    guest = world.invite("Guest", valid=100)
    guest.skew = 3600 * hours
    arrival = join(guest)
    world.founder.state.guests[0].card = msgspec.structs.replace(
        guest_of(world).card, last=hour_of(world.now) + 24
    )
    refuses(world.founder, arrival, AuthenticationError)


@pytest.mark.parametrize(
    "changed", [{"charter": "Another"}, {"disclosure": Disclosure("a", "Another", "b")}]
)
def test_attack_a_newcomer_who_accepted_something_else(
    world: World, changed: dict[str, object]
) -> None:
    guest = world.invite("Guest")
    refuses(world.founder, join(guest, changed=changed), RefusedError, "another charter")


@pytest.mark.parametrize("alias", ["Founder", "FOUNDER"])
def test_a_newcomer_under_a_members_name(world: World, alias: str) -> None:
    refuses(world.founder, join(world.invite("Guest"), alias), RefusedError, "taken")


def test_attack_41_a_newcomer_under_the_name_of_another_guest(world: World) -> None:
    """Else `admit` of that name would let in the wrong one."""
    world.invite("Bob")
    refuses(world.founder, join(world.invite("Eve"), "bob"), RefusedError, "taken")


def test_two_newcomers_under_one_new_name(world: World) -> None:
    world.founder.receive(join(world.invite("One"), "Zed"))
    refuses(world.founder, join(world.invite("Two"), "ZED"), RefusedError, "taken")


def test_a_guest_may_choose_another_name_and_is_found_by_either(world: World) -> None:
    world.founder.receive(join(world.invite("Guest"), "Zed"))
    state = world.founder.state
    assert lobby.find(state, "zed") is lobby.find(state, "Guest") is state.guests[0]


@pytest.mark.parametrize("kind", [Kind.GROUP, Kind.CARD, Kind.INTRO, Kind.COVER])
def test_other_kinds_in_a_lobby_are_refused(world: World, kind: Kind) -> None:
    world.invite("Guest")
    core = Core(Head(kind, hour_of(world.now), bytes(16)).pack().ljust(4056, b"\1"))
    refuses(world.founder, into_lobby(world, core), StaleError)


def test_noise_in_a_lobby_is_refused(world: World) -> None:
    world.invite("Guest")
    core = Core(Head(Kind.JOIN, hour_of(world.now), bytes(16)).pack().ljust(4056, b"\1"))
    refuses(world.founder, into_lobby(world, core), AuthenticationError)


# --- Admitting and refusing -----------------------------------------------------------------------


def test_an_invite_that_nobody_answered_admits_nobody(world: World) -> None:
    world.invite("Guest")
    act_refused(world.founder, commands.Admit("Guest"), "not answered yet")


def test_nobody_of_that_name(world: World) -> None:
    act_refused(world.founder, commands.Admit("Nobody"), "nobody of that name")


def test_refusing_marks_the_lobby(world: World) -> None:
    guest = world.knock("Guest")
    world.founder.act(commands.Refuse("Guest"))
    world.founder.flush()
    guest.sync()
    assert guest.told[-1] == Marked("refused")
    assert guest.candidate is not None
    assert guest.candidate.phase == "over"


def test_withdrawing_marks_the_lobby(world: World) -> None:
    guest = world.invite("Guest")
    world.founder.act(commands.Refuse("Guest"))
    world.founder.flush()
    guest.sync()
    assert guest.told[-1] == Marked("withdrawn")
    act_refused(world.founder, commands.Refuse("Guest"), "nobody of that name")


def test_the_prekey_of_a_lobby_is_erased_on_admission(world: World) -> None:
    world.knock("Guest")
    assert guest_of(world).keys is not None
    world.founder.act(commands.Admit("Guest"))
    assert guest_of(world).keys is None


def test_a_lobby_is_deleted_after_its_last_hour(world: World) -> None:
    world.invite("Guest", valid=2)
    drop = lobby.lobby_of(guest_of(world)).drop.id
    world.pass_time(hours=3)
    world.founder.tick()
    (deleted,) = [each for each in world.founder.disk.outbox if isinstance(each, DeleteDrop)]
    assert deleted.drop.id == drop
    assert world.founder.state.guests == []


def test_a_name_taken_since_the_answer_is_not_admitted(world: World) -> None:
    world.knock("Guest")
    world.admit("Other")
    waiting = world.founder.state.guests[0]
    assert waiting.join is not None
    waiting.join = msgspec.structs.replace(waiting.join, alias="OTHER")
    act_refused(world.founder, commands.Admit("Guest"), "taken")


@pytest.mark.parametrize("half", [slice(0, 32), slice(32, 1216)])
def test_attack_74_a_newcomer_with_half_an_identity_that_is_here(world: World, half: slice) -> None:
    guest = world.invite("Guest")
    bundle = bytearray(BundleKeys.draw(ScriptedEntropy("liar")).public().pack())
    bundle[half] = world.founder.state.keys.public().pack()[half]
    assert guest_of(world).keys is not None
    arrival = join(guest)

    def opened(*args: Any) -> Join:
        return msgspec.structs.replace(open_join(*args), bundle=bytes(bundle))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lobby, "open_join", opened)
        refuses(world.founder, arrival, RefusedError, "a key of somebody")


def test_a_newcomer_whom_nobody_would_take_is_not_admitted(world: World) -> None:
    world.knock("Guest")
    waiting = world.founder.state.guests[0]
    assert waiting.join is not None
    own = world.founder.state.keys.public().pack()
    waiting.join = msgspec.structs.replace(waiting.join, bundle=own)
    act_refused(world.founder, commands.Admit("Guest"), "cannot be done: two entries")


def test_a_channel_has_sixty_four_places(world: World) -> None:
    roster = world.founder.state.current()
    others = tuple(
        msgspec.structs.replace(roster.entries[0], slot=slot, alias=f"Other {slot}")
        for slot in range(1, limits.ENTRIES)
    )
    world.knock("Guest")
    world.founder.state.roster = msgspec.structs.replace(roster, entries=(*roster.entries, *others))
    act_refused(world.founder, commands.Admit("Guest"), "at most 64")


def test_the_place_of_who_went_is_free_once_nothing_of_its_time_can_be_read() -> None:
    """Else what the one said would look as if the other had said it."""
    world = World.of(3)
    world.founder.act(commands.Remove("Guest 1"))
    world.settle()
    assert world.admit("Guest 3").state.me == 3
    world.settle()
    world.pass_time(hours=LIFETIME + limits.SEAL_HOURS + 4)
    world.settle()
    assert world.admit("Guest 4").state.me == 1


def test_a_newcomer_learns_the_threads_that_there_are(world: World) -> None:
    world.founder.act(commands.Begin("Water", 5))
    world.founder.flush()
    guest = world.admit("Guest")
    world.settle()
    assert [each.topic for each in guest.state.threads.values()] == ["Water"]


def test_a_newcomer_reads_nothing_from_before_and_all_from_then_on() -> None:
    world = World.of(3)
    for member in world.members:
        member.say(f"before {member.name}")
        member.flush()
    world.settle()
    guest = world.admit("Guest 3")
    world.settle()
    assert guest.said == []
    for member in world.members[:3]:
        member.say(f"after {member.name}")
        member.flush()
    world.settle()
    assert sorted(text for _, text in guest.said) == [
        "after Founder",
        "after Guest 1",
        "after Guest 2",
    ]


def test_two_newcomers_in_quick_succession() -> None:
    world = World.of(2)
    for alias in ("Guest 2", "Guest 3"):
        world.knock(alias)
    for alias in ("Guest 2", "Guest 3"):
        world.founder.act(commands.Admit(alias))
        world.founder.flush()
    world.settle(rounds=5)
    for member in world.members:
        member.say(f"I am {member.name}")
        member.flush()
    world.settle()
    assert {len(member.said) for member in world.members} == {4}


# --- What it costs --------------------------------------------------------------------------------


def cost_of_admission(world: World, alias: str) -> int:
    world.knock(alias)
    before = world.drops.count()
    world.founder.act(commands.Admit(alias))
    world.founder.flush()
    return world.drops.count() - before


def test_an_admission_at_ten_members_costs_the_facilitator_twelve_blocks_at_most() -> None:
    assert cost_of_admission(World.of(9), "Guest 9") <= 12


@pytest.mark.slow
def test_an_admission_at_sixty_four_members_costs_fifty_blocks_at_most() -> None:
    """Only the facilitator reads, and each newcomer what came with it: the others are away."""
    world = World()
    for number in range(1, 63):
        answer_only(world, world.knock(f"Guest {number}"))
    cost = cost_of_admission(world, "Guest 63")
    assert len(world.founder.state.current().entries) == limits.ENTRIES
    assert cost <= 50
    before = world.drops.count()
    world.founder.say("to sixty-four")
    world.founder.flush()
    assert world.drops.count() - before == 1
    world[-1].listen()
    world[-1].listen()
    assert world[-1].said == [(0, "to sixty-four")]


def answer_only(world: World, guest: Member) -> None:
    """Admit somebody who answers and greets nobody else: sixty intros of each take minutes."""
    drop = world.founder.member.polls()[0].drop.id
    guest.read[drop] = len(world.drops.rows[drop])
    world.founder.act(commands.Admit(guest.name))
    world.founder.flush()
    guest.listen()
    guest.listen()
    posting = Posting(guest.state, guest.member.clocks, guest.now, guest.entropy)
    posting.reply(Slot(0))
    guest.carry(posting.outcome())
    guest.flush()
    world.founder.sync()


@pytest.mark.parametrize("members", [2, 10])
@pytest.mark.parametrize("size", [1, 1_250])
def test_one_post_is_one_block_whatever_the_number_of_members(members: int, size: int) -> None:
    world = World.of(members)
    before = world.drops.count()
    world.founder.say("é" * size)  # 2,500 bytes of UTF-8 at most
    world.founder.flush()
    assert world.drops.count() - before == 1
    assert world.founder.state.lifetime == LIFETIME
