"""Blocks that are carried by hand: SPEC.md section 16. A file of them is blocks, one after another,
and nothing else: every byte of it looks random.

They stand under a key that is no relay's. Knows neither files nor what was carried before.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, final

from backchannel.protocol import limits
from backchannel.protocol.block import outer_key, wrap
from backchannel.protocol.channel import Channel
from backchannel.protocol.core import content_hash, head_of
from backchannel.protocol.drop import Drop
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.epoch import EpochClock
from backchannel.protocol.epochs import Epoch
from backchannel.protocol.errors import AuthenticationError, DecodeError
from backchannel.protocol.outcome import Arrival
from backchannel.protocol.primitives import xopen
from backchannel.protocol.secret import ItemKey
from backchannel.protocol.types import Block, ContentHash, Core, Hour, Timestamp, hour_of

_NEAR = (0, 1, 2, -1)
"""Hours in which the next block of a file most likely is, beside that of the one before."""


def pack(channel: Channel, cores: Iterable[Core], entropy: Entropy) -> Iterator[Block]:
    """One block of 4,096 bytes for each core that can be opened still, in order of their hours; of
    one hour those of the older epoch first, which may hold the keys of the other.
    """
    known = [(over, core) for core in cores if (over := _epoch(channel, core)) is not None]
    for over, core in sorted(known, key=lambda each: (head_of(each[1]).hour, each[0].number)):
        if head_of(core).hour >= channel.clocks[over.id].hour:
            yield wrap(core, over.courier().outer, channel.clocks[over.id], entropy)


def _epoch(channel: Channel, core: Core) -> Epoch | None:
    return channel.state.epoch_of(content_hash(core))


class Key(NamedTuple):
    """What opens a block that is carried by hand, if it is of this epoch and hour."""

    drop: Drop
    hour: Hour
    outer: ItemKey


class Found(NamedTuple):
    """A block that opened, as `receive` takes it, and the name of its core."""

    arrival: Arrival
    core: ContentHash


class _Place(NamedTuple):
    """An epoch, and the hours of which it may have cores."""

    drop: Drop
    clock: EpochClock
    first: Hour
    last: Hour


@final
class Finder:
    """Tells of which epoch and hour a block is, as far as a channel can read. The keys are derived
    once and live as long as this object; epochs that come later are not in it.
    """

    def __init__(self, channel: Channel, now: Timestamp) -> None:
        oldest, last = channel.state.oldest(hour_of(now)), Hour(hour_of(now) + limits.CLOCK_SKEW)
        clocks = channel.clocks
        self._places = [
            _Place(over.courier(), clocks[over.id], max(clocks[over.id].hour, oldest), last)
            for over in reversed(channel.state.epochs)
        ]
        self._keys: dict[tuple[bytes, Hour], Key] = {}

    def near(self, before: Arrival) -> Iterator[Key]:
        """The few keys that most likely open what stands behind a block."""
        places = sorted(self._places, key=lambda each: each.drop.id != before.drop)
        for place in places:
            for ahead in _NEAR:
                if place.first <= before.hour + ahead <= place.last:
                    yield self._key(place, Hour(before.hour + ahead))

    def every(self) -> Iterator[Key]:
        """All keys, the newest hours first."""
        for back in range(max((each.last - each.first + 1 for each in self._places), default=0)):
            for place in self._places:
                if place.last - back >= place.first:
                    yield self._key(place, Hour(place.last - back))

    def _key(self, place: _Place, hour: Hour) -> Key:
        name = (place.drop.id, hour)
        if name not in self._keys:
            outer = outer_key(place.drop.outer, place.clock, hour)
            self._keys[name] = Key(place.drop, hour, outer)
        return self._keys[name]

    def find(self, block: bytes, before: Arrival | None) -> Found | None:
        """The block, if anything here opens it. `before` is the one in front of it, whose epoch and
        hour are tried first.
        """
        for key in (*(self.near(before) if before else ()), *self.every()):
            if (found := opened(block, key)) is not None:
                return found
        return None


def find(channel: Channel, block: bytes, before: Arrival | None, now: Timestamp) -> Arrival:
    """One block alone; `AuthenticationError` where nothing of this channel opens it."""
    found = Finder(channel, now).find(block, before)
    if found is None:
        msg = "a block opens for nobody here"
        raise AuthenticationError(msg)
    return found.arrival


def opened(block: bytes, key: Key) -> Found | None:
    """What a key makes of 4,096 bytes; None where they are no block of its epoch and hour."""
    nonce, sealed = block[: limits.NONCE], block[limits.NONCE :]
    try:
        core = Core(xopen(key.outer, nonce, sealed))
        if head_of(core).hour != key.hour:
            return None
    except (AuthenticationError, DecodeError):
        return None
    return Found(Arrival(key.drop.id, key.hour, Block(block)), content_hash(core))
