"""One turn of a line's ratchet: SPEC.md section 13. What a header says, and which keys follow.

```
header 2344 = ratchet key X25519 32 | ratchet key KEM 1184 | fresh X25519 32
            | KEM ciphertext 1088 | u32 pn | u32 n
```
Pure derivation; whose turn it is, and what is kept of it, is `line`'s matter.
"""

from typing import NamedTuple, Self

from backchannel.protocol import limits
from backchannel.protocol.identity import HybridPrivate, HybridPublic
from backchannel.protocol.labels import Label
from backchannel.protocol.primitives import X25519Public, decapsulate, dh, kdf
from backchannel.protocol.secret import (
    ChainKey,
    CoreSecret,
    ExportKey,
    HeaderKey,
    KemShared,
    MessageKey,
    RootKey,
    X25519Private,
)

_FRESH_AT = limits.IDENTITY
_CIPHERTEXT_AT = _FRESH_AT + limits.X25519
_NUMBERS_AT = _CIPHERTEXT_AT + limits.KEM_CIPHERTEXT
HEADER = _NUMBERS_AT + 8


class Header(NamedTuple):
    """The encrypted header of one block."""

    ratchet: HybridPublic
    """The author's newest ratchet keys."""
    fresh: X25519Public
    """For this block alone."""
    ciphertext: bytes
    """To the reader's ratchet KEM key, for this block alone."""
    previous: int
    """`pn`: blocks of the author's chain before this one."""
    number: int
    """`n`: blocks of this chain before this one."""

    def pack(self) -> bytes:
        """2,344 bytes."""
        return (
            self.ratchet.pack()
            + self.fresh.value
            + self.ciphertext
            + self.previous.to_bytes(4)
            + self.number.to_bytes(4)
        )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From 2,344 bytes; `DecodeError` for keys that may not be."""
        return cls(
            HybridPublic.parse(data[:_FRESH_AT]),
            X25519Public(data[_FRESH_AT:_CIPHERTEXT_AT]),
            data[_CIPHERTEXT_AT:_NUMBERS_AT],
            int.from_bytes(data[_NUMBERS_AT:-4]),
            int.from_bytes(data[-4:]),
        )

    def shared(self, own: HybridPrivate) -> bytes:
        """This block's own secrets 64, as the owner of the ratchet keys finds them."""
        return dh(own.x, self.fresh) + decapsulate(own.kem, self.ciphertext).expose()


def root_step(
    root: RootKey, own: X25519Private, peer: X25519Public, reply: KemShared | None
) -> tuple[RootKey, ChainKey, HeaderKey]:
    """The next root, a chain's first key, and the header key of the chain after it."""
    mixed = dh(own, peer) + (reply.expose() if reply else b"")
    out = kdf(mixed, root.expose(), Label.RATCHET_ROOT, length=96)
    return RootKey(out[:32]), ChainKey(out[32:64]), HeaderKey(out[64:])


def body_keys(
    message: MessageKey, shared: bytes, reply: KemShared | None
) -> tuple[CoreSecret, ExportKey]:
    """Body secret and export of one block; `shared` are its own secrets 64."""
    mixed = message.expose() + shared + (reply.expose() if reply else b"")
    both = kdf(mixed, b"", Label.LINE_BODY, length=64)
    return CoreSecret(both[:32]), ExportKey(both[32:])
