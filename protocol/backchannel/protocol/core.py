"""What all cores share: kind, hour, salt, and the one key rule of SPEC.md section 3.

```
core 4056 = kind 1 | hour 4 | salt 16 | … by kind
```
Knows no kind's fields; those stand with the noun they carry.
"""

from collections.abc import Callable
from enum import IntEnum
from struct import Struct
from typing import NamedTuple, Self, final

from backchannel.protocol import limits
from backchannel.protocol.errors import AuthenticationError, DecodeError
from backchannel.protocol.labels import Label
from backchannel.protocol.primitives import expand, extract, hash_, open_, same, seal
from backchannel.protocol.secret import ClockValue, LeafKey, Secret
from backchannel.protocol.types import ContentHash, Core, Hour

_HEAD = Struct(f">BI{limits.SALT}s")
_CONTEXT = Struct(">IB")
HEAD = _HEAD.size
GROUP_HASHED = limits.CORE - limits.ENTRIES * limits.SLOT_MAC

Clock = Callable[[Hour], ClockValue]
"""E at an hour; `StaleError` where it is gone or not to be had. In a lobby one for all hours."""


class Kind(IntEnum):
    """The first byte of a core: SPEC.md section 7."""

    GROUP = 1
    UNATTRIBUTED = 2
    CHUNK = 3
    LINE = 4
    INTRO = 5
    KEY = 6
    ROSTER = 7
    COVER = 8
    CARD = 9
    JOIN = 10
    EPOCH = 11


_KINDS = {kind.value: kind for kind in Kind}


class Head(NamedTuple):
    """The first 21 bytes of a core, read or to be written."""

    kind: Kind
    hour: Hour
    salt: bytes

    def pack(self) -> bytes:
        """21 bytes."""
        return _HEAD.pack(*self)


def head_of(core: bytes) -> Head:
    """Read a core's head; `DecodeError` for a wrong size or an unknown kind."""
    if len(core) != limits.CORE:
        msg = "a core has 4,056 bytes"
        raise DecodeError(msg)
    number, hour, salt = _HEAD.unpack_from(core)
    kind = _KINDS.get(number)
    if kind is None:
        msg = "a core of an unknown kind"
        raise DecodeError(msg)
    return Head(kind, hour, salt)


def content_hash(core: Core) -> ContentHash:
    """SPEC.md section 7: of the whole core, of a group core without its slots."""
    hashed = core[:GROUP_HASHED] if core[0] == Kind.GROUP else core
    return ContentHash(hash_(Label.CONTENT, hashed))


def leaf_key(secret: Secret, clock: Clock, head: Head) -> LeafKey:
    """What opens one core for who has neither its chain nor the clock: half of the key rule, which
    the core's own salt ends. `StaleError` where the hour's clock is gone.
    """
    return LeafKey(extract(head.salt, secret.expose() + clock(head.hour).expose()))


@final
class CoreKey:
    """Key and commitment that the key rule gives for one secret, core and context."""

    __slots__ = ("_key", "commitment")

    def __init__(self, secret: Secret, clock: Clock, head: Head, context: bytes = b"") -> None:
        """Derive; `StaleError` where the hour's clock is gone."""
        self._derive(leaf_key(secret, clock, head), head, context)

    @classmethod
    def of_leaf(cls, leaf: LeafKey, head: Head, context: bytes = b"") -> Self:
        """The same for who has the core's leaf key alone."""
        made = cls.__new__(cls)
        made._derive(leaf, head, context)  # noqa: SLF001 - its own
        return made

    def _derive(self, leaf: LeafKey, head: Head, context: bytes) -> None:
        about = _CONTEXT.pack(head.hour, head.kind) + context
        both = expand(leaf.expose(), Label.CORE_KEY, about, 64)
        self._key = both[:32]
        self.commitment = both[32:]
        """32 public bytes that bind a ciphertext to this key."""

    def seal(self, plain: bytes, associated: bytes) -> bytes:
        """Encrypt; 16 bytes longer."""
        return seal(self._key, plain, associated)

    def open(self, sealed: bytes, associated: bytes) -> bytes:
        """Decrypt; `AuthenticationError` when it does not verify."""
        return open_(self._key, sealed, associated)

    def check(self, commitment: bytes) -> None:
        """`AuthenticationError` unless `commitment` is this key's."""
        if not same(self.commitment, commitment):
            msg = "a commitment is not of this key"
            raise AuthenticationError(msg)

    def matches(self, commitment: bytes) -> bool:
        """Whether `commitment` is this key's."""
        return same(self.commitment, commitment)
