"""Vectors of section 5: the core that begins an epoch."""

from backchannel.protocol import epoch_core, sender_key
from backchannel.protocol.chain import Chain
from backchannel.protocol.core import Head, Kind
from backchannel.protocol.line import Wrap
from backchannel.protocol.secret import ChainKey, EpochSeed, ExportKey, MaskKey
from backchannel.protocol.types import Core, Slot, Step
from tests.support.bits import flip
from tests.support.entropy import ScriptedEntropy
from tests.support.make_vectors.cases import (
    CLOCK,
    HOUR,
    SECOND,
    Cases,
    case,
    changed,
    damaged,
    fixed,
    lost_mask,
    of_byte,
    with_bytes,
)

READER, SENDER = Slot(2), Slot(1)
MASK = MaskKey(fixed("mask"))
ENTRY = 70 + 52 * READER


def _wrap(step: int, use: int, export: bytes) -> Wrap:
    chain = Chain(ChainKey(export))
    return Wrap(Step(step), use, chain.take(use, use)[1], MASK)


def _core(wraps: dict[Slot, Wrap]) -> Core:
    head = Head(Kind.EPOCH, HOUR, fixed("salt", 16))
    seed = EpochSeed(fixed("next epoch"))
    coins = ScriptedEntropy("turn")
    return epoch_core.seal_epoch(SENDER, SECOND.hash, seed, wraps, lambda _: CLOCK, head, coins)


def epoch_cores() -> Cases:
    export = ExportKey(fixed("export")).expose()
    core = _core({READER: _wrap(9, 2, export), Slot(5): _wrap(0, 0, fixed("other"))})
    given = {
        "core": core,
        "clock": CLOCK.expose(),
        "export": export,
        "mask_key": MASK.expose(),
        "reader": READER,
    }
    good = case("an epoch core", "epoch core", **given)
    yield good
    theirs = flip(core, of_byte(70 + 52 * 5 + 4))
    yield case("an epoch core, another's entry changed", "epoch core", **given | {"core": theirs})
    places = {"seed id": 22, "roster hash": 38, "step": ENTRY, "use": ENTRY + 3}
    for why, at in (places | {"entry": ENTRY + 4}).items():
        yield damaged(good, f"an epoch core, {why} changed", "ciphertext", "core", 8 * at)
    for why, at in (("slot", 21), ("hour", 4)):
        yield lost_mask(good, f"an epoch core, {why} changed", core=flip(core, 8 * at).hex())
    yield lost_mask(good, "an epoch core under another mask", mask_key="02" * 32)
    yield changed(good, "an epoch core, slot 64", "rules", core=with_bytes(core, 21, b"\x40"))
    yield changed(good, "an epoch core for its sender", "rules", reader=SENDER)
    yield changed(good, "an epoch core, another export", "ciphertext", export=bytes(32).hex())
    yield changed(good, "a key block in its place", "rules", core=with_bytes(core, 0, b"\x06"))
    lying = EpochSeed(fixed("another seed"))
    header = sender_key.KeyHeader(SENDER, epoch_core.seed_id(lying), SECOND.hash)
    head = Head(Kind.EPOCH, HOUR, fixed("salt", 16))
    wraps = {READER: _wrap(9, 2, export)}
    seed, coins = EpochSeed(fixed("next epoch")), ScriptedEntropy("turn")
    bad = sender_key.seal_wraps(header, seed, wraps, lambda _: CLOCK, head, coins)
    yield changed(good, "an epoch core, the id of another seed", "commitment", core=bad.hex())
