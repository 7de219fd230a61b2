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
        author = Slot(draw(st.integers(0, 5)))
        post = Post(Hour(cast.HOUR + number), draw(st.integers(0, 9)), version, author)
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
    answered = {parent.hash for each in said for parent in each.parents}
    record = told(data.draw(st.permutations(said)))
    assert set(record.heads) == {each.hash for each in said} - answered
    assert len(record.heads) == len(set(record.heads))
    assert record.missing == {}
    assert record.next_order == told(said).next_order


@given(st.data())
def test_a_post_names_one_head_of_each_author_and_at_most_four(data: st.DataObject) -> None:
    record = told(data.draw(st.permutations(data.draw(records()))))
    chosen = named(record)
    authors = [record.posts[head].author for head in chosen]
    everybody = {record.posts[head].author for head in record.heads}
    assert len(set(authors)) == len(chosen) == min(4, len(everybody))
    places = [record.heads.index(head) for head in chosen]
    assert places == sorted(places)
    for head, author in zip(chosen, authors, strict=True):
        assert head == next(each for each in record.heads if record.posts[each].author == author)


@given(st.data())
def test_attack_21_what_never_came_is_named_missing(data: st.DataObject) -> None:
    said = data.draw(records())
    came = data.draw(st.permutations(data.draw(st.sets(st.sampled_from(said)).map(list))))
    record = told(came)
    answered = {parent.hash for each in came for parent in each.parents}
    here = {each.hash for each in came}
    assert set(record.missing) == answered - here
    assert set(record.heads) == here - answered
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
        [
            Said(name(n), Post(cast.HOUR, order, version, Slot(n)), ())
            for n, order in enumerate(orders)
        ]
    )


def waiting(*authors: int) -> Transcript:
    """Heads of these authors, who all name nothing, in this order of arrival."""
    posts = [Post(cast.HOUR, 1, 1, Slot(author)) for author in authors]
    return told([Said(name(n), post, ()) for n, post in enumerate(posts)])


def named(record: Transcript) -> list[ContentHash]:
    return [parent.hash for parent in record.parents(1)]


def test_a_post_names_the_four_heads_that_waited_longest() -> None:
    record = heads(5, 1, 4, 2, 3)
    assert named(record) == [name(n) for n in range(4)]
    record.add(name(9), Post(cast.HOUR, 6, 1, Slot(9)), record.parents(1))
    assert named(record) == record.heads == [name(4), name(9)]


def test_of_one_author_the_head_that_waited_longest() -> None:
    assert named(waiting(3, 3, 1, 3)) == [name(0), name(2)]


def test_attack_21_one_author_with_many_heads_does_not_crowd_out_others() -> None:
    """It posts what names nothing, with whatever orders, before and after everybody else."""
    liar, honest = [0] * 100, [*range(1, 11)]
    record, left = waiting(*liar, *honest, *liar), {name(100 + n) for n in range(10)}
    for number in range(4):
        parents = record.parents(1)
        assert sum(record.posts[parent.hash].author == 0 for parent in parents) == 1
        left -= {parent.hash for parent in parents}
        record.add(name(1000 + number), Post(cast.HOUR, 2, 1, Slot(11)), parents)
    assert left == set()


def test_attack_21_every_head_is_named_in_the_end() -> None:
    record = waiting(*[0] * 9, 1, 2, 3, 4, 5)
    for number in range(9):
        record.add(name(100 + number), Post(cast.HOUR, 2, 1, Slot(6)), record.parents(1))
    assert not set(record.heads) & {name(n) for n in range(14)}


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


def test_attack_21_an_extreme_order_saturates_and_goes_with_its_post() -> None:
    record = heads(7)
    extreme = Post(Hour(cast.HOUR + 1), 2**32 - 1, 1, Slot(5))
    record.add(name(50), extreme, ())
    for number in range(3):
        assert record.next_order == 2**32 - 1
        post = Post(Hour(cast.HOUR + 1), record.next_order, 1, Slot(1))
        record.add(name(60 + number), post, record.parents(1))
    record.add(name(70), Post(Hour(cast.HOUR + 2), 8, 1, Slot(2)), ())
    record.forget(Hour(cast.HOUR + 2))
    assert record.next_order == 9


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
