"""What one member says to another over their line: SPEC.md section 13.

A private note is cut into pieces, one line block each. Knows no ratchet.
"""

import unicodedata
from typing import Annotated, Self

from msgspec import Meta

from backchannel.protocol import limits
from backchannel.protocol.codec import Record, decode, encode
from backchannel.protocol.errors import DecodeError
from backchannel.protocol.intro import Seeds
from backchannel.protocol.line import CONTENT
from backchannel.protocol.roster import U32, Hash, Id, Lifetime
from backchannel.protocol.secret import ChainKey
from backchannel.protocol.types import GenerationId, MessageId

_NOTE_HEAD = 29
"""Bytes at most that the encoding adds to a piece: tag 6, id 18, numbers 2, length 3."""
PIECE = CONTENT - _NOTE_HEAD
MOST = limits.NOTE_PARTS * PIECE


class GivenSeeds(Record, frozen=True, tag="seeds"):
    """A sender's generation for the line's other end."""

    generation: Id
    number: Annotated[int, Meta(ge=0, lt=limits.POSTS)]
    chain: Hash

    @classmethod
    def of(cls, seeds: Seeds) -> Self:
        """For a line block."""
        return cls(seeds.generation, seeds.number, seeds.chain.expose())

    @property
    def seeds(self) -> Seeds:
        """What was given."""
        return Seeds(GenerationId(self.generation), self.number, ChainKey(self.chain))


class Nothing(Record, frozen=True, tag="nothing"):
    """A line block that only moves the ratchet."""


class GivenClose(Record, frozen=True, tag="close"):
    """The facilitators' secret of an epoch, by the epoch's id, for another facilitator."""

    epoch: Id
    secret: Hash


class Note(Record, frozen=True, tag="note"):
    """One piece of a private note."""

    id: Id
    place: Annotated[int, Meta(ge=0, lt=limits.NOTE_PARTS)]
    total: Annotated[int, Meta(ge=1, le=limits.NOTE_PARTS)]
    piece: Annotated[bytes, Meta(min_length=1, max_length=PIECE)]


class Objection(Record, frozen=True, tag="object"):
    """A quiet no to somebody who waits, by identity hash: for a facilitator alone."""

    identity: Hash


class Private(Record, frozen=True):
    """A private note, its pieces joined."""

    roster: Hash
    """Under which it was written: says what its author might do then."""
    order: U32
    """As a post's; among the notes of one hour between two members it rises."""
    lifetime: Lifetime
    authority: Annotated[int, Meta(ge=0, le=2)]
    about: Annotated[bytes, Meta(max_length=limits.ID)]
    text: Annotated[str, Meta(min_length=1)]


class LostSteps(Record, frozen=True, tag="lost"):
    """Steps of the reader's blocks that the author lacks: asked for in private, since their numbers
    count what the two said.
    """

    steps: Annotated[tuple[U32, ...], Meta(min_length=1, max_length=limits.WANTED)]


class ReplyAgain(Record, frozen=True, tag="reply"):
    """The ciphertext of the author's reply, which stands in an epoch that is over."""

    ciphertext: Annotated[
        bytes, Meta(min_length=limits.KEM_CIPHERTEXT, max_length=limits.KEM_CIPHERTEXT)
    ]


Whisper = GivenSeeds | Nothing | GivenClose | Note | Objection | LostSteps | ReplyAgain


def read_whisper(data: bytes) -> Whisper:
    """A line block's content; `DecodeError` for anything that is none."""
    content: Whisper = decode(data, Whisper, CONTENT)  # type: ignore[arg-type]
    if isinstance(content, Note) and content.place >= content.total:
        msg = "a piece of a note beyond its last"
        raise DecodeError(msg)
    return content


def split_note(note: Private, message: MessageId) -> tuple[Note, ...]:
    """The pieces of a note; `DecodeError` when it is too long, or a reader would refuse it."""
    try:
        data = encode(note)
    except UnicodeEncodeError:
        msg = "a text holds half a character"
        raise DecodeError(msg) from None
    if len(data) > MOST:
        msg = f"a private note has at most {MOST:,} bytes"
        raise DecodeError(msg)
    read_note(data)
    pieces = [data[at : at + PIECE] for at in range(0, len(data), PIECE)]
    return tuple(Note(message, n, len(pieces), piece) for n, piece in enumerate(pieces))


def read_note(data: bytes) -> Private:
    """A note from its joined pieces; `DecodeError` for anything that is none."""
    note = decode(data, Private, MOST)
    if len(note.about) not in (0, limits.ID) or not unicodedata.is_normalized("NFC", note.text):
        msg = "not a private note"
        raise DecodeError(msg)
    return note
