"""The one table of who may do what: every role and every act, said oneself and heard of others."""

from collections.abc import Callable
from typing import get_args

import pytest

from backchannel.protocol import command as commands
from backchannel.protocol import content as c
from backchannel.protocol import hotline
from backchannel.protocol.deeds import _DEEDS
from backchannel.protocol.errors import LocalProtocolError, RemoteProtocolError
from backchannel.protocol.outcome import Alarm, Arrival
from backchannel.protocol.permission import _SAYS, MAY, Act, act_of, may, refusal
from backchannel.protocol.roster import ROLES, Policy, Role
from backchannel.protocol.types import (
    MAIN_THREAD,
    ContentHash,
    MessageId,
    RosterHash,
    ThreadId,
)
from tests.support import cast
from tests.support.insider import Insider, forbids
from tests.support.world import Member, World

HASH, ID = b"h" * 32, MessageId(b"i" * 16)
LONGER = Policy(169)
INCIDENT = hotline.Incident((), 0, 0, 1, "P7", 500_000, 30, 360, 0, "Shots at the bridge.")
ACTS: tuple[Act, ...] = get_args(Act)
EVERYBODY: frozenset[Act] = frozenset(
    {"echo", "ask", "prekey", "leave", "digest", "compared", "consent"}
)
SPEAKERS: frozenset[Act] = frozenset({"text", "note", "file", "release", "hand", "coming"})
TAKING_PART: frozenset[Act] = frozenset(
    {"threads", "vouch", "unattributed", "test", "heard", "incident", "attend", "convene"}
)
"""Written down once more, from SPEC.md section 9: a slip in the program's table shows."""
ALLOWED: dict[Role, frozenset[Act]] = {
    "facilitator": frozenset(ACTS),
    "participant": EVERYBODY | SPEAKERS | TAKING_PART,
    "note-taker": EVERYBODY | SPEAKERS,
    "observer": EVERYBODY,
}

SAID: dict[Act, c.Content] = {
    "text": c.Text.plain(MAIN_THREAD, 24, "hello"),
    "carry": c.Text(MAIN_THREAD, 24, 0, 0, 1, b"", "", "from elsewhere"),
    "threads": c.Threads((c.Thread(b"t" * 16, 24, "topic"),)),
    "roster": c.Announcement(len(ROLES) + 1, HASH, (HASH,)),
    "echo": c.Echo(1, HASH),
    "ask": c.Ask((HASH,), (), ()),
    "prekey": c.Prekey(cast.bundle("dora").prekey.pack()),
    "leave": c.Leave(),
    "digest": c.Digest(0, 0, 0, (), ()),
    "compared": c.Compared(HASH),
    "proposal": c.Proposal(LONGER),
    "consent": c.Consent(HASH),
    "paraphrase": c.Paraphrase(ID, "other words"),
    "release": c.Release(ID, HASH),
    "floor": c.Floor(()),
    "hand": c.Hand(1),
    "file": c.File(MAIN_THREAD, 24, "name", 1, HASH, (HASH,)),
    "candidate": c.Candidate("dora", "South", "observer", HASH),
    "vouch": c.Vouch(HASH),
    "test": hotline.Test(0),
    "heard": hotline.Heard(hotline.Named(0, ID)),
    "duty": hotline.Duty(0, (), ()),
    "incident": INCIDENT,
    "attend": hotline.Attend(hotline.Named(0, ID), "ack", (), ""),
    "convene": hotline.Convene(500_000, "the bridge", "the bridge"),
    "coming": hotline.Coming(hotline.Named(0, ID), 1),
}
"""Everything but what is no content of its own."""

ASKED: dict[Act, list[commands.Command]] = {
    "text": [commands.Say(MAIN_THREAD, "hello")],
    "carry": [commands.Say(MAIN_THREAD, "hello", carried=True)],
    "note": [commands.Whisper("Founder", "psst")],
    "unattributed": [commands.SayUnattributed(MAIN_THREAD, "somebody")],
    "file": [commands.SendFile(MAIN_THREAD, "name", b"data")],
    "threads": [commands.Begin("topic"), commands.Shorten(ThreadId(b"t" * 16), 1)],
    "invite": [
        commands.Invite("Dora", "South", "observer", 24),
        commands.Admit("Dora"),
        commands.Refuse("Dora"),
    ],
    "candidate": [commands.Present("Dora")],
    "vouch": [commands.Vouch("Dora"), commands.Objection("Dora")],
    "roster": [
        commands.Remove("Eve"),
        commands.SetRole("Eve", "observer"),
        commands.SetPolicy(LONGER),
        commands.Turn(),
        commands.SetRelays(()),
        commands.LastBlocks(()),
    ],
    "consent": [commands.Consent(HASH)],
    "leave": [commands.Leave()],
    "digest": [commands.Digest()],
    "compared": [commands.Compare()],
    "paraphrase": [commands.Rephrase(ID, "other words")],
    "release": [commands.Release(ID, "these words")],
    "floor": [commands.GiveFloor()],
    "hand": [commands.RaiseHand()],
    "test": [commands.Ring(hotline.Test(0))],
    "duty": [commands.Ring(hotline.Duty(0, (), ()))],
    "incident": [commands.Ring(INCIDENT)],
    "attend": [commands.Ring(hotline.Attend(hotline.Named(0, ID), "ack", (), ""))],
    "convene": [commands.Ring(hotline.Convene(500_000, "the bridge", "the bridge"))],
    "coming": [commands.Ring(hotline.Coming(hotline.Named(0, ID), 1))],
}


