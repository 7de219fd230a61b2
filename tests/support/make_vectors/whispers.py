"""Vectors of sections 13 and 15: what line blocks say, and private notes."""

from msgspec.structs import replace

from backchannel.protocol import limits, whisper
from backchannel.protocol.codec import Record, encode
from backchannel.protocol.types import MessageId
from tests.support.make_vectors.cases import SECOND, Cases, case, fixed
from tests.support.make_vectors.lines import NOTHING, SEEDS

ID = MessageId(fixed("id", 16))
PRIVATE = whisper.Private(SECOND.hash, 7, 24, 1, b"", "Grüße")
PIECE = whisper.Note(ID, 0, 1, b"piece")


def whispers() -> Cases:
    said: dict[str, bytes] = {
        "seeds": SEEDS,
        "nothing": NOTHING,
        "close": encode(whisper.GivenClose(fixed("epoch id", 16), fixed("close"))),
        "note": encode(PIECE),
        "the longest piece": encode(replace(PIECE, total=8, piece=bytes(whisper.PIECE))),
        "object": encode(whisper.Objection(fixed("identity"))),
        "lost": encode(whisper.LostSteps((0, 1, 2**32 - 1))),
        "lost, 32 of them": encode(whisper.LostSteps(tuple(range(32)))),
        "reply": encode(whisper.ReplyAgain(bytes(range(64)) * 17)),
    }
    for name, block in said.items():
        yield case(f"line content {name}", "line content", encoded=block)
    yield from _refused()
    yield from _notes()


def _refused() -> Cases:
    refused: dict[str, Record] = {
        "number 256": whisper.GivenSeeds(fixed("generation", 16), 256, fixed("chain")),
        "an epoch id of 15": whisper.GivenClose(bytes(15), bytes(32)),
        "a secret of 33": whisper.GivenClose(bytes(16), bytes(33)),
        "a piece beyond the last": replace(PIECE, place=1),
        "nine pieces": replace(PIECE, total=9),
        "a piece of nothing": replace(PIECE, piece=b""),
        "nothing that is lost": whisper.LostSteps(()),
        "33 lost": whisper.LostSteps((1,) * 33),
        "a ciphertext of 1,087": whisper.ReplyAgain(bytes(1087)),
        "an identity of 31": whisper.Objection(bytes(31)),
    }
    for why, each in refused.items():
        yield case(f"line content, {why}", "line content", "rules", encoded=encode(each))
    longer = encode(replace(PIECE, piece=bytes(whisper.PIECE + 1)))
    yield case("line content, a piece of 1,566", "line content", "size", encoded=longer)
    more = b"\x92\xa7nothing\x00"
    yield case("line content, a field too many", "line content", "encoding", encoded=more)


def _notes() -> Cases:
    whole = replace(PRIVATE, about=fixed("about", 16), text="a" * 4000)
    for name, note in (("a short note", PRIVATE), ("a note of three pieces", whole)):
        pieces = [encode(each) for each in whisper.split_note(note, ID)]
        yield case(name, "note", pieces=pieces)
    yield case("a note in another order", "note", pieces=pieces[::-1])
    yield case("a note with a piece missing", "note", "rules", pieces=pieces[1:])
    other = encode(replace(whisper.split_note(whole, ID)[1], id=bytes(16)))
    yield case("pieces of two notes", "note", "rules", pieces=[pieces[0], other, pieces[2]])
    refused = {
        "no text": replace(PRIVATE, text=""),
        "a text not NFC": replace(PRIVATE, text="e\u0301"),
        "half an id": replace(PRIVATE, about=bytes(8)),
        "authority 3": replace(PRIVATE, authority=3),
        "lifetime 0": replace(PRIVATE, lifetime=0),
        "a roster hash of 31": replace(PRIVATE, roster=bytes(31)),
    }
    for why, note in refused.items():
        piece = whisper.Note(ID, 0, 1, encode(note)[: whisper.PIECE])
        yield case(f"a note, {why}", "note", "rules", pieces=[encode(piece)])
    assert limits.NOTE_PARTS == 8
