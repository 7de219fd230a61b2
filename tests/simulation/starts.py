"""Where runs begin: channels that were founded once, and are copied for each run.

ML-KEM draws its own randomness in the library, so a seed would not give the same run twice: here
another mechanism of the same sizes stands in for it, which is no secret to anybody. What one
person's program works out for a block the others' would work out alike: it is done once.
"""

import functools
import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from backchannel.protocol import block, limits, primitives
from backchannel.protocol.core import Clock, head_of
from backchannel.protocol.drop import Drop
from backchannel.protocol.errors import AuthenticationError
from backchannel.protocol.labels import Label
from backchannel.protocol.primitives import KemPublic, X25519Public
from backchannel.protocol.secret import (
    DropSecret,
    EpochSecret,
    KemSeed,
    KemShared,
    OuterSecret,
    Secret,
)
from backchannel.protocol.types import Core, Hour
from tests.simulation.person import Person
from tests.simulation.schedule import Shape
from tests.support.entropy import ScriptedEntropy
from tests.support.world import RELAYS, Drops, Hear, Member, World


class Known(ScriptedEntropy):
    """The same bytes and the same encapsulations for one seed."""

    def encapsulate(self, public: KemPublic, /) -> tuple[KemShared, bytes]:
        ciphertext = self.draw(32).ljust(limits.KEM_CIPHERTEXT, b"\0")
        return _shared(public.value, ciphertext), ciphertext


def _shared(public: bytes, ciphertext: bytes) -> KemShared:
    return KemShared(hashlib.sha256(public + ciphertext).digest())


@functools.lru_cache(4096)
def _public(seed: bytes) -> bytes:
    return KemPublic.of(KemSeed(seed)).value


def _decapsulate(seed: KemSeed, ciphertext: bytes) -> KemShared:
    return _shared(_public(seed.expose()), ciphertext)


@functools.lru_cache(8192)
def _drop(secret: bytes, relay: bytes) -> Drop:
    return Drop(DropSecret(primitives.kdf(secret, relay, Label.DROP)), X25519Public(relay))


def _of_epoch(secret: EpochSecret, relay: X25519Public) -> Drop:
    """The same drop is asked for at every step."""
    return _drop(secret.expose(), relay.value)


_kdf = functools.lru_cache(1 << 16)(primitives.kdf)
_expand = functools.lru_cache(1 << 14)(primitives.expand)
_extract = functools.lru_cache(1 << 14)(primitives.extract)
_parsed = functools.lru_cache(4096)(primitives.KemPublic)


def _kem_public(seed: KemSeed) -> KemPublic:
    return _parsed(_public(seed.expose()))


class Sealed:
    """What blocks hold and by which key, as those know who sealed them: opening one again is a
    look-up. What nobody sealed, as noise, is opened in earnest.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bytes], tuple[bytes, bytes, bytes]] = {}

    def seal(self, key: Secret, nonce: bytes, plain: bytes, associated: bytes = b"") -> bytes:
        """As `primitives.xseal`."""
        sealed = _xseal(key, nonce, plain, associated)
        self._known[nonce, sealed[-limits.TAG :]] = key.expose(), plain, sealed
        return sealed

    def open(self, key: Secret, nonce: bytes, sealed: bytes, associated: bytes = b"") -> bytes:
        """As `primitives.xopen`."""
        by, plain, whole = self._known.get((nonce, sealed[-limits.TAG :]), (b"", b"", b""))
        if whole != sealed:
            return _xopen(key, nonce, sealed, associated)
        if by != key.expose():
            raise AuthenticationError
        return plain

    def unwrap(
        self, block: bytes, secret: OuterSecret, clock: Clock, hint: Hour, window: tuple[Hour, Hour]
    ) -> Core:
        """As `block.unwrap`: of what was sealed here the hour is known, and others open nothing."""
        _, core, _ = self._known.get((block[: limits.NONCE], block[-limits.TAG :]), (b"", b"", b""))
        if not core:
            return _unwrap(block, secret, clock, hint, window)
        hint, (first, last) = head_of(core).hour, window
        return _unwrap(block, secret, clock, hint, (max(first, hint), min(last, hint)))


_unwrap = block.unwrap
_xseal, _xopen = primitives.xseal, primitives.xopen


@contextmanager
def by_script() -> Iterator[None]:
    """While this lasts, encapsulations are those of `Known`."""
    known = Sealed()
    instead: dict[str, tuple[Any, Any]] = {
        "decapsulate": (primitives.decapsulate, _decapsulate),
        "kem_public": (primitives.kem_public, _kem_public),
        "kdf": (primitives.kdf, _kdf),
        "expand": (primitives.expand, _expand),
        "extract": (primitives.extract, _extract),
        "xseal": (primitives.xseal, known.seal),
        "xopen": (primitives.xopen, known.open),
        "unwrap": (block.unwrap, known.unwrap),
    }
    users = [
        (vars(module), name)
        for path, module in list(sys.modules.items())
        for name, (real, _) in instead.items()
        if path.startswith("backchannel.protocol.") and vars(module).get(name) is real
    ]
    of_epoch = vars(Drop)["of_epoch"]
    for module, name in users:
        module[name] = instead[name][1]
    Drop.of_epoch = staticmethod(_of_epoch)  # type: ignore[method-assign]
    try:
        yield
    finally:
        Drop.of_epoch = of_epoch  # type: ignore[method-assign]
        for module, name in users:
            module[name] = instead[name][0]


class Scene(World):
    """People, each with a script of its own to draw from."""

    person = Person
    script = ""

    def _add(self, member: Member) -> Member:
        member.entropy = Known(f"{self.script}/{member.name}")
        return super()._add(member)

    @property
    def people(self) -> list[Person]:
        return [each for each in self.members if isinstance(each, Person)]

    def copied(self, script: str, hear: Hear) -> "Scene":
        """The same people once more, whose lives go on by another script."""
        scene = Scene.__new__(Scene)
        scene.now, scene.members, scene.script, scene._hear = self.now, [], script, hear
        scene.drops = Drops()
        scene.drops.rows = {drop: list(rows) for drop, rows in self.drops.rows.items()}
        scene.drops.sealed = set(self.drops.sealed)
        for each in self.people:
            twin = Person(each.name, scene.drops, scene.time, hear)
            twin.crash(each.saved())
            scene._add(twin)
        scene.founder = scene.members[0]
        return scene


@functools.cache
def founded(shape: Shape) -> Scene:
    """A settled channel; never used itself, but copied."""
    scene = Scene(shape.lifetime, relays=RELAYS[: shape.relays])
    for number in range(1, shape.members):
        if number < shape.facilitators:
            scene.admit_facilitator(f"Guest {number}")
        else:
            scene.admit(f"Guest {number}")
        scene.settle()
    scene.pass_time(hours=3)
    scene.settle()
    return scene
