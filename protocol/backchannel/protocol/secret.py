"""Key material: one class per role of key, so that none can stand in another's place.

A `Secret` does not print, hash, pickle or compare in variable time. Python cannot promise that its
bytes leave memory when the object does; THREATS.md says what follows from that.
"""

import hmac
from typing import ClassVar, NoReturn, Self, final


class Secret:
    """Bytes of one fixed length that must not leak by accident; `expose` is the only way out."""

    LENGTH: ClassVar[int] = 32
    __slots__ = ("_value",)

    def __init__(self, value: bytes, /) -> None:
        """Take exactly `LENGTH` bytes; `ValueError` for any other number."""
        if len(value) != self.LENGTH:
            msg = f"{type(self).__name__} takes {self.LENGTH} bytes"
            raise ValueError(msg)
        self._value = bytes(value)

    def expose(self) -> bytes:
        """The bytes themselves, for a primitive or for saved state."""
        return self._value

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and hmac.compare_digest(self._value, other._value)

    __hash__ = None  # type: ignore[assignment]  # a dictionary of secrets compares in variable time

    def __reduce__(self) -> NoReturn:
        msg = f"{type(self).__name__} is not pickled"
        raise TypeError(msg)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self


@final
class KemShared(Secret):
    """Shared secret 32 of one ML-KEM encapsulation."""


@final
class X25519Private(Secret):
    """X25519 private key 32."""


@final
class KemSeed(Secret):
    """ML-KEM-768 private key as its seed `d | z`, 64 bytes."""

    LENGTH = 64


@final
class EpochSeed(Secret):
    """What an epoch starts from: section 5."""


@final
class EpochSecret(Secret):
    """Where an epoch's drops are: section 5."""


@final
class ClockValue(Secret):
    """E(t), the epoch clock at one hour: section 5."""


@final
class IntroKey(Secret):
    """Salt of an intro: the epoch's, or in a lobby the invite's: sections 5 and 11."""


@final
class DropSecret(Secret):
    """Root of one drop's id, access key and outer secret: section 6."""


@final
class OuterSecret(Secret):
    """Root of a drop's hourly outer keys: section 6."""


@final
class CloseSecret(Secret):
    """The facilitators' secret, root of close keys: section 6."""


@final
class InviteSecret(Secret):
    """What twelve words stand for: section 11."""


@final
class OnceSecret(Secret):
    """What a newcomer gives with its answer, so that the admission opens once: section 11."""


@final
class CoreSecret(Secret):
    """What enters the key rule of section 3: of a payload, roster body, card, join or line body."""


@final
class LeafKey(Secret):
    """Opens one core and nothing else: section 3."""


@final
class RootKey(Secret):
    """Root of a line: section 13."""


@final
class HeaderKey(Secret):
    """Of a line's headers in one direction and chain: section 13."""


@final
class ChainKey(Secret):
    """Of a line's chain or a sender's generation: sections 13 and 14."""


@final
class MessageKey(Secret):
    """Of one block: sections 13 and 14."""


@final
class ExportKey(Secret):
    """What a line gives to sender keys at one step: section 13."""


@final
class MaskKey(Secret):
    """Hides from others how far a line has come: section 14."""


@final
class ChainSeed(Secret):
    """What a generation starts from: section 14."""


@final
class MacSeed(Secret):
    """Makes one sender's slots for one reader: section 14."""


@final
class RequestKey(Secret):
    """Authenticates requests to one relay for one drop: section 18."""


@final
class AnswerKey(Secret):
    """Authenticates the relay's answers: section 18."""


@final
class StoreKey(Secret):
    """Of a vault or a relay's store: section 19."""


@final
class ExpiryKey(Secret):
    """Dies with its hour: section 19."""


@final
class ThreadKey(Secret):
    """Dies with its thread: section 19."""


@final
class BaseKey(Secret):
    """Stands in the file of expiry keys: without it a passphrase opens no database of a vault."""


@final
class ItemKey(Secret):
    """Seals items at rest: section 19."""


@final
class FileKey(Secret):
    """Of a file's cores: section 15."""
