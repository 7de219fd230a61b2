"""Every command by who may not give it: a role that the table refuses, whoever has left or was
removed, and whoever talks while two lists of members stand.

What becomes of each that may be given stands in `test_deeds`.
"""

from typing import get_args

import pytest

from backchannel.protocol import command as commands
from backchannel.protocol import deeds, hotline
from backchannel.protocol.command import Command
from backchannel.protocol.content import Announcement
from backchannel.protocol.errors import DecodeError, LocalProtocolError
from backchannel.protocol.outcome import Offered, Said, ThreadBegan
from backchannel.protocol.permission import MAY, Act
from backchannel.protocol.posting import Posting
from backchannel.protocol.roster import ROLES, Policy, Role
from backchannel.protocol.types import MAIN_THREAD, Core, MessageId, RosterHash, ThreadId
from tests.support.crowd import crowd
from tests.support.insider import Insider
from tests.support.world import LIFETIME, RELAYS, Member, World

HASH, ID = RosterHash(b"h" * 32), MessageId(b"i" * 16)
THREAD = ThreadId(b"t" * 16)

TALK: list[tuple[Act, Command]] = [
    ("text", commands.Say(MAIN_THREAD, "hello")),
    ("carry", commands.Say(MAIN_THREAD, "hello", carried=True)),
    ("note", commands.Whisper("Founder", "psst")),
    ("unattributed", commands.SayUnattributed(MAIN_THREAD, "somebody")),
    ("file", commands.SendFile(MAIN_THREAD, "name", b"data")),
]
OTHERS: list[tuple[Act, Command]] = [
    ("threads", commands.Begin("topic")),
    ("threads", commands.Shorten(THREAD, 1)),
    ("invite", commands.Invite("Dora", "South", "observer", 24)),
    ("invite", commands.Admit("Dora")),
    ("invite", commands.Refuse("Dora")),
    ("candidate", commands.Present("Dora")),
    ("vouch", commands.Vouch("Dora")),
    ("vouch", commands.Objection("Dora")),
    ("roster", commands.Remove("Guest 2")),
    ("roster", commands.SetRole("Guest 2", "observer")),
    ("roster", commands.SetPolicy(Policy(24))),
    ("roster", commands.Turn()),
    ("roster", commands.SetRelays((RELAYS[1],))),
    ("roster", commands.LastBlocks((Core(bytes(4056)),))),
    ("consent", commands.Consent(HASH)),
    ("leave", commands.Leave()),
    ("digest", commands.Digest()),
    ("compared", commands.Compare()),
    ("paraphrase", commands.Rephrase(ID, "other words")),
    ("release", commands.Release(ID, "these words")),
    ("floor", commands.GiveFloor()),
    ("hand", commands.RaiseHand()),
    ("test", commands.Ring(hotline.Test(0))),
    ("convene", commands.Ring(hotline.Convene(1, "by telephone", "at once"))),
]
ALL = TALK + OTHERS


def named(case: tuple[Act, Command]) -> str:
    return f"{type(case[1]).__name__}-{case[0]}"


def cannot(member: Member, command: Command, match: str) -> None:
    """It is not done, and nothing has changed."""
    before = member.snapshot()
    with pytest.raises(LocalProtocolError, match=match):
        member.act(command)
    assert member.snapshot() == before
    assert member.disk.outbox == ()


@pytest.fixture(scope="module")
def room() -> World:
    """One of each role, in their order."""
    world = crowd(len(ROLES))
    world.settle(rounds=1)
    for number, role in enumerate(ROLES[2:], 2):
        world.founder.act(commands.SetRole(f"Guest {number}", role))
        world.settle(rounds=2)
    assert tuple(entry.role for entry in world[1].state.current().entries) == ROLES
    return world


def test_there_is_no_command_but_these() -> None:
    told = {type(command) for _, command in ALL}
    shell = {commands.Repost, commands.Level, commands.Cover, commands.Sealed}
    assert told == set(deeds._DEEDS) == set(get_args(Command)) - shell


@pytest.mark.parametrize("case", ALL, ids=named)
@pytest.mark.parametrize("role", ROLES)
def test_a_deed_is_reached_by_those_alone_whose_role_may(
    room: World, monkeypatch: pytest.MonkeyPatch, role: Role, case: tuple[Act, Command]
) -> None:
    act, command = case
    done: list[Command] = []

    def deed(_posting: Posting, given: Command) -> None:
        done.append(given)

    own = deeds._DEEDS[type(command)][0]
    monkeypatch.setitem(deeds._DEEDS, type(command), (own, deed))
    member = room[ROLES.index(role)].twin()
    if act in MAY[role]:
        member.act(command)
        assert done == [command]
    else:
        cannot(member, command, f"an? {role} does not ")
        assert done == []


