"""Intros and lines between two entries: crossing, late, doubled, replaced; what a line heals."""

from dataclasses import replace

import msgspec
import pytest

from backchannel.protocol import epoch, limits
from backchannel.protocol.core import Kind
from backchannel.protocol.errors import (
    AuthenticationError,
    DecodeError,
    RefusedError,
    RemoteProtocolError,
)
from backchannel.protocol.intro import Admission
from backchannel.protocol.outcome import Answered, Append, Arrival
from backchannel.protocol.secret import IntroKey
from backchannel.protocol.types import Core, Hour, Slot, Step
from backchannel.protocol.whisper import GivenSeeds
from tests.support.bits import sampled_flips
from tests.support.insider import Insider, core_in, owed, refuses, waits
from tests.support.world import Member, World, news


@pytest.fixture
def strangers() -> World:
    """Guest 1 and Guest 2 know of each other, and neither has greeted."""
    world = World.of(2)
    world.admit("Guest 2").listen()
    world[1].listen()
    return world


def sent(member: Member) -> list[Arrival]:
    """What a member owes the relay now; it is sent too."""
    arrivals = owed(member)
    member.flush()
    return arrivals


def kinds(member: Member, arrivals: list[Arrival]) -> list[Kind]:
    """What they are, opened by a member."""
    return [Kind(core_in(member, each)[0]) for each in arrivals]


def of_kind(member: Member, arrivals: list[Arrival], kind: Kind) -> Arrival:
    return next(a for a, k in zip(arrivals, kinds(member, arrivals), strict=True) if k is kind)


def greeting(world: World, place: int) -> Arrival:
    """A member's intro, made as its first post needs one or its newness asks for it."""
    member = world[place]
    member.flush()
    if place == 1:
        member.say("first")
    else:
        member.tick()
    return of_kind(member, sent(member), Kind.INTRO)


# --- Intros ---------------------------------------------------------------------------------------


def test_a_newcomer_greets_everybody_but_who_admitted_it() -> None:
    world = World.of(5)
    guest = world.admit("Guest 5")
    guest.listen()
    guest.tick()
    assert kinds(guest, owed(guest)).count(Kind.INTRO) == 4
    assert kinds(guest, owed(guest)).count(Kind.LINE) == 1


def test_an_intro_under_a_roster_in_which_one_of_them_did_not_stand(strangers: World) -> None:
    """By its hash it would name roles that nobody had."""
    before = next(name for name, v in strangers[1].state.versions.items() if v == 2)
    core = core_in(strangers[2], greeting(strangers, 2))
    older = Core(core[:23] + before + core[55:])
    arrival = Insider(strangers[2]).arrival(older)
    refuses(strangers[1], arrival, RefusedError, "do not both stand")


def test_an_intro_is_answered_once_and_the_line_stands(strangers: World) -> None:
    strangers[1].receive(greeting(strangers, 2))
    strangers[1].tick()
    reply = of_kind(strangers[1], sent(strangers[1]), Kind.LINE)
    assert Answered(Slot(1)) in strangers[2].receive(reply)
    assert strangers[2].state.peers[Slot(1)].greeting is None


def test_an_intro_with_any_bit_turned_is_refused_or_waits(strangers: World) -> None:
    arrival = greeting(strangers, 2)
    core = core_in(strangers[1], arrival)
    insider = Insider(strangers.founder)
    for bad in sampled_flips(core[55:], 1511):
        forged = insider.arrival(Core(core[:55] + bad))
        refuses(strangers[1], forged, RemoteProtocolError)
    strangers[1].receive(arrival)
    assert strangers[1].state.peers[Slot(2)].reply_due


def test_an_intro_of_an_unknown_roster_waits(strangers: World) -> None:
    arrival = greeting(strangers, 2)
    core = core_in(strangers[1], arrival)
    insider = Insider(strangers.founder)
    waits(strangers[1], insider.arrival(Core(core[:23] + bytes(32) + core[55:])))


@pytest.mark.parametrize("slots", [(1, 1), (2, 64), (64, 1)])
def test_an_intro_between_slots_that_cannot_be(strangers: World, slots: tuple[int, int]) -> None:
    insider = Insider(strangers.founder)
    core = insider.noise(Kind.INTRO, bytes(slots))
    refuses(strangers[1], insider.arrival(core), DecodeError)


def test_an_intro_in_my_own_name(strangers: World) -> None:
    insider = Insider(strangers.founder)
    # to me, from me, cannot be; to me from nobody that I know waits
    waits(strangers[1], insider.arrival(insider.noise(Kind.INTRO, bytes([9, 1]))))


def test_an_intro_to_somebody_else_is_nothing_to_me(strangers: World) -> None:
    arrival = greeting(strangers, 2)
    before = strangers.founder.state.peers[Slot(2)]
    assert news(strangers.founder.receive(arrival)) == []
    assert strangers.founder.state.peers[Slot(2)] == before


