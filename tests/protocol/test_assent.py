"""What members say of themselves, each other and the rules, and how others take it."""

import pytest

from backchannel.protocol import command as commands
from backchannel.protocol import content as c
from backchannel.protocol import limits
from backchannel.protocol.assent import identities, verified
from backchannel.protocol.command import Command
from backchannel.protocol.content import carried_words, policy_hash
from backchannel.protocol.errors import LocalProtocolError
from backchannel.protocol.outcome import NOBODY, Released, Rephrased
from backchannel.protocol.roster import Policy
from backchannel.protocol.types import Hour, MessageId, Slot, hour_of
from tests.support import cast
from tests.support.insider import Insider
from tests.support.world import LIFETIME, Member, World

ID = MessageId(b"m" * 16)


@pytest.fixture
def trio() -> World:
    return World.of(3)


def act(world: World, member: Member, command: Command) -> None:
    member.act(command)
    member.flush()
    world.settle()


def refused(member: Member, command: Command, match: str) -> None:
    before = member.snapshot()
    with pytest.raises(LocalProtocolError, match=match):
        member.act(command)
    assert member.snapshot() == before


# --- Prekeys --------------------------------------------------------------------------------------


def test_a_new_prekey_takes_the_place_of_the_one_before(trio: World) -> None:
    before = trio[1].state.peers[Slot(0)].bundle
    new = cast.bundle("dora").prekey
    trio[1].receive(Insider(trio.founder).post(c.Prekey(new.pack())))
    after = trio[1].state.peers[Slot(0)].bundle
    assert (after.identity, after.prekey) == (before.identity, new)


def test_what_somebody_told_who_is_gone_changes_nothing(trio: World) -> None:
    late = Insider(trio[1])
    said: list[c.Content] = [c.Compared(b"h" * 32), c.Leave(), c.Hand(1)]
    arrivals = [late.post(content, name=name) for name, content in enumerate(said)]
    act(trio, trio.founder, commands.Remove("Guest 1"))
    reader = trio[2]
    for arrival in arrivals:
        reader.receive(arrival)
    assert (reader.state.compared, reader.state.leavers, reader.state.hands) == ({}, {}, [])


def test_a_digest_that_names_what_was_never_here_asks_for_nothing(trio: World) -> None:
    trio[1].receive(Insider(trio.founder).post(c.Digest(0, 0, 0, (), (b"?" * 32,))))
    assert trio[1].state.owed == {}


# --- Words ----------------------------------------------------------------------------------------


def test_who_compared_with_all_is_marked_here_and_known_to_everybody(trio: World) -> None:
    act(trio, trio[1], commands.Compare())
    name = identities(trio.founder.state.current())
    for member in trio.members:
        assert member.state.compared == {1: name}
    assert set(trio[1].state.verified) == {0, 2}
    assert [verified(trio[1].state, Slot(slot)) for slot in (0, 1, 2)] == [True] * 3
    assert verified(trio[1].state, NOBODY)
    assert not verified(trio.founder.state, Slot(1))


def test_who_compared_with_some_tells_nobody(trio: World) -> None:
    trio[1].flush()
    trio[1].act(commands.Compare(("Guest 2",)))
    assert trio[1].disk.outbox == ()
    assert set(trio[1].state.verified) == {2}
    refused(trio[1], commands.Compare(("Guest 2", "Nobody")), "nobody of that name")


def test_attack_5_a_mark_is_of_an_identity_and_of_an_answered_line(trio: World) -> None:
    state = trio[1].state
    trio[1].act(commands.Compare(("Guest 2",)))
    peer = state.peers[Slot(2)]
    line, bundle = peer.line, peer.bundle
    peer.bundle = cast.bundle("dora")
    assert not verified(state, Slot(2))
    peer.bundle, peer.line = bundle, None
    assert not verified(state, Slot(2))
    peer.line = line
    assert verified(state, Slot(2))
    assert not verified(state, Slot(9))


# --- Rules ----------------------------------------------------------------------------------------


def test_who_proposes_agrees_and_of_one_facilitator_the_newest_stands(trio: World) -> None:
    first, second = Policy(LIFETIME + 1), Policy(LIFETIME + 2)
    act(trio, trio.founder, commands.SetPolicy(first))
    act(trio, trio[1], commands.Consent(policy_hash(first)))
    for member in trio.members:
        assert member.state.proposals[policy_hash(first)].yes == (0, 1)
    act(trio, trio.founder, commands.SetPolicy(second))
    for member in trio.members:
        assert list(member.state.proposals) == [policy_hash(second)]
    refused(trio[1], commands.Consent(policy_hash(first)), "nothing like that")


def test_what_was_proposed_stands_once_and_a_consent_counts_once(trio: World) -> None:
    policy = Policy(LIFETIME + 1)
    act(trio, trio.founder, commands.SetPolicy(policy))
    act(trio, trio[1], commands.Consent(policy_hash(policy)))
    again = Insider(trio[1])
    trio[2].receive(again.post(c.Consent(policy_hash(policy))))
    trio[2].receive(again.post(c.Consent(b"?" * 32), name=8))
    trio[2].receive(Insider(trio.founder).post(c.Proposal(policy)))
    assert trio[2].state.proposals[policy_hash(policy)].yes == (0, 1)


def test_a_proposal_dies_with_its_hour(trio: World) -> None:
    act(trio, trio.founder, commands.SetPolicy(Policy(LIFETIME + 1)))
    trio.pass_time(hours=LIFETIME + 1)
    trio[1].tick()
    assert trio[1].state.proposals == {}


# --- Whom to carry --------------------------------------------------------------------------------


def test_an_author_is_asked_for_other_words_and_lets_them_be_carried(trio: World) -> None:
    act(trio, trio.founder, commands.Rephrase(ID, "cafe\u0301 talk"))
    expires = Hour(hour_of(trio.now) + LIFETIME)
    assert Rephrased(ID, Slot(0), "caf\u00e9 talk", expires) in trio[1].told
    act(trio, trio[1], commands.Release(ID, "caf\u00e9 talk"))
    words = carried_words("caf\u00e9 talk")
    for member in trio.members:
        assert Released(ID, Slot(1), words, expires) in member.told


# --- Who waits, and who goes ----------------------------------------------------------------------


def test_a_facilitator_presents_sixteen_at_one_time(trio: World) -> None:
    liar = Insider(trio.founder)
    for number in range(limits.CANDIDATES + 1):
        who = c.Candidate("Ann", "South", "observer", number.to_bytes(32))
        trio[1].receive(liar.post(who, name=number))
    assert len(trio[1].state.candidates) == limits.CANDIDATES
    again = c.Candidate("Bea", "South", "observer", bytes(32))
    trio[1].receive(liar.post(again, name=99))
    assert {each.alias for each in trio[1].state.candidates.values()} == {"Ann"}


def test_a_vouch_for_nobody_is_nothing(trio: World) -> None:
    trio[1].receive(Insider(trio.founder).post(c.Vouch(b"?" * 32)))
    assert trio[1].state.candidates == {}


def test_who_alone_facilitates_does_not_leave(trio: World) -> None:
    refused(trio.founder, commands.Leave(), "you alone facilitate")
    act(trio, trio[1], commands.Leave())
    assert trio[1].state.ended == "left"
    assert trio.founder.state.leavers == {1: hour_of(trio.now)}
    refused(trio[1], commands.RaiseHand(), "not a member")


def test_one_of_two_facilitators_may_leave() -> None:
    world = World()
    second = world.admit_facilitator("Second")
    world.settle()
    act(world, second, commands.Leave())
    assert world.founder.state.leavers == {1: hour_of(world.now)}
