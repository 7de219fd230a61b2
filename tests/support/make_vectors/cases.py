"""What every file of vectors is made with: drawings alike in every run, cases tried at once."""

from collections.abc import Iterator
from typing import Any

import msgspec

from backchannel.protocol.epoch import begin, commitment
from backchannel.protocol.identity import BundleKeys
from backchannel.protocol.roster import Roster
from backchannel.protocol.secret import (
    EpochSeed,
    X25519Private,
)
from tests.support import cast, open_main, vectors
from tests.support.bits import flip
from tests.support.entropy import ScriptedEntropy
from tests.support.vectors import Case, plain

HOUR = cast.HOUR


Cases = Iterator[Case]


def fixed(name: str, size: int = 32) -> bytes:
    """Bytes that stand for something drawn, alike in every run."""
    return ScriptedEntropy(name).draw(size)


def case(name: str, does: str, expect: str = "ok", /, **given: Any) -> Case:
    """One case; what it gives is computed, and refused if it is not what `expect` says."""
    shown = plain(given)
    found = vectors.answer(open_main.OPERATIONS[does], shown)
    if not vectors.agrees(expect, found):
        message = f"{name}: {expect} expected, found {found!r}"
        raise AssertionError(message)
    whole = {"name": name, "does": does, "given": shown, "expect": expect}
    return whole | ({"gives": found} if expect == "ok" else {})


def damaged(good: Case, name: str, expect: str, field: str, bit: int) -> Case:
    """A case that stands, with one bit of one field turned over."""
    given = good["given"] | {field: flip(bytes.fromhex(good["given"][field]), bit).hex()}
    return case(name, good["does"], expect, **given)


def lost_mask(good: Case, name: str, /, **given: Any) -> Case:
    """A case in which step and use come out as noise: the use may be one that there is, or not."""
    try:
        return changed(good, name, "ciphertext", **given)
    except AssertionError:
        return changed(good, name, "stale", **given)


def changed(good: Case, name: str, expect: str, /, **given: Any) -> Case:
    return case(name, good["does"], expect, **(good["given"] | given))


def of_byte(at: int) -> int:
    """The highest bit of a byte."""
    return 8 * at + 7


def with_bytes(core: bytes, at: int, data: bytes) -> str:
    return (core[:at] + data + core[at + len(data) :]).hex()


RELAY = X25519Private(fixed("relay"))


SECRET, CLOCK = begin(EpochSeed(fixed("epoch")))


def the_roster(*names: str, version: int = 1, previous: bytes = bytes(32)) -> Roster:
    made = cast.roster(*names)
    bound = commitment(SECRET, HOUR, CLOCK)
    return msgspec.structs.replace(made, version=version, previous=previous, commitment=bound)


FIRST = the_roster("anna", "bela")


SECOND = the_roster("anna", "bela", "cleo", version=2, previous=FIRST.hash)


def private_keys(keys: BundleKeys) -> dict[str, bytes]:
    return {
        "identity_x25519": keys.identity.x.expose(),
        "identity_kem": keys.identity.kem.expose(),
        "prekey_x25519": keys.prekey.x.expose(),
        "prekey_kem": keys.prekey.kem.expose(),
    }
