"""Changes inside a MessagePack structure that leave it one: what blind changes seldom do."""

import hashlib
from typing import Any

import msgspec

from tests.fuzz.target import Bytes

_NUMBERS = [0, 1, 2, 3, 23, 64, 127, 128, 255, 256, 2160, 2**16, 2**31, 2**32 - 1, 2**32, 2**63, -1]
_TEXTS = [
    "",
    "a",
    "é",
    "e\u0301",
    "\u202e",
    "\x00",
    "\n",
    "Ana Аna",
    "x" * 65,
    "owl",
    "..",
    "\x1b[",
]


def structured(data: bytes, most: int, seed: int) -> bytes:
    """A mutator for atheris."""
    take = Bytes(hashlib.shake_256(seed.to_bytes(8)).digest(512))
    if take.byte() % 4 == 0:
        return blind(data, take)[:most]
    try:
        value = msgspec.msgpack.decode(data)
        return msgspec.msgpack.encode(_changed(value, take))[:most]
    except (msgspec.MsgspecError, ValueError, RecursionError, TypeError, OverflowError):
        return blind(data, take)[:most]


def blind(data: bytes, take: Bytes) -> bytes:
    """Some bytes put in, taken away or put in the place of others."""
    at = abs(take.number()) % (len(data) + 1)
    gone, put = take.choose([0, 1, 1, 2, 8]), take.take(take.choose([0, 1, 1, 2, 8]))
    return data[:at] + put + data[at + gone :]


def _changed(value: Any, take: Bytes) -> Any:
    """One place of it, at any depth."""
    if isinstance(value, list) and value and take.byte() % 4:
        at = take.byte() % len(value)
        return [*value[:at], _changed(value[at], take), *value[at + 1 :]]
    if isinstance(value, list):
        at = take.byte() % (len(value) + 1)
        again = value[at : at + 1] * (take.byte() % 3)
        return [*value[:at], *again, *value[at + 1 :]]
    if isinstance(value, bytes):
        size, changed = len(value), blind(value, take)
        return changed[:size].ljust(size, b"\0") if take.byte() % 4 else changed
    if isinstance(value, str):
        return take.choose([take.choose(_TEXTS), value + take.choose(_TEXTS)])
    return take.choose(_NUMBERS) if isinstance(value, int) else value
