"""How posts, key blocks, line blocks, intros and rosters are read, and what liars among the members
get.
"""

from dataclasses import replace

import pytest

from backchannel.protocol import command as commands
from backchannel.protocol import limits, sender_key
from backchannel.protocol.codec import encode
from backchannel.protocol.content import Ask, Text, Thread, Threads
from backchannel.protocol.errors import (
    AuthenticationError,
    DecodeError,
    RefusedError,
)
from backchannel.protocol.outcome import Append, Arrival, Said
from backchannel.protocol.sender_key import Parent
from backchannel.protocol.types import (
    MAIN_THREAD,
    ContentHash,
    Core,
    Hour,
    RosterHash,
    Slot,
    ThreadId,
)
from tests.support.insider import Insider, as_if_by, owed, refuses, texts, waits
from tests.support.world import LIFETIME, Member, World

NOBODY = RosterHash(b"\xee" * 32)


@pytest.fixture
def trio() -> World:
    return World.of(3)


def text(words: str, lifetime: int = LIFETIME, thread: bytes = MAIN_THREAD) -> Text:
    return Text.plain(thread, lifetime, words)


# --- Posts: whose they are ------------------------------------------------------------------------


def test_attack_67_a_slot_altered_by_another_is_refused_and_the_true_post_still_read(
    trio: World,
) -> None:
    liar = Insider(trio.founder)
    core = liar.seal(liar.part(encode(text("true"))))
    at = 3032 + 16 * 1
    altered = Core(core[:at] + bytes(16) + core[at + 16 :])
    refuses(trio[1], liar.arrival(altered), AuthenticationError, "slot for me")
    assert texts(trio[2].receive(liar.arrival(altered))) == ["true"]
    assert texts(trio[1].receive(liar.arrival(core))) == ["true"]


def test_an_insider_who_names_another_as_author_is_refused(trio: World) -> None:
    liar = Insider(trio[1])
    forged = as_if_by(liar.seal(liar.part(encode(text("not mine")))), Slot(2))
    header = sender_key.GroupHeader.read(forged)
    true = next(iter(trio.founder.state.peers[Slot(2)].generations))
    named = Core(forged[:22] + true + forged[38:])
    refuses(trio.founder, liar.arrival(named), AuthenticationError)
    assert header.sender == 2


def test_a_reader_forges_for_itself_and_for_nobody_else(trio: World) -> None:
    """What convinces a reader, it could have made: no post proves anything to a third."""
    reader = Insider(trio[1])
    held = trio[1].state.peers[Slot(0)].generations
    generation = list(held.values())[-1]
    assert generation.chain.key is not None
    own = sender_key.OwnGeneration(
        generation.id,
        Hour(0),
        generation.chain.key,
        generation.chain.number,
        {Slot(1): generation.mac},
    )
    reader.state.own, reader.state.me = own, Slot(0)
    arrival = reader.post(text("I never said this"))
    (said,) = [e for e in trio[1].twin().member.receive(arrival, trio.now) if isinstance(e, Said)]
    assert (said.author, said.text) == (0, "I never said this")
    refuses(trio[2], arrival, AuthenticationError)


def test_a_sender_outside_the_roster_waits(trio: World) -> None:
    liar = Insider(trio.founder)
    waits(trio[1], liar.arrival(as_if_by(liar.seal(liar.part(b"x")), Slot(9))))


def test_a_slot_that_cannot_be_is_no_header(trio: World) -> None:
    liar = Insider(trio.founder)
    refuses(trio[1], liar.arrival(as_if_by(liar.seal(liar.part(b"x")), Slot(64))), DecodeError)


def test_a_number_far_ahead_within_a_generation_opens(trio: World) -> None:
    liar = Insider(trio.founder)
    for _ in range(200):
        liar.seal(liar.part(b"x"))
    assert texts(trio[1].receive(liar.post(text("late")))) == ["late"]