def test_attack_20_a_second_intro_of_one_entry_is_refused(strangers: World) -> None:
    arrival = greeting(strangers, 2)
    liar = Insider(strangers[2])
    liar.state.peers[Slot(1)].line = None
    posting = liar.posting()
    posting.greet(Slot(1))
    second = posting.effects[-1]
    assert isinstance(second, Append)
    strangers[1].receive(arrival)
    refuses(
        strangers[1],
        Arrival(second.drop.id, posting.hour, second.block),
        RefusedError,
        "second intro",
    )


def test_the_same_intro_again_brings_the_reply_again(strangers: World) -> None:
    arrival = greeting(strangers, 2)
    strangers[1].receive(arrival)
    strangers[1].tick()
    (first,) = [a for a, k in replies(strangers[1]) if k is Kind.LINE]
    strangers[1].receive(arrival)
    for _ in range(2):
        strangers[1].tick()
        strangers.pass_time(seconds=limits.REPOST_DELAY + 1)
    strangers[1].tick()
    (again,) = [a for a, k in replies(strangers[1]) if k is Kind.LINE]
    assert core_in(strangers[2], first) == core_in(strangers[2], again)


def replies(member: Member) -> list[tuple[Arrival, Kind]]:
    arrivals = sent(member)
    return list(zip(arrivals, kinds(member, arrivals), strict=True))


def test_attack_an_admission_outside_a_lobby(strangers: World) -> None:
    liar = Insider(strangers[2])
    posting = liar.posting()
    liar.state.peers[Slot(1)].line = None
    roster = liar.state.current()
    admission = Admission(0, liar.state.epoch.secret, posting.clock(posting.hour))
    core = posting.intro(Slot(1), roster, epoch.intro_key(liar.state.epoch.secret), admission)
    refuses(strangers[1], liar.arrival(core), RefusedError, "outside a lobby")


def test_attack_3_an_intro_under_the_key_of_another_epoch(strangers: World) -> None:
    liar = Insider(strangers[2])
    liar.state.peers[Slot(1)].line = None
    core = liar.posting().intro(Slot(1), liar.state.current(), IntroKey(bytes(32)), None)
    refuses(strangers[1], liar.arrival(core), AuthenticationError)


def test_attack_5_an_intro_of_one_member_in_the_name_of_another() -> None:
    world = World.of(3)
    world.admit("Guest 3")
    world[1].listen()
    liar = Insider(world[2])
    liar.state.me = Slot(3)
    liar.state.peers[Slot(1)].line = None
    core = liar.posting().intro(
        Slot(1), world[1].state.current(), epoch.intro_key(liar.state.epoch.secret), None
    )
    refuses(world[1], liar.arrival(core), AuthenticationError)


# --- Crossing -------------------------------------------------------------------------------------


def crossed(world: World) -> tuple[Arrival, Arrival]:
    """Intros of Guest 1 and of Guest 2 to each other, each made before the other was read."""
    return greeting(world, 1), greeting(world, 2)


def talk(world: World) -> None:
    world.settle()
    world[1].say("from one")
    world[2].say("from two")
    world.settle()
    for member in (world[1], world[2]):
        assert {(1, "from one"), (2, "from two")} <= set(member.said)
        assert member.state.wants == []


def test_crossing_intros_both_count_and_the_lower_slots_line_stands(strangers: World) -> None:
    one, two = crossed(strangers)
    strangers[1].receive(two)
    strangers[2].receive(one)
    talk(strangers)
    lines = [strangers[1].state.peers[Slot(2)].line, strangers[2].state.peers[Slot(1)].line]
    assert [line is not None and line.initiator for line in lines] == [True, False]


def test_a_crossing_intro_that_comes_after_the_reply_still_counts(strangers: World) -> None:
    one, two = crossed(strangers)
    strangers[2].receive(one)
    strangers[1]._fetch()
    strangers[2].tick()
    for reply in sent(strangers[2]):
        strangers[1].receive(reply)
    assert strangers[1].state.peers[Slot(2)].greeting is None
    strangers[1].receive(two)
    assert strangers[1].refused == []
    strangers[2].say("heard")
    strangers[2].flush()
    strangers[1].sync()
    assert (2, "heard") in strangers[1].said


def test_a_crossing_intro_that_is_lost_is_asked_for(strangers: World) -> None:
    one, _ = crossed(strangers)
    strangers[2].receive(one)
    strangers[1]._fetch()
    strangers[2].sync()
    strangers[2].say("without seeds")
    strangers[2].flush()
    strangers.minutes(6)
    assert (2, "without seeds") in strangers[1].said


