"""The keys of one entry: SPEC.md section 8. Made for one channel entry and used nowhere else.

```
bundle 2432 = identity X25519 32 | identity KEM 1184 | prekey X25519 32 | prekey KEM 1184
```
"""

from typing import NamedTuple, Self

import msgspec

from backchannel.protocol import limits
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.errors import AuthenticationError, DecodeError
from backchannel.protocol.labels import Label
from backchannel.protocol.primitives import (
    KemPublic,
    X25519Public,
    dh,
    hash_,
    kem_public,
    x25519_public,
)
from backchannel.protocol.secret import KemSeed, X25519Private
from backchannel.protocol.types import IdentityHash, PrekeyId

_ANY = X25519Private(bytes(limits.X25519))


class HybridPublic(msgspec.Struct, frozen=True, array_like=True):
    """One X25519 and one ML-KEM-768 public key."""

    x: X25519Public
    kem: KemPublic

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From 1,216 bytes; `DecodeError` for another size, a key not canonical, or of low order.

        Whoever keeps such a key would fail only later, when it has something to send to its owner.
        """
        if len(data) != limits.IDENTITY:
            msg = "a pair of public keys has 1,216 bytes"
            raise DecodeError(msg)
        x = X25519Public(data[: limits.X25519])
        _check_order(x)
        return cls(x, KemPublic(data[limits.X25519 :]))

    def pack(self) -> bytes:
        """1,216 bytes."""
        return self.x.value + self.kem.value


class HybridPrivate(msgspec.Struct, frozen=True, array_like=True):
    """One X25519 private key and one ML-KEM-768 seed."""

    x: X25519Private
    kem: KemSeed

    @classmethod
    def draw(cls, entropy: Entropy) -> Self:
        """A fresh pair, from 96 random bytes."""
        return cls(X25519Private(entropy.draw(32)), KemSeed(entropy.draw(limits.KEM_SEED)))

    def public(self) -> HybridPublic:
        """The public halves."""
        return HybridPublic(x25519_public(self.x), kem_public(self.kem))


class Bundle(NamedTuple):
    """The public keys of one entry: who it is, and what an intro to it uses."""

    identity: HybridPublic
    prekey: HybridPublic

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From 2,432 bytes; `DecodeError` for another size and as `HybridPublic.parse`."""
        if len(data) != limits.BUNDLE:
            msg = "a bundle has 2,432 bytes"
            raise DecodeError(msg)
        identity, prekey = data[: limits.IDENTITY], data[limits.IDENTITY :]
        return cls(HybridPublic.parse(identity), HybridPublic.parse(prekey))

    def pack(self) -> bytes:
        """2,432 bytes."""
        return self.identity.pack() + self.prekey.pack()


class BundleKeys(msgspec.Struct, frozen=True, array_like=True):
    """The private keys behind one's own bundle."""

    identity: HybridPrivate
    prekey: HybridPrivate

    @classmethod
    def draw(cls, entropy: Entropy) -> Self:
        """Fresh keys of one entry."""
        return cls(HybridPrivate.draw(entropy), HybridPrivate.draw(entropy))

    def public(self) -> Bundle:
        """The bundle that others see."""
        return Bundle(self.identity.public(), self.prekey.public())


def _check_order(x: X25519Public) -> None:
    """Every private key is a multiple of eight: any one of them finds the points of low order."""
    try:
        dh(_ANY, x)
    except AuthenticationError:
        msg = "an X25519 public key is of low order"
        raise DecodeError(msg) from None


def identity_hash(identity: HybridPublic) -> IdentityHash:
    """What a roster holds of an identity."""
    return IdentityHash(hash_(Label.IDENTITY, identity.pack()))


def prekey_id(prekey: HybridPublic) -> PrekeyId:
    """How an intro names the prekey it used."""
    return PrekeyId(hash_(Label.PREKEY, prekey.pack())[: limits.ID])