# --- Posts: what they say -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "part",
    [
        b"",
        bytes(16),
        bytes(16) + b"\0\0\0\1" + b"\0\1",
        bytes(16) + b"\0\0\0\1" + b"\1\1" + b"x",
        bytes(16) + b"\0\0\0\1" + b"\0\0" + b"x",
        bytes(16) + b"\0\0\0\1" + b"\0\x11" + b"x",
        bytes(16) + b"\0\0\0\1" + b"\0\1" + b"not a structure",
        bytes(16) + b"\0\0\0\1" + b"\0\1" + encode(text("x", lifetime=1)) + b"\0",
        bytes(16) + b"\0\0\0\1" + b"\0\1" + encode(text("e\u0301")),
        bytes(16) + b"\0\0\0\1" + b"\0\1" + encode(Ask((), (), ())),
        bytes(16) + b"\0\0\0\1" + b"\0\1" + encode(Threads((Thread(bytes(16), 1, "main"),))),
    ],
)
def test_an_authentic_post_that_says_nothing_readable(trio: World, part: bytes) -> None:
    liar = Insider(trio.founder)
    refuses(trio[1], liar.arrival(liar.seal(part)), DecodeError)


def test_a_message_comes_once_however_often_its_author_sends_it(trio: World) -> None:
    liar = Insider(trio.founder)
    assert texts(trio[1].receive(liar.post(text("one")))) == ["one"]
    assert texts(trio[1].receive(liar.post(text("two")))) == []
    assert texts(trio[1].receive(liar.post(text("three"), name=8))) == ["three"]


def pieces(liar: Insider, *parts: tuple[bytes, int, int]) -> list[Arrival]:
    return [liar.arrival(liar.seal(liar.part(*part))) for part in parts]


def test_parts_in_any_order_make_one_message(trio: World) -> None:
    data = encode(text("a long one"))
    arrivals = pieces(
        Insider(trio.founder), (data[20:], 2, 3), (data[:10], 0, 3), (data[10:20], 1, 3)
    )
    heard = [texts(trio[1].receive(arrival)) for arrival in arrivals]
    assert heard == [[], [], ["a long one"]]
    assert trio[1].state.partial == {}


def test_parts_that_are_nonsense_together_are_silent(trio: World) -> None:
    for arrival in pieces(Insider(trio.founder), (b"non", 0, 2), (b"sense", 1, 2)):
        trio[1].receive(arrival)
    assert (trio[1].said, trio[1].state.partial) == ([], {})


def test_a_part_that_counts_otherwise_does_not_spoil_the_others(trio: World) -> None:
    data = encode(text("whole"))
    arrivals = pieces(
        Insider(trio.founder),
        (data[:9], 0, 2),
        (b"stray", 1, 3),
        (b"again", 0, 2),
        (data[9:], 1, 2),
    )
    for arrival in (arrivals[0], arrivals[1], arrivals[3]):
        trio[1].receive(arrival)
    assert trio[1].said == [(0, "whole")]


def test_attack_messages_that_never_end_are_bounded(trio: World) -> None:
    liar = Insider(trio.founder)
    for number in range(limits.UNFINISHED + 5):
        arrival = liar.arrival(liar.seal(liar.part(b"begun", 0, 2, name=number)))
        trio[1].receive(arrival)
    assert len(trio[1].state.partial) == limits.UNFINISHED
    trio[2].flush()
    assert texts(trio[1].receive(liar.post(text("still heard"), name=200))) == ["still heard"]


def test_the_order_of_a_liar_is_capped_and_goes_with_its_hour(trio: World) -> None:
    liar = Insider(trio.founder)
    for name, order in ((1, 2**32 - 1), (2, 0)):
        part = liar.part(encode(text(str(order))), name=name, order=order)
        trio[1].receive(liar.arrival(liar.seal(part)))
    assert trio[1].say("after").order == 2**32 - 1
    trio.pass_time(hours=LIFETIME + 1)
    trio[1].tick()
    assert trio[1].say("much later").order == 2  # its own new prekey came first


def test_content_lives_as_long_as_the_shortest_of_its_bounds(trio: World) -> None:
    liar = Insider(trio.founder)
    (said,) = [e for e in trio[1].receive(liar.post(text("x", 2160))) if isinstance(e, Said)]
    assert said.expires == said.hour + LIFETIME


def test_attack_25_a_short_lived_text_that_comes_late_is_not_shown(trio: World) -> None:
    arrival = Insider(trio.founder).post(text("gone", 3))
    trio.pass_time(hours=3)
    assert texts(trio[1].receive(arrival)) == []
    assert trio[1].disk.expired == 1


