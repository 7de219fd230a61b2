"""One encoding per value: SPEC.md section 1."""

from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from backchannel.protocol.codec import Record, decode, encode
from backchannel.protocol.errors import DecodeError

MOST = 10_000


class Leaf(Record, frozen=True, tag="leaf"):
    name: str
    key: Annotated[bytes, Meta(min_length=2, max_length=2)]


class Tree(Record, frozen=True, tag="tree"):
    number: Annotated[int, Meta(ge=0)]
    leaves: tuple[Leaf, ...]


class Deep(Record, frozen=True):
    inner: "tuple[Deep, ...]"


class Loose(Record, frozen=True):
    number: int = 0


EITHER: Any = Leaf | Tree
LEAVES = st.builds(Leaf, st.text(max_size=40), st.binary(min_size=2, max_size=2))
TREES = st.builds(Tree, st.integers(0, 2**64 - 1), st.lists(LEAVES, max_size=20).map(tuple))
EDGES = [0, 127, 128, 255, 256, 2**16 - 1, 2**16, 2**32 - 1, 2**32, 2**64 - 1]
ONE = encode(Tree(5, (Leaf("a", b"kk"),)))


def pack(value: object) -> bytes:
    return msgspec.msgpack.encode(value)


@given(LEAVES | TREES)
def test_decode_undoes_encode(value: Leaf | Tree) -> None:
    data = encode(value)
    assert decode(data, EITHER, MOST) == value
    assert encode(decode(data, type(value), MOST)) == data


@given(st.binary(max_size=60))
def test_what_decodes_is_encoded_in_the_one_way(data: bytes) -> None:
    for kind in (Leaf, Tree, Deep):
        refused_or_same(data, kind)


@given(TREES, st.data())
def test_a_changed_byte_is_refused_or_another_value(value: Tree, data: st.DataObject) -> None:
    encoded = bytearray(encode(value))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] ^= data.draw(st.integers(1, 255))
    assert refused_or_same(bytes(encoded), Tree) != value


def refused_or_same(data: bytes, kind: type[Record]) -> Record | None:
    try:
        value = decode(data, kind, MOST)
    except DecodeError:
        return None
    assert encode(value) == data
    return value


def test_the_bytes_of_a_structure() -> None:
    """`array 3 | "tree" | 5 | array 1 of (array 3 | "leaf" | "a" | bin 2)`."""
    assert ONE.hex() == "93a47472656505" + "91" + "93a46c656166" + "a161" + "c4026b6b"


@pytest.mark.parametrize("number", EDGES)
def test_numbers_at_the_edges_of_their_forms(number: int) -> None:
    assert decode(encode(Tree(number, ())), Tree, MOST).number == number


WIDER = [
    b"\xcc\x05",
    b"\xcd\x00\x05",
    b"\xce\x00\x00\x00\x05",
    b"\xcf" + (5).to_bytes(8),
    b"\xd0\x05",
    b"\xd1\x00\x05",
    b"\xd2\x00\x00\x00\x05",
    b"\xd3" + (5).to_bytes(8),
    b"\xcb\x40\x14\x00\x00\x00\x00\x00\x00",
    b"\xca\x40\xa0\x00\x00",
]


@pytest.mark.parametrize("form", WIDER)
def test_a_number_in_a_wider_form_is_refused(form: bytes) -> None:
    assert ONE[6:7] == b"\x05"
    with pytest.raises(DecodeError):
        decode(ONE[:6] + form + ONE[7:], Tree, MOST)


NONE = "(a structure of this protocol|the one encoding of its value)"
LONGER = [
    (b"\x93\xa4tree", b"\xdc\x00\x03\xa4tree"),
    (b"\x93\xa4tree", b"\xdd\x00\x00\x00\x03\xa4tree"),
    (b"\xa4tree", b"\xd9\x04tree"),
    (b"\xa4tree", b"\xda\x00\x04tree"),
    (b"\xa4tree", b"\xc4\x04tree"),
    (b"\xa1a", b"\xd9\x01a"),
    (b"\xa1a", b"\xdb\x00\x00\x00\x01a"),
    (b"\xc4\x02kk", b"\xc5\x00\x02kk"),
    (b"\xc4\x02kk", b"\xc6\x00\x00\x00\x02kk"),
    (b"\xc4\x02kk", b"\xa2kk"),
    (b"\xa1a", b"\xc4\x01a"),
]


@pytest.mark.parametrize(("short", "long"), LONGER)
def test_a_longer_or_another_form_is_refused(short: bytes, long: bytes) -> None:
    assert ONE.count(short) == 1
    with pytest.raises(
        DecodeError, match=r"^not (a structure of this protocol|the one encoding of its value)$"
    ):
        decode(ONE.replace(short, long), Tree, MOST)


