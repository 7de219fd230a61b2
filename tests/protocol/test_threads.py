"""Read timers, and threads off the record: the earliest end wins, and nobody undoes either."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from backchannel.protocol import command as commands
from backchannel.protocol import content, limits
from backchannel.protocol.codec import encode
from backchannel.protocol.command import Command
from backchannel.protocol.content import Text, Thread, Threads, sooner
from backchannel.protocol.errors import DecodeError, LocalProtocolError
from backchannel.protocol.outcome import Offered, Said, Shortened, ThreadBegan
from backchannel.protocol.types import MAIN_THREAD, ThreadId
from tests.support.crowd import crowd
from tests.support.insider import Insider
from tests.support.world import LIFETIME, Member, World

WATER = ThreadId(b"w" * 16)
TIMERS = st.integers(0, limits.LIFETIME)


@pytest.fixture
def trio() -> World:
    return World.of(3)


def refused(member: Member, command: Command, match: str) -> None:
    before = member.snapshot()
    with pytest.raises((LocalProtocolError, DecodeError), match=match):
        member.act(command)
    assert member.snapshot() == before


def act(world: World, member: Member, command: Command) -> None:
    member.act(command)
    member.flush()
    world.settle()


def began(
    world: World, member: Member, lifetime: int, burn: int = 0, *, off: bool = False
) -> ThreadId:
    events = member.act(commands.Begin("Water", lifetime, burn, off))
    member.flush()
    world.settle()
    return next(each.thread for each in events if isinstance(each, ThreadBegan))


def rules(member: Member, thread: ThreadId) -> tuple[int, int, bool]:
    known = member.state.threads[thread]
    return known.lifetime, known.burn, known.off


def last_said(member: Member) -> Said:
    return member.disk.said[-1]


# --- Which timer wins -----------------------------------------------------------------------------


@given(TIMERS, TIMERS)
def test_of_two_timers_the_one_that_ends_first_wins_and_none_is_longer_than_all(
    one: int, other: int
) -> None:
    ends = [each for each in (one, other) if each]
    assert sooner(one, other) == sooner(other, one) == min(ends, default=0)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(1, LIFETIME), TIMERS, st.booleans()), min_size=1, max_size=6))
def test_whatever_is_heard_of_a_thread_in_any_order_it_ends_with_the_strictest(
    heard: list[tuple[int, int, bool]],
) -> None:
    world = World.of(2)
    insider = Insider(world.founder)
    for name, (lifetime, burn, off) in enumerate(heard):
        said = Threads((Thread(WATER, lifetime, "Water", burn, int(off)),))
        world[1].receive(insider.post(said, name=name))
    timers = [burn for _, burn, _ in heard if burn]
    strictest = (
        min(lifetime for lifetime, _, _ in heard),
        min(timers, default=0),
        any(off for *_, off in heard),
    )
    assert rules(world[1], WATER) == strictest


# --- Beginning and making stricter ----------------------------------------------------------------


def test_a_thread_begins_with_a_read_timer_and_off_the_record_for_everybody(trio: World) -> None:
    events = trio[1].act(commands.Begin("Water", 48, 6, True))
    (event,) = [each for each in events if isinstance(each, ThreadBegan)]
    trio[1].flush()
    trio.settle()
    assert event == ThreadBegan(event.thread, "Water", 48, 6, True)
    assert event in trio[2].told
    assert {rules(each, event.thread) for each in trio.members} == {(48, 6, True)}


@pytest.mark.parametrize("burn", [-1, limits.LIFETIME + 1])
def test_a_read_timer_that_there_is_not(trio: World, burn: int) -> None:
    refused(trio[1], commands.Begin("Water", 48, burn), "not")


def test_a_read_timer_and_off_the_record_come_later_and_everybody_hears(trio: World) -> None:
    thread = began(trio, trio[1], lifetime=48)
    act(trio, trio[1], commands.Shorten(thread, burn=12))
    act(trio, trio.founder, commands.Shorten(thread, burn=6))
    act(trio, trio[1], commands.Shorten(thread, off=True))
    for member in trio.members:
        assert rules(member, thread) == (48, 6, True)
        assert [e for e in member.told if isinstance(e, Shortened)] == [
            Shortened(thread, 48, 12),
            Shortened(thread, 48, 6),
            Shortened(thread, 48, 6, True),
        ]


@pytest.mark.parametrize(
    "wish",
    [
        (None, 0, False),
        (None, 6, False),
        (None, 7, False),
        (None, -1, False),
        (None, 0, True),
        (48, 0, False),
        (24, 7, False),
        (49, 1, False),
    ],
)
def test_nothing_of_a_thread_is_made_looser_nor_left_as_it_is(
    trio: World, wish: tuple[int | None, int, bool]
) -> None:
    thread = began(trio, trio[1], lifetime=48, burn=6, off=True)
    refused(trio[1], commands.Shorten(thread, *wish), "only made shorter")


def test_who_neither_began_it_nor_facilitates_takes_nothing_off_the_record(trio: World) -> None:
    thread = began(trio, trio[1], lifetime=48)
    refused(trio[2], commands.Shorten(thread, off=True), "who began a thread, or facilitates")
    refused(trio[2], commands.Shorten(thread, burn=1), "who began a thread, or facilitates")


def test_attack_nobody_puts_a_thread_back_on_the_record_or_its_timer_up(trio: World) -> None:
    """Not even a facilitator whose program lies: what it says is heard, and changes nothing."""
    thread = began(trio, trio[1], lifetime=48, burn=6, off=True)
    insider = Insider(trio.founder)
    for burn in (0, 7):
        said = Threads((Thread(thread, 48, "Water", burn, 0),))
        trio[2].receive(insider.post(said, name=burn))
    assert rules(trio[2], thread) == (48, 6, True)


def test_attack_who_neither_began_it_nor_facilitates_changes_nothing_for_others(
    trio: World,
) -> None:
    thread = began(trio, trio[1], lifetime=48)
    said = Threads((Thread(thread, 48, "Water", 1, 1),))
    trio.founder.receive(Insider(trio[2]).post(said))
    assert rules(trio.founder, thread) == (48, 0, False)


def test_a_newcomer_learns_timers_and_what_is_off_the_record() -> None:
    world = crowd(3)
    thread = began(world, world[1], lifetime=48, burn=6, off=True)
    plain = began(world, world[1], lifetime=24)
    newcomer = world.admit("Newcomer")
    world.settle()
    assert rules(newcomer, thread) == (48, 6, True)
    assert rules(newcomer, plain) == (24, 0, False)


# --- What is said in them -------------------------------------------------------------------------


def test_a_text_takes_its_threads_timer_and_says_so_itself(trio: World) -> None:
    """So that it holds for who has not heard of the thread."""
    thread = began(trio, trio[1], lifetime=48, burn=6, off=True)
    del trio[2].state.threads[thread]
    said = trio[1].say("quietly", thread)
    trio[1].flush()
    trio.settle()
    assert (said.burn, said.off) == (6, True)
    for member in (trio.founder, trio[2]):
        assert (last_said(member).burn, last_said(member).off) == (6, True)


def test_a_text_of_who_has_not_heard_yet_is_off_the_record_where_it_is_known(trio: World) -> None:
    thread = began(trio, trio[1], lifetime=48)
    known = trio[2].state.threads[thread]
    trio[2].state.threads[thread] = replace(known, burn=6, off=True)
    trio[1].say("not heard yet", thread)
    trio[1].flush()
    trio.settle()
    assert (last_said(trio[2]).burn, last_said(trio[2]).off) == (6, True)
    assert (last_said(trio.founder).burn, last_said(trio.founder).off) == (0, False)


def test_of_a_texts_own_timer_and_its_threads_the_earlier_wins(trio: World) -> None:
    thread = began(trio, trio[1], lifetime=48, burn=6)
    insider = Insider(trio[1])
    for burn, expected in ((0, 6), (2, 2), (9, 6)):
        text = replace(Text.plain(thread, 48, f"timer {burn}"), burn=burn)
        trio[2].receive(insider.post(text, name=10 + burn))
        assert last_said(trio[2]).burn == expected


def test_the_channels_own_thread_is_on_the_record_and_has_no_timer(trio: World) -> None:
    said = trio[1].say("in public")
    assert (said.burn, said.off) == (0, False)
    refused(trio[1], commands.Shorten(MAIN_THREAD, off=True), "only made shorter")


def test_a_file_takes_its_threads_timer(trio: World) -> None:
    thread = began(trio, trio[1], lifetime=48, burn=6)
    act(trio, trio[1], commands.SendFile(thread, "map", b"data"))
    for member in trio.members:
        (offered,) = [each for each in member.told if isinstance(each, Offered)]
        assert offered.burn == 6


def test_off_the_record_no_file_is_sent_and_nobody_speaks_unattributed() -> None:
    world = World.of(3)
    thread = began(world, world[1], lifetime=48, off=True)
    refused(world[1], commands.SendFile(thread, "map", b"data"), "no files")
    refused(world[1], commands.SayUnattributed(thread, "who?"), "can be read back")


# --- One block ------------------------------------------------------------------------------------


def longest(member: Member, thread: ThreadId) -> str:
    bare = Text(thread, 48, 0, 0, 0, b"", "", "x" * 300, 0, 1)
    assert member.state.threads[thread].lifetime == 48
    return "x" * (content.PIECE - len(encode(bare)) + 300)


def test_off_the_record_a_text_fits_one_block_and_one_byte_more_is_refused(trio: World) -> None:
    thread = began(trio, trio[1], lifetime=48, off=True)
    text = longest(trio[1], thread)
    refused(trio[1], commands.Say(thread, text + "x"), f"has at most {len(text):,} bytes")
    act(trio, trio[1], commands.Say(thread, text))
    assert last_said(trio[2]).text == text
    assert [each.state.partial for each in trio.members] == [{}, {}, {}]


def test_attack_who_says_more_than_a_block_off_the_record_is_not_shown(trio: World) -> None:
    """Its parts waited in saved state, under the hour's key, and are gone with the last of them."""
    thread = began(trio, trio[1], lifetime=48, off=True)
    text = Text(thread, 48, 0, 0, 0, b"", "", "x" * 4000, 0, 1)
    insider, data = Insider(trio[1]), encode(text)
    for place, piece in enumerate((data[:2000], data[2000:])):
        core = insider.seal(insider.part(piece, place, 2))
        assert not [e for e in trio[2].receive(insider.arrival(core)) if isinstance(e, Said)]
        assert len(trio[2].state.partial) == 1 - place


def test_what_is_off_the_record_is_released_to_nobody(trio: World) -> None:
    thread = began(trio, trio[1], lifetime=48, off=True)
    refused(trio[1], commands.Say(thread, "hello", release=1), "released to nobody")


def test_a_file_of_who_has_not_heard_yet_is_on_the_record_as_its_author_meant_it(
    trio: World,
) -> None:
    thread = began(trio, trio[1], lifetime=48)
    trio[2].state.threads[thread] = replace(trio[2].state.threads[thread], off=True)
    act(trio, trio[1], commands.SendFile(thread, "map", b"data"))
    (offered,) = [each for each in trio[2].told if isinstance(each, Offered)]
    assert offered.name == "map"
