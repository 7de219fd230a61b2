"""Randomness of the operating system, as the protocol asks for it."""

import os
from typing import final

from backchannel.protocol.primitives import KemPublic, encapsulate
from backchannel.protocol.secret import KemShared


@final
class SystemEntropy:
    """A `protocol.entropy.Entropy` that tests replace by a scripted one."""

    def draw(self, count: int, /) -> bytes:
        """`count` fresh random bytes."""
        return os.urandom(count)

    def encapsulate(self, public: KemPublic, /) -> tuple[KemShared, bytes]:
        """A fresh shared secret and its ciphertext for `public`."""
        return encapsulate(public)