# --- Who is a member no more ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def gone() -> World:
    """The second facilitator was removed, and the third has left."""
    world = crowd(4)
    world.settle(rounds=1)
    for alias in ("Guest 1", "Guest 2"):
        world.founder.act(commands.SetRole(alias, "facilitator"))
        world.settle()
    world[2].act(commands.Leave())
    world.founder.act(commands.Remove("Guest 1"))
    world.settle()
    assert [each.state.ended for each in world.members] == ["", "removed", "left", ""]
    return world


@pytest.mark.parametrize("case", ALL, ids=named)
@pytest.mark.parametrize("place", [1, 2], ids=["removed", "left"])
def test_who_is_a_member_no_more_does_nothing(
    gone: World, place: int, case: tuple[Act, Command]
) -> None:
    cannot(gone[place].twin(), case[1], "not a member of this channel any more")


# --- Two lists of members -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def parted() -> World:
    """Somebody else's roster stands against the one that the founder issued."""
    world = crowd(4)
    world.settle(rounds=1)
    world.founder.act(commands.SetRole("Guest 1", "facilitator"))
    world.settle()
    version = world.founder.state.current().version
    rival = Insider(world[1]).post(Announcement(version, HASH, (b"p" * 32,)), HASH)
    for each in (world[0], world[2], world[3]):
        each.receive(rival)
        assert list(each.state.rivals) == [HASH]
    return world


@pytest.mark.parametrize("case", ALL, ids=named)
def test_who_sees_two_lists_of_members_does_all_but_talk(
    parted: World, case: tuple[Act, Command]
) -> None:
    """Nobody knows who would read it; what settles it goes on."""
    member = parted.founder.twin()
    if case in TALK:
        cannot(member, case[1], "two lists of members stand against each other")
    else:
        assert "two lists of members" not in told(member, case[1])


def told(member: Member, command: Command) -> str:
    """Why not, if not."""
    try:
        member.act(command)
    except (LocalProtocolError, DecodeError) as error:
        return str(error)
    return ""


def test_a_turn_ends_it_and_they_talk_again(parted: World) -> None:
    member = parted.founder.twin()
    member.act(commands.Turn())
    member.flush()
    member.listen()
    assert member.state.rivals == {}
    assert member.state.current().merged == (HASH,)
    member.say("again")


# --- What is done as it was asked -----------------------------------------------------------------


@pytest.mark.parametrize(("authority", "release"), [(0, 0), (2, 2), (1, 2)])
def test_every_label_that_there_is(room: World, authority: int, release: int) -> None:
    command = commands.Say(MAIN_THREAD, "hello", authority, release)
    (said,) = [each for each in room[1].twin().act(command) if isinstance(each, Said)]
    assert (said.authority, said.release) == (authority, release)


def test_a_text_lives_as_long_as_its_thread_wherever_it_is_read() -> None:
    world = crowd(3)
    (began,) = [e for e in world[1].act(commands.Begin("Water", 5)) if isinstance(e, ThreadBegan)]
    world.settle(rounds=2)
    del world.founder.state.threads[began.thread]  # lost, or from before its time
    said = world[2].say("about water", began.thread)
    world[2].act(commands.SendFile(began.thread, "map", b"data"))
    world.settle(rounds=2)
    for member in world.members:
        (heard,) = member.disk.said
        assert heard.expires == said.hour + 5
        (offered,) = [each for each in member.told if isinstance(each, Offered)]
        assert offered.expires == said.hour + 5


def test_a_thread_of_no_hours_is_no_thread_of_the_channels_life() -> None:
    world = crowd(2)
    before = world[1].snapshot()
    with pytest.raises(DecodeError):
        world[1].act(commands.Begin("Water", 0))
    assert world[1].snapshot() == before
    (began,) = [e for e in world[1].act(commands.Begin("Water")) if isinstance(e, ThreadBegan)]
    assert began.lifetime == LIFETIME


def test_topics_and_quotes_are_sent_composed() -> None:
    world = crowd(2)
    (began,) = [e for e in world[1].act(commands.Begin("cafe\u0301")) if isinstance(e, ThreadBegan)]
    assert began.topic == "caf\u00e9"
    world.settle(rounds=2)
    assert world.founder.state.threads[began.thread].topic == "caf\u00e9"


def test_attack_who_neither_began_a_thread_nor_facilitates_shortens_nothing_for_others() -> None:
    """Said by a liar it is heard, and changes nothing."""
    world = crowd(3)
    world.settle(rounds=1)
    (began,) = [e for e in world[1].act(commands.Begin("Water", 48)) if isinstance(e, ThreadBegan)]
    world.settle(rounds=2)
    cannot(world[2], commands.Shorten(began.thread, 47), "who began a thread, or facilitates")
    liar = Insider(world[2])
    known = liar.state.threads[began.thread]
    liar.state.threads[began.thread] = type(known)(known.topic, 48, known.until, liar.state.me)
    liar.member.act(commands.Shorten(began.thread, 1))
    liar.member.flush()
    world.settle(rounds=1)
    assert {each.state.threads[began.thread].lifetime for each in world.members} == {48}
