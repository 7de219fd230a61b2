"""One encoding per value: SPEC.md section 1, "Codec".

Owns the strict MessagePack reader and writer for `Record` structures, and for saved state.
Knows no structure.
"""

from functools import cache
from typing import Any, TypeVar

import msgspec

from backchannel.protocol.errors import DecodeError


class Record(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Base of every structure on the wire: an array of its fields, of exactly that length."""


T = TypeVar("T")
_encoder = msgspec.msgpack.Encoder()


@cache
def _decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:  # a union is not a type[T]
    return msgspec.msgpack.Decoder(kind, strict=True)


def encode(value: Record) -> bytes:
    """The one encoding of `value`."""
    return _encoder.encode(value)


def decode(data: bytes, kind: type[T], most: int) -> T:
    """Read one `kind` of at most `most` bytes.

    `DecodeError` for anything larger, malformed, out of bounds, or not encoded in the one way.
    """
    if len(data) > most:
        msg = f"{len(data)} bytes where at most {most} are allowed"
        raise DecodeError(msg)
    decoder = _decoder(kind)  # type: ignore[arg-type]  # a type is hashable
    try:
        value: T = decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        msg = "not a structure of this protocol"
        raise DecodeError(msg) from None
    if _encoder.encode(value) != data:
        msg = "not the one encoding of its value"
        raise DecodeError(msg)
    return value