# --- Threads --------------------------------------------------------------------------------------

WATER = ThreadId(b"w" * 16)


def threads(*each: tuple[bytes, int, str]) -> Threads:
    return Threads(tuple(Thread(*one) for one in each))


def test_the_first_topic_stands_and_the_least_lifetime(trio: World) -> None:
    liar = Insider(trio.founder)
    trio[1].receive(liar.post(threads((WATER, 50, "Water")), name=1))
    trio[1].receive(liar.post(threads((WATER, 20, "Wine")), name=2))
    trio[1].receive(liar.post(threads((WATER, 90, "Beer")), name=3))
    known = trio[1].state.threads[WATER]
    assert (known.topic, known.lifetime) == ("Water", 20)


def test_threads_past_the_limit_are_not_known(trio: World) -> None:
    liar = Insider(trio.founder)
    many = [(number.to_bytes(16), 5, "t") for number in range(1, 65)]
    trio[1].receive(liar.post(threads(*many[:32]), name=1))
    trio[1].receive(liar.post(threads(*many[32:]), name=2))
    trio[1].receive(liar.post(threads((WATER, 5, "one more")), name=3))
    assert len(trio[1].state.threads) == limits.THREADS
    assert WATER not in trio[1].state.threads


def test_a_thread_that_comes_past_its_time_is_not_known(trio: World) -> None:
    arrival = Insider(trio.founder).post(threads((WATER, 5, "Water")))
    trio.pass_time(hours=LIFETIME)
    trio[1].receive(arrival)
    assert trio[1].state.threads == {}


def test_a_thread_in_use_lives_on(trio: World) -> None:
    liar = Insider(trio.founder)
    trio[1].receive(liar.post(threads((WATER, 5, "Water")), name=1))
    until = trio[1].state.threads[WATER].until
    trio.pass_time(hours=10)
    trio[1].receive(liar.post(text("drop", 5, WATER), name=2))
    assert trio[1].state.threads[WATER].until == until + 10


# --- Asking ---------------------------------------------------------------------------------------


def test_what_was_lost_is_asked_for_and_comes_again(trio: World) -> None:
    trio.founder.say("lost")
    trio.founder.flush()
    trio[1]._fetch()
    trio.founder.say("found")
    trio.minutes(5)
    assert [words for _, words in trio[1].said] == ["found", "lost"]
    assert trio[1].state.wants == []


def test_what_nobody_holds_is_given_up_after_four_asks(trio: World) -> None:
    liar = Insider(trio.founder)
    core = liar.seal(liar.part(encode(text("x"))), parents=(Parent(ContentHash(b"?" * 32), 0),))
    trio[1].receive(liar.arrival(core))
    before = trio.drops.count()
    for _ in range(10):
        trio.pass_time(hours=1)
        trio[1].tick()
    (want,) = trio[1].state.wants
    trio[1].flush()
    assert want.times == limits.ASKS
    again = 2 * (limits.ASKS - 1)  # a line block and a key block before each later one
    assert trio.drops.count() - before == limits.ASKS + again


def test_attack_a_core_is_handed_out_once_in_half_an_hour_however_often_it_is_asked_for(
    trio: World,
) -> None:
    trio.founder.say("popular")
    trio.founder.flush()
    trio.settle()
    (said,) = trio[1].disk.said
    liar = Insider(trio[2])
    before = trio.drops.count()
    for name in range(20):
        trio[1].receive(liar.post(Ask((said.hash,), (), ()), name=name))
        for _ in range(2):
            trio.pass_time(seconds=31)
            trio[1].tick()
    trio[1].flush()
    assert trio.drops.count() - before == 1
    trio.pass_time(seconds=limits.REPOST_AGAIN)
    trio[1].tick()
    trio[1].receive(liar.post(Ask((said.hash,), (), ()), name=99))
    assert said.hash in trio[1].state.owed


def test_attack_an_ask_for_things_that_nobody_has_costs_nothing(trio: World) -> None:
    names = tuple(bytes([number]) * 32 for number in range(limits.WANTED - 3))
    strange = Ask(names, ((0, bytes(16)), (60, bytes(16))), ((1, 99),))
    trio[1].receive(Insider(trio[2]).post(strange))
    assert trio[1].state.owed == {}


