"""Two readers of one specification: whatever the bytes, both give the same, or both refuse."""

from typing import Any, Final, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backchannel.protocol.labels import Label
from backchannel.protocol.primitives import hash_
from backchannel.protocol.sender_key import Parent
from backchannel.protocol.transcript import Post, Transcript
from backchannel.protocol.types import ContentHash, Hour, Slot
from tests.support import open_main, open_second, vectors
from tests.support.bits import flip
from tests.support.second_reader import transcript
from tests.support.vectors import Case, answer

FUZZED: Final = {
    "roster": "encoded",
    "package": "package",
    "roster piece": "core",
    "card": "encoded",
    "card piece": "core",
    "join": "core",
    "joined": "encoded",
    "intro": "core",
    "line header": "header",
    "bundle": "bundle",
    "group header": "core",
    "group": "core",
    "key block": "core",
    "content": "encoded",
    "line content": "encoded",
    "policy": "encoded",
    "unattributed": "core",
    "chunk": "core",
    "epoch core": "core",
    "part": "part",
    "request": "request",
    "answer": "answer",
    "page": "payload",
    "appended": "payload",
    "place": "place",
    "expiry file": "data",
}
"""What is fuzzed, and which of its fields."""

LITTLE: Final = (
    "answer",
    "group",
    "intro",
    "join",
    "key block",
    "request",
    "roster piece",
    "unattributed",
    "chunk",
    "epoch core",
)
"""Under a MAC or AEAD nearly all is refused: a few tries show that both refuse."""


def _seeds() -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = {}
    for path in vectors.files():
        for case in vectors.cases(path):
            found.setdefault(case["does"], []).append(case)
    return found


SEEDS: Final = _seeds()
BUNDLE: Final = bytes.fromhex(SEEDS["bundle"][0]["given"]["bundle"])
HEADER: Final = BUNDLE[:1216] + b"\x09".ljust(32, b"\0") + b"\x5a" * 1088 + bytes(8)
JOIN: Final = b"\x95\xa4cleo\xc5\x09\x80" + BUNDLE + (b"\xc4\x20" + bytes(32)) * 3
SEEDS["line header"] = [{"given": {"header": HEADER.hex()}}]
SEEDS["joined"] = [{"given": {"encoded": JOIN.hex()}}]


def alike(does: str, given: dict[str, Any]) -> None:
    ours = answer(open_main.OPERATIONS[does], given)
    theirs = answer(open_second.OPERATIONS[does], given)
    same(ours, theirs)


def same(ours: Any, theirs: Any) -> None:
    if isinstance(ours, Exception) or isinstance(theirs, Exception):
        assert isinstance(ours, Exception), theirs
        assert isinstance(theirs, Exception), ours
    else:
        assert ours == theirs


class Accident(NamedTuple):
    """What happens to some bytes, in small numbers, so that Hypothesis can shrink it."""

    kind: int
    place: int
    size: int
    some: bytes
    other: int

    def befall(self, data: bytes, others: list[bytes]) -> bytes:
        at = self.place % (len(data) + 1)
        other = others[self.other % len(others)]
        return (
            flip(data, 8 * (at % len(data)) + self.size % 8) if data else other,
            data[:at],
            data + self.some,
            data[:at] + self.some + data[at + len(self.some) :],
            data[:at] + self.some + data[at:],
            data[:at] + data[at + self.size :],
            data[:at] + other[at:],
            data[:at] + other[self.size :],
        )[self.kind]


SOME: Final = st.binary(max_size=4) | st.sampled_from(
    [b"\xc0", b"\xcc\x01", b"\x90", b"\xa1a", b"\xff"]
)
# Most small fields stand near the beginning.
PLACE: Final = st.integers(0, 260) | st.integers(0, 2**16)
NUMBER: Final = st.integers(0, 99)
ACCIDENTS: Final = st.lists(
    st.builds(Accident, st.integers(0, 7), PLACE, st.integers(0, 40), SOME, NUMBER),
    min_size=1,
    max_size=3,
)


def damaged(data: bytes, accidents: list[Accident], others: list[bytes]) -> bytes:
    for accident in accidents:
        data = accident.befall(data, others)
    return data


@pytest.mark.parametrize("does", FUZZED)
def test_what_one_refuses_the_other_refuses(does: str) -> None:
    cases, field = SEEDS[does], FUZZED[does]
    whole = [bytes.fromhex(case["given"][field]) for case in cases]

    @settings(max_examples=50 if does in LITTLE else 150, deadline=None)
    @given(NUMBER, ACCIDENTS)
    def run(number: int, accidents: list[Accident]) -> None:
        at = number % len(cases)
        bad = damaged(whole[at], accidents, whole)
        alike(does, cases[at]["given"] | {field: bad.hex()})

    run()


