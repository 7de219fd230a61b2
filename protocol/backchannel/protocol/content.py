"""What people and their programs say to everybody: SPEC.md section 15.

```
part = message id 16 | order 4 | index 1 | count 1 | piece, at most 2,758
```
Knows what may be said, not who may say it.
"""

import unicodedata
from typing import Annotated, Literal, NamedTuple, Self

from msgspec import Meta

from backchannel.protocol import hotline, limits
from backchannel.protocol.alias import check_alias
from backchannel.protocol.codec import Record, decode, encode
from backchannel.protocol.errors import DecodeError
from backchannel.protocol.filename import check_file_name
from backchannel.protocol.identity import HybridPublic
from backchannel.protocol.labels import Label
from backchannel.protocol.primitives import hash_
from backchannel.protocol.roster import PIECE as ROSTER_PIECE
from backchannel.protocol.roster import U32, Hash, Id, Lifetime, Name, Policy, Role, SlotNumber
from backchannel.protocol.sender_key import PART
from backchannel.protocol.types import MessageId

_PART_HEAD = limits.ID + 4 + 2
PIECE = PART - _PART_HEAD
MOST = limits.PARTS * PIECE
CHUNK = ROSTER_PIECE
"""Bytes of a file in one core: a chunk has the shape of a roster core."""
NAMES = CHUNK // limits.HASH
"""Chunk cores that one index core names."""


Flag = Annotated[int, Meta(ge=0, le=1)]
Burn = Annotated[int, Meta(ge=0, le=limits.LIFETIME)]
"""Read timer: hours that something lives once it was shown; 0: no fewer than unread."""
Number = Annotated[bytes, Meta(max_length=limits.ID)]
Topic = Annotated[str, Meta(min_length=1, max_length=limits.TOPIC)]
AUTHORITY = ("own", "sounding", "checked")
"""Whose view a text gives; its number on the wire is its place here."""
RELEASE = ("no", "exact", "paraphrase")
"""Whether a facilitator may carry a text to another channel, and in whose words; likewise."""


class Text(Record, frozen=True, tag="text"):
    """Something said in a thread; it lives at most `lifetime` hours."""

    thread: Id
    lifetime: Lifetime
    authority: Annotated[int, Meta(ge=0, lt=len(AUTHORITY))]
    release: Annotated[int, Meta(ge=0, lt=len(RELEASE))]
    carried: Flag
    """Whether a facilitator brings it from elsewhere."""
    about: Number
    """Id of the message that it answers, or empty."""
    quote: Annotated[str, Meta(max_length=limits.QUOTE)]
    """Words that it answers; of nobody in particular."""
    text: Annotated[str, Meta(min_length=1)]
    burn: Burn = 0
    off: Flag = 0
    """Whether it is off the record: no reader keeps it where the text could be read later."""

    @classmethod
    def plain(cls, thread: bytes, lifetime: int, text: str) -> Self:
        """One's own view, for this channel alone."""
        return cls(thread, lifetime, 0, 0, 0, b"", "", text)


class Thread(Record, frozen=True):
    """A thread's id, how long what is said in it lives, and its topic."""

    thread: Id
    lifetime: Lifetime
    topic: Topic
    burn: Burn = 0
    off: Flag = 0
    """Whether all that is said in it is off the record."""


class Threads(Record, frozen=True, tag="threads"):
    """Threads that begin, or that a newcomer should know."""

    threads: Annotated[tuple[Thread, ...], Meta(min_length=1, max_length=limits.THREADS)]


class Gone(Record, frozen=True):
    """Who stands in the next roster no more, and why."""

    slot: SlotNumber
    reason: Literal["removed", "compromised", "left", "replaced"]


class Announcement(Record, frozen=True, tag="roster"):
    """The next roster, and the content hashes of the cores that carry its package, in order."""

    version: U32
    roster: Hash
    pieces: Annotated[tuple[Hash, ...], Meta(min_length=1, max_length=limits.ROSTER_PIECES)]
    epoch: Annotated[bytes, Meta(max_length=limits.HASH)] = b""
    """Content hash of the core that gives the next epoch's seed; empty while the epoch stays."""
    gone: Annotated[tuple[Gone, ...], Meta(max_length=limits.ENTRIES)] = ()


class Echo(Record, frozen=True, tag="echo"):
    """The roster that the author has come to."""

    version: U32
    roster: Hash


class Ask(Record, frozen=True, tag="ask"):
    """Cores, generations (slot, id) and line steps (slot, step) that the author lacks."""

    cores: tuple[Hash, ...]
    generations: tuple[tuple[SlotNumber, Id], ...]
    steps: tuple[tuple[SlotNumber, U32], ...]


class Prekey(Record, frozen=True, tag="prekey"):
    """The author's next prekey."""

    prekey: Annotated[bytes, Meta(min_length=limits.IDENTITY, max_length=limits.IDENTITY)]


class Leave(Record, frozen=True, tag="leave"):
    """The author goes of its own accord."""


class DigestRow(Record, frozen=True):
    """What the author accepted of one hour, under one roster version."""

    hour: U32
    version: U32
    count: U32
    digest: Hash


class Digest(Record, frozen=True, tag="digest"):
    """What the author holds of closed hours, for others to compare; `asks` for theirs."""

    asks: Flag
    since: U32
    """The first hour that the rows tell of."""
    version: U32
    """The first roster version that the author can read."""
    rows: Annotated[tuple[DigestRow, ...], Meta(max_length=limits.DIGEST_ROWS)]
    refused: Annotated[tuple[Hash, ...], Meta(max_length=limits.DIGEST_REFUSED)]


class Compared(Record, frozen=True, tag="compared"):
    """The author heard the roster words of these identities read aloud, and they agreed."""

    identities: Hash


