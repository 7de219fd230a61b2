"""The scripted double keeps the port's promises: entropy.py."""

import pytest

from backchannel.protocol import limits, primitives
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.secret import KemSeed
from tests.support.entropy import ScriptedEntropy

SEED = KemSeed(bytes(range(64)))


@pytest.mark.parametrize("seed", [0, "a seed", b"a seed"])
def test_one_seed_draws_the_same_twice(seed: bytes | str | int) -> None:
    one, other = ScriptedEntropy(seed), ScriptedEntropy(seed)
    assert [one.draw(n) for n in (16, 32, 24)] == [other.draw(n) for n in (16, 32, 24)]


def test_draws_and_seeds_differ() -> None:
    drawn = [ScriptedEntropy(seed).draw(32) for seed in range(10)]
    one = ScriptedEntropy(0)
    drawn += [one.draw(32) for _ in range(10)][1:]
    assert len(set(drawn)) == len(drawn)


def test_a_known_draw() -> None:
    """Vectors hang on these bytes."""
    assert ScriptedEntropy(b"vector").draw(8).hex() == "eed25aeced2e1145"


def test_encapsulations_are_real_and_recorded() -> None:
    entropy: Entropy = (script := ScriptedEntropy())
    public = primitives.kem_public(SEED)
    shared, ciphertext = entropy.encapsulate(public)
    assert primitives.decapsulate(SEED, ciphertext) == shared
    assert script.encapsulations == [(public, shared, ciphertext)]
    assert len(ciphertext) == limits.KEM_CIPHERTEXT


def test_encapsulating_leaves_the_draws_alone() -> None:
    quiet, busy = ScriptedEntropy(), ScriptedEntropy()
    busy.encapsulate(primitives.kem_public(SEED))
    assert quiet.draw(32) == busy.draw(32)
