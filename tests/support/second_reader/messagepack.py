"""Owns SPEC 1, codec: a MessagePack reader that knows only shortest forms.

`read` refuses a longer form where it meets one, so nothing has to be encoded again.
"""

from typing import Any

from tests.support.second_reader.primitives import number
from tests.support.second_reader.refused import Refused, need

DEEPEST = 5

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
    if first < 0x80:
        return first, at + 1
    if first in UINT:
        return _long(data, at + 1, UINT[first])
    size, at = _size(data, at + 1, first)
    if first in BIN:
        return _take(data, at, size), at + size
    if first in STR or first & 0xE0 == 0xA0:
        return _text(data, size, at)
    return _array(data, size, at, deeper)


def _size(data: bytes, at: int, first: int) -> tuple[int, int]:
    if first & 0xF0 == 0x90:
        return first & 0x0F, at
    if first & 0xE0 == 0xA0:
        return first & 0x1F, at
    form = (STR | BIN | ARRAY).get(first)
    if form is None:
        raise Refused("encoding", "a type that is not used")
    return _long(data, at, form)


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