def key_block_on_a_crossing_intro(world: World) -> Arrival:
    """Guest 2 has greeted Guest 1 and made a key block on that; then its intro gave way."""
    one, _ = crossed(world)
    world[2].state.renew = True
    world[2].state.peers[Slot(1)].greeting, kept = None, world[2].state.peers[Slot(1)].greeting
    world[2].tick()
    world[2].state.peers[Slot(1)].greeting = kept
    key = of_kind(world[2], sent(world[2]), Kind.KEY)
    world[1]._fetch()
    world[2].receive(one)
    world[2].sync()
    world[1].sync()
    return key


def test_a_key_block_on_a_crossing_intro_waits_for_it(strangers: World) -> None:
    key = key_block_on_a_crossing_intro(strangers)
    waits(strangers[1], key)


def test_a_key_block_on_a_crossing_intro_and_that_intro_are_posted_again(strangers: World) -> None:
    key_block_on_a_crossing_intro(strangers)
    strangers[2].say("under keys that rest on both")
    strangers[2].flush()
    strangers.minutes(8)
    assert (2, "under keys that rest on both") in strangers[1].said
    assert strangers[1].state.pending == []


def test_who_was_answered_is_not_greeted_by_the_one_who_answered(strangers: World) -> None:
    strangers[1].receive(greeting(strangers, 2))
    strangers[1].tick()
    for arrival in sent(strangers[1]):
        strangers[2].receive(arrival)
    liar = Insider(strangers[1])
    liar.state.peers[Slot(2)].line = None
    posting = liar.posting()
    posting.greet(Slot(2))
    late = posting.effects[-1]
    assert isinstance(late, Append)
    refuses(strangers[2], Arrival(late.drop.id, posting.hour, late.block), RefusedError, "second")


# --- Silence --------------------------------------------------------------------------------------


def test_a_lost_reply_comes_again_with_the_intro(strangers: World) -> None:
    strangers[1].receive(greeting(strangers, 2))
    strangers[1].sync()
    strangers[2]._fetch()  # the reply is lost
    strangers.pass_time(hours=limits.INTRO_AGAIN[0])
    strangers.minutes(4)
    assert strangers[2].state.peers[Slot(1)].greeting is None


def test_the_founder_posts_an_admission_again_until_it_is_answered() -> None:
    world = World.of(2)
    guest = world.admit("Guest 2")
    guest.listen()
    guest.tick()
    drop_outbox(guest)
    world.settle([world.founder, world[1]])
    assert world.founder.state.peers[Slot(2)].greeting is not None
    world.pass_time(hours=limits.INTRO_AGAIN[0])
    world.minutes(4)
    assert world.founder.state.peers[Slot(2)].greeting is None


def drop_outbox(member: Member) -> None:
    """What a member owes never leaves it."""
    assert member.disk.outbox
    member.disk = replace(member.disk, outbox=())


def silent(lifetime: int = 30) -> World:
    """Guest 2 has greeted Guest 1, who is away."""
    world = World(lifetime)
    for alias in ("Guest 1", "Guest 2"):
        world.admit(alias)
        if alias == "Guest 1":
            world.settle()
    world[1].listen()
    world[1].online = False
    world.settle()
    return world


def intros(world: World, member: Member, hours: int) -> list[int]:
    """At which of the next hours a member posts an intro."""
    found = []
    member.flush()
    for hour in range(1, hours + 1):
        world.pass_time(hours=1)
        member.tick()
        if any(k is Kind.INTRO for k in kinds(member, sent(member))):
            found.append(hour)
    return found


def test_an_unanswered_intro_comes_again_and_is_replaced_once() -> None:
    world = silent()
    assert intros(world, world[2], 120) == [1, 7, 31, 32, 38]


def test_a_replaced_intro_begins_line_and_sender_key_anew() -> None:
    world = silent()
    world[1]._fetch()
    intros(world, world[2], 31)
    world[1].online = True
    talk(world)


def test_a_replaced_intro_takes_the_place_of_one_whose_reply_was_lost() -> None:
    world = silent()
    world[1].online = True
    world[1].listen()
    world[1].tick()
    assert not world[1].state.peers[Slot(2)].reply_due
    drop_outbox(world[1])
    world[1].say("lost too")
    drop_outbox(world[1])
    world[1].online = False
    intros(world, world[2], 32)
    world[1].online = True
    world.founder.sync()
    talk(world)


# --- Lines ----------------------------------------------------------------------------------------


def test_a_foreign_line_block_is_nobodys_business() -> None:
    world = World.of(3)
    insider = Insider(world.founder)
    assert news(world[1].receive(insider.arrival(insider.noise(Kind.LINE)))) == []
    assert world[1].state.pending == []


def test_a_line_block_before_all_lines_have_begun_waits(strangers: World) -> None:
    insider = Insider(strangers.founder)
    waits(strangers[1], insider.arrival(insider.noise(Kind.LINE)))


