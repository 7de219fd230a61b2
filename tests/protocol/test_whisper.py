"""What one member says to another over their line: SPEC.md section 13."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from backchannel.protocol import limits, line, whisper
from backchannel.protocol.codec import Record, encode
from backchannel.protocol.content import Text
from backchannel.protocol.errors import DecodeError
from backchannel.protocol.intro import Seeds
from backchannel.protocol.secret import ChainKey
from backchannel.protocol.types import GenerationId, MessageId
from backchannel.protocol.whisper import (
    GivenClose,
    GivenSeeds,
    LostSteps,
    Note,
    Nothing,
    Objection,
    Private,
    ReplyAgain,
    Whisper,
    read_note,
    read_whisper,
    split_note,
)
from tests.support import cast
from tests.support.bits import flip

IDS = st.binary(min_size=16, max_size=16)
HASHES = st.binary(min_size=32, max_size=32)
ID, HASH = MessageId(b"i" * 16), b"h" * 32
GIVEN = GivenSeeds.of(cast.SEEDS)
NOTE = Note(ID, 0, 1, b"p")
PRIVATE = Private(HASH, 2**32 - 1, 2160, 2, b"m" * 16, "hello")
STEPS = st.integers(0, 2**32 - 1)
WHISPERS = st.one_of(
    st.just(Nothing()),
    st.builds(GivenSeeds, IDS, st.integers(0, 255), HASHES),
    st.builds(GivenClose, IDS, HASHES),
    st.builds(
        Note, IDS, st.just(0), st.integers(1, 8), st.binary(min_size=1, max_size=whisper.PIECE)
    ),
    st.builds(Objection, HASHES),
    st.builds(ReplyAgain, st.binary(min_size=1088, max_size=1088)),
    st.builds(LostSteps, st.lists(STEPS, min_size=1, max_size=limits.WANTED).map(tuple)),
)


@given(WHISPERS)
def test_a_whisper_is_read_as_written(said: Whisper) -> None:
    encoded = encode(said)
    assert read_whisper(encoded) == said
    assert len(encoded) <= line.CONTENT


@given(WHISPERS, st.data())
def test_a_changed_whisper_is_another_or_none(said: Whisper, data: st.DataObject) -> None:
    encoded = encode(said)
    changed = flip(encoded, data.draw(st.integers(0, 8 * len(encoded) - 1)))
    try:
        read = read_whisper(changed)
    except DecodeError:
        return
    assert read != said
    assert encode(read) == changed


@given(st.binary(max_size=100))
def test_noise_is_no_whisper(data: bytes) -> None:
    for reader in (read_whisper, read_note):
        try:
            assert encode(reader(data)) == data
        except DecodeError:
            continue


@given(IDS, st.integers(0, 255), HASHES)
def test_seeds_are_read_as_given(generation: bytes, number: int, chain: bytes) -> None:
    seeds = Seeds(GenerationId(generation), number, ChainKey(chain))
    encoded = encode(GivenSeeds.of(seeds))
    read: Any = read_whisper(encoded)
    assert read.seeds == seeds
    assert len(encoded) <= line.REPLY_CONTENT


def test_a_line_block_may_say_nothing() -> None:
    assert encode(Nothing()) == b"\x91\xa7nothing"
    assert read_whisper(b"\x91\xa7nothing") == Nothing()


REFUSED: dict[str, Record] = {
    "number 256": replace(GIVEN, number=256),
    "number -1": replace(GIVEN, number=-1),
    "a generation too short": replace(GIVEN, generation=bytes(15)),
    "a chain key too long": replace(GIVEN, chain=bytes(33)),
    "an epoch too short": GivenClose(bytes(15), HASH),
    "a close secret too long": GivenClose(ID, bytes(33)),
    "a note of no id": replace(NOTE, id=b""),
    "a piece beyond the last": replace(NOTE, place=1),
    "a piece of none": replace(NOTE, total=0),
    "nine pieces": replace(NOTE, total=limits.NOTE_PARTS + 1),
    "a piece of nothing": replace(NOTE, piece=b""),
    "a piece too long": replace(NOTE, piece=bytes(whisper.PIECE + 1)),
    "an objection to nobody": Objection(b""),
    "a reply too short": ReplyAgain(bytes(1087)),
    "a reply too long": ReplyAgain(bytes(1089)),
    "nothing that is lost": LostSteps(()),
    "33 steps that are lost": LostSteps(tuple(range(limits.WANTED + 1))),
    "a step below none": LostSteps((-1,)),
    "a step too high": LostSteps((2**32,)),
    "a post's content": Text.plain(bytes(16), 24, "hello"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_a_line_block_may_not_say(why: str) -> None:
    with pytest.raises(DecodeError):
        read_whisper(encode(REFUSED[why]))


def test_the_longest_piece_fits_a_line_block() -> None:
    longest = Note(ID, 7, limits.NOTE_PARTS, bytes(whisper.PIECE))
    assert read_whisper(encode(longest)) == longest
    assert len(encode(longest)) <= line.CONTENT


# --- Private notes --------------------------------------------------------------------------------


@settings(max_examples=30)
@given(st.integers(1, whisper.MOST - 80))
def test_a_long_note_in_pieces(length: int) -> None:
    said = replace(PRIVATE, text="w" * length)
    pieces = split_note(said, ID)
    assert [(each.id, each.place, each.total) for each in pieces] == [
        (ID, place, len(pieces)) for place in range(len(pieces))
    ]
    assert read_note(b"".join(each.piece for each in pieces)) == said


def test_the_longest_note_and_one_more() -> None:
    room = whisper.MOST - len(encode(replace(PRIVATE, text="w" * 300))) + 300
    assert len(split_note(replace(PRIVATE, text="w" * room), ID)) == limits.NOTE_PARTS
    with pytest.raises(DecodeError, match="at most"):
        split_note(replace(PRIVATE, text="w" * (room + 1)), ID)


NO_NOTES: dict[str, Private] = {
    "no text": replace(PRIVATE, text=""),
    "text not composed": replace(PRIVATE, text="Zoe\u0308"),
    "half a character": replace(PRIVATE, text="\ud800"),
    "about half a message": replace(PRIVATE, about=bytes(15)),
    "no authority": replace(PRIVATE, authority=3),
    "lifetime 0": replace(PRIVATE, lifetime=0),
    "lifetime too long": replace(PRIVATE, lifetime=2161),
    "no roster": replace(PRIVATE, roster=b""),
    "an order too high": replace(PRIVATE, order=2**32),
}


@pytest.mark.parametrize("why", NO_NOTES)
def test_what_is_no_note_is_not_sent(why: str) -> None:
    with pytest.raises(DecodeError):
        split_note(NO_NOTES[why], ID)


@pytest.mark.parametrize("why", [why for why in NO_NOTES if why != "half a character"])
def test_what_is_no_note_is_not_read(why: str) -> None:
    with pytest.raises(DecodeError):
        read_note(encode(NO_NOTES[why]))
