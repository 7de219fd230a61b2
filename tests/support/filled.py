"""A value of any type of saved state, with something in every field: it grows with the state."""

import types
from collections.abc import Callable
from itertools import count
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin, get_type_hints

import msgspec

from backchannel.protocol.primitives import KemPublic, X25519Public
from backchannel.protocol.secret import Secret
from tests.support import cast

_numbers = count(1)
_PLAIN: dict[Any, Callable[[], Any]] = {
    int: lambda: 3,
    str: lambda: "text",
    bool: lambda: True,
    bytes: lambda: b"sixteen bytes...",
    X25519Public: lambda: cast.bundle("anna").prekey.x,
    KemPublic: lambda: cast.bundle("anna").prekey.kem,
}


def filled(kind: Any) -> Any:
    """Something of this type; secrets all differ."""
    while isinstance(kind, NewType):
        kind = kind.__supertype__
    if kind in _PLAIN:
        return _PLAIN[kind]()
    if get_origin(kind) is not None:
        return _generic(kind, get_origin(kind), get_args(kind))
    if issubclass(kind, Secret):
        return kind(next(_numbers).to_bytes(8) * (kind.LENGTH // 8))
    hints = get_type_hints(kind, include_extras=True)
    fields = kind.__struct_fields__ if issubclass(kind, msgspec.Struct) else kind._fields
    return kind(**{name: filled(hints[name]) for name in fields})


def _generic(kind: Any, origin: Any, given: tuple[Any, ...]) -> Any:
    if origin is Annotated:
        return _bounded(given[0], given[1])
    if origin in {Union, types.UnionType}:
        return filled(next(each for each in given if each is not types.NoneType))
    if origin is Literal:
        return given[-1]
    if origin is dict:
        return {filled(given[0]): filled(given[1])}
    if origin in {list, set}:
        return origin([filled(given[0])])
    assert origin is tuple, kind
    return tuple(filled(each) for each in given if each is not Ellipsis)


def _bounded(kind: Any, meta: msgspec.Meta) -> Any:
    if kind is bytes:
        return bytes(range(256))[: meta.min_length or 1].ljust(meta.min_length or 1, b"b")
    if meta.pattern is not None:
        return "used"
    return () if meta.max_length == 0 else filled(kind)


def secrets_of(value: object) -> list[Secret]:
    """Every secret in a state, wherever it is."""
    if isinstance(value, Secret):
        return [value]
    if isinstance(value, msgspec.Struct):
        parts = [getattr(value, name) for name in value.__struct_fields__]
    elif isinstance(value, dict):
        parts = [*value.keys(), *value.values()]
    else:
        parts = list(value) if isinstance(value, (list, tuple, set)) else []
    return [secret for part in parts for secret in secrets_of(part)]
