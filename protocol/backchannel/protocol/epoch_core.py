"""The core that begins an epoch: SPEC.md section 5. A key block of another kind, whose seed is the
epoch's and whose id is the seed's.

Knows where an epoch comes from; not who may begin one.
"""

from collections.abc import Mapping

from backchannel.protocol import limits, sender_key
from backchannel.protocol.core import Clock, Head
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.errors import AuthenticationError
from backchannel.protocol.labels import Label
from backchannel.protocol.line import Wrap
from backchannel.protocol.primitives import hash_, same
from backchannel.protocol.secret import EpochSeed, MessageKey
from backchannel.protocol.sender_key import KeyHeader
from backchannel.protocol.types import Core, GenerationId, RosterHash, Slot


def seed_id(seed: EpochSeed) -> GenerationId:
    """Names and commits to an epoch's seed."""
    return GenerationId(hash_(Label.EPOCH_SEED, seed.expose())[: limits.ID])


def seal_epoch(
    sender: Slot,
    roster: RosterHash,
    seed: EpochSeed,
    wraps: Mapping[Slot, Wrap],
    clock: Clock,
    head: Head,
    entropy: Entropy,
) -> Core:
    """An epoch core; `roster` is the one that begins the epoch."""
    header = KeyHeader(sender, seed_id(seed), roster)
    return sender_key.seal_wraps(header, seed, wraps, clock, head, entropy)


def open_epoch(
    core: Core, header: KeyHeader, reader: Slot, secret: MessageKey, clock: Clock, head: Head
) -> EpochSeed:
    """The seed; `AuthenticationError` where it does not open to the one that the id names."""
    seed = EpochSeed(sender_key.open_wrap(core, header, reader, secret, clock, head))
    if not same(seed_id(seed), header.generation):
        msg = "an epoch core gives another seed than it names"
        raise AuthenticationError(msg)
    return seed
