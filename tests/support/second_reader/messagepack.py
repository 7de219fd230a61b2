"""Owns SPEC 1, codec: a MessagePack reader that knows only shortest forms, and checks of shape.

`read` refuses a longer form where it meets one, so nothing has to be encoded again. A *shape* is a
function from a value just read to the checked value.
"""

import unicodedata
from collections.abc import Callable
from typing import Any

from tests.support.second_reader.primitives import number
from tests.support.second_reader.refused import Refused, need

Shape = Callable[[Any], Any]
DEEPEST = 4
U32_MOST = 2**32 - 1

# First byte -> (bytes of the number that follows, the least number that needs this form).
UINT = {0xCC: (1, 1 << 7), 0xCD: (2, 1 << 8), 0xCE: (4, 1 << 16), 0xCF: (8, 1 << 32)}
STR = {0xD9: (1, 32), 0xDA: (2, 1 << 8), 0xDB: (4, 1 << 16)}
BIN = {0xC4: (1, 0), 0xC5: (2, 1 << 8), 0xC6: (4, 1 << 16)}
ARRAY = {0xDC: (2, 16), 0xDD: (4, 1 << 16)}


def read(data: bytes) -> Any:
    """One whole value: int, str, bytes or list of these; nothing may follow it."""
    value, end = _value(data, 0, DEEPEST)
    need(end == len(data), "encoding", "bytes after the value")
    return value


def _take(data: bytes, at: int, size: int) -> bytes:
    need(at + size <= len(data), "encoding", "cut short")
    return data[at : at + size]


def _long(data: bytes, at: int, form: tuple[int, int]) -> tuple[int, int]:
    width, least = form
    value = number(_take(data, at, width))
    need(value >= least, "encoding", "not the shortest form")
    return value, at + width


def _value(data: bytes, at: int, deeper: int) -> tuple[Any, int]:
    first = _take(data, at, 1)[0]
    at += 1
    if first < 0x80:
        return first, at
    if first in UINT:
        return _long(data, at, UINT[first])
    if 0xA0 <= first < 0xC0:
        return _text(data, first - 0xA0, at)
    if first in STR:
        return _text(data, *_long(data, at, STR[first]))
    if first in BIN:
        size, at = _long(data, at, BIN[first])
        return _take(data, at, size), at + size
    if 0x90 <= first < 0xA0:
        return _array(data, first - 0x90, at, deeper)
    if first in ARRAY:
        return _array(data, *_long(data, at, ARRAY[first]), deeper)
    raise Refused("encoding", "a type that is not used")


def _text(data: bytes, size: int, at: int) -> tuple[str, int]:
    try:
        return _take(data, at, size).decode("utf-8"), at + size
    except UnicodeDecodeError as error:
        raise Refused("encoding", "UTF-8") from error


def _array(data: bytes, count: int, at: int, deeper: int) -> tuple[list[Any], int]:
    need(deeper > 0, "encoding", "arrays too deep")
    values = []
    for _ in range(count):
        value, at = _value(data, at, deeper - 1)
        values.append(value)
    return values, at


def uint(least: int = 0, most: int = U32_MOST) -> Shape:
    """An integer within bounds."""

    def check(value: Any) -> int:
        if not isinstance(value, int):
            raise Refused("encoding", "not a uint")
        need(least <= value <= most, "rules", "number out of bounds")
        return value

    return check


def binary(size: int) -> Shape:
    """Bytes of one size."""

    def check(value: Any) -> bytes:
        if not isinstance(value, bytes):
            raise Refused("encoding", "not a bin")
        need(len(value) == size, "rules", "bin of another size")
        return value

    return check


def text(most_bytes: int = 65536, most_characters: int = 65536) -> Shape:
    """NFC text within bounds (SPEC 1)."""

    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise Refused("encoding", "not a str")
        need(unicodedata.is_normalized("NFC", value), "rules", "not NFC")
        need(len(value.encode()) <= most_bytes, "rules", "text too long")
        need(len(value) <= most_characters, "rules", "text too long")
        return value

    return check


def one_of(*words: str) -> Shape:
    """A str of a fixed set."""

    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise Refused("encoding", "not a str")
        need(value in words, "rules", "unknown word")
        return value

    return check


def array(shape: Shape, least: int, most: int) -> Shape:
    """An array of one shape with bounds on its length; gives a list."""

    def check(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise Refused("encoding", "not an array")
        need(least <= len(value) <= most, "rules", "array of another length")
        return [shape(item) for item in value]

    return check


def record(**fields: Shape) -> Shape:
    """An array with exactly these fields in this order; gives a dict by name."""

    def check(value: Any) -> dict[str, Any]:
        if not isinstance(value, list):
            raise Refused("encoding", "not an array")
        need(len(value) == len(fields), "encoding", "another number of fields")
        pairs = zip(fields.items(), value, strict=True)
        return {name: shape(item) for (name, shape), item in pairs}

    return check


def union(**records: Shape) -> Shape:
    """A tag and the fields of that tag's record; gives the dict with `tag` added."""

    def check(value: Any) -> dict[str, Any]:
        if not isinstance(value, list) or not value:
            raise Refused("encoding", "not a tagged array")
        tag, *fields = value
        if not isinstance(tag, str) or tag not in records:
            raise Refused("encoding", "unknown tag")
        found: dict[str, Any] = {"tag": tag} | records[tag](fields)
        return found

    return check
