"""Owns SPEC 1, codec: fields, types and bounds of what `messagepack.read` has read.

A *shape* is a function from a value just read to the checked value.
"""

import unicodedata
from collections.abc import Callable
from typing import Any

from tests.support.second_reader.refused import Refused, need

Shape = Callable[[Any], Any]
U32_MOST = 2**32 - 1


def uint(least: int = 0, most: int = U32_MOST) -> Shape:
    """An integer within bounds."""

    def check(value: Any) -> int:
        if not isinstance(value, int):
            raise Refused("encoding", "not a uint")
        need(least <= value <= most, "rules", "number out of bounds")
        return value

    return check


def binary(*sizes: int) -> Shape:
    """Bytes of one size, or of one of some."""

    def check(value: Any) -> bytes:
        if not isinstance(value, bytes):
            raise Refused("encoding", "not a bin")
        need(len(value) in sizes, "rules", "bin of another size")
        return value

    return check


def text(most_bytes: int = 65536, most_characters: int = 65536, least: int = 0) -> Shape:
    """NFC text within bounds (SPEC 1); least: characters."""

    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise Refused("encoding", "not a str")
        need(unicodedata.is_normalized("NFC", value), "rules", "not NFC")
        need(len(value.encode()) <= most_bytes, "rules", "text too long")
        need(least <= len(value) <= most_characters, "rules", "length of a text")
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