@settings(deadline=None)
@given(NUMBER, ACCIDENTS)
def test_a_place_with_its_checksum_mended(number: int, accidents: list[Accident]) -> None:
    bodies = [bytes.fromhex(case["given"]["place"])[:480] for case in SEEDS["place"]]
    body = damaged(bodies[number % len(bodies)], accidents, bodies)[:480].ljust(480, b"\0")
    alike("place", {"place": (body + hash_(Label.PLACE, body)).hex()})


TEXTS: Final = st.text(max_size=34) | st.text("aé -.'Аあ桜한\u3164\u0301\ufe0f\u00b5²1", max_size=8)


@settings(deadline=None, max_examples=300)
@given(TEXTS)
def test_names(name: str) -> None:
    alike("name", {"name": name})


@settings(deadline=None)
@given(st.sampled_from([case["given"]["text"] for case in SEEDS["voucher"]]), st.data())
def test_vouchers(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    new = data.draw(st.text("abz2718-= A\n", max_size=2))
    alike("voucher", {"text": text[:at] + new + text[at + data.draw(st.integers(0, 2)) :]})


KEYS: Final = st.sampled_from([bytes(32), b"\1" + bytes(31), b"\xff" * 32, b"\x80" * 32])


@settings(deadline=None)
@given(st.binary(min_size=32, max_size=32) | KEYS, st.binary(min_size=30, max_size=34) | KEYS)
def test_agreements(private: bytes, public: bytes) -> None:
    alike("dh", {"private": private.hex(), "public": public.hex()})


ORDER: Final = st.lists(
    st.tuples(NUMBER, st.none() | st.sampled_from([0, 1, 5, 21, 53, 2412, 2413, 2445, 4055])),
    min_size=1,
    max_size=8,
)
"""Which block comes next, and at which byte it is damaged, if it is."""


@pytest.mark.parametrize("number", range(len(SEEDS["line"])))
@settings(deadline=None, max_examples=25)
@given(order=ORDER)
def test_conversations(number: int, order: list[tuple[int, int | None]]) -> None:
    """Blocks of a line and key blocks in any order, again, left out, and changed: the same at every
    step.
    """
    given = SEEDS["line"][number]["given"]
    sent = [event for event in given["events"] if event["does"] == "send"]
    come = [event for event in given["events"] if event["does"] != "send"]
    first = sent[:1] if given["side"]["is"] == "B" else []
    events = [*first, *(_damaged(come[which % len(come)], at) for which, at in order)]
    both = [
        answer(operations["line"], given | {"events": events})
        for operations in (open_main.OPERATIONS, open_second.OPERATIONS)
    ]
    for one, other in zip(*both, strict=True):
        same(one, other)


def _damaged(event: dict[str, Any], at: int | None) -> dict[str, Any]:
    if at is None or "core" not in event:
        return event
    return event | {"core": flip(bytes.fromhex(event["core"]), 8 * at + 1).hex()}


FIRST: Final = 3
"""The first roster version of who keeps the record."""


class Said(NamedTuple):
    """A post: its author, its version, and which of the posts before it it names."""

    author: int
    version: int
    named: frozenset[int]


def _name(number: int) -> ContentHash:
    return ContentHash(number.to_bytes(32))


SAID: Final = st.lists(
    st.builds(
        Said,
        st.integers(0, 5),
        st.integers(FIRST - 1, FIRST + 3),
        st.frozensets(st.integers(0, 11), max_size=4),
    ),
    min_size=1,
    max_size=12,
)


@settings(deadline=None)
@given(SAID, st.permutations(range(12)), st.integers(1, 12))
def test_heads_and_what_is_missing(said: list[Said], order: list[int], come: int) -> None:
    """Of posts that came in any order, and not all of them."""
    ours, theirs = Transcript(FIRST), list[dict[str, Any]]()
    for number in [each for each in order if each < len(said)][:come]:
        post = said[number]
        if post.version < FIRST:
            continue
        named = sorted(each for each in post.named if each < number)
        ages = [max(0, post.version - said[each].version) for each in named]
        parents = tuple(Parent(_name(each), age) for each, age in zip(named, ages, strict=True))
        written = Post(Hour(0), number, post.version, Slot(post.author))
        ours.add(_name(number), written, parents)
        one = {"content_hash": _name(number), "author": post.author, "version": post.version}
        theirs.append(one | {"parents": [_name(each) for each in named], "ages": ages})
        assert sorted(parent.hash for parent in ours.parents(9)) == transcript.heads(theirs)
        assert sorted(ours.missing) == transcript.missing(theirs, FIRST)