class Proposal(Record, frozen=True, tag="proposal"):
    """A policy that lengthens: it waits for everybody."""

    policy: Policy


class Consent(Record, frozen=True, tag="consent"):
    """The author's yes or no to a proposed policy, by its hash."""

    policy: Hash
    yes: Flag = 1


class Paraphrase(Record, frozen=True, tag="paraphrase"):
    """Other words for a message, for its author to approve before they are carried."""

    about: Id
    text: Annotated[str, Meta(min_length=1)]


class Release(Record, frozen=True, tag="release"):
    """The author lets these very words of a message be carried."""

    about: Id
    words: Hash


class Floor(Record, frozen=True, tag="floor"):
    """Whose turn it is to speak; nobody's: everybody's."""

    holders: Annotated[tuple[SlotNumber, ...], Meta(max_length=1)]


class Hand(Record, frozen=True, tag="hand"):
    """The author asks for the floor, or no longer."""

    raised: Flag


class File(Record, frozen=True, tag="file"):
    """A file in chunk cores: the index cores that name them, in order, and the key of them all."""

    thread: Id
    lifetime: Lifetime
    name: Annotated[str, Meta(min_length=1, max_length=limits.FILE_NAME)]
    size: Annotated[int, Meta(ge=1, le=limits.FILE_BYTES)]
    key: Hash
    index: Annotated[tuple[Hash, ...], Meta(min_length=1, max_length=limits.FILE_INDEX)]
    burn: Burn = 0


class Candidate(Record, frozen=True, tag="candidate"):
    """Somebody who waits to be admitted, for members to vouch for."""

    alias: Name
    party: Name
    role: Role
    identity: Hash


class Vouch(Record, frozen=True, tag="vouch"):
    """The author's word for who waits, by identity hash."""

    identity: Hash


Content = (
    Text
    | Threads
    | Announcement
    | Echo
    | Ask
    | Prekey
    | Leave
    | Digest
    | Compared
    | Proposal
    | Consent
    | Paraphrase
    | Release
    | Floor
    | Hand
    | File
    | Candidate
    | Vouch
    | hotline.Test
    | hotline.Heard
    | hotline.Duty
    | hotline.Incident
    | hotline.Attend
    | hotline.Convene
    | hotline.Coming
)


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
    if any(unicodedata.category(sign) == "Cc" for text in _lines(content) for sign in text):
        msg = "a name holds a character that is none"
        raise DecodeError(msg)
    if isinstance(content, Proposal):
        content.policy.check()
    if isinstance(content, Candidate):
        check_alias(content.alias)
        check_alias(content.party)
    if isinstance(content, Text | File | hotline.Signal):
        _check_message(content, len(data))
    if isinstance(content, Announcement) and len(content.epoch) not in (0, limits.HASH):
        msg = "an announcement names no epoch"
        raise DecodeError(msg)
    if isinstance(content, Threads) and not all(any(each.thread) for each in content.threads):
        msg = "the channel's own thread does not begin"
        raise DecodeError(msg)
    if isinstance(content, Prekey):
        HybridPublic.parse(content.prekey)
    if isinstance(content, Ask) and not 1 <= wanted(content) <= limits.WANTED:
        msg = "an ask names nothing, or too much"
        raise DecodeError(msg)
    return content


def _check_message(content: Text | File | hotline.Signal, size: int) -> None:
    if isinstance(content, hotline.Signal):
        hotline.check(content, size, PIECE)
        return
    if not _complete(content):
        msg = "a message refers to something that cannot be"
        raise DecodeError(msg)
    if isinstance(content, Text) and content.off:
        _check_off_the_record(content, size)


def _check_off_the_record(text: Text, size: int) -> None:
    """In one block, so that no state ever waits with a part of it; and for nobody elsewhere."""
    if size > PIECE:
        room = PIECE - size + len(text.text.encode())
        msg = f"off the record a message has at most {room:,} bytes"
        raise DecodeError(msg)
    if text.release:
        msg = "what is off the record is released to nobody"
        raise DecodeError(msg)


def sooner(one: int, other: int) -> int:
    """Of two read timers the one that ends first; 0 is none."""
    return min(one, other) if one and other else one or other


def _texts(content: Content) -> list[str]:
    match content:
        case Text():
            return [content.text, content.quote]
        case Threads():
            return [each.topic for each in content.threads]
        case Paraphrase():
            return [content.text]
        case File():
            return [content.name]
        case hotline.Signal():
            return hotline.lines(content)
        case _:
            return []


def _lines(content: Content) -> list[str]:
    """What stands in one line of a screen."""
    return _texts(content) if isinstance(content, Threads | File | hotline.Signal) else []


def _complete(content: Text | File) -> bool:
    if isinstance(content, Text):
        return len(content.about) in (0, limits.ID)
    check_file_name(content.name)
    return len(content.index) == index_cores(content.size)


def index_cores(size: int) -> int:
    """How many index cores a file of `size` bytes has."""
    return -(-chunk_cores(size) // NAMES)


def chunk_cores(size: int) -> int:
    """How many cores hold the bytes themselves."""
    return -(-size // CHUNK)


def policy_hash(policy: Policy) -> bytes:
    """32 bytes: what a consent names."""
    return hash_(Label.POLICY, encode(policy))


def carried_words(text: str) -> bytes:
    """32 bytes: what a release names; `DecodeError` for a text that nobody could have said."""
    try:
        data = text.encode()
    except UnicodeEncodeError:
        msg = "a text holds half a character"
        raise DecodeError(msg) from None
    return hash_(Label.CARRY, data)


def wanted(ask: Ask) -> int:
    """How many things an ask names."""
    return len(ask.cores) + len(ask.generations) + len(ask.steps)