def test_another_who_asked_first_is_not_answered_twice(trio: World) -> None:
    trio.founder.say("wanted")
    (arrival,) = owed(trio.founder)[-1:]
    trio[1].receive(arrival)
    (said,) = trio[1].disk.said
    trio[1].receive(Insider(trio[2]).post(Ask((said.hash,), (), ())))
    assert said.hash in trio[1].state.owed
    trio[1].receive(arrival)
    assert trio[1].state.owed == {}


# --- Key blocks and lines -------------------------------------------------------------------------


def test_a_key_block_gives_a_generation_once(trio: World) -> None:
    liar = Insider(trio.founder)
    core = liar.key_block()
    before = set(trio[1].state.peers[Slot(0)].generations)
    trio[1].receive(liar.arrival(core))
    trio[1].receive(liar.arrival(core))
    assert len(set(trio[1].state.peers[Slot(0)].generations) - before) == 1


def test_a_key_block_with_a_damaged_wrap_is_refused(trio: World) -> None:
    liar = Insider(trio.founder)
    core = liar.key_block()
    at = 70 + 52 * 1 + 4
    damaged = Core(core[:at] + bytes(48) + core[at + 48 :])
    refuses(trio[1], liar.arrival(damaged), AuthenticationError)


def test_a_key_block_with_another_generation_than_its_seed_is_refused(trio: World) -> None:
    liar = Insider(trio.founder)
    core = liar.key_block()
    refuses(trio[1], liar.arrival(Core(core[:22] + bytes(16) + core[38:])), AuthenticationError)


def test_a_key_block_of_a_step_that_may_have_been_lost_is_asked_for(trio: World) -> None:
    liar = Insider(trio.founder)
    waits(trio[1], liar.arrival(liar.with_step(liar.key_block(), 1, 5)))
    assert [(want.kind, want.slot) for want in trio[1].state.wants] == [("step", 0)]


def test_a_random_step_is_for_nobody_and_not_asked_for(trio: World) -> None:
    liar = Insider(trio.founder)
    waits(trio[1], liar.arrival(liar.with_step(liar.key_block(), 1, 2**23)))
    assert trio[1].state.wants == []


def test_attack_steps_without_end_are_bounded(trio: World) -> None:
    liar = Insider(trio.founder)
    for step in range(5, 60):
        trio[1].receive(liar.arrival(liar.with_step(liar.key_block(), 1, step)))
    assert len(trio[1].state.wants) == limits.WANTS["step"]


def test_a_lost_line_block_is_posted_again_for_the_key_block_that_names_it(trio: World) -> None:
    trio.pass_time(hours=limits.GENERATION_HOURS)
    trio.settle(rounds=1)
    trio.founder.say("moved on")
    line_block, *rest = trio.founder.disk.outbox
    trio.founder.disk = replace(trio.founder.disk, outbox=tuple(rest))
    trio.founder.flush()
    trio.minutes(6)
    assert trio[1].said == trio[2].said == [(0, "moved on")]
    assert isinstance(line_block, Append)


# --- What is of another epoch ---------------------------------------------------------------------


def test_attack_72_a_post_under_a_roster_of_another_epoch_than_its_drops(trio: World) -> None:
    """Who lost a role would name the roster by which it had it."""
    before = trio[1].state.current().hash
    trio.founder.act(commands.Turn())
    trio.founder.flush()
    trio.settle()
    liar = Insider(trio[1])
    refuses(trio[2], liar.post(text("as before"), before), RefusedError, "another epoch")
    assert texts(trio[2].receive(liar.post(text("as now")))) == ["as now"]


def test_who_is_gone_asks_in_vain(trio: World) -> None:
    """What it asked before it went is in the record, and gives it nothing."""
    said = trio[2].say("kept")
    trio[2].flush()
    trio.settle()
    asks = Insider(trio[1]).post(Ask((said.hash,), (), ()))
    trio.founder.act(commands.Remove("Guest 1"))
    trio.founder.flush()
    trio.settle([trio.founder, trio[2]])
    waits(trio[2], asks)
    ending, waiting = trio[2].state.epochs[0].ending, trio[2].state.pending.pop()
    assert ending is not None
    ending.past.add(waiting.hash)  # as if somebody who stays had named it
    trio[2].receive(asks)
    assert waiting.hash in trio[2].state.transcript
    assert trio[2].state.owed == {}


