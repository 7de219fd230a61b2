"""What members tell of themselves and the rules, followed to its end: who came along, who goes,
what everybody agreed to, who has the floor, and who comes in.

What each does by itself stands in `test_assent`.
"""

import pytest

from backchannel.protocol import assent, limits
from backchannel.protocol import command as commands
from backchannel.protocol.change import due
from backchannel.protocol.command import Command
from backchannel.protocol.content import (
    Announcement,
    Candidate,
    Compared,
    Consent,
    Echo,
    Floor,
    Hand,
    Text,
    Vouch,
    policy_hash,
)
from backchannel.protocol.errors import LocalProtocolError
from backchannel.protocol.outcome import NOBODY, Acted, Alarm, Change, Said
from backchannel.protocol.posting import Posting
from backchannel.protocol.proposal import Proposed, Vouched
from backchannel.protocol.roster import Policy, Role
from backchannel.protocol.types import (
    MAIN_THREAD,
    Hour,
    IdentityHash,
    RosterHash,
    Slot,
    hour_of,
)
from tests.support.crowd import crowd
from tests.support.insider import Insider, forbids, kinds, owed
from tests.support.world import LIFETIME, Member, World

FOUNDER, ONE, TWO, THREE = (Slot(number) for number in range(4))
HASH = RosterHash(b"h" * 32)
LONGER = Policy(2 * LIFETIME)
NAME = policy_hash(LONGER)


@pytest.fixture
def room() -> World:
    """A facilitator and three who take part."""
    return settled(4)


def settled(count: int) -> World:
    """A crowd in which each is saved as it is."""
    world = crowd(count)
    world.settle(rounds=1)
    return world


def do(world: World, member: Member, command: Command) -> None:
    """Everybody hears of it."""
    member.act(command)
    world.settle(rounds=2)


def cannot(member: Member, command: Command, match: str) -> None:
    """It is not done, and nothing has changed."""
    before = member.snapshot()
    with pytest.raises(LocalProtocolError, match=match):
        member.act(command)
    assert member.snapshot() == before


def give(world: World, member: Member, role: Role) -> None:
    do(world, world.founder, commands.SetRole(member.state.alias, role))
    world.settle()
    assert all(each.state.current().entry(member.state.me).role == role for each in world.inside)


def alarms(member: Member) -> list[tuple[str, int]]:
    return [(each.kind, each.slot) for each in member.told if isinstance(each, Alarm)]


# --- Echoes ---------------------------------------------------------------------------------------


def test_an_echo_into_the_old_drop_shows_where_its_author_went(room: World) -> None:
    room.founder.act(commands.Turn())
    room.founder.flush()
    room[1].listen()
    room[1].tick()
    echo = owed(room[1])[0]
    assert echo.drop == room.founder.member.polls()[0].drop.id
    version = room.founder.state.current().version
    assert room.founder.state.come.get(ONE, 0) < version
    room.founder.receive(echo)
    assert room.founder.state.come[ONE] == version


def test_an_echo_of_an_older_roster_takes_nobody_back(room: World) -> None:
    before = room.founder.state.current()
    do(room, room.founder, commands.SetPolicy(Policy(LIFETIME - 1)))
    after = room.founder.state.current()
    liar = Insider(room[1])
    room.founder.receive(liar.post(Echo(after.version, after.hash), before.hash))
    assert room.founder.state.come[ONE] == after.version
    room.founder.receive(liar.post(Echo(before.version, before.hash), before.hash, name=8))
    assert room.founder.state.come[ONE] == after.version


def test_attack_61_an_echo_of_another_roster_of_my_version_alarms(room: World) -> None:
    version = room.founder.state.current().version
    room.founder.receive(Insider(room[1]).post(Echo(version, HASH)))
    assert room.founder.state.record.foreign == {HASH: ((ONE,), room.now)}
    room.founder.tick()
    assert alarms(room.founder) == []
    room.pass_time(seconds=limits.PATIENCE)
    room.founder.tick()
    assert Alarm("foreign", ONE, HASH) in room.founder.told


