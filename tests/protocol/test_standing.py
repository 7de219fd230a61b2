"""Talk that is suspended, a channel that sleeps, one that is closed; and who was long away."""

import pytest
from msgspec.structs import replace

from backchannel.protocol import command as commands
from backchannel.protocol import limits, standing
from backchannel.protocol.codec import encode
from backchannel.protocol.content import Ask, Consent, Proposal, Text, Threads, policy_hash
from backchannel.protocol.content import Thread as Began
from backchannel.protocol.core import content_hash
from backchannel.protocol.errors import LocalProtocolError, StaleError
from backchannel.protocol.outcome import Alone, Arrival, Ended, Hushed
from backchannel.protocol.proposal import Proposed
from backchannel.protocol.roster import Policy, Standing
from backchannel.protocol.types import MAIN_THREAD, Hour, Slot, ThreadId, hour_of
from tests.support.bridge import alarms, bridge, do
from tests.support.insider import Insider, core_in, refuses
from tests.support.world import LIFETIME, Member, World

FOUNDER, NORTH, SOUTH = Slot(0), Slot(1), Slot(2)
WEEK = limits.CLOSING_HOURS


@pytest.fixture
def room() -> World:
    return bridge()


def stand(world: World, how: Standing) -> None:
    """The facilitator says how the channel stands."""
    do(world, world.founder, put(world, how))


def put(world: World, how: Standing) -> commands.SetPolicy:
    return commands.SetPolicy(replace(world.founder.state.policy, standing=how))


def standings(world: World) -> list[str]:
    return [each.state.policy.standing for each in world.members]


def cannot(member: Member, command: commands.Command, match: str) -> None:
    before = member.snapshot()
    with pytest.raises(LocalProtocolError, match=match):
        member.act(command)
    assert member.snapshot() == before


# --- Suspended ------------------------------------------------------------------------------------

TALK: tuple[commands.Command, ...] = (
    commands.Say(MAIN_THREAD, "hello"),
    commands.Whisper("Heron", "hello"),
    commands.SendFile(MAIN_THREAD, "a.txt", b"hello"),
    commands.SayUnattributed(MAIN_THREAD, "hello"),
)


@pytest.mark.parametrize("command", TALK)
def test_nobody_speaks_while_a_channel_is_suspended(room: World, command: commands.Command) -> None:
    stand(room, "suspended")
    cannot(room[2], command, "suspended")


def test_keys_members_and_heartbeats_go_on_and_a_facilitator_resumes(room: World) -> None:
    stand(room, "suspended")
    assert {each.state.standing_since for each in room.members} == {hour_of(room.now)}
    cannot(room[1], put(room, "open"), "does not")
    do(room, room.founder, commands.Turn())
    do(room, room[1], commands.Digest(beat=True))
    do(room, room[1], commands.Begin("Later"))
    assert room.founder.state.epoch.number == 1
    stand(room, "open")
    for each in room.members:
        each.say(f"{each.name} is here")
    room.settle()
    assert {len(each.said) for each in room.members} == {3}
    assert [alarms(each) for each in room.members] == [[]] * 3


def plain(text: str = "hello") -> Text:
    return Text.plain(MAIN_THREAD, LIFETIME, text)


def test_attack_who_speaks_all_the_same_is_not_heard_and_alarms(room: World) -> None:
    stand(room, "suspended")
    liar = Insider(room[1])
    for part in (liar.post(plain()), liar.post(Threads((Began(ThreadId(b"t" * 16), 24, "x"),)))):
        room[2].receive(part)
    assert room[2].said == []
    assert alarms(room[2]) == [("forbidden", NORTH)]
    long = replace(plain(), text="long " * 1000)
    liar.member.state.policy = Policy(LIFETIME)
    liar.member.act(commands.Say(MAIN_THREAD, long.text))
    liar.member.flush()
    room[2].sync()
    assert room[2].said == []
    assert alarms(room[2]) == [("forbidden", NORTH)] * 2


