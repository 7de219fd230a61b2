"""A transcript file: SPEC.md section 22. What is in it says what it says, or it is refused."""

import hashlib
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from backchannel.protocol import exhibit, limits, sender_key
from backchannel.protocol.codec import encode
from backchannel.protocol.content import Content, Echo, Part, Text
from backchannel.protocol.core import Kind, content_hash
from backchannel.protocol.errors import DecodeError
from backchannel.protocol.exhibit import Exhibit, Person, Piece, Statement
from backchannel.protocol.secret import ChainSeed
from backchannel.protocol.sender_key import OwnGeneration, Parent
from backchannel.protocol.types import ContentHash, Core, Hour, MessageId, Slot
from tests.support import cast
from tests.support.entropy import ScriptedEntropy

THREAD = b"t" * 16
PEOPLE = (Person(0, "Fox", "Bridge", "facilitator"), Person(1, "Heron", "North", "participant"))


def text(words: str, thread: bytes = bytes(16)) -> Text:
    return Text.plain(thread, 24, words)


class Author:
    """Somebody who writes cores; which rules they keep is the test's matter."""

    def __init__(self, slot: int = 1) -> None:
        seed = ChainSeed(hashlib.sha256(bytes([slot])).digest())
        name = sender_key.generation_id(seed)
        first = sender_key.first_key(seed)
        self.slot = Slot(slot)
        self.own = OwnGeneration(name, cast.HOUR, first, 0, {})
        self.entropy = ScriptedEntropy(f"author {slot}")

    def piece(
        self, part: bytes, hour: int = cast.HOUR, parents: Iterable[ContentHash] = ()
    ) -> Piece:
        head = cast.head(Kind.GROUP, self.own.number, Hour(hour))
        named = tuple(Parent(each, 0) for each in parents)
        self.own, core, leaf = sender_key.seal_post(
            *(self.own, self.slot, cast.ROSTER, named, part, cast.clock, head, self.entropy)
        )
        return Piece(core, leaf.expose())

    def says(
        self,
        content: Content,
        order: int = 1,
        hour: int = cast.HOUR,
        cuts: int = 1,
        parents: Iterable[ContentHash] = (),
        topic: str = "",
        name: int = 0,
    ) -> Statement:
        data, ident = encode(content), MessageId(bytes([self.own.number + name]) * 16)
        size = -(-len(data) // cuts)
        pieces = [
            self.piece(Part(ident, order, n, cuts, data[n * size :][:size]).pack(), hour, parents)
            for n in range(cuts)
        ]
        words = content.text if isinstance(content, Text) else "-"
        return Statement(self.slot, hour, order, topic, words, tuple(pieces))


def file(*statements: Statement, people: tuple[Person, ...] = PEOPLE) -> Exhibit:
    return Exhibit(1, "North", people, statements)


def refused(found: Exhibit, match: str) -> None:
    with pytest.raises(DecodeError, match=match):
        exhibit.read(encode(found))
    with pytest.raises(DecodeError, match=match):
        exhibit.write(found)


@pytest.fixture
def heron() -> Author:
    return Author()


def test_a_file_is_what_was_written(heron: Author) -> None:
    fox = Author(0)
    first = heron.says(text("one"), 1)
    answer = fox.says(text("two"), 2, parents=[first.hash])
    long = heron.says(text("three " * 100, THREAD), 3, cuts=3, topic="Ceasefire")
    found = file(first, answer, long)
    assert exhibit.read(exhibit.write(found)) == found


def test_the_bytes_are_those_of_the_specification(heron: Author) -> None:
    """The drawing of section 22."""
    data = exhibit.write(file(heron.says(text("hi"), 4, 500_000), people=PEOPLE[1:]))
    start = "95aa7472616e73637269707401a54e6f727468"
    assert data.startswith(bytes.fromhex(start))
    assert bytes.fromhex("919601ce0007a12004a0a268699192c50fd8") in data
    assert data[-34:-32] == bytes.fromhex("c420")


def changed(**fields: object) -> Callable[[Statement], Statement]:
    return lambda statement: replace(statement, **fields)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (changed(author=5), "message 1: its author is no member"),
        (changed(author=0), "message 1: a block of it is not its author's"),
        (changed(text="other"), "message 1: its text, hour or place"),
        (changed(hour=cast.HOUR + 1), "message 1: its text, hour or place"),
        (changed(order=9), "message 1: its text, hour or place"),
        (changed(topic="Ceasefire"), "message 1: its topic is none"),
    ],
)
def test_a_message_that_says_another_thing_than_its_core_is_refused(
    heron: Author, change: Callable[[Statement], Statement], match: str
) -> None:
    refused(file(change(heron.says(text("one")))), match)