def test_an_echo_of_an_earlier_version_says_nothing(room: World) -> None:
    """Of one before me I know nothing."""
    version = room.founder.state.current().version - 1
    room.founder.receive(Insider(room[1]).post(Echo(version, HASH)))
    assert room.founder.state.record.foreign == {}
    assert room.founder.refused == []


def test_an_echo_of_a_version_that_has_not_come_is_remembered(room: World) -> None:
    """If another of that version holds here, its author is known to be behind a rival."""
    version = room.founder.state.current().version + 1
    room.founder.receive(Insider(room[1]).post(Echo(version, HASH)))
    assert room.founder.state.record.foreign == {HASH: ((ONE,), room.now)}


def test_attack_61_a_rival_stands_again_once_somebody_else_echoes_it(room: World) -> None:
    """Its issuer came over, and says so; whoever followed it has not."""
    give(room, room[1], "facilitator")
    before = room.founder.state.current()
    do(room, room.founder, commands.SetPolicy(Policy(LIFETIME - 1)))
    room.settle()
    current, founder = room.founder.state.current(), room.founder.state
    liar = Insider(room[1])
    room.founder.receive(liar.post(Announcement(current.version, HASH, (b"p" * 32,)), HASH))
    assert [(name, each.by) for name, each in founder.rivals.items()] == [(HASH, ONE)]
    over = Echo(current.version, current.hash)
    room.founder.receive(liar.post(over, before.hash, name=8))
    assert (founder.rivals, list(founder.record.conceded)) == ({}, [HASH])
    room.founder.receive(liar.post(Echo(current.version, HASH), before.hash, name=9))
    assert founder.rivals == {}
    room.founder.receive(Insider(room[2]).post(Echo(current.version, HASH)))
    assert [(name, each.by) for name, each in founder.rivals.items()] == [(HASH, ONE)]


# --- Prekeys --------------------------------------------------------------------------------------


def test_the_next_intro_is_for_the_new_prekey() -> None:
    """By then its owner has erased the one before, and could not open another."""
    room = settled(3)
    old = room[1].state.keys.prekey.public()
    for hours in (limits.EPOCH_HOURS, LIFETIME, 1):
        room.pass_time(hours=hours)
        room.settle()
    assert room[1].state.keys.prekey.public() != old
    assert old not in {each.keys.public() for each in room[1].state.prekeys}
    for other in (room.founder, room[2]):
        assert other.state.peers[ONE].bundle == room[1].state.keys.public()
    room.admit("Late")
    room.settle()
    line = room[3].state.peers[ONE].line
    assert line is not None
    assert line.answered


# --- Going ----------------------------------------------------------------------------------------


def test_who_wants_to_go_is_listed_until_a_facilitator_turns_the_epoch(room: World) -> None:
    hour, number = hour_of(room.now), room.founder.state.epoch.number
    do(room, room[1], commands.Leave())
    others = (room.founder, room[2], room[3])
    assert [each.state.leavers for each in others] == [{ONE: hour}] * 3
    assert room[1].state.ended == "left"
    assert [each.member.due(room.now) for each in others] == ["leavers", "", ""]
    do(room, room.founder, commands.Turn())
    for each in others:
        assert each.state.leavers == {}
        assert each.state.epoch.number == number + 1
        assert [entry.slot for entry in each.state.current().entries] == [0, 2, 3]
    acted = [each for each in room[2].told if isinstance(each, Acted)]
    assert Change("left", "Guest 1") in acted[-1].changes
    assert (room[1].state.ended, room[1].state.epoch.number) == ("left", number)


def test_who_asks_to_go_twice_has_waited_since_the_first(room: World) -> None:
    hour = hour_of(room.now)
    do(room, room[1], commands.Leave())
    room[1].state.ended = ""  # a program that does not hold it to its word
    room.pass_time(hours=1)
    do(room, room[1], commands.Leave())
    assert room.founder.state.leavers == {ONE: hour}


