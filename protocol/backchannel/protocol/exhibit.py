"""A transcript file: what a member can show of a conversation to somebody outside: SPEC.md section
22.

```
transcript file = encoded [tag "transcript", version 1, channel name, members, statements]
```
Every statement has the cores that it came in and, for each, the leaf key that opens it: the most
that any member could ever hand out. Whoever reads the posts can make the same about any other
member, so this shows that a file is whole and says what it says; never who wrote it. Knows no
state.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta

from backchannel.protocol import limits
from backchannel.protocol.alias import check_alias
from backchannel.protocol.codec import Record, decode, encode
from backchannel.protocol.content import Part, Text, read_content
from backchannel.protocol.core import Kind, content_hash, head_of
from backchannel.protocol.errors import DecodeError, RemoteProtocolError
from backchannel.protocol.outcome import Said
from backchannel.protocol.roster import U32, Entry, Hash, Name, Role, SlotNumber
from backchannel.protocol.secret import LeafKey
from backchannel.protocol.sender_key import GroupHeader, read_part
from backchannel.protocol.types import MAIN_THREAD, ContentHash, Core

_LAST_ORDER = 2**32 - 1
_HEAD = 32 * 1024
"""Bytes for all but the statements: 64 members take 17,000."""


class Person(Record, frozen=True):
    """Who had a place in the channel, as whoever shows it has it."""

    slot: SlotNumber
    alias: Name
    party: Name
    role: Role

    @classmethod
    def of(cls, entry: Entry) -> "Person":
        """Without the identity: nothing here could be proved by it."""
        return cls(entry.slot, entry.alias, entry.party, entry.role)


class Piece(Record, frozen=True):
    """One core of a post, and what opens it and nothing else."""

    core: Annotated[bytes, Meta(min_length=limits.CORE, max_length=limits.CORE)]
    key: Hash


class Statement(Record, frozen=True):
    """One text, and what shows that it was written by its author or by whoever shows it."""

    author: SlotNumber
    hour: U32
    order: U32
    topic: Annotated[str, Meta(max_length=limits.TOPIC)]
    """Of its thread; empty for the channel's own."""
    text: Annotated[str, Meta(min_length=1)]
    pieces: Annotated[tuple[Piece, ...], Meta(min_length=1, max_length=limits.PARTS)]

    @property
    def hash(self) -> ContentHash:
        """Content hash of its first core."""
        return content_hash(Core(self.pieces[0].core))


class Exhibit(Record, frozen=True, tag="transcript"):
    """A whole file; statements in the order of the screen: hour, order, content hash."""

    version: Literal[1]
    channel: Name
    members: Annotated[tuple[Person, ...], Meta(min_length=1, max_length=limits.ENTRIES)]
    statements: Annotated[
        tuple[Statement, ...], Meta(min_length=1, max_length=limits.EXHIBIT_STATEMENTS)
    ]


def statement(said: Said, topic: str, cores: Mapping[ContentHash, Core]) -> Statement | None:
    """What stands in a file of one text; None where one of its cores is gone, or where it may not
    leave: a private note, what nobody in particular said, what is off the record has no leaf keys.
    """
    if not said.leaves or any(leaf.core not in cores for leaf in said.leaves):
        return None
    pieces = tuple(Piece(cores[leaf.core], leaf.key.expose()) for leaf in said.leaves)
    return Statement(said.author, said.hour, said.order, topic, said.text, pieces)


def draw_up(channel: str, members: Iterable[Person], statements: Iterable[Statement]) -> Exhibit:
    """A file of the newest statements that it takes, in order. Left out is what its author's
    program put before what it answers: no honest one does.
    """
    given = sorted(statements, key=_place)
    orders = {content_hash(Core(p.core)): s.order for s in given for p in s.pieces}
    honest = [each for each in given if _follows(each, orders)]
    kept, room = list[Statement](), limits.EXHIBIT_BYTES - _HEAD
    for each in reversed(honest[-limits.EXHIBIT_STATEMENTS :]):
        room -= len(encode(each))
        if room < 0:
            break
        kept.insert(0, each)
    people = tuple(sorted(members, key=lambda each: each.slot))
    return Exhibit(1, channel, people, tuple(kept))


