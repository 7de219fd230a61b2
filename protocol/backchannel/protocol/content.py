"""What people and their programs say: SPEC.md section 15; content of line blocks: section 13.

```
part = message id 16 | order 4 | index 1 | count 1 | piece, at most 2,758
```
Knows what may be said, not who may say it.
"""

import unicodedata
from typing import Annotated, NamedTuple, Self

from msgspec import Meta

from backchannel.protocol import limits
from backchannel.protocol.codec import Record, decode, encode
from backchannel.protocol.errors import DecodeError
from backchannel.protocol.intro import Seeds
from backchannel.protocol.line import CONTENT as LINE_CONTENT
from backchannel.protocol.roster import U32, Hash, Id, Lifetime, SlotNumber
from backchannel.protocol.secret import ChainKey
from backchannel.protocol.sender_key import PART
from backchannel.protocol.types import GenerationId, MessageId

_PART_HEAD = limits.ID + 4 + 2
PIECE = PART - _PART_HEAD
MOST = limits.PARTS * PIECE


class Text(Record, frozen=True, tag="text"):
    """Something said in a thread; it lives at most `lifetime` hours."""

    thread: Id
    lifetime: Lifetime
    text: Annotated[str, Meta(min_length=1)]


class Thread(Record, frozen=True):
    """A thread's id, how long what is said in it lives, and its topic."""

    thread: Id
    lifetime: Lifetime
    topic: Annotated[str, Meta(min_length=1, max_length=limits.TOPIC)]


class Threads(Record, frozen=True, tag="threads"):
    """Threads that begin, or that a newcomer should know."""

    threads: Annotated[tuple[Thread, ...], Meta(min_length=1, max_length=limits.THREADS)]


class Announcement(Record, frozen=True, tag="roster"):
    """The next roster, and the content hashes of the cores that carry its package, in order."""

    version: U32
    roster: Hash
    pieces: Annotated[tuple[Hash, ...], Meta(min_length=1, max_length=limits.ROSTER_PIECES)]


class Ask(Record, frozen=True, tag="ask"):
    """Cores, generations (slot, id) and line steps (slot, step) that the author lacks."""

    cores: tuple[Hash, ...]
    generations: tuple[tuple[SlotNumber, Id], ...]
    steps: tuple[tuple[SlotNumber, U32], ...]


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


Content = Text | Threads | Announcement | Ask
LineContent = GivenSeeds | Nothing


class Part(NamedTuple):
    """One block's share of a post."""

    id: MessageId
    order: int
    place: int
    total: int
    piece: bytes

    def pack(self) -> bytes:
        """22 bytes and the piece."""
        return self.id + self.order.to_bytes(4) + bytes([self.place, self.total]) + self.piece

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """`DecodeError` unless a whole head, an index below the count, and a piece."""
        if not _PART_HEAD < len(data) <= PART or not data[20] < data[21] <= limits.PARTS:
            msg = "not a part of a post"
            raise DecodeError(msg)
        order = int.from_bytes(data[16:20])
        return cls(MessageId(data[:16]), order, data[20], data[21], data[_PART_HEAD:])


def split(content: Content, message: MessageId, order: int) -> tuple[Part, ...]:
    """The parts of a post; `DecodeError` when it is too long."""
    data = encode(content)
    if len(data) > MOST:
        msg = f"a message has at most {MOST:,} bytes"
        raise DecodeError(msg)
    pieces = [data[at : at + PIECE] for at in range(0, len(data), PIECE)]
    return tuple(Part(message, order, n, len(pieces), piece) for n, piece in enumerate(pieces))


def read_content(data: bytes) -> Content:
    """A post's content from its joined pieces; `DecodeError` for anything that is none."""
    content: Content = decode(data, Content, MOST)  # type: ignore[arg-type]  # a union is no type[T]
    if not all(unicodedata.is_normalized("NFC", text) for text in _texts(content)):
        msg = "a text is not in the form NFC"
        raise DecodeError(msg)
    if isinstance(content, Threads) and not all(any(each.thread) for each in content.threads):
        msg = "the channel's own thread does not begin"
        raise DecodeError(msg)
    if isinstance(content, Ask) and not 1 <= wanted(content) <= limits.WANTED:
        msg = "an ask names nothing, or too much"
        raise DecodeError(msg)
    return content


def _texts(content: Content) -> list[str]:
    match content:
        case Text():
            return [content.text]
        case Threads():
            return [each.topic for each in content.threads]
        case _:
            return []


def wanted(ask: Ask) -> int:
    """How many things an ask names."""
    return len(ask.cores) + len(ask.generations) + len(ask.steps)


def read_line_content(data: bytes) -> LineContent:
    """A line block's content; `DecodeError` for anything that is none."""
    content: LineContent = decode(data, LineContent, LINE_CONTENT)  # type: ignore[arg-type]
    return content