def test_facilitators_wait_for_each_other_before_they_let_somebody_go(room: World) -> None:
    give(room, room[1], "facilitator")
    do(room, room[2], commands.Leave())
    hour = hour_of(room.now)
    assert due(room.founder.state, hour) == "leavers"
    assert due(room[1].state, Hour(hour + limits.YIELD_HOURS - 1)) == ""
    assert due(room[1].state, Hour(hour + limits.YIELD_HOURS)) == "leavers"


def test_the_last_facilitator_of_those_who_go_does_not_leave(room: World) -> None:
    """The other stands in the roster still, and will change nothing any more."""
    give(room, room[1], "facilitator")
    do(room, room[1], commands.Leave())
    cannot(room.founder, commands.Leave(), "you alone facilitate")
    assert room.founder.state.ended == ""


def test_attack_72_of_who_is_gone_what_it_told_has_no_effect(room: World) -> None:
    """What it said before it went is in the record all the same."""
    hand = Insider(room[3]).post(Hand(1))
    room.founder.receive(hand)
    assert room.founder.state.hands == [THREE]
    room[3].online = False
    room.founder.act(commands.Remove("Guest 3"))
    room.settle()
    late = room[1].state
    before = len(late.transcript.posts)
    room[1].receive(hand)
    assert THREE not in late.peers
    assert len(late.transcript.posts) == before + 1
    assert (late.hands, room.founder.state.hands) == ([], [])


# --- Longer lives ---------------------------------------------------------------------------------


def test_a_longer_life_holds_once_everybody_said_yes(room: World) -> None:
    do(room, room.founder, commands.SetPolicy(LONGER))
    for member in room.members[1:]:
        assert {each.state.lifetime for each in room.members} == {LIFETIME}
        cannot(room.founder, commands.SetPolicy(LONGER), f"agreed yet: .*{member.state.alias}")
        do(room, member, commands.Consent(NAME))
    do(room, room.founder, commands.SetPolicy(LONGER))
    for each in room.members:
        assert each.state.policy == LONGER
        assert each.state.proposals == {}
        assert alarms(each) == []


def skip_the_waiting(room: World) -> None:
    """A facilitator who takes everybody's yes for granted."""
    everybody = tuple(room.slot(each) for each in room.members)
    proposed = Proposed(LONGER, FOUNDER, hour_of(room.now), everybody)
    room.founder.state.proposals = {NAME: proposed}
    room.founder.act(commands.SetPolicy(LONGER))
    assert room.founder.state.policy == LONGER
    room.settle()


def test_attack_a_facilitator_who_skips_the_waiting_is_refused_by_everybody(room: World) -> None:
    before = room.founder.state.current()
    do(room, room.founder, commands.SetPolicy(LONGER))
    skip_the_waiting(room)
    for member in room.members[1:]:
        assert member.state.current() == before
        assert member.state.lifetime == LIFETIME
        assert alarms(member)[0] == ("forbidden", FOUNDER)


def test_attack_a_longer_life_is_adopted_by_those_alone_who_agreed(room: World) -> None:
    do(room, room.founder, commands.SetPolicy(LONGER))
    do(room, room[1], commands.Consent(NAME))
    skip_the_waiting(room)
    assert [each.state.lifetime for each in room.members[1:]] == [2 * LIFETIME, LIFETIME, LIFETIME]
    refusals = [("forbidden", FOUNDER) in alarms(each) for each in room.members[1:]]
    assert refusals == [False, True, True]


def test_attack_a_yes_to_one_policy_is_none_to_another(room: World) -> None:
    less = Policy(LIFETIME + 1)
    do(room, room.founder, commands.SetPolicy(less))
    for member in room.members[1:]:
        do(room, member, commands.Consent(policy_hash(less)))
    skip_the_waiting(room)
    assert {each.state.lifetime for each in room.members[1:]} == {LIFETIME}