def write(exhibit: Exhibit) -> bytes:
    """The file; `DecodeError` for one that nobody would read."""
    data = encode(exhibit)
    read(data)
    return data


def read(data: bytes) -> Exhibit:
    """A file that is whole, and in which everything opens to what it says it is.

    `DecodeError` that says what is wrong, and with which statement, counted from 1.
    """
    exhibit = decode(data, Exhibit, limits.EXHIBIT_BYTES)
    _check_members(exhibit)
    seen, topics = set[bytes](), dict[bytes, str]()
    for number, each in enumerate(exhibit.statements, 1):
        try:
            _check(each, exhibit, seen, topics)
        except RemoteProtocolError as error:
            msg = f"message {number}: {error}"
            raise DecodeError(msg) from None
    _check_order(exhibit.statements)
    return exhibit


def _check_members(exhibit: Exhibit) -> None:
    slots = [each.slot for each in exhibit.members]
    if slots != sorted(set(slots)):
        msg = "two members have one place"
        raise DecodeError(msg)
    for name in (exhibit.channel, *(n for e in exhibit.members for n in (e.alias, e.party))):
        check_alias(name)


class _Open(NamedTuple):
    """What a statement's cores say."""

    id: bytes
    order: int
    text: Text


def _check(each: Statement, exhibit: Exhibit, seen: set[bytes], topics: dict[bytes, str]) -> None:
    if all(each.author != member.slot for member in exhibit.members):
        raise DecodeError("its author is no member")
    found = _open(each)
    text, hour = found.text, head_of(each.pieces[0].core).hour
    if (each.text, each.hour, each.order) != (text.text, hour, found.order):
        raise DecodeError("its text, hour or place is not that of its blocks")
    name = bytes([each.author]) + found.id
    if name in seen:
        raise DecodeError("it stands there twice")
    seen.add(name)
    if topics.setdefault(text.thread, each.topic) != each.topic:
        raise DecodeError("its thread has two topics")
    if (text.thread == MAIN_THREAD) != (not each.topic) or not _one_line(each.topic):
        raise DecodeError("its topic is none")


def _one_line(topic: str) -> bool:
    plain = all(unicodedata.category(sign) != "Cc" for sign in topic)
    return plain and unicodedata.is_normalized("NFC", topic)


def _open(each: Statement) -> _Open:
    """`RemoteProtocolError` where the cores are not of one text of its author."""
    parts = [_part(each.author, piece) for piece in each.pieces]
    first, places = parts[0], [(part.id, part.place, part.total) for part in parts]
    if places != [(first.id, place, len(parts)) for place in range(len(parts))]:
        raise DecodeError("its blocks are not those of one message")
    content = read_content(b"".join(part.piece for part in parts))
    if not isinstance(content, Text):
        raise DecodeError("its blocks hold no text")
    if content.off:
        raise DecodeError("it was said off the record, and does not belong here")
    return _Open(first.id, max(part.order for part in parts), content)


def _part(author: int, piece: Piece) -> Part:
    core = Core(piece.core)
    if head_of(core).kind is not Kind.GROUP or GroupHeader.read(core).sender != author:
        raise DecodeError("a block of it is not its author's")
    return Part.parse(read_part(core, LeafKey(piece.key)))


def _place(each: Statement) -> tuple[int, int, bytes]:
    return each.hour, each.order, each.hash


def _check_order(statements: tuple[Statement, ...]) -> None:
    places = [_place(each) for each in statements]
    if places != sorted(set(places)):
        raise DecodeError("the messages do not stand in their order")
    orders = {content_hash(Core(p.core)): s.order for s in statements for p in s.pieces}
    if not all(_follows(each, orders) for each in statements):
        raise DecodeError("a message stands before what it answers")


def _follows(each: Statement, orders: dict[ContentHash, int]) -> bool:
    """Whether its order is above that of all in the file that it names; of its own parts the later
    names the earlier, and who reached the last number stays there.
    """
    own = {content_hash(Core(piece.core)) for piece in each.pieces}
    named = (orders[parent] for parent in _parents(each) if parent in orders and parent not in own)
    return each.order == _LAST_ORDER or all(order < each.order for order in named)


def _parents(each: Statement) -> Iterator[ContentHash]:
    for piece in each.pieces:
        yield from (parent.hash for parent in GroupHeader.read(Core(piece.core)).parents)
