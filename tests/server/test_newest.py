"""The newest blocks in memory say what the store would say, or nothing, and end by the hour."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backchannel.protocol.drop import NEWEST, DropKeys, Page, Read, Stored
from backchannel.protocol.limits import CLASSES, MOST_BLOCKS
from backchannel.protocol.primitives import X25519Public
from backchannel.protocol.secret import AnswerKey, RequestKey
from backchannel.protocol.types import Block, DropId, Hour
from backchannel.server.authorize import Door
from backchannel.server.newest import Newest, Written
from tests.server.inside import Inside
from tests.support.relay import RefusedError, noise

NOW = Hour(1000)
DAY = 0


def door(number: int, key: int = 1) -> Door:
    keys = DropKeys(RequestKey(bytes(32)), AnswerKey(bytes(32)))
    return Door(DropId(number.to_bytes(16)), X25519Public(bytes([key]) * 32), keys)


def stored(*positions: int, hour: Hour = NOW) -> list[Stored]:
    return [Stored(position, hour, Block(position.to_bytes(4096))) for position in positions]


def positions(page: Page | None) -> list[int] | None:
    return None if page is None else [row.position for row in page.rows]


def asked(position: int = 1, hour: int = 0, most: int = 64) -> Read:
    return Read(position, Hour(hour), most, 0)


def test_what_was_written_is_there_and_what_stands_before_it_is_asked_of_the_store() -> None:
    newest = Newest()
    newest.put(door(1), Written(stored(5, 6), 7, DAY))
    assert positions(newest.page(door(1), asked(5), NOW)) == [5, 6]
    assert newest.page(door(1), asked(4), NOW) is None
    assert newest.page(door(2), asked(5), NOW) is None
    assert newest.page(door(1), asked(99), NOW) == Page(7, False, ())


def test_a_repetition_changes_nothing_and_a_gap_begins_anew() -> None:
    newest = Newest()
    newest.put(door(1), Written(stored(5, 6), 7, DAY))
    newest.put(door(1), Written(stored(2, 6), 7, DAY))
    assert positions(newest.page(door(1), asked(5), NOW)) == [5, 6]
    newest.put(door(1), Written(stored(9), 10, DAY))  # 7 and 8 were never seen here
    assert newest.page(door(1), asked(7), NOW) is None
    assert positions(newest.page(door(1), asked(9), NOW)) == [9]
    newest.put(door(1), Written(stored(3), 12, DAY))
    assert newest.page(door(1), asked(9), NOW) is None
    assert newest.page(door(1), asked(12), NOW) == Page(12, False, ())


def test_a_block_ends_by_its_hour_whether_or_not_anybody_looks() -> None:
    newest = Newest()
    newest.put(door(1), Written(stored(1), 2, DAY))
    newest.put(door(1), Written(stored(2, hour=Hour(NOW + 1)), 3, DAY))
    end = Hour(NOW + CLASSES[DAY])
    assert positions(newest.page(door(1), asked(), Hour(end - 1))) == [1, 2]
    assert positions(newest.page(door(1), asked(), end)) == [2]
    newest.turn(Hour(end - 1))
    assert newest._count == 2
    newest.turn(end)
    assert newest._count == 0
    assert newest.page(door(1), asked(), end) is None


def test_attack_52_memory_is_bounded_whoever_writes() -> None:
    newest = Newest(most=100)
    for number in range(300):
        first = 1
        for _ in range(3):
            newest.put(door(number), Written(stored(*range(first, first + 40)), first + 40, DAY))
            first += 40
    assert sum(len(tail.rows) for tail in newest._tails.values()) == newest._count <= 100
    assert all(len(tail.rows) <= MOST_BLOCKS for tail in newest._tails.values())
    assert newest.page(door(0), asked(), NOW) is None


def test_where_others_write_the_store_too_nothing_is_kept() -> None:
    newest = Newest(most=0)
    newest.put(door(1), Written(stored(1, 2), 3, DAY))
    assert (newest._count, len(newest._tails)) == (0, 0)
    assert newest.page(door(1), asked(1), NOW) is None


def test_attack_a_drop_made_again_by_somebody_else_shows_them_nothing() -> None:
    newest = Newest()
    newest.put(door(1, key=2), Written(stored(1), 2, DAY))
    assert newest.page(door(1, key=1), asked(), NOW) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_memory_and_store_say_the_same(inside: Inside, data: st.DataObject) -> None:
    """Any drop, any read: if memory has an answer, it is the store's."""
    client = inside.drop()
    known = noise(6)
    for _ in range(data.draw(st.integers(0, 4))):
        client.append(*data.draw(st.lists(st.sampled_from(known), min_size=1, max_size=4)))
    relay = inside.relay
    hour = client.hour()
    newest, opened = relay._newest, relay.authorizer._known[client.drop]
    assert newest is not None
    question = asked(
        data.draw(st.integers(0, 9) | st.just(NEWEST)),
        data.draw(st.sampled_from([0, hour, hour + 1])),
        data.draw(st.integers(1, 8)),
    )

    said = newest.page(opened, question, hour)
    found = relay.readers._ask(lambda store: relay._look_up(opened, question, store))
    assert said is None or said == found


def test_the_newest_page_is_full_once_a_drop_has_that_many_and_always_asked_for_alike(
    inside: Inside,
) -> None:
    client = inside.drop()
    assert client.read(NEWEST) == Page(1, False, ())
    blocks = noise(MOST_BLOCKS + 9)
    client.append(*blocks[:3])
    assert positions(client.read(NEWEST)) == [1, 2, 3]
    client.append(*blocks[3:MOST_BLOCKS])
    for block in blocks[MOST_BLOCKS:]:
        client.append(block)
        page = client.read(NEWEST)
        assert len(page.rows) == MOST_BLOCKS
        assert (page.rows[-1].block, page.more) == (block, False)
        assert page.following == page.rows[-1].position + 1
    assert [row.block for row in client.read(NEWEST, most=2).rows] == blocks[-2:]
    inside.relay._newest.forget(client.drop)  # the store says the same
    assert client.read(NEWEST) == page


def test_a_deleted_drop_is_gone_from_memory_too(inside: Inside) -> None:
    client = inside.drop()
    client.append(Block(os.urandom(4096)))
    client.delete()
    newest = inside.relay._newest
    assert newest is not None
    assert newest._count == 0
    with pytest.raises(RefusedError, match="404"):
        client.read()


def test_what_is_in_memory_leaves_it_by_the_hour_of_an_idle_relay(inside: Inside) -> None:
    inside.drop(keep=DAY).append(*noise(3))
    newest = inside.relay._newest
    assert newest is not None
    assert newest._count == 3
    inside.move_clock(CLASSES[DAY])
    inside.sweep()
    assert newest._count == 0
