"""What people and their programs say: SPEC.md sections 13 and 15."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from backchannel.protocol import content, limits, line
from backchannel.protocol.codec import Record, encode
from backchannel.protocol.content import (
    Announcement,
    Ask,
    Content,
    GivenSeeds,
    Nothing,
    Part,
    Text,
    Thread,
    Threads,
    read_content,
    read_line_content,
    split,
)
from backchannel.protocol.errors import DecodeError
from backchannel.protocol.intro import Seeds
from backchannel.protocol.secret import ChainKey
from backchannel.protocol.types import GenerationId, MessageId
from tests.support import cast
from tests.support.bits import flip

ID = MessageId(b"message".ljust(16, b"."))
TEXT = Text(bytes(16), 24, "hello")
IDS = st.binary(min_size=16, max_size=16)
HASHES = st.binary(min_size=32, max_size=32)
SLOTS = st.integers(0, 63)
NUMBERS = st.integers(0, 2**32 - 1)
LIFETIMES = st.integers(1, 2160)
WORDS = st.text("Zoë, 山田\n", min_size=1, max_size=100)
THREADS = st.builds(Thread, IDS.filter(any), LIFETIMES, WORDS)
CONTENTS = st.one_of(
    st.builds(Text, IDS, LIFETIMES, WORDS),
    st.builds(Threads, st.lists(THREADS, min_size=1, max_size=4).map(tuple)),
    st.builds(Announcement, NUMBERS, HASHES, st.lists(HASHES, min_size=1, max_size=64).map(tuple)),
    st.builds(
        Ask,
        st.lists(HASHES, min_size=1, max_size=10).map(tuple),
        st.lists(st.tuples(SLOTS, IDS), max_size=10).map(tuple),
        st.lists(st.tuples(SLOTS, NUMBERS), max_size=10).map(tuple),
    ),
)

# --- Contents -------------------------------------------------------------------------------------


@given(CONTENTS)
def test_a_content_is_read_as_written(each: Content) -> None:
    assert read_content(encode(each)) == each


@given(CONTENTS, st.data())
def test_a_changed_content_is_another_or_none(each: Content, data: st.DataObject) -> None:
    encoded = encode(each)
    changed = flip(encoded, data.draw(st.integers(0, 8 * len(encoded) - 1)))
    try:
        read = read_content(changed)
    except DecodeError:
        return
    assert read != each
    assert encode(read) == changed


@given(st.binary(max_size=100))
def test_noise_is_no_content(data: bytes) -> None:
    for reader in (read_content, read_line_content):
        try:
            assert encode(reader(data)) == data
        except DecodeError:
            continue


THREAD = Thread(b"t" * 16, 24, "topic")
HASH = b"h" * 32
REFUSED: dict[str, Record] = {
    "thread too short": replace(TEXT, thread=bytes(15)),
    "lifetime 0": replace(TEXT, lifetime=0),
    "lifetime too long": replace(TEXT, lifetime=2161),
    "no text": replace(TEXT, text=""),
    "text not composed": replace(TEXT, text="Zoe\u0308"),
    "no thread": Threads(()),
    "65 threads": Threads((THREAD,) * 65),
    "no topic": Threads((replace(THREAD, topic=""),)),
    "a topic too long": Threads((replace(THREAD, topic="t" * 121),)),
    "a topic not composed": Threads((THREAD, replace(THREAD, topic="Zoe\u0308"))),
    "the channel's own thread": Threads((THREAD, replace(THREAD, thread=bytes(16)))),
    "no pieces": Announcement(1, HASH, ()),
    "65 pieces": Announcement(1, HASH, (HASH,) * 65),
    "a piece too short": Announcement(1, HASH, (HASH[:-1],)),
    "version too large": Announcement(2**32, HASH, (HASH,)),
    "an ask for nothing": Ask((), (), ()),
    "an ask for 33": Ask((HASH,) * 11, ((0, ID),) * 11, ((0, 0),) * 11),
    "a slot that cannot be": Ask((), ((64, ID),), ()),
    "a step too large": Ask((), (), ((0, 2**32),)),
    "a generation too short": Ask((), ((0, ID[:-1]),), ()),
    "a line's content": Nothing(),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_a_post_may_not_say(why: str) -> None:
    with pytest.raises(DecodeError):
        read_content(encode(REFUSED[why]))


ALLOWED: dict[str, Content] = {
    "the longest life": replace(TEXT, lifetime=2160),
    "64 threads": Threads((THREAD,) * 64),
    "the longest topic": Threads((replace(THREAD, topic="桜" * 120),)),
    "64 pieces": Announcement(2**32 - 1, HASH, (HASH,) * 64),
    "an ask for 32": Ask((HASH,) * 10, ((63, ID),) * 11, ((0, 2**32 - 1),) * 11),
}


@pytest.mark.parametrize("why", ALLOWED)
def test_what_it_may_say_at_the_limit(why: str) -> None:
    assert read_content(encode(ALLOWED[why])) == ALLOWED[why]


def test_attack_38_a_text_may_hold_anything_and_is_filtered_where_it_is_shown() -> None:
    wild = replace(TEXT, text="\x1b]52;c;aGk=\x07\u202e")
    assert read_content(encode(wild)) == wild


@pytest.mark.parametrize(
    "data", ["", "c0", "90", "91a474657874", "93a474657874c41000", "c1", "95a474657874" + "00" * 4]
)
def test_what_is_no_content_at_all(data: str) -> None:
    with pytest.raises(DecodeError):
        read_content(bytes.fromhex(data))


def test_a_longer_encoding_of_the_same_is_refused() -> None:
    encoded = encode(TEXT)
    longer = encoded.replace(b"\xa5hello", b"\xd9\x05hello")
    assert longer != encoded
    with pytest.raises(DecodeError, match="one encoding"):
        read_content(longer)


# --- Parts ----------------------------------------------------------------------------------------


@settings(max_examples=30)
@given(st.integers(1, content.MOST - 60), st.integers(0, 2**32 - 1))
def test_a_long_text_in_parts(length: int, order: int) -> None:
    said = replace(TEXT, text="w" * length)
    parts = split(said, ID, order)
    read = [Part.parse(part.pack()) for part in parts]
    assert read == list(parts)
    assert [(part.place, part.total) for part in read] == [
        (n, len(parts)) for n in range(len(parts))
    ]
    assert {(part.id, part.order) for part in read} == {(ID, order)}
    assert read_content(b"".join(part.piece for part in read)) == said


def test_the_longest_message_and_one_more() -> None:
    assert (content.PIECE, content.MOST) == (2758, 44_128)
    room = content.MOST - len(encode(replace(TEXT, text="w" * 300))) + 300
    whole = replace(TEXT, text="w" * room)
    assert len(split(whole, ID, 1)) == limits.PARTS
    assert read_content(encode(whole)) == whole
    with pytest.raises(DecodeError, match="44,128"):
        split(replace(TEXT, text="w" * (room + 1)), ID, 1)
    with pytest.raises(DecodeError):
        read_content(encode(replace(TEXT, text="w" * (room + 1))))


@pytest.mark.parametrize(
    ("place", "total", "piece"),
    [(0, 0, b"p"), (1, 1, b"p"), (16, 17, b"p"), (0, 17, b"p"), (255, 255, b"p"), (0, 1, b"")],
)
def test_what_is_no_part(place: int, total: int, piece: bytes) -> None:
    with pytest.raises(DecodeError, match="not a part"):
        Part.parse(Part(ID, 1, place, total, piece).pack())


@pytest.mark.parametrize("size", [0, 16, 20, 21, 22])
def test_a_part_has_a_whole_head(size: int) -> None:
    whole = Part(ID, 1, 15, 16, b"p").pack()
    assert Part.parse(whole).place == 15
    with pytest.raises(DecodeError, match="not a part"):
        Part.parse(whole[:size])


# --- Line blocks ----------------------------------------------------------------------------------

GIVEN = GivenSeeds.of(cast.SEEDS)


@given(IDS, st.integers(0, 255), HASHES)
def test_seeds_are_read_as_given(generation: bytes, number: int, chain: bytes) -> None:
    seeds = Seeds(GenerationId(generation), number, ChainKey(chain))
    encoded = encode(GivenSeeds.of(seeds))
    read: Any = read_line_content(encoded)
    assert read.seeds == seeds
    assert len(encoded) <= line.REPLY_CONTENT


def test_a_line_block_may_say_nothing() -> None:
    assert encode(Nothing()) == b"\x91\xa7nothing"
    assert read_line_content(b"\x91\xa7nothing") == Nothing()


@pytest.mark.parametrize(
    "wrong",
    [
        replace(GIVEN, number=256),
        replace(GIVEN, number=-1),
        replace(GIVEN, generation=bytes(15)),
        replace(GIVEN, chain=bytes(33)),
        TEXT,
    ],
)
def test_what_a_line_block_may_not_say(wrong: Record) -> None:
    with pytest.raises(DecodeError):
        read_line_content(encode(wrong))