def test_attack_a_private_note_is_talk(room: World) -> None:
    stand(room, "suspended")
    liar = room[1].twin()
    liar.state.policy = Policy(LIFETIME)
    liar.act(commands.Whisper("Ibis", "hello"))
    liar.flush()
    room[2].sync()
    assert (room[2].said, alarms(room[2])) == ([], [("forbidden", NORTH)])


def test_who_did_not_know_yet_is_not_shown_and_does_no_wrong(room: World) -> None:
    room[1].online = False
    stand(room, "suspended")
    room.pass_time(hours=3)
    room[1].say("I have been offline")
    room[1].act(commands.Whisper("Ibis", "and so to you"))
    room[1].online = True
    room[1].flush()
    room.settle()
    for other in (room.founder, room[2]):
        assert other.said == []
        assert alarms(other) == []
    assert sum(isinstance(each, Hushed) for each in room[2].told) == 2
    for member in room.members:
        member.act(commands.Digest())
    room.pass_time(hours=3)
    for member in room.members:
        do(room, member, commands.Digest())
    room.pass_time(hours=3)
    room.settle()
    assert [alarms(each) for each in room.members] == [[]] * 3, "all have it in their records"


def test_what_was_said_before_is_still_heard_after(room: World) -> None:
    room[1].say("before")
    room[1].flush()
    room.founder.act(put(room, "suspended"))
    room.founder.flush()
    room.settle()
    assert [each.said for each in room.members] == [[(1, "before")]] * 3


def test_nobody_in_particular_is_silent_too(room: World) -> None:
    policy = replace(room.founder.state.policy, unattributed=4)
    for name in ("Wren", "Lark"):
        room.admit(name)
        room.settle()
    do(room, room.founder, commands.SetPolicy(policy))
    for each in room.members:
        each.say("here")
    room.settle()
    liar = room[1].twin()
    stand(room, "suspended")
    room.pass_time(hours=1)
    liar.act(commands.SayUnattributed(MAIN_THREAD, "who was it"))
    (alone,) = [each for each in liar.disk.outbox if isinstance(each, Alone)]
    arrival = Arrival(alone.drop.id, hour_of(room.now), alone.block)
    refuses(room[2], arrival, StaleError, standing.SPOKE)


# --- Dormant --------------------------------------------------------------------------------------


def test_in_a_dormant_channel_anybody_may_speak_and_keys_turn_for_who_goes_alone(
    room: World,
) -> None:
    stand(room, "dormant")
    room.pass_time(hours=limits.EPOCH_HOURS)
    room.settle()
    assert room.founder.member.due(room.now) == ""
    room[1].say("Are you there?")
    room.settle()
    assert [each.said for each in room.members] == [[(1, "Are you there?")]] * 3
    do(room, room[2], commands.Leave())
    assert room.founder.member.due(room.now) == "leavers"


@pytest.mark.parametrize(
    ("policy", "hours"),
    [
        (Policy(24), 0),
        (Policy(24, pulse=1), 1),
        (Policy(24, pulse=24, standing="suspended"), 24),
        (Policy(24, pulse=1, standing="dormant"), 168),
        (Policy(24, standing="dormant"), 168),
    ],
)
def test_how_often_members_tell_that_they_are_there(policy: Policy, hours: int) -> None:
    assert standing.pulse(policy) == hours


@pytest.mark.parametrize("how", ["suspended", "dormant"])
def test_after_90_days_a_channel_goes_on_without_a_new_invite(how: Standing) -> None:
    world = World.of(4, 14 * 24)
    stand(world, how)
    before = [each.state.keys.identity for each in world.members]
    for day in range(90):
        for member in world.members if day % 7 == 0 else world.members[:3]:
            live(member)
        world.pass_time(hours=24)
    world.settle()
    assert {each.state.epoch.number for each in world.members} == {0 if how == "dormant" else 12}
    stand(world, "open")
    all_speak(world)
    assert [each.state.keys.identity for each in world.members] == before
    assert [alarms(each) for each in world.members] == [[]] * 4


