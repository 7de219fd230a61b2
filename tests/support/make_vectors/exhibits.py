"""Vectors of section 22: leaf keys, and files of what was said."""

from collections.abc import Iterable

from msgspec.structs import replace

from backchannel.protocol import content, sender_key
from backchannel.protocol.codec import encode
from backchannel.protocol.core import Head, Kind
from backchannel.protocol.exhibit import Exhibit, Person, Piece, Statement
from backchannel.protocol.secret import ChainSeed
from backchannel.protocol.sender_key import OwnGeneration, Parent
from backchannel.protocol.types import ContentHash, Hour, MessageId, RosterHash, Slot
from tests.support.bits import flip
from tests.support.entropy import ScriptedEntropy
from tests.support.make_vectors.cases import (
    CLOCK,
    HOUR,
    SECOND,
    Cases,
    case,
    fixed,
    of_byte,
    with_bytes,
)
from tests.support.vectors import Case

PEOPLE = (Person(0, "Fox", "Bridge", "facilitator"), Person(1, "Heron", "North", "participant"))
THREAD = fixed("thread", 16)


class _Author:
    """Somebody's chain, from its first number on."""

    def __init__(self, slot: int) -> None:
        seed = ChainSeed(fixed(f"seed of {slot}"))
        name = sender_key.generation_id(seed)
        self.slot = Slot(slot)
        self.own = OwnGeneration(name, HOUR, sender_key.first_key(seed), 0, {})

    def says(
        self,
        text: content.Text,
        order: int,
        parents: Iterable[ContentHash] = (),
        topic: str = "",
        hour: Hour = HOUR,
    ) -> Statement:
        """A text in as many cores as it takes."""
        name = MessageId(fixed(f"{self.slot} {text.text[:9]} {order}", 16))
        parts = content.split(text, name, order)
        pieces = tuple(self._piece(part.pack(), parents, hour) for part in parts)
        return Statement(self.slot, hour, order, topic, text.text, pieces)

    def _piece(self, part: bytes, parents: Iterable[ContentHash], hour: Hour) -> Piece:
        number = self.own.number
        head = Head(Kind.GROUP, hour, fixed(f"salt {self.slot} {number}", 16))
        named = tuple(Parent(each, 0) for each in sorted(parents))
        self.own, core, leaf = sender_key.seal_post(
            *(self.own, self.slot, RosterHash(SECOND.hash), named, part, lambda _: CLOCK, head),
            ScriptedEntropy(number),
        )
        return Piece(core, leaf.expose())


def _text(words: str, thread: bytes = bytes(16)) -> content.Text:
    return content.Text.plain(thread, 24, words)


def exhibits() -> Cases:
    fox, heron = _Author(0), _Author(1)
    chain = heron.own.chain
    first = heron.says(_text("Could you stop on Friday?"), 1)
    answer = fox.says(_text("Not before Sunday."), 2, [first.hash])
    long = heron.says(_text("We would ask at home. " * 200, THREAD), 3, [answer.hash], "Ceasefire")
    core, key = first.pieces[0].core, first.pieces[0].key
    given = {"core": core, "chain_key": chain.expose(), "clock": CLOCK.expose()}
    yield case("the leaf key of a post", "leaf", **given)
    whole = Exhibit(1, "North", PEOPLE, (first, answer, long))
    yield _file("three messages, one of them of two cores", whole)
    yield _file("one message", replace(whole, statements=(answer,)))
    bent = Piece(with_hex(core, 3032, b"\xff"), key)
    yield _file("another copy, with other slots", replace(whole, statements=(_with(first, bent),)))
    for why, statements in _wrong(fox, heron, first, answer, long):
        yield _file(why, replace(whole, statements=statements), "rules")
    for why, people in {
        "places that fall": PEOPLE[::-1],
        "one place twice": (PEOPLE[0], *PEOPLE),
        "an author who is no member": PEOPLE[:1],
        "a name that is none": (replace(PEOPLE[0], alias="Fox\u202e"), PEOPLE[1]),
    }.items():
        yield _file(why, replace(whole, members=people), "rules")
    data = encode(whole)
    yield case("cut short", "transcript", "encoding", data=data[:-1])
    yield case("something after it", "transcript", "encoding", data=data + b"\0")
    yield case("another version", "transcript", "rules", data=with_hex(data, 12, b"\x02"))
    yield case("a longer form", "transcript", "encoding", data=data[:12] + b"\xcc\x01" + data[13:])


def with_hex(data: bytes, at: int, new: bytes) -> bytes:
    """`with_bytes`, as bytes."""
    return bytes.fromhex(with_bytes(data, at, new))


def _with(statement: Statement, *pieces: Piece) -> Statement:
    return replace(statement, pieces=pieces)


def _file(why: str, found: Exhibit, expect: str = "ok") -> Case:
    return case(why, "transcript", expect, data=encode(found))


def _wrong(
    fox: _Author, heron: _Author, first: Statement, answer: Statement, long: Statement
) -> Iterable[tuple[str, tuple[Statement, ...]]]:
    """Files in which one thing is not as it should be."""
    piece = first.pieces[0]
    for why, at in (("header", 30), ("commitment", 203), ("body", 235)):
        bent = Piece(flip(piece.core, of_byte(at)), piece.key)
        yield f"{why} of a core changed", (_with(first, bent),)
    yield "another core's key", (_with(first, Piece(piece.core, answer.pieces[0].key)),)
    yield "another sender's core", (_with(first, answer.pieces[0]),)
    yield "another text", (replace(first, text="Could you stop today?"),)
    yield "another hour", (replace(first, hour=HOUR - 1),)
    yield "another order", (replace(first, order=2),)
    yield "another author", (replace(first, author=0),)
    yield "a topic in thread zero", (replace(first, topic="Ceasefire"),)
    yield "no topic elsewhere", (replace(long, topic=""),)
    yield "parts the other way round", (_with(long, *long.pieces[::-1]),)
    yield "a part that is missing", (_with(long, long.pieces[0]),)
    yield "one message twice", (first, first)
    yield "another order of messages", (answer, first)
    again = heron.says(_text("Again", THREAD), 4, topic="Peace")
    yield "two topics of one thread", (long, again)
    late = fox.says(_text("?"), 2, [answer.hash], hour=Hour(HOUR + 1))
    yield "an answer of no higher order", (answer, late)
    yield "off the record", (heron.says(replace(_text("Quiet."), off=1), 9),)