def test_a_proposal_of_one_facilitator_does_not_displace_anothers(room: World) -> None:
    give(room, room[1], "facilitator")
    first, second, third = Policy(LIFETIME + 1), Policy(LIFETIME + 2), Policy(LIFETIME + 3)
    do(room, room.founder, commands.SetPolicy(first))
    do(room, room[1], commands.SetPolicy(second))
    do(room, room[2], commands.Consent(policy_hash(second)))
    do(room, room.founder, commands.SetPolicy(third))
    for each in room.members:
        found = {(p.by, p.policy, p.yes) for p in each.state.proposals.values()}
        assert found == {(ONE, second, (ONE, TWO)), (FOUNDER, third, (FOUNDER,))}


def test_attack_a_yes_to_nothing_is_no_proposal(room: World) -> None:
    room.founder.receive(Insider(room[1]).post(Consent(NAME)))
    assert room.founder.state.proposals == {}


# --- Words that were compared ---------------------------------------------------------------------


def verified(member: Member) -> set[int]:
    return {slot for slot in member.state.peers if assent.verified(member.state, slot)}


def test_nobody_but_oneself_is_verified_before_words_were_compared(room: World) -> None:
    assert verified(room.founder) == set()
    assert assent.verified(room.founder.state, FOUNDER)
    assert assent.verified(room.founder.state, NOBODY)
    room.founder.act(commands.Compare(("guest 1", "Guest 3", "Founder")))
    assert verified(room.founder) == set(room.founder.state.verified) == {1, 3}
    room.founder.act(commands.Compare(("Guest 2",)))
    assert verified(room.founder) == {1, 2, 3}
    assert kinds(room.founder) == []


def test_attack_23_what_others_compared_marks_nobody_here(room: World) -> None:
    words = assent.identities(room.founder.state.current())
    do(room, room[1], commands.Compare())
    assert verified(room.founder) == set()
    assert room.founder.state.compared == {ONE: words}
    room.founder.receive(Insider(room[1]).post(Compared(HASH)))
    assert room.founder.state.compared == {ONE: HASH}


def test_the_words_of_a_roster_change_with_who_is_in_it_alone(room: World) -> None:
    before = assent.identities(room.founder.state.current())
    do(room, room.founder, commands.SetPolicy(Policy(LIFETIME - 1)))
    assert assent.identities(room.founder.state.current()) == before
    do(room, room.founder, commands.Remove("Guest 3"))
    assert assent.identities(room.founder.state.current()) != before


def test_nobody_is_verified_before_the_line_to_it_is_answered() -> None:
    """Until then it has not shown to have the keys that were compared."""
    world = World()
    guest = world.admit("Guest")
    world.founder.act(commands.Compare())
    assert ONE in world.founder.state.verified
    assert verified(world.founder) == set()
    guest.sync()
    world.founder.sync()
    assert verified(world.founder) == {1}


def test_attack_23_who_gets_a_place_does_not_get_the_mark_of_who_had_it(room: World) -> None:
    room.founder.act(commands.Compare())
    old = IdentityHash(room.founder.state.current().entry(THREE).identity)
    do(room, room.founder, commands.Remove("Guest 3"))
    room.settle()
    assert set(room.founder.state.verified) == {1, 2}
    room.members.pop()
    room.pass_time(hours=LIFETIME + limits.SEAL_HOURS + 2 * limits.CLOCK_SKEW + 1)
    room.settle()
    room.admit("Newcomer")
    room.settle()
    state = room.founder.state
    assert state.current().entry(THREE).alias == "Newcomer"
    assert not assent.verified(state, THREE)
    state.verified[THREE] = old
    assert not assent.verified(state, THREE)  # the mark is of an identity, not of a place
    room.founder.act(commands.Compare(("Newcomer",)))
    assert assent.verified(state, THREE)


# --- The floor ------------------------------------------------------------------------------------


def test_a_text_of_who_has_the_floor_or_facilitates_is_in_turn(room: World) -> None:
    do(room, room.founder, commands.GiveFloor("guest 1"))
    assert {each.state.floor for each in room.members} == {ONE}
    room[1].say("it is my turn")
    room.founder.say("to order")
    room.settle(rounds=2)
    for each in room.members:
        assert [said.out_of_turn for said in each.disk.said] == [False, False]
    room[2].act(commands.Whisper("Founder", "between us"))