def live(member: Member) -> None:
    """A day's visit."""
    member.sync()
    hours = standing.pulse(member.state.policy)
    if hours and standing.beat(member.state, hour_of(member.now)) != member.state.record.beat:
        member.act(commands.Digest(beat=True))
    if member.member.due(member.now):
        member.act(commands.Turn())
    member.flush()


def all_speak(world: World) -> None:
    """Each says something new, and all hear it."""
    for member in world.members:
        member.say(f"{member.name} is back")
        member.flush()
    world.settle()
    wanted = {f"{each.name} is back" for each in world.members}
    for member in world.members:
        assert wanted <= {text for _, text in member.said}, member.name


# --- Closed ---------------------------------------------------------------------------------------


def answer(world: World, member: Member, *, yes: bool) -> None:
    (name,) = member.state.proposals
    do(world, member, commands.Consent(name, yes))


def test_attack_one_facilitator_alone_closes_nothing(room: World) -> None:
    stand(room, "closed")
    assert standings(room) == ["open"] * 3
    cannot(room.founder, put(room, "closed"), "each party has agreed")
    force(room)
    assert standings(room) == ["closed", "open", "open"]
    room[1].say("we go on")
    room.settle()
    assert room[2].said == [(1, "we go on")]


def force(world: World) -> None:
    """A facilitator whose program does not ask closes."""
    state, policy = world.founder.state, put(world, "closed").policy
    everybody = tuple(Slot(each.slot) for each in state.current().entries)
    mine = Proposed(policy, FOUNDER, Hour(0), everybody)
    state.proposals = {policy_hash(policy): mine}
    world.founder.act(commands.SetPolicy(policy))
    world.settle()


def test_a_channel_closes_once_each_party_has_agreed(room: World) -> None:
    stand(room, "closed")
    assert [e.alias for e in standing.asked(room[1].state, proposal(room[1]))] == ["Heron", "Ibis"]
    answer(room, room[1], yes=True)
    cannot(room.founder, put(room, "closed"), "each party has agreed")
    answer(room, room[2], yes=True)
    stand(room, "closed")
    assert [each.state.ended for each in room.members] == ["closed"] * 3
    assert all(Ended("closed", FOUNDER) in each.told for each in room.members)
    cannot(room[1], commands.Say(MAIN_THREAD, "one more thing"), "closed")
    cannot(room.founder, put(room, "open"), "closed")
    assert [alarms(each) for each in room.members] == [[]] * 3


def proposal(member: Member) -> Proposed:
    (found,) = member.state.proposals.values()
    return found


def test_without_a_no_it_closes_after_the_waiting_period_and_not_an_hour_before(
    room: World,
) -> None:
    stand(room, "closed")
    room.pass_time(hours=WEEK + limits.CLOSING_LATE - 1)
    room.settle()
    cannot(room.founder, put(room, "closed"), "each party has agreed")
    room.pass_time(hours=1)
    stand(room, "closed")
    assert standings(room) == ["closed"] * 3


@pytest.mark.parametrize(("hours", "closes"), [(WEEK - 1, False), (WEEK, True)])
def test_attack_who_does_not_wait_is_not_followed(room: World, hours: int, closes: bool) -> None:
    stand(room, "closed")
    room.pass_time(hours=hours)
    force(room)
    assert standings(room)[1:] == ["closed" if closes else "open"] * 2


@pytest.mark.parametrize("late", [False, True])
def test_an_objection_stops_it_until_it_is_taken_back(room: World, late: bool) -> None:
    stand(room, "closed")
    answer(room, room[2], yes=True)
    room.pass_time(hours=late * 100)
    answer(room, room[2], yes=False)
    room.pass_time(hours=WEEK + limits.CLOSING_LATE)
    room.settle()
    cannot(room.founder, put(room, "closed"), "each party has agreed")
    answer(room, room[2], yes=True)
    stand(room, "closed")
    assert standings(room) == ["closed"] * 3