def test_a_reply_that_overtakes_its_intro_waits_for_nothing_else(strangers: World) -> None:
    strangers[1].receive(greeting(strangers, 2))
    strangers[1].tick()
    reply = of_kind(strangers[1], sent(strangers[1]), Kind.LINE)
    damaged = core_in(strangers[2], reply)
    insider = Insider(strangers.founder)
    bad = insider.arrival(Core(damaged[:-1] + bytes([damaged[-1] ^ 1])))
    refuses(strangers[2], bad, AuthenticationError)
    assert Answered(Slot(1)) in strangers[2].receive(reply)


def test_attack_seeds_of_a_generation_that_is_here_do_not_turn_it_back() -> None:
    world = World.of(2)
    world.founder.say("read")
    world.founder.flush()
    world[1].listen()
    liar = Insider(world.founder)
    own = liar.state.own
    assert own is not None
    held = world[1].state.peers[Slot(0)].generations[own.id]
    given = GivenSeeds.of(own.seeds())
    world[1].receive(liar.arrival(liar.posting().line_block(Slot(1), given).core))
    assert world[1].refused == []
    assert world[1].state.peers[Slot(0)].generations[own.id] == held


def test_claim_4_the_founders_key_after_an_answer_rests_on_the_answer() -> None:
    world = World()
    guest = world.admit("Guest 1")
    guest.sync()
    before = world.founder.state.own
    world.founder.sync()
    after = world.founder.state.own
    assert before is not None
    assert after is not None
    assert after.id != before.id
    line = world.founder.state.peers[Slot(1)].line
    assert line is not None
    assert line.export_out.step == Step(1)
    assert after.readers[Slot(1)] != before.readers[Slot(1)]


def heal(world: World) -> None:
    """One line round and one key block of every member."""
    for _ in range(2):
        world.pass_time(hours=limits.GENERATION_HOURS)
        for member in world.members:
            member.say("healing")
            member.flush()
            world.settle()


def test_claim_4_a_copy_of_a_members_whole_state_opens_nothing_new_after_one_round() -> None:
    world = World.of(2)
    thief = world[1].twin()
    world.founder.say("still readable")
    world.founder.flush()
    thief.listen()
    assert thief.said == [(0, "still readable")]
    world.settle()
    heal(world)
    thief.listen()
    secret = world.founder.say("no longer readable")
    world.founder.flush()
    world.settle()
    thief.listen()
    assert secret.text in [text for _, text in world[1].said]
    assert secret.text not in [text for _, text in thief.said]


def test_the_copy_would_read_on_if_nothing_healed() -> None:
    """The control: the same days without a line block, by a channel whose keys stand still."""
    world = World.of(2)
    thief = world[1].twin()
    world.founder.state.peers[Slot(1)].wrote = Hour(2**31)
    for member in world.members:
        for peer in member.state.peers.values():
            peer.wrote = Hour(2**31)
    heal(world)
    world.founder.say("readable all along")
    world.founder.flush()
    thief.listen()
    assert "readable all along" in [text for _, text in thief.said]


def test_a_sender_key_renews_after_a_day_and_not_before() -> None:
    world = World.of(2)
    generations = []
    for hours in (0, limits.GENERATION_HOURS - 1, 1):
        world.pass_time(hours=hours)
        world.founder.say("x")
        assert world.founder.state.own is not None
        generations.append(world.founder.state.own.id)
    assert generations[0] == generations[1] != generations[2]


def test_a_sender_key_renews_after_256_posts() -> None:
    world = World.of(2)
    world.founder.say("x")
    own = world.founder.state.own
    assert own is not None
    for _ in range(limits.POSTS - own.number):
        world.founder.say("x")
    assert world.founder.state.own is not None
    assert (world.founder.state.own.id, world.founder.state.own.number) == (own.id, limits.POSTS)
    world.founder.say("x")
    assert (world.founder.state.own.id != own.id, world.founder.state.own.number) == (True, 1)
    world.founder.flush()
    world.settle()
    assert len(world[1].said) == 258 - own.number


def test_a_long_message_does_not_break_over_two_generations() -> None:
    world = World.of(2)
    while world.founder.state.own is None or world.founder.state.own.number < limits.POSTS - 3:
        world.founder.say("x")
    world.founder.say("y" * 10_000)
    assert world.founder.state.own is not None
    assert world.founder.state.own.number == 4


def test_a_reply_is_due_even_when_all_numbers_are_used(strangers: World) -> None:
    own = strangers[1].state.own
    assert own is not None
    strangers[1].state.own = msgspec.structs.replace(own, number=limits.POSTS)
    strangers[1].receive(greeting(strangers, 2))
    strangers[1].tick()
    assert strangers[1].state.own.id != own.id
    assert strangers[1].state.own.number == 0
