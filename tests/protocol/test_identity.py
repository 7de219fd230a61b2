"""The keys of one entry: SPEC.md section 8."""

import hashlib

import pytest

from backchannel.protocol.errors import DecodeError
from backchannel.protocol.identity import (
    Bundle,
    BundleKeys,
    HybridPrivate,
    HybridPublic,
    identity_hash,
    prekey_id,
)
from tests.support import cast
from tests.support.bits import flip
from tests.support.entropy import ScriptedEntropy

BUNDLE = cast.bundle("anna")
PACKED = BUNDLE.pack()
CLAMPED = (2**255 - 19).to_bytes(32, "little")


def test_a_bundle_is_read_as_written() -> None:
    assert len(PACKED) == 2432
    assert Bundle.parse(PACKED) == BUNDLE
    assert Bundle.parse(PACKED).pack() == PACKED
    assert HybridPublic.parse(PACKED[:1216]) == BUNDLE.identity


def test_the_places_of_the_keys() -> None:
    assert PACKED[:32] == BUNDLE.identity.x.value
    assert PACKED[32:1216] == BUNDLE.identity.kem.value
    assert PACKED[1216:1248] == BUNDLE.prekey.x.value
    assert PACKED[1248:] == BUNDLE.prekey.kem.value


def test_the_hashes_as_written() -> None:
    identity = hashlib.sha256(b"\x16backchannel/1 identity" + PACKED[:1216]).digest()
    prekey = hashlib.sha256(b"\x14backchannel/1 prekey" + PACKED[1216:]).digest()
    assert identity_hash(BUNDLE.identity) == identity
    assert prekey_id(BUNDLE.prekey) == prekey[:16]


@pytest.mark.parametrize("size", [0, 1216, 2431, 2433])
def test_a_bundle_has_one_size(size: int) -> None:
    with pytest.raises(DecodeError, match="2,432"):
        Bundle.parse(PACKED[:size].ljust(size, b"\0"))


@pytest.mark.parametrize("size", [0, 32, 1215, 1217])
def test_a_pair_has_one_size(size: int) -> None:
    with pytest.raises(DecodeError, match="1,216"):
        HybridPublic.parse(PACKED[:size])


@pytest.mark.parametrize("at", [0, 1216])
def test_attack_14_keys_that_are_not_canonical(at: int) -> None:
    high = flip(PACKED, 8 * (at + 31) + 7)
    prime = PACKED[:at] + CLAMPED + PACKED[at + 32 :]
    modulus = PACKED[: at + 32] + b"\xff" * 1184 + PACKED[at + 1216 :]
    for poisoned in (high, prime, modulus):
        with pytest.raises(DecodeError, match="canonical"):
            Bundle.parse(poisoned)


@pytest.mark.parametrize("point", cast.LOW_ORDER)
@pytest.mark.parametrize("at", [0, 1216])
def test_attack_13_74_keys_of_low_order(point: bytes, at: int) -> None:
    """Who keeps such a key could not send to its owner, and would find out only then."""
    with pytest.raises(DecodeError, match="low order"):
        Bundle.parse(PACKED[:at] + point + PACKED[at + 32 :])


def test_keys_come_from_the_entropy_given() -> None:
    assert BundleKeys.draw(ScriptedEntropy("x")) == BundleKeys.draw(ScriptedEntropy("x"))
    assert BundleKeys.draw(ScriptedEntropy("x")) != BundleKeys.draw(ScriptedEntropy("y"))
    scripted = ScriptedEntropy("x")
    pair = HybridPrivate.draw(scripted)
    again = ScriptedEntropy("x")
    assert (pair.x.expose(), pair.kem.expose()) == (again.draw(32), again.draw(64))


def test_private_keys_do_not_print() -> None:
    keys = cast.keys("anna")
    shown = repr(keys)
    for secret in (keys.identity.x, keys.identity.kem, keys.prekey.x, keys.prekey.kem):
        assert secret.expose().hex() not in shown
        assert repr(secret.expose()) not in shown
