"""Cover: when a member posts, whether it has something to say or not, what it posts where it has
nothing, and what that costs: SPEC.md section 17.

Each member draws its own moments, and draws them without memory: so nobody, members included, can
tell by the moment whose a block is. Knows no outbox and no clock.
"""

from math import ceil, log
from typing import NamedTuple

from backchannel.protocol import limits
from backchannel.protocol.core import HEAD, Kind
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.outcome import Alone
from backchannel.protocol.posting import Posting
from backchannel.protocol.types import Core

_DAY = 86_400
_DRAWN = 8  # bytes


def pause(members: int, cover: int, entropy: Entropy) -> int:
    """Seconds until one's next turn, at least 1: in the mean one turn of `members` each has it in
    `cover` seconds. Without memory: how long one waited already says nothing about how long is
    left, so a program that begins anew shows nothing by it.
    """
    drawn = (int.from_bytes(entropy.draw(_DRAWN)) + 1) / (1 << 8 * _DRAWN)
    return max(1, ceil(-log(drawn) * members * cover))


def fill(posting: Posting) -> None:
    """A block that says nothing for each drop of the epoch. Changes nothing, and is not kept."""
    core = Core(posting.head(Kind.COVER).pack() + posting.entropy.draw(limits.CORE - HEAD))
    for relay, drop in posting.epoch.drops():
        posting.effects.append(Alone(relay.url, drop, posting.block(drop, core)))


class Budget(NamedTuple):
    """What cover costs in a day, on one relay."""

    blocks: int
    """Of the whole channel, real or not."""
    own: int
    """Of these one member's."""
    up: int
    """Bytes that one member sends for them."""
    down: int
    """Bytes of blocks that one member reads."""
    wait: int
    """Seconds that one block waits for its turn, in the mean."""
    long: int
    """Seconds that one in twenty waits for longer."""


_REQUEST = 68 + limits.BLOCK  # SPEC.md section 18
_ROW = 12 + limits.BLOCK
_RARE = -log(0.05)


def budget(members: int, cover: int) -> Budget:
    """The mean of many days; what wraps requests on the way is not in it."""
    blocks, wait = _DAY / cover, members * cover
    own = blocks / members
    return Budget(
        *(round(blocks), round(own), round(own * _REQUEST), round(blocks * _ROW)),
        *(wait, round(wait * _RARE)),
    )


def pages(every: int) -> int:
    """Bytes that reading a whole page of a drop each `every` seconds takes in a day."""
    return round(_DAY / every * (32 + 9 + limits.MOST_BLOCKS * _ROW))


def standing(lifetime: int, cover: int) -> int:
    """The blocks that one drop has to hold: those of an epoch, as long as it is open."""
    keep = next(hours for hours in limits.CLASSES if hours >= lifetime)
    hours = min(keep, limits.EPOCH_HOURS + limits.SEAL_HOURS)
    return ceil(hours * 3600 / cover)