WRONG: list[object] = [
    [],
    ["tree"],
    ["tree", 5],
    ["tree", 5, [], 1],
    ["tree", 5, [], None],
    ["leaf", 5, []],
    ["bush", 5, []],
    [5, []],
    ["tree", -1, []],
    ["tree", True, []],
    ["tree", None, []],
    ["tree", "5", []],
    ["tree", 5, {}],
    ["tree", 5, None],
    ["tree", 5, [["leaf", "a"]]],
    ["tree", 5, [["leaf", "a", b"kk", 1]]],
    ["tree", 5, [["leaf", "a", b"k"]]],
    ["tree", 5, [["leaf", "a", b"kkk"]]],
    ["tree", 5, [["leaf", 1, b"kk"]]],
    ["tree", 5, [["tree", 1, []]]],
    {"type": "tree", "number": 5, "leaves": []},
    "tree",
    None,
    5,
]


@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_wrong_counts_types_and_bounds_are_refused(value: object) -> None:
    with pytest.raises(DecodeError, match=r"^not a structure of this protocol$"):
        decode(pack(value), Tree, MOST)


def test_a_number_over_64_bits_is_refused() -> None:
    with pytest.raises(DecodeError):
        decode(b"\x93\xa4tree\xc7\x09\x00" + bytes(9) + b"\x90", Tree, MOST)


def test_a_field_left_out_is_refused_even_where_it_has_a_default() -> None:
    assert decode(b"\x91\x00", Loose, MOST) == Loose(0)
    with pytest.raises(DecodeError):
        decode(b"\x90", Loose, MOST)


@pytest.mark.parametrize(
    "name", [b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xc0\x80", b"\xf5\x80\x80\x80"]
)
def test_text_that_is_not_utf_8_is_refused(name: bytes) -> None:
    data = b"\x93\xa4leaf" + bytes([0xA0 | len(name)]) + name + b"\xc4\x02kk"
    with pytest.raises(DecodeError):
        decode(data, Leaf, MOST)


@pytest.mark.parametrize("more", [b"\x00", b"\xc0", ONE])
def test_trailing_bytes_are_refused(more: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(ONE + more, Tree, MOST)


@pytest.mark.parametrize("end", range(len(ONE)))
def test_what_is_cut_short_is_refused(end: int) -> None:
    with pytest.raises(DecodeError):
        decode(ONE[:end], Tree, MOST)


def test_size_is_checked_before_anything_is_read() -> None:
    assert decode(ONE, Tree, len(ONE)) == Tree(5, (Leaf("a", b"kk"),))
    with pytest.raises(DecodeError, match=f"{len(ONE)} bytes where at most {len(ONE) - 1}"):
        decode(ONE, Tree, len(ONE) - 1)


BOMBS = [
    b"\x91" * 100_000,
    b"\x91" * 100_000 + b"\x90",
    b"\x81\xa1a" * 100_000,
    b"\xdd\xff\xff\xff\xff",
    b"\xdd\xff\xff\xff\xff" * 20_000,
    b"\xdb\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff",
    b"\x93\xa4tree\x05\xdd\xff\xff\xff\xff",
]


@pytest.mark.parametrize("bomb", BOMBS, ids=range(len(BOMBS)))
@pytest.mark.parametrize("kind", [Tree, Deep, Any], ids=["tree", "deep", "untyped"])
def test_attack_45_bombs_are_refused(bomb: bytes, kind: Any) -> None:
    with pytest.raises(DecodeError):
        decode(bomb, kind, 10**6)


def test_an_error_repeats_nothing_that_somebody_wrote() -> None:
    with pytest.raises(DecodeError) as caught:
        decode(pack(["leaf", "a secret name", b"k"]), Leaf, MOST)
    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_records_do_not_change() -> None:
    leaf = Leaf("a", b"kk")
    with pytest.raises(AttributeError, match="immutable"):
        leaf.name = "b"  # type: ignore[misc]


class Wide(Record, frozen=True):
    numbers: tuple[int, ...]


@given(st.lists(st.sampled_from(EDGES) | st.integers(0, 2**64 - 1), max_size=300))
def test_every_number_takes_its_shortest_form(numbers: list[int]) -> None:
    head = 1 + (1 if len(numbers) < 16 else 3)
    assert len(encode(Wide(tuple(numbers)))) == head + sum(map(shortest, numbers))


def shortest(number: int) -> int:
    """Bytes of a MessagePack uint."""
    forms = {2**7: 1, 2**8: 2, 2**16: 3, 2**32: 5, 2**64: 9}
    return next(size for bound, size in forms.items() if number < bound)