@pytest.fixture(scope="module")
def world() -> World:
    """One member of each role."""
    made = World()
    for role in ROLES[1:]:
        made.admit(role.replace("-", " "), role)
        made.settle()
    return made


def of(world: World, role: Role) -> Member:
    return world[ROLES.index(role)]


def test_the_table_is_the_one_that_is_written_down() -> None:
    assert MAY == ALLOWED


def test_each_act_is_said_or_asked_for_in_some_test() -> None:
    others: set[Act] = {"note", "unattributed", "invite"}
    assert set(SAID) | others == set(ACTS)
    assert {act_of(content) for content in SAID.values()} == set(SAID)
    assert {type(content) for content in SAID.values()} == set(get_args(c.Content))
    own: set[Act] = {"echo", "ask", "prekey", "proposal", "heard"}
    assert set(ASKED) | own == set(ACTS)  # `tick` says those; a proposal is a policy that is set
    asked = {type(command) for each in ASKED.values() for command in each}
    assert (
        asked
        == set(_DEEDS)
        == set(get_args(commands.Command))
        - {commands.Repost, commands.Level, commands.Cover, commands.Sealed}
    )


@pytest.mark.parametrize("act", SAID)
@pytest.mark.parametrize("role", ROLES)
def test_what_arrives_of_somebody_is_held_to_its_role(world: World, role: Role, act: Act) -> None:
    author = of(world, role)
    listener = world.founder if author is not world.founder else world[1]
    roster = RosterHash(HASH) if act == "roster" else None
    arrival = Insider(author).post(SAID[act], roster)
    reader = listener.twin()
    if act in ALLOWED[role]:
        events = reader.receive(arrival)
        assert reader.refused == []
        assert not any(isinstance(each, Alarm) and each.kind == "forbidden" for each in events)
    else:
        forbids(reader, arrival, refusal(role, act))


@pytest.mark.parametrize(
    ("act", "command"), [(act, command) for act, each in ASKED.items() for command in each]
)
@pytest.mark.parametrize("role", ROLES)
def test_nobody_is_asked_to_say_what_others_would_refuse(
    world: World, role: Role, act: Act, command: commands.Command
) -> None:
    own = of(world, role).twin()
    before = own.snapshot()
    said = told(lambda: own.act(command))
    if act in ALLOWED[role]:
        assert said is None or "does not" not in said
    else:
        assert said == refusal(role, act)
    assert said is None or own.snapshot() == before


def told(deed: Callable[[], object]) -> str | None:
    """Why not, if not."""
    try:
        deed()
    except (LocalProtocolError, RemoteProtocolError) as error:
        return str(error)
    return None


@pytest.mark.parametrize("role", ROLES)
def test_a_refusal_says_who_does_not_do_what(role: Role) -> None:
    for act in _SAYS:
        article = "an" if role == "observer" else "a"
        assert refusal(role, act).startswith(f"{article} {role} does not ")
    refused = {act for each in ROLES for act in ACTS if not may(each, act)}
    assert refused <= set(_SAYS)


def test_the_role_that_counts_is_the_one_under_the_roster_that_a_post_names() -> None:
    """Who was demoted is still heard with what it said before; not with what it says now."""
    world = World.of(3)
    liar = Insider(world[1])
    before = liar.post(SAID["text"])
    world.founder.act(commands.SetRole("Guest 1", "observer"))
    world.settle([world.founder, world[2]])
    late = world[2].state
    assert late.current().entry(1).role == "observer"
    over = late.epochs[0].ending
    assert over is not None
    over.past.add(_named(world[2], before))  # as if somebody who stays had named it
    assert world[2].receive(before)
    world.settle()
    forbids(world[2], Insider(world[1]).post(SAID["text"], name=8), "does not speak")


def _named(member: Member, arrival: Arrival) -> ContentHash:
    """The content hash of what waits."""
    before = {each.hash for each in member.state.pending}
    member.receive(arrival)
    (found,) = {each.hash for each in member.state.pending} - before
    member.state.pending = []
    return found