def test_attack_a_text_out_of_turn_is_marked_until_the_floor_is_everybodys(room: World) -> None:
    liar = Insider(room[2])
    marks = []
    for number, alias in enumerate(("Guest 1", "Guest 2", "Guest 1", "")):
        do(room, room.founder, commands.GiveFloor(alias))
        post = liar.post(Text.plain(MAIN_THREAD, LIFETIME, "I speak"), name=number)
        marks += [e.out_of_turn for e in room[3].receive(post) if isinstance(e, Said)]
    assert marks == [True, False, True, False]


def test_the_floor_and_hands_go_with_who_goes(room: World) -> None:
    for member in (room[3], room[1], room[2], room[3]):
        do(room, member, commands.RaiseHand())
    assert [each.state.hands for each in room.members] == [[ONE, TWO, THREE]] * 4
    do(room, room.founder, commands.GiveFloor("Guest 1"))
    do(room, room.founder, commands.Remove("Guest 2"))
    assert {tuple(each.state.hands) for each in (room[0], room[1], room[3])} == {(THREE,)}
    assert {each.state.floor for each in (room[0], room[1], room[3])} == {ONE}
    do(room, room.founder, commands.Remove("Guest 1"))
    assert {each.state.floor for each in (room[0], room[3])} == {None}


def test_attack_the_floor_is_not_taken(room: World) -> None:
    forbids(room[2], Insider(room[1]).post(Floor((1,))), "does not give the floor")


# --- Who waits ------------------------------------------------------------------------------------


@pytest.fixture
def gate() -> World:
    """Two members must vouch, and Dora waits in the lobby."""
    world = settled(4)
    do(world, world.founder, commands.SetPolicy(Policy(LIFETIME, vouches=2)))
    world.knock("Dora")
    return world


def test_everybody_is_told_of_who_waits_what_the_invite_says(gate: World) -> None:
    do(gate, gate.founder, commands.Present("dora"))
    for member in gate.members[:4]:
        (found,) = member.state.candidates.values()
        assert (found.alias, found.party, found.role) == ("Dora", "North", "participant")
        assert (found.by, found.vouched, found.objected) == (FOUNDER, (), False)


def test_an_objection_outweighs_every_vouch_and_is_not_taken_back(gate: World) -> None:
    do(gate, gate.founder, commands.Present("Dora"))
    do(gate, gate[3], commands.Objection("Dora"))
    for member in gate.members[:4]:
        do(gate, member, commands.Vouch("Dora"))
    (found,) = gate.founder.state.candidates.values()
    assert set(found.vouched) == {0, 1, 2, 3}
    cannot(gate.founder, commands.Admit("Dora"), "somebody here objects")


def test_an_objection_counts_where_nobody_has_to_vouch() -> None:
    world = settled(3)
    world.knock("Dora")
    do(world, world.founder, commands.Present("Dora"))
    do(world, world[1], commands.Objection("Dora"))
    cannot(world.founder, commands.Admit("Dora"), "somebody here objects")


def test_attack_a_vouch_for_one_is_none_for_another_of_that_name(gate: World) -> None:
    """It names keys: who presents somebody else under the name wins nothing."""
    give(gate, gate[1], "facilitator")
    gate.founder.receive(Insider(gate[1]).post(Candidate("Dora", "North", "participant", HASH)))
    for member in (gate[2], gate[3]):
        gate.founder.receive(Insider(member).post(Vouch(HASH)))
    assert gate.founder.state.candidates[HASH].vouched == (TWO, THREE)
    cannot(gate.founder, commands.Admit("Dora"), "and 0 did")


