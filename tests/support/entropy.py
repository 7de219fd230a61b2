"""Randomness by script: the same seed draws the same bytes on every machine."""

import hashlib
from typing import NamedTuple

from backchannel.protocol import primitives
from backchannel.protocol.primitives import KemPublic
from backchannel.protocol.secret import KemShared


class Encapsulation(NamedTuple):
    """What the library drew, kept so that a vector can store it."""

    public: KemPublic
    shared: KemShared
    ciphertext: bytes


class ScriptedEntropy:
    """An `Entropy`: draw n is SHAKE-256 of `seed | u64 n`; encapsulations are real, recorded."""

    def __init__(self, seed: bytes | str | int = 0) -> None:
        self._seed = seed if isinstance(seed, bytes) else str(seed).encode()
        self._drawn = 0
        self.encapsulations: list[Encapsulation] = []

    def draw(self, count: int, /) -> bytes:
        block = self._seed + self._drawn.to_bytes(8)
        self._drawn += 1
        return hashlib.shake_256(block).digest(count)

    def encapsulate(self, public: KemPublic, /) -> tuple[KemShared, bytes]:
        shared, ciphertext = primitives.encapsulate(public)
        self.encapsulations.append(Encapsulation(public, shared, ciphertext))
        return shared, ciphertext
