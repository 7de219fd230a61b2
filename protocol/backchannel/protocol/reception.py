"""One core of the channel's drops while it is being read, and what is known about its coming.

Owns whose it may be and how old it counts. Decides nothing else; `posts`, `pairs` and `adoption`
do.
"""

from typing import NamedTuple

from backchannel.protocol import limits
from backchannel.protocol.core import Head
from backchannel.protocol.epoch import EpochClock
from backchannel.protocol.epochs import Ending, Epoch
from backchannel.protocol.errors import RefusedError, UnknownError
from backchannel.protocol.outcome import Keep
from backchannel.protocol.peer import Peer
from backchannel.protocol.secret import LeafKey
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import (
    ContentHash,
    Core,
    EpochId,
    Hour,
    RosterHash,
    Slot,
    Timestamp,
    hour_of,
)


class Reception(NamedTuple):
    """Made for one core, and gone with it."""

    state: ChannelState
    clocks: dict[EpochId, EpochClock]
    epoch: Epoch
    """Of the drop that it came from."""
    core: Core
    head: Head
    hash: ContentHash
    stored: Hour
    """As the relay says."""
    now: Timestamp
    leaf: LeafKey | None = None
    """Of a post, once its number is known: stays with what was said."""

    @property
    def clock(self) -> EpochClock:
        """Of the epoch."""
        return self.clocks[self.epoch.id]

    @property
    def hour(self) -> Hour:
        """What a message's life is counted from; a relay that lies takes one hour of it at most."""
        stored = max(self.stored, self.head.hour - limits.CLOCK_SKEW)
        return Hour(min(self.head.hour, stored, hour_of(self.now)))

    def keep(self) -> Keep:
        """It may be asked for."""
        expires = Hour(self.hour + self.state.lifetime)
        return Keep(self.hash, self.core, self.head.hour, expires)

    def peer(self, slot: Slot) -> Peer:
        """Whose core it claims to be; in an epoch that is over, who stood there then."""
        if slot == self.state.me:
            msg = "a core speaks as me, and I did not send it"
            raise RefusedError(msg)
        stood = (ending.gone.get(slot) for ending in self._endings())
        peer = next(filter(None, stood), None) or self.state.peers.get(slot)
        if peer is None:
            msg = "a core of somebody who is not in my roster"
            raise UnknownError(msg)
        return peer

    def of_past(self, slot: Slot) -> bool:
        """Whether a core may still count: who did not come along, or with less, speaks only from
        the past of the heads that the next roster names, or of what the others say.
        """
        return all(self.hash in each.past for each in self._endings() if slot in each.bound)

    def after_its_time(self, slot: Slot) -> bool:
        """Whether it came to the relay when its author knew, or might, that it went or lost a role:
        who wrote before has an hour for it.
        """
        turns = zip(self.state.epochs, self.state.epochs[1:], strict=False)
        return any(
            self.stored > following.began + limits.CLOCK_SKEW
            for over, following in turns
            if over.number >= self.epoch.number and over.ending and slot in over.ending.bound
        )

    def vouch(self, slot: Slot, parents: tuple[ContentHash, ...]) -> None:
        """What an accepted core names may count in the epochs that are over. Not for the word of
        who lost a role: it would vouch for itself.
        """
        unknown = {core for core in parents if core not in self.state.transcript}
        for each in self.state.epochs:
            ending = each.ending
            if ending is not None and (slot not in ending.bound or self.hash in ending.past):
                ending.past |= unknown

    def _endings(self) -> list[Ending]:
        """Of this epoch and of those after it: who went later stood here, and speaks no more."""
        later = [each for each in self.state.epochs if each.number >= self.epoch.number]
        return [each.ending for each in later if each.ending is not None]

    def of_my_time(self, roster: RosterHash) -> bool:
        """Whether a core under this roster is one that this member should be able to read.

        Under an unknown roster it is, unless it may be older than the member.
        """
        state = self.state
        if roster in state.versions:
            return not self.before_my_time(roster)
        return state.roster is not None and self.head.hour > state.since

    def before_my_time(self, roster: RosterHash) -> bool:
        """Whether a core under this roster is older than the member, as far as is known."""
        version = self.state.versions.get(roster)
        return version is not None and version < self.state.transcript.first
