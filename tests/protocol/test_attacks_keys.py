"""Attacks on keys over time, by number: recorded, restored, used up, or held up by who is silent.

What a single handshake, block or post withstands stands with each; this is what only a life shows.
"""

import itertools
from functools import cache

import pytest
from msgspec.structs import replace

from backchannel.protocol import command as commands
from backchannel.protocol import intro, limits, line
from backchannel.protocol.core import Kind
from backchannel.protocol.errors import AuthenticationError
from backchannel.protocol.identity import HybridPrivate
from backchannel.protocol.intro import Envelope
from backchannel.protocol.outcome import Alarm, Append, Arrival, Said
from backchannel.protocol.primitives import X25519Public, decapsulate, dh
from backchannel.protocol.secret import KemShared
from backchannel.protocol.types import MAIN_THREAD, Core
from tests.support import cast
from tests.support.cast import KEY, SEEDS, SETTING
from tests.support.entropy import ScriptedEntropy
from tests.support.insider import core_in, owed
from tests.support.world import LIFETIME, Member, World

ANNA, BELA = cast.keys("anna"), cast.keys("bela")
LINE = cast.head(Kind.LINE)
OTHER = HybridPrivate.draw(ScriptedEntropy("somebody else's"))
BODY = 2445
"""Where the ciphertext of a line block's body begins."""
BODY_OF_POST = 235
"""Where that of a post begins; its slots begin at 3032."""


@cache
def talked() -> World:
    """Three members, and a fourth who was removed: two epochs of blocks."""
    world = World.of(4)
    world.founder.say("before")
    world.settle()
    world.founder.act(commands.Remove("Guest 3"))
    world.founder.flush()
    world.settle()
    world.founder.say("after")
    world.settle()
    return world


# --- The relay ------------------------------------------------------------------------------------


def test_attack_01_a_relay_that_shows_all_it_has_again_changes_nobodys_roster() -> None:
    """All blocks backwards, each in each drop: no list of members, text or alarm comes of it."""
    world = talked()
    staying = world.members[:3]
    before = {member.state.current().hash for member in staying}
    rows = [row for drop in world.drops.rows.values() for row in drop]
    assert len(before) == 1
    assert len(rows) > 20
    for member, drop, row in itertools.product(staying, world.drops.rows, reversed(rows)):
        events = member.receive(Arrival(drop, row.hour, row.block))
        assert not [each for each in events if isinstance(each, Said | Alarm)]
    assert {member.state.current().hash for member in staying} == before


def test_attack_01_a_relay_that_keeps_a_removal_from_a_member_leaves_it_with_the_old_list() -> None:
    """No third list can come of it, and the true one when the blocks do."""
    world = World.of(3)
    world[2].online = False
    world.founder.act(commands.Remove("Guest 1"))
    world.founder.flush()
    world.settle()
    held = world[2].state.current()
    assert [each.alias for each in held.entries] == ["Founder", "Guest 1", "Guest 2"]
    world[2].online = True
    world.settle()
    assert world[2].state.current().hash == world.founder.state.current().hash


# --- Old copies -----------------------------------------------------------------------------------


def test_attack_15_who_goes_on_from_an_old_copy_posts_under_no_key_twice() -> None:
    world = World.of(2)
    copy = world[1].twin()
    copy.entropy = ScriptedEntropy("after it was restored")
    (one,), (two,) = said_by(world[1]), said_by(copy)
    assert (one[22:38], one[38]) == (two[22:38], two[38])  # one generation, one number
    assert same_bytes(one[BODY_OF_POST:3032], two[BODY_OF_POST:3032]) < 100


def test_attack_15_nor_does_a_line() -> None:
    own, _ = cast.answered()
    to = BELA.public().identity.kem
    one, two = (
        line.send(own, b"words", to, cast.clock, cast.head(Kind.LINE, n), ScriptedEntropy(f"{n}"))
        for n in (1, 2)
    )
    assert one.line.sent == two.line.sent
    assert same_bytes(one.core[BODY:], two.core[BODY:]) < 50


def said_by(member: Member) -> list[Core]:
    """The cores of one text, and nothing of it leaves."""
    member.act(commands.Say(MAIN_THREAD, "The same long words. " * 100))
    return [core for each in owed(member) if (core := core_in(member, each))[0] == Kind.GROUP]


def same_bytes(one: bytes, two: bytes) -> int:
    """At how many places two ciphertexts agree: all where the key stream was the same."""
    return sum(a == b for a, b in zip(one, two, strict=True))


# --- Prekeys --------------------------------------------------------------------------------------


def test_attack_19_however_many_greet_no_prekey_is_used_up() -> None:
    """One for all who greet within its week, so there is no stock that a stranger could empty."""
    for number in range(limits.ENTRIES):
        name = f"greeter {number}"
        started = intro.start(
            SETTING, cast.keys(name), BELA.public(), KEY, SEEDS, None,
            cast.clock, cast.head(Kind.INTRO, number), ScriptedEntropy(name),
        )  # fmt: skip
        read = intro.accept(
            started.core, cast.head(Kind.INTRO, number), SETTING, BELA,
            cast.bundle(name).identity, KEY, cast.clock,
        )  # fmt: skip
        assert read.keys == started.keys


