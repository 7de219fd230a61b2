"""The core that begins an epoch: SPEC.md section 5."""

from collections.abc import Iterator
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backchannel.protocol import epoch_core, line, sender_key
from backchannel.protocol.core import Kind, head_of
from backchannel.protocol.errors import AuthenticationError
from backchannel.protocol.line import Wrap
from backchannel.protocol.secret import EpochSeed, MessageKey
from backchannel.protocol.sender_key import KeyHeader, wrapped
from backchannel.protocol.types import Core, Slot, Step
from tests.support import cast
from tests.support.bits import sampled_flips
from tests.support.entropy import ScriptedEntropy

SEED = EpochSeed(b"s" * 32)
SENDER, READER = Slot(0), Slot(1)
HEAD = cast.head(Kind.EPOCH)


def wrap() -> tuple[Wrap, line.Line]:
    """A use of the export of Anna's intro to Bela, and Bela's end."""
    a, b = cast.pair()
    return line.spend(a)[1], b


def sealed(header: KeyHeader | None = None, kind: Kind = Kind.EPOCH) -> Core:
    wraps, head = {READER: wrap()[0]}, cast.head(kind)
    if header is None:
        coins = ScriptedEntropy("turn")
        return epoch_core.seal_epoch(SENDER, cast.ROSTER, SEED, wraps, cast.clock, head, coins)
    return sender_key.seal_wraps(header, SEED, wraps, cast.clock, head, ScriptedEntropy("turn"))


def opened(core: Core, reader: Slot = READER) -> EpochSeed:
    (mask,) = wrap()[1].masks
    named = wrapped(core, SENDER, READER, mask, cast.clock, head_of(core))
    secret = dict(_secrets(named)).get(named, MessageKey(bytes(32)))
    return epoch_core.open_epoch(core, KeyHeader.read(core), reader, secret, cast.clock, HEAD)


def _secrets(named: tuple[Step, int]) -> Iterator[tuple[tuple[Step, int], MessageKey]]:
    """What Bela's line has for a step and use."""
    for _, secret in line.redeem(wrap()[1], *named):
        yield named, secret


def test_an_epoch_core_gives_its_seed() -> None:
    core = sealed()
    assert (core[0], len(core)) == (Kind.EPOCH, 4056)
    assert KeyHeader.read(core) == (SENDER, epoch_core.seed_id(SEED), cast.ROSTER)
    assert opened(core) == SEED


def test_the_id_of_a_seed_as_written() -> None:
    expected = sha256(b"\x18backchannel/1 epoch seed" + SEED.expose()).digest()[:16]
    assert epoch_core.seed_id(SEED) == expected


def test_attack_69_a_core_that_gives_another_seed_than_it_names() -> None:
    other = KeyHeader(SENDER, epoch_core.seed_id(EpochSeed(b"o" * 32)), cast.ROSTER)
    with pytest.raises(AuthenticationError, match="another seed"):
        opened(sealed(other))


def test_attack_3_a_key_block_does_not_begin_an_epoch() -> None:
    """The kind enters the key: the same wrap in a core of another kind does not open."""
    header = KeyHeader(SENDER, epoch_core.seed_id(SEED), cast.ROSTER)
    with pytest.raises(AuthenticationError):
        opened(sealed(header, Kind.KEY))


@pytest.mark.parametrize("reader", [0, 2, 63])
def test_another_members_place_opens_nothing(reader: int) -> None:
    with pytest.raises(AuthenticationError):
        opened(sealed(), Slot(reader))


def test_every_bit_that_is_for_me_counts() -> None:
    core, entry = sealed(), 70 + 52 * READER
    front, mine = core[:70], core[entry + 4 : entry + 52]
    for bad in sampled_flips(front[21:] + mine, 5):
        changed = Core(core[:21] + bad[:49] + core[70 : entry + 4] + bad[49:] + core[entry + 52 :])
        if changed[21] >= 64:
            continue
        with pytest.raises(AuthenticationError):
            opened(changed)


@given(st.binary(min_size=32, max_size=32))
def test_no_two_seeds_share_an_id(seed: bytes) -> None:
    assert seed == SEED.expose() or epoch_core.seed_id(EpochSeed(seed)) != epoch_core.seed_id(SEED)
