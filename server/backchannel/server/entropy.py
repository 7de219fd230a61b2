"""Where the relay's randomness comes from: the operating system."""

import os
from typing import final

from backchannel.protocol.primitives import KemPublic, encapsulate
from backchannel.protocol.secret import KemShared


@final
class SystemEntropy:
    """Fills the protocol's `Entropy` port."""

    def draw(self, count: int, /) -> bytes:
        return os.urandom(count)

    def encapsulate(self, public: KemPublic, /) -> tuple[KemShared, bytes]:
        return encapsulate(public)
