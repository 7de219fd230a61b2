"""The record: SPEC.md section 16."""

import hashlib
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backchannel.protocol import snapshot
from backchannel.protocol.sender_key import GroupHeader, Parent
from backchannel.protocol.transcript import Post, Transcript
from backchannel.protocol.types import ContentHash, Hour, Slot
from tests.support import cast


def name(number: int) -> ContentHash:
    return ContentHash(hashlib.sha256(b"%d" % number).digest())


class Said(NamedTuple):
    """A post of a random record."""

    hash: ContentHash
    post: Post
    parents: tuple[Parent, ...]


@st.composite
def records(draw: st.DrawFn) -> list[Said]:
    """A graph in which each post names up to four earlier ones."""
    said: list[Said] = []
    for number in range(draw(st.integers(1, 12))):
        version = draw(st.integers(said[-1].post.version, 4)) if said else 1
        chosen = (
            draw(st.lists(st.sampled_from(said), max_size=4, unique_by=lambda s: s.hash))
            if said
            else []
        )
        parents = tuple(Parent(s.hash, version - s.post.version) for s in chosen)
        post = Post(Hour(cast.HOUR + number), draw(st.integers(0, 9)), version)
        said.append(Said(name(number), post, parents))
    return said


def told(said: list[Said], first: int = 1) -> Transcript:
    record = Transcript(first)
    for each in said:
        record.add(*each)
    return record


@given(st.data())
def test_every_order_of_arrival_ends_the_same(data: st.DataObject) -> None:
    said = data.draw(records())
    named = {parent.hash for each in said for parent in each.parents}
    record = told(data.draw(st.permutations(said)))
    assert set(record.heads) == {each.hash for each in said} - named
    assert len(record.heads) == len(set(record.heads))
    assert record.missing == {}
    assert record.parents(4) == told(said).parents(4)
    assert record.next_order == told(said).next_order


@given(st.data())
def test_attack_21_what_never_came_is_named_missing(data: st.DataObject) -> None:
    said = data.draw(records())
    came = data.draw(st.permutations(data.draw(st.sets(st.sampled_from(said)).map(list))))
    record = told(came)
    named = {parent.hash for each in came for parent in each.parents}
    here = {each.hash for each in came}
    assert set(record.missing) == named - here
    assert set(record.heads) == here - named
    assert all(each.hash in record for each in came)


@given(st.data())
def test_each_gap_is_told_once(data: st.DataObject) -> None:
    said = data.draw(records())
    record, lost = Transcript(1), list[ContentHash]()
    for each in data.draw(st.permutations(said)):
        lost += record.add(*each)
    assert len(lost) == len(set(lost))


@given(st.data(), st.integers(1, 4))
def test_a_newcomer_misses_nothing_from_before_its_time(data: st.DataObject, first: int) -> None:
    said = data.draw(records())
    versions = {each.hash: each.post.version for each in said}
    record = told([each for each in said[-3:] if each.post.version >= first], first)
    assert all(versions[gap] >= first for gap in record.missing)


# --- What a new post names ------------------------------------------------------------------------


def heads(*orders: int, version: int = 1) -> Transcript:
    return told(
        [Said(name(n), Post(cast.HOUR, order, version), ()) for n, order in enumerate(orders)]
    )


def test_a_post_names_at_most_four_heads_the_newest() -> None:
    record = heads(5, 1, 4, 2, 3)
    assert {parent.hash for parent in record.parents(1)} == {name(n) for n in (0, 2, 3, 4)}
    record.add(name(9), Post(cast.HOUR, 6, 1), record.parents(1))
    assert record.heads == [name(1), name(9)]


def test_of_equal_orders_the_higher_hash_is_the_newer() -> None:
    record = heads(1, 1, 1, 1, 1)
    names = sorted(name(n) for n in range(5))
    assert [parent.hash for parent in record.parents(1)] == names[1:]


@pytest.mark.parametrize(
    ("version", "now", "age"),
    [(1, 1, 0), (1, 4, 3), (1, 256, 255), (1, 257, 255), (1, 5000, 255), (4, 3, 0)],
)
def test_the_age_of_a_parents_roster(version: int, now: int, age: int) -> None:
    """An announcement is under the next roster: who has it, and not yet that roster, may post."""
    (parent,) = heads(1, version=version).parents(now)
    assert parent == Parent(name(0), age)
    header = GroupHeader(Slot(0), cast.SEEDS.generation, 0, cast.ROSTER, (parent,))
    assert header.pack()[-4:] == bytes([age, 0, 0, 0])


@pytest.mark.parametrize(
    ("orders", "following"), [((), 1), ((0,), 1), ((3, 9, 4), 10), ((2**32 - 1,), 2**32 - 1)]
)
def test_the_order_of_a_new_post(orders: tuple[int, ...], following: int) -> None:
    assert heads(*orders).next_order == following


# --- Forgetting -----------------------------------------------------------------------------------


@given(records(), st.integers(0, 13))
def test_what_is_old_is_in_no_field(said: list[Said], hours: int) -> None:
    record = told(said[1:])
    oldest = Hour(cast.HOUR + hours)
    record.forget(oldest)
    kept = {each.hash for each in said[1:] if each.post.hour >= oldest}
    assert set(record.posts) == kept
    assert set(record.heads) <= kept
    assert all(hour >= oldest for hour in record.missing.values())
    assert {parent.hash for parent in record.parents(4)} <= kept


def test_forgetting_is_of_hours_before() -> None:
    record = heads(1)
    record.forget(cast.HOUR)
    assert record.heads == [name(0)]
    record.forget(Hour(cast.HOUR + 1))
    assert (record.heads, record.posts) == ([], {})


@given(records())
def test_a_record_is_saved_whole(said: list[Said]) -> None:
    record = told(said[1:])
    assert snapshot.load(snapshot.save(record), Transcript) == record