def test_attack_whoever_overrides_an_objection_is_refused_with_an_alarm(room: World) -> None:
    stand(room, "closed")
    answer(room, room[2], yes=False)
    room.pass_time(hours=WEEK + limits.CLOSING_LATE)
    force(room)
    assert standings(room)[1:] == ["open"] * 2
    assert [alarms(each) for each in room.members[1:]] == [[("forbidden", FOUNDER)]] * 2


def test_attack_a_closing_that_nobody_proposed_is_refused_with_an_alarm(room: World) -> None:
    force(room)
    assert [alarms(each) for each in room.members[1:]] == [[("forbidden", FOUNDER)]] * 2


def test_attack_an_older_date_on_a_proposal_shortens_no_waiting(room: World) -> None:
    policy = put(room, "closed").policy
    room.pass_time(hours=LIFETIME // 2)
    liar = Insider(room.founder)
    part = liar.part(encode(Proposal(policy)))
    for member in room.members[1:]:
        member.receive(liar.arrival(liar.seal(part, hours=1 - LIFETIME // 2)))
        assert proposal(member).hour == hour_of(room.now)


def test_a_yes_that_comes_after_the_roster_lets_it_hold(room: World) -> None:
    stand(room, "closed")
    answer(room, room[1], yes=True)
    room[2].act(commands.Consent(policy_hash(put(room, "closed").policy)))
    room[2].flush()
    room.founder.sync()
    late = room[1].twin()
    room[1].listen()
    twice = room.drops.rows[room.founder.state.epoch.drops()[0][1].id][-1]
    room.founder.act(put(room, "closed"))
    room.founder.flush()
    for row in room.drops.rows[twice.drop]:
        if row != twice:
            late.receive(row)
    assert late.state.policy.standing == "open"
    late.receive(twice)
    assert late.state.current().policy.standing == "closed"


def test_who_only_watches_has_no_voice_in_it(room: World) -> None:
    room.admit("Owl", "observer", party="West")
    room.settle()
    stand(room, "closed")
    answer(room, room[3], yes=False)
    for member in room.members[1:3]:
        answer(room, member, yes=True)
    stand(room, "closed")
    assert standings(room) == ["closed"] * 4


def test_one_party_alone_wants_two_hands() -> None:
    world = World()
    world.admit("Second", party="Bridge")
    world.settle()
    stand(world, "closed")
    cannot(world.founder, put(world, "closed"), "each party has agreed")
    answer(world, world[1], yes=True)
    stand(world, "closed")
    assert standings(world) == ["closed"] * 2


def test_who_is_alone_closes_alone() -> None:
    world = World()
    stand(world, "closed")
    stand(world, "closed")
    assert world.founder.state.ended == "closed"


def test_who_comes_meanwhile_is_asked_too(room: World) -> None:
    stand(room, "closed")
    longer = Policy(2 * LIFETIME)
    assert room.founder.state.proposals
    room.admit("Wren", party="West")
    room.settle()
    assert [each.state.proposals for each in room.members] == [{}] * 4
    do(room, room.founder, commands.SetPolicy(longer))
    room.admit("Lark", party="West")
    room.settle()
    assert [list(each.state.proposals) for each in room.members] == [[policy_hash(longer)]] * 5


def test_a_closing_outlives_what_is_said_and_not_for_ever() -> None:
    world = World.of(2, 24)
    stand(world, "closed")
    world.pass_time(hours=WEEK + limits.CLOSING_LATE)
    world.settle()
    assert len(world[1].state.proposals) == 1
    world.pass_time(hours=WEEK)
    world.settle()
    assert world[1].state.proposals == {}


def test_a_closing_changes_nothing_else(room: World) -> None:
    other = replace(put(room, "closed").policy, vouches=1)
    cannot(room.founder, commands.SetPolicy(other), "change nothing else")


def test_a_no_to_longer_lives_is_told_and_can_be_taken_back(room: World) -> None:
    do(room, room.founder, commands.SetPolicy(Policy(LIFETIME + 1)))
    answer(room, room[1], yes=False)
    assert {
        each.state.proposals[policy_hash(Policy(LIFETIME + 1))].no for each in room.members
    } == {(NORTH,)}
    answer(room, room[1], yes=True)
    found = proposal(room[2])
    assert (found.yes, found.no) == ((FOUNDER, NORTH), ())
    assert Consent(policy_hash(found.policy)) == Consent(policy_hash(found.policy), 1)


# --- Who is there ---------------------------------------------------------------------------------


def test_attack_old_heartbeats_given_again_make_nobody_alive(room: World) -> None:
    room[2].act(commands.Digest(beat=True))
    room.settle()
    heard = room.founder.state.alive[SOUTH]
    (drop,) = [each for _, each in room.founder.state.epoch.drops()]
    old = list(room.drops.rows[drop.id])
    room.pass_time(hours=30)
    for row in old:
        room.founder.receive(row._replace(hour=hour_of(room.now)))
        for each in room.members[:2]:
            core = each.disk.cores.get(content_hash(core_in(each, row)))
            if core is not None:
                each.act(commands.Repost(core[0]))
                each.flush()
    room.settle(room.members[:2])
    assert room.founder.state.alive[SOUTH] == heard


# --- Long absence ---------------------------------------------------------------------------------


def days(world: World, number: int, *absent: Member) -> None:
    """All but these come daily, tell that they are there, and talk."""
    for day in range(number):
        here = [each for each in world.members if each not in absent]
        for member in here:
            member.sync()
            member.act(commands.Digest())
            member.say(f"day {day}")
            member.flush()
        world.pass_time(hours=24)


def test_who_was_away_for_longer_than_content_lives_hears_what_is_said_next() -> None:
    world = World.of(8, 72)
    days(world, 3)
    days(world, 10, world[7])
    world.minutes(8)
    all_speak(world)


def test_who_asks_for_a_sender_key_whose_core_is_dead_gets_another() -> None:
    world = World.of(2, 72)
    days(world, 1)
    founder = world.founder
    world.pass_time(hours=1)
    assert founder.state.own is not None
    ask = Ask((), ((FOUNDER, founder.state.own.id),), ())
    guest = Insider(world[1])
    founder.receive(guest.post(ask))
    assert founder.state.behind == [], "its core can still be given"
    founder.state.peers[NORTH].given = {}
    founder.receive(guest.post(ask, name=8))
    assert founder.state.behind == [NORTH]


def test_attack_asking_for_dead_keys_again_and_again_costs_one_renewal_an_hour() -> None:
    world = World.of(2, 72)
    days(world, 1)
    founder = world.founder
    world.pass_time(hours=1)
    founder.state.fall_behind(NORTH, world.now)
    founder.state.fall_behind(NORTH, world.now)
    assert founder.state.behind == [NORTH]
    before = founder.state.own
    founder.sync()
    after = founder.state.own
    assert (before != after, founder.state.behind) == (True, [])
    founder.state.fall_behind(NORTH, world.now)
    assert founder.state.behind == []


@pytest.mark.parametrize("lifetime", [168, 336])
def test_who_comes_weekly_stays_a_member_while_keys_turn_weekly(lifetime: int) -> None:
    world = World.of(4, lifetime)
    for day in range(60):
        for member in world.members if day % 7 == 0 else world.members[:3]:
            live(member)
        world.pass_time(hours=24)
    world.settle()
    all_speak(world)
    assert len({each.state.epoch.id for each in world.members}) == 1
