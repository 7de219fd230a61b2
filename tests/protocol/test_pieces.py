"""Messages of several blocks, put together; what is unfinished dies with its hour."""

import msgspec
import pytest

from backchannel.protocol import command as commands
from backchannel.protocol.codec import encode
from backchannel.protocol.content import Text
from backchannel.protocol.core import Kind, content_hash, head_of
from backchannel.protocol.epoch import EpochClock
from backchannel.protocol.errors import AuthenticationError
from backchannel.protocol.pieces import Whole, gather
from backchannel.protocol.reception import Reception
from backchannel.protocol.types import MAIN_THREAD, EpochId, Hour, Slot, Timestamp, hour_of
from tests.support.insider import Insider, texts
from tests.support.world import LIFETIME, World

ID = b"i" * 16
AUTHOR = Slot(0)


@pytest.fixture
def pair() -> World:
    return World.of(2)


def reception(world: World, number: int, hours: int = 0) -> Reception:
    """Of some core of the founder's, told from others by its number."""
    member, state = world[1], world[1].state
    core = Insider(world.founder).noise(Kind.GROUP, bytes([number]), hours)
    hour = Hour(hour_of(member.now) + hours)
    return Reception(
        state,
        member.member.clocks,
        state.epoch,
        core,
        head_of(core),
        content_hash(core),
        hour,
        Timestamp(member.now + 3600 * hours),
    )


def put(world: World, place: int, total: int, piece: bytes, order: int = 1) -> Whole | None:
    return gather(reception(world, place), AUTHOR, ID, place, total, piece, order)


def test_pieces_in_any_order_are_one_message(pair: World) -> None:
    assert put(pair, 2, 3, b"c", 5) is None
    assert put(pair, 0, 3, b"a", 7) is None
    whole = put(pair, 1, 3, b"b", 6)
    assert whole is not None
    assert whole.data == b"abc"
    assert whole.partial.order == 7
    assert whole.partial.hash == reception(pair, 0).hash
    assert pair[1].state.partial == {}


def test_what_is_said_again_in_the_next_epoch_is_joined_with_none_of_its_first_pieces(
    pair: World,
) -> None:
    """Seed 325098, "everything said is delivered": under other rules it was cut elsewhere."""
    assert put(pair, 0, 2, b"first cu") is None
    pair.founder.act(commands.Turn())
    pair.founder.flush()
    pair.settle()
    assert put(pair, 1, 2, b" cut") is None
    whole = put(pair, 0, 2, b"second")
    assert whole is not None
    assert whole.data == b"second cut"
    assert pair[1].state.partial == {}


def test_a_message_is_given_once(pair: World) -> None:
    assert put(pair, 0, 1, b"a") is not None
    assert put(pair, 0, 1, b"a") is None
    assert put(pair, 0, 2, b"a") is None
    assert pair[1].state.partial == {}


def test_pieces_that_disagree_about_their_number_are_of_no_message(pair: World) -> None:
    assert put(pair, 0, 2, b"a") is None
    assert put(pair, 1, 3, b"b") is None
    assert len(next(iter(pair[1].state.partial.values())).pieces) == 1
    assert put(pair, 1, 2, b"b") is not None


def test_two_authors_may_use_one_id(pair: World) -> None:
    assert put(pair, 0, 2, b"a") is None
    other = gather(reception(pair, 1), Slot(5), ID, 1, 2, b"b", 1)
    assert other is None
    assert len(pair[1].state.partial) == 2


def test_a_message_lives_from_its_earliest_piece(pair: World) -> None:
    early = reception(pair, 0)
    late = reception(pair, 1, hours=5)
    assert gather(late, AUTHOR, ID, 1, 2, b"b", 1) is None
    whole = gather(early, AUTHOR, ID, 0, 2, b"a", 1)
    assert whole is not None
    assert (whole.partial.hour, whole.partial.sent) == (early.hour, early.head.hour)
    assert late.hour > early.hour


def test_attack_34_a_piece_is_not_in_the_state_in_the_clear(pair: World) -> None:
    put(pair, 0, 2, b"not to be found")
    assert b"not to be found" not in pair[1].snapshot()


def test_attack_59_a_piece_whose_hour_is_dead_opens_no_more(pair: World) -> None:
    """The state was saved, the clock has gone on: what the last piece completes is nothing."""
    early, late = reception(pair, 0), reception(pair, 1, hours=5)
    gather(early, AUTHOR, ID, 0, 2, b"a", 1)
    late.clock.forget_before(Hour(early.head.hour + 1))
    assert gather(late, AUTHOR, ID, 1, 2, b"b", 1) is None
    assert pair[1].state.partial == {}
    assert bytes([AUTHOR]) + ID in pair[1].state.delivered


def test_a_piece_of_an_epoch_that_is_forgotten_opens_no_more(pair: World) -> None:
    put(pair, 0, 2, b"a")
    last = reception(pair, 1)
    other = EpochId(last.epoch.id[::-1])
    (name,) = pair[1].state.partial
    partial = pair[1].state.partial[name]
    moved = msgspec.structs.replace(partial.pieces[0], epoch=other)
    pair[1].state.partial[name] = msgspec.structs.replace(partial, pieces={0: moved})
    assert gather(last, AUTHOR, ID, 1, 2, b"b", 1) is None


def test_a_piece_under_another_clock_is_noise(pair: World) -> None:
    put(pair, 0, 2, b"a")
    last = reception(pair, 1)
    value = last.clock(last.head.hour)
    wrong = EpochClock(Hour(last.clock.hour - 1), value)
    clocks = {last.epoch.id: wrong}
    with pytest.raises(AuthenticationError):
        gather(last._replace(clocks=clocks), AUTHOR, ID, 1, 2, b"b", 1)


def test_a_long_text_is_heard_once_over_a_turn_of_the_hour() -> None:
    world = World.of(2)
    liar = Insider(world.founder)
    data = encode(Text.plain(MAIN_THREAD, LIFETIME, "w" * 4000))
    first = liar.arrival(liar.seal(liar.part(data[:2500], 0, 2)))
    world.pass_time(hours=1)
    last = liar.arrival(liar.seal(liar.part(data[2500:], 1, 2)))
    assert texts(world[1].receive(first)) == []
    assert texts(world[1].receive(last)) == ["w" * 4000]
    assert world[1].receive(last) == []