@pytest.mark.parametrize("topic", ["", "two\nlines", "e\u0301"])
def test_a_thread_has_a_topic_of_one_line(heron: Author, topic: str) -> None:
    refused(file(heron.says(text("one", THREAD), topic=topic)), "its topic is none")


def test_a_thread_has_one_topic(heron: Author) -> None:
    one = heron.says(text("one", THREAD), 1, topic="Ceasefire")
    two = heron.says(text("two", THREAD), 2, topic="Peace")
    refused(file(one, two), "message 2: its thread has two topics")


@pytest.mark.parametrize("at", [0, 21, 38, 100, 203, 235, 3031])
def test_a_core_with_one_bit_changed_is_refused(heron: Author, at: int) -> None:
    """All but its slots, which nobody outside can check; with one of those it is another copy."""
    said = heron.says(text("one"))
    core = bytearray(said.pieces[0].core)
    core[at] ^= 1
    bent = Piece(bytes(core), said.pieces[0].key)
    refused(file(replace(said, pieces=(bent,))), "message 1")
    core[at] ^= 1
    core[3032] ^= 1
    exhibit.write(file(replace(said, pieces=(Piece(bytes(core), bent.key),))))


def test_attack_69_a_core_opens_under_its_own_key_alone(heron: Author) -> None:
    """The commitment is compared first: no second key gives it a second meaning."""
    said = heron.says(text("one"))
    other = Piece(said.pieces[0].core, bytes(32))
    refused(file(replace(said, pieces=(other,))), "message 1: a commitment is not of this key")


def test_cores_of_other_kinds_are_no_posts(heron: Author) -> None:
    said = heron.says(text("one"))
    for kind in set(Kind) - {Kind.GROUP}:
        core = bytes([kind]) + said.pieces[0].core[1:]
        bent = replace(said, pieces=(Piece(core, said.pieces[0].key),))
        refused(file(bent), "message 1: a block of it is not its author's")


def test_parts_are_all_of_one_message_and_in_order(heron: Author) -> None:
    long, other = (heron.says(text(words * 40), cuts=2) for words in ("one", "two"))
    a, b = long.pieces
    for pieces in ((a,), (b,), (b, a), (a, a), (a, other.pieces[1])):
        refused(file(replace(long, pieces=pieces)), "its blocks are not those of one message")


def test_what_is_no_text_is_in_no_file(heron: Author) -> None:
    refused(file(heron.says(Echo(1, bytes(32)))), "its blocks hold no text")
    refused(file(heron.says(replace(text("one"), off=1))), "off the record")


def test_nothing_stands_there_twice(heron: Author) -> None:
    said = heron.says(text("one"), name=3)
    again = heron.says(text("one"), 2, name=2)
    refused(file(said, again), "message 2: it stands there twice")
    refused(file(said, said), "message 2: it stands there twice")


def test_messages_stand_in_their_order(heron: Author) -> None:
    one, two = heron.says(text("one"), 1), heron.says(text("two"), 2)
    late = heron.says(text("late"), 1, cast.HOUR + 1)
    exhibit.write(file(one, two, late))
    for wrong in ((two, one), (late, one), (one, late, two)):
        refused(file(*wrong), "do not stand in their order")


def test_an_answer_stands_after_what_it_names(heron: Author) -> None:
    one = heron.says(text("one"), 5)
    same = heron.says(text("same"), 5, cast.HOUR + 1, parents=[one.hash])
    refused(file(one, same), "a message stands before what it answers")
    last = heron.says(text("last"), 2**32 - 1, parents=[one.hash])
    after = heron.says(text("after"), 2**32 - 1, cast.HOUR + 1, parents=[last.hash])
    exhibit.write(file(one, last, after))
    exhibit.write(file(heron.says(text("unknown"), 1, parents=[ContentHash(b"u" * 32)])))


