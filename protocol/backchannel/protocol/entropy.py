"""Where randomness comes from: a port that shells fill and tests script. Nothing else draws any."""

from typing import Protocol

from backchannel.protocol.primitives import KemPublic
from backchannel.protocol.secret import KemShared


class Entropy(Protocol):
    """A source of random bytes and of ML-KEM encapsulations.

    Encapsulation stands here and not in `primitives`, because the library draws its own
    randomness for it: a test that wants known answers stores ciphertext and secret instead.
    """

    def draw(self, count: int, /) -> bytes:
        """`count` fresh random bytes."""
        ...

    def encapsulate(self, public: KemPublic, /) -> tuple[KemShared, bytes]:
        """A fresh shared secret 32 and its ciphertext 1,088 for `public`."""
        ...
