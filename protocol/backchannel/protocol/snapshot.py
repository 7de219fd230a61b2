"""Saved state as bytes, and back: of a channel or candidate, never of its epoch clock.

Not a wire format: each release reads its own and earlier ones, `format` says which.
"""

from typing import Any, TypeVar

import msgspec

from backchannel.protocol.errors import BackchannelError, StateError
from backchannel.protocol.primitives import KemPublic, X25519Public
from backchannel.protocol.secret import Secret

FORMAT = 1
T = TypeVar("T")


def _plain(value: object) -> bytes:
    if isinstance(value, Secret):
        return value.expose()
    if isinstance(value, X25519Public | KemPublic):
        return value.value
    msg = f"{type(value).__name__} is not saved"
    raise NotImplementedError(msg)


def _typed(kind: type[Any], value: object) -> object:
    return kind(value)


_encoder = msgspec.msgpack.Encoder(enc_hook=_plain)


def save(state: msgspec.Struct) -> bytes:
    """All of a state, secrets included: for an encrypted vault only."""
    return _encoder.encode(state)


def load(data: bytes, kind: type[T]) -> T:
    """The state again; `StateError` when it cannot be read or is of a newer format."""
    try:
        state = msgspec.msgpack.decode(data, type=kind, dec_hook=_typed)
    except (msgspec.MsgspecError, BackchannelError, ValueError, RecursionError):
        msg = "saved state cannot be read"
        raise StateError(msg) from None
    if getattr(state, "format", FORMAT) != FORMAT:
        msg = "saved state is of another version of this program"
        raise StateError(msg)
    return state