def test_members_have_a_place_each_and_a_name(heron: Author) -> None:
    said = heron.says(text("one"))
    fox, other = PEOPLE
    refused(file(said, people=(other, fox)), "two members have one place")
    refused(file(said, people=(fox, fox, other)), "two members have one place")
    refused(file(said, people=(replace(fox, alias=" Fox"), other)), "a name has")
    refused(file(said, people=(replace(fox, party="\x1b]0;x"), other)), "a name has")
    refused(replace(file(said), channel="No/rth"), "a name has")


def test_a_file_has_its_one_encoding_and_its_size(heron: Author) -> None:
    data = exhibit.write(file(heron.says(text("one"))))
    for wrong in (data[:-1], data + b"\0", b"", b"[]", data.replace(b"transcript", b"transcripu")):
        with pytest.raises(DecodeError):
            exhibit.read(wrong)
    with pytest.raises(DecodeError, match="at most"):
        exhibit.read(bytes(limits.EXHIBIT_BYTES + 1))
    refused(file(), "not a structure")
    short = replace(heron.says(text("one")), pieces=(Piece(bytes(4055), bytes(32)),))
    refused(file(short), "not a structure")


@given(st.binary(max_size=400), st.integers(0, 4096))
def test_noise_is_no_file(noise: bytes, at: int) -> None:
    data = bytearray(exhibit.write(file(Author().says(text("one")))))
    data[at : at + len(noise)] = noise
    try:
        found = exhibit.read(bytes(data))
    except DecodeError:
        return
    assert encode(found) == bytes(data)  # a slot, an alias: what nobody can check


# Drawing one up.


def test_a_file_is_drawn_up_in_order_whatever_the_order_given(heron: Author) -> None:
    one, two = heron.says(text("one"), 1), heron.says(text("two"), 2)
    made = exhibit.draw_up("North", PEOPLE[::-1], [two, one])
    assert made == file(one, two)


def test_what_a_liar_put_before_its_parents_is_left_out_and_the_rest_stays(heron: Author) -> None:
    one = heron.says(text("one"), 5)
    liar = Author(0).says(text("lie"), 2, parents=[one.hash])
    after = heron.says(text("after"), 6, parents=[liar.hash])
    made = exhibit.draw_up("North", PEOPLE, [one, liar, after])
    assert made.statements == (one, after)
    exhibit.write(made)


def test_where_there_is_too_much_the_newest_stays(
    heron: Author, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [heron.says(text(f"{number}"), number + 1) for number in range(9)]
    monkeypatch.setattr(limits, "EXHIBIT_STATEMENTS", 5)
    assert exhibit.draw_up("North", PEOPLE, said).statements == tuple(said[-5:])
    monkeypatch.setattr(limits, "EXHIBIT_BYTES", 32 * 1024 + 3 * 4200)
    made = exhibit.draw_up("North", PEOPLE, said)
    assert made.statements == tuple(said[-3:])
    assert len(exhibit.write(made)) <= limits.EXHIBIT_BYTES


def test_a_file_of_64_members_with_the_longest_names_leaves_the_room_it_counts_on(
    heron: Author,
) -> None:
    names = [chr(0x1D400) * 15 + f"{n:02}" for n in range(64)]
    people = tuple(Person(n, name, name, "facilitator") for n, name in enumerate(names))
    rest = len(exhibit.write(file(heron.says(text("one")), people=people)))
    assert rest - 4100 < 32 * 1024


def test_a_person_of_a_file_has_no_identity() -> None:
    """Nothing in it could tie a name to keys."""
    entry = cast.entry(1, "bela")
    assert Person.of(entry) == Person(1, "bela", "party", "participant")
    assert entry.identity not in encode(Person.of(entry))


def test_content_hashes_name_the_first_core(heron: Author) -> None:
    said = heron.says(text("one " * 99), cuts=2)
    assert said.hash == content_hash(Core(said.pieces[0].core))