# --- Losses that feed one another -----------------------------------------------------------------


def lose(*members: Member) -> None:
    """What is in the drop and unread never reaches them."""
    for member in members:
        member._fetch()


def hours(world: World, count: int) -> None:
    """Time in which everybody reads, asks and answers; nobody says anything."""
    for _ in range(count):
        world.minutes(5)
        world.pass_time(hours=1)


def test_two_who_lost_each_others_keys_are_heard_when_they_ask_again() -> None:
    world = World.of(2)
    world.pass_time(hours=limits.GENERATION_HOURS)
    world.settle(rounds=1)
    for member in world.members:
        member.say(f"lost with its keys, {member.name}")
        member.flush()
    lose(*world.members)
    for member in world.members:
        member.say(f"unreadable, {member.name}")
        member.flush()
    hours(world, 6)
    for member in world.members:
        assert len(member.said) == 4
        assert not member.state.transcript.missing


def test_an_ask_is_answered_before_its_roster_has_come() -> None:
    world = World.of(2)
    said = world[1].say("wanted")
    world[1].flush()
    world.settle()
    world.admit("Guest 2")
    lose(world[1])
    world.founder.flush()
    asking = Insider(world.founder).post(Ask((said.hash,), (), ()))
    waits(world[1], asking)
    assert said.hash in world[1].state.owed


def test_the_way_to_a_lost_announcement_leads_through_a_newcomers_posts() -> None:
    """The founder's post names the newcomer's, which nobody can verify without the roster."""
    world = World.of(2)
    guest = world.admit("Guest 2")
    lose(world[1])
    others = [world.founder, guest]
    world.settle(others)
    guest.say("after the announcement")
    guest.flush()
    world.settle(others, rounds=1)
    world.founder.say("after that")
    world.founder.flush()
    hours(world, 6)
    assert world[1].state.current().version == 3
    assert len(world[1].said) == 2


def test_a_key_lost_in_the_hour_of_ones_own_admission_is_asked_for() -> None:
    world = World.of(2)
    guest = world.admit("Guest 2")
    world.settle()
    world.founder.state.renew = True
    world.founder.say("under a lost key")
    world.founder.flush()
    lose(guest)
    world.founder.say("under it too")
    world.founder.flush()
    hours(world, 3)
    assert [text for _, text in guest.said] == ["under it too", "under a lost key"]


def test_an_announcement_stands_under_the_key_that_the_admission_gives() -> None:
    """Else a newcomer that lost one key block could neither read the roster nor ask for it."""
    world = World.of(2)
    world.pass_time(hours=limits.GENERATION_HOURS)
    world.settle(rounds=1)
    guest = world.knock("Guest 2")
    world.founder.act(commands.Admit("Guest 2"))
    given = world.founder.state.peers[Slot(2)].given
    own = world.founder.state.own
    world.founder.flush()
    guest.listen()
    assert own is not None
    assert list(given) == [own.id]
    assert list(guest.state.peers[Slot(0)].generations) == [own.id]


def test_what_an_unknown_roster_names_of_before_my_time_is_not_asked_for(trio: World) -> None:
    liar = Insider(trio.founder)
    parents = (Parent(ContentHash(b"\1" * 32), 255), Parent(ContentHash(b"\2" * 32), 0))
    core = liar.seal(liar.part(encode(text("ahead"))), NOBODY, parents)
    waits(trio[1], liar.arrival(core))
    assert [want.name for want in trio[1].state.wants] == [b"\2" * 32]


def test_who_has_not_answered_is_asked_again_without_a_line_block() -> None:
    world = World.of(2)
    guest = world.admit("Guest 2")
    guest.sync()
    guest.state.want("generation", 1, bytes(16), world.now)
    for seconds in (limits.ASK_AFTER, limits.ASK_AGAIN):
        world.pass_time(seconds=seconds)
        guest.tick()
    assert [want.times for want in guest.state.wants] == [2]
    assert guest.state.peers[Slot(1)].steps == {}
