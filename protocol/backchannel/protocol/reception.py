"""One core of the channel's drop while it is being read, and what is known about its coming.

Owns whose it may be and how old it counts. Decides nothing else; `posts`, `pairs` and `adoption`
do.
"""

from typing import NamedTuple

from backchannel.protocol import limits
from backchannel.protocol.core import Clock, Head
from backchannel.protocol.errors import RefusedError, UnknownError
from backchannel.protocol.outcome import Keep
from backchannel.protocol.state import ChannelState, Peer
from backchannel.protocol.types import ContentHash, Core, Hour, RosterHash, Slot, Timestamp, hour_of


class Reception(NamedTuple):
    """Made for one core, and gone with it."""

    state: ChannelState
    clock: Clock
    core: Core
    head: Head
    hash: ContentHash
    stored: Hour
    """As the relay says."""
    now: Timestamp

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
        """Whose core it claims to be."""
        if slot == self.state.me:
            msg = "a core speaks as me, and I did not send it"
            raise RefusedError(msg)
        peer = self.state.peers.get(slot)
        if peer is None:
            msg = "a core of somebody who is not in my roster"
            raise UnknownError(msg)
        return peer

    def of_my_time(self, roster: RosterHash) -> bool:
        """Whether a core under this roster is one that this member should be able to read.

        Under an unknown roster it is, unless it may be older than the member.
        """
        state = self.state
        version = state.versions.get(roster)
        if version is not None:
            return version >= state.transcript.first
        return state.roster is not None and self.head.hour > state.since