def test_attack_19_a_room_that_greets_a_member_leaves_its_prekey_as_it_was() -> None:
    world = World.of(2)
    own = world.founder.state.keys
    for number in range(2, 5):
        world.admit(f"Guest {number}")
        world.settle()
    assert world.founder.state.keys == own
    assert world.founder.state.prekeys == []


# --- Recorded now, broken later -------------------------------------------------------------------


def test_attack_24_with_every_x25519_key_a_recorded_intro_does_not_open() -> None:
    """And with every ML-KEM key neither: the one derivation has both, and the control has all."""
    started = cast.started()
    envelope, bundle = Envelope.read(started.core), BELA.public()
    agreed = (
        dh(ANNA.identity.x, bundle.prekey.x)
        + dh(BELA.identity.x, X25519Public(envelope.ephemeral))
        + dh(BELA.prekey.x, X25519Public(envelope.ephemeral))
    )
    kems = (
        decapsulate(BELA.identity.kem, envelope.to_identity),
        decapsulate(BELA.prekey.kem, envelope.to_prekey),
    )
    bound = intro.transcript(SETTING, ANNA.public().identity, bundle, envelope)
    unknown = KemShared(bytes(32))
    assert intro.session(agreed, kems, KEY, bound) == started.keys
    for tried in ((unknown, unknown), (kems[0], unknown), (unknown, kems[1])):
        assert intro.session(agreed, tried, KEY, bound).payload != started.keys.payload
    assert intro.session(bytes(96), kems, KEY, bound).payload != started.keys.payload


@pytest.mark.parametrize("lacks", ["x", "kem"])
def test_attack_24_a_recorded_line_block_needs_both_halves_of_a_ratchet_key(lacks: str) -> None:
    a, b = cast.answered()
    sent = line.send(a, b"words", BELA.public().identity.kem, cast.clock, LINE, ScriptedEntropy())
    assert b.own is not None
    read = line.open_(b, sent.core, cast.clock, LINE, BELA.identity.kem)
    assert read is not None
    half = HybridPrivate(
        OTHER.x if lacks == "x" else b.own.x, OTHER.kem if lacks == "kem" else b.own.kem
    )
    try:
        broken = line.open_(replace(b, own=half), sent.core, cast.clock, LINE, BELA.identity.kem)
    except AuthenticationError:
        return
    assert broken is None


# --- Traces, lengths, silence ---------------------------------------------------------------------


def test_attack_36_a_thread_its_topic_and_its_lifetime_are_forgotten_together() -> None:
    world = World.of(2)
    world.founder.act(commands.Begin("Ceasefire line", 5))
    world.settle()
    assert all(b"Ceasefire line" in member.snapshot() for member in world.members)
    world.pass_time(hours=LIFETIME + 1)
    world.settle()
    for member in world.members:
        assert member.state.threads == {}
        assert b"Ceasefire line" not in member.snapshot()


@pytest.mark.parametrize("size", [1, 2_000, 10_000, 40_000])
def test_attack_46_what_compresses_well_is_as_long_as_what_does_not(size: int) -> None:
    """Nothing is compressed, so how many blocks there are says how long a text was at most."""
    world = World.of(2)
    noise = ScriptedEntropy("noise").draw(size).hex()[:size]
    assert blocks_of(world[1], "a" * size) == blocks_of(world[1], noise)


def blocks_of(member: Member, text: str) -> list[int]:
    """The sizes of what a text makes, and nothing of it leaves."""
    before = len(member.disk.outbox)
    member.act(commands.Say(MAIN_THREAD, text))
    return [len(each.block) for each in member.disk.outbox[before:] if isinstance(each, Append)]


def test_attack_65_a_member_who_is_silent_holds_up_nobodys_healing() -> None:
    """A thief has a copy of one member; another answers nobody any more; two go on talking."""
    world = World.of(3)
    thief, silent = world[1].twin(), world[2]
    world.founder.say("still readable")
    world.settle()
    thief.listen()
    assert thief.said == [(0, "still readable")]
    silent.online = False
    for _ in range(3):
        world.pass_time(hours=limits.GENERATION_HOURS)
        for member in world.members[:2]:
            member.say("healing")
            member.flush()
            world.settle()
    world.founder.say("no longer readable")
    world.settle()
    thief.listen()
    assert (0, "no longer readable") in world[1].said
    assert (0, "no longer readable") not in thief.said


@pytest.mark.parametrize("members", [2, 3, 5])
def test_attack_65_a_copy_reads_on_for_at_most_two_days_for_each_other_member(members: int) -> None:
    """What healing by turns costs, measured: one line a day is moved. Removing works at once."""
    world = World.of(members)
    thief, days = world[1].twin(), 2 * (members - 1)
    for day in range(1, days + 3):
        world.pass_time(hours=limits.GENERATION_HOURS)
        for member in world.members:
            member.say(f"{day}")
            member.flush()
        world.settle()
        thief.listen()
    assert max(int(text) for _, text in thief.said) == days