def test_a_vouch_is_for_who_was_named(room: World) -> None:
    liar = Insider(room.founder)
    for number, alias in enumerate(("Dora", "Eve")):
        who = Candidate(alias, "North", "observer", bytes([number]) * 32)
        room[1].receive(liar.post(who, name=number))
    room[1].act(commands.Vouch("Eve"))
    assert [each.vouched for each in room[1].state.candidates.values()] == [(), (ONE,)]


def test_who_was_presented_first_stands_as_presented(room: World) -> None:
    give(room, room[1], "facilitator")
    room[2].receive(Insider(room.founder).post(Candidate("Dora", "North", "observer", HASH)))
    room[2].receive(Insider(room[3]).post(Vouch(HASH)))
    room[2].receive(Insider(room[1]).post(Candidate("Eve", "South", "facilitator", HASH)))
    (found,) = room[2].state.candidates.values()
    assert (found.alias, found.role, found.by) == ("Dora", "observer", FOUNDER)
    assert found.vouched == (THREE,)


def test_one_facilitator_does_not_fill_the_waiting_room_of_another(room: World) -> None:
    give(room, room[1], "facilitator")
    liar = Insider(room.founder)
    names = [bytes([number]) * 32 for number in range(1, limits.CANDIDATES + 2)]
    for number, name in enumerate(names):
        who = Candidate(f"Nobody {number}", "North", "observer", name)
        room[2].receive(liar.post(who, name=number))
        assert list(room[2].state.candidates) == names[: min(number + 1, limits.CANDIDATES)]
    room[2].receive(Insider(room[1]).post(Candidate("Dora", "North", "observer", HASH)))
    assert list(room[2].state.candidates) == [*names[:-1], HASH]


def test_who_waits_is_forgotten_with_its_hour(room: World) -> None:
    room[1].receive(Insider(room.founder).post(Candidate("Dora", "North", "observer", HASH)))
    room.pass_time(hours=LIFETIME)
    room[1].tick()
    assert HASH in room[1].state.candidates
    room.pass_time(hours=1)
    room[1].tick()
    assert room[1].state.candidates == {}


def waiting(room: World, *names: bytes) -> dict[bytes, Vouched]:
    """Who waits, each under the same name."""
    now = hour_of(room.now)
    return {name: Vouched("Guest X", "North", "observer", FOUNDER, now) for name in names}


def test_attack_two_presented_under_one_name_get_no_vouch_by_mistake(room: World) -> None:
    names = (b"a" * 32, b"b" * 32)
    for member in room.members:
        member.state.candidates = waiting(room, *names)
    with pytest.raises(LocalProtocolError, match="two people are presented under that name"):
        room[1].act(commands.Vouch("guest x"))
    room[1].act(commands.Objection("guest x"))
    room[1].flush()
    room.settle()
    said = room.founder.state.candidates
    assert [said[who].objected for who in names] == [True, True]


def test_nobody_presents_more_than_others_keep(room: World) -> None:
    names = [number.to_bytes(32) for number in range(limits.CANDIDATES)]
    founder = room.founder
    founder.state.candidates = waiting(room, *names)
    posting = Posting(founder.state, founder.member.clocks, founder.now, founder.entropy)
    with pytest.raises(LocalProtocolError, match="presented 16 people already"):
        assent.present(posting, Candidate("One more", "North", "observer", HASH))


def test_attack_a_prekey_told_late_brings_no_former_one_back(room: World) -> None:
    teller = room[1]
    for _ in range(2):
        room.pass_time(hours=limits.EPOCH_HOURS)
        teller.tick()
    blocks = owed(teller)
    newest = teller.state.keys.public().prekey
    for arrival in reversed(blocks):
        room[2].receive(arrival)
    assert room[2].state.peers[ONE].bundle.prekey == newest


def test_a_newcomer_is_told_of_rules_that_wait(room: World) -> None:
    room.founder.act(commands.SetPolicy(LONGER))
    room.founder.flush()
    newcomer = room.admit("Newcomer")
    room.settle()
    newcomer.act(commands.Consent(NAME))
    newcomer.flush()
    room.settle()
    assert newcomer.state.me in room.founder.state.proposals[NAME].yes
