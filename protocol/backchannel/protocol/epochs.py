"""The epochs of a channel that a member still keeps: where each one's drops are, what was seen in
them, and what is left of an epoch that is over. Knows no clock: `epoch` has their keys.
"""

import msgspec

from backchannel.protocol.drop import BY_HAND, Drop
from backchannel.protocol.peer import Peer
from backchannel.protocol.roster import Relay, Roster
from backchannel.protocol.secret import CloseSecret, EpochSecret
from backchannel.protocol.sender_key import OwnGeneration
from backchannel.protocol.types import ContentHash, EpochId, Hour, Slot, Timestamp


class Lacking(msgspec.Struct, frozen=True, array_like=True):
    """A core that not every relay has shown yet."""

    since: Timestamp
    """When it came here; 0 where no author sees to it."""
    shown: int = 0
    """Bit n: by the epoch's relay n."""
    due: Timestamp = Timestamp(0)
    """When this member brings it; 0: still to be drawn, or at once."""


class Ending(msgspec.Struct, array_like=True):
    """What is still known of an epoch that is over."""

    roster: Roster
    """Its last."""
    hour: Hour
    """When it ended here."""
    gone: dict[Slot, Peer]
    """Who did not come along."""
    bound: set[Slot]
    """Whose posts count only in the past of the heads: of who is gone, or lost a role."""
    past: set[ContentHash]
    """Was not here: in the past of the heads that the next roster names, or named by others."""
    echoed: bool = False
    """Whether one's own echo was posted there."""
    issuer: bool = False
    """Whether this member has to seal its drops."""
    sealed: bool = False
    """Whether nothing more is sent there."""
    own: OwnGeneration | None = None
    """One's own sender key of then, since another stands: under it one says there where one is."""


class Epoch(msgspec.Struct, array_like=True):
    """One epoch of the channel, from its beginning until nothing of it can be read."""

    id: EpochId
    number: int
    secret: EpochSecret
    relays: tuple[Relay, ...]
    began: Hour
    """The first hour of its clock."""
    close: CloseSecret | None = None
    """The facilitators' secret."""
    given: list[Slot] = msgspec.field(default_factory=list)
    """Facilitators to whom one sent it."""
    seen: dict[ContentHash, Hour] = msgspec.field(default_factory=dict)
    """Cores of its drops that need no second look."""
    ending: Ending | None = None
    """None while it is the current one."""
    former: tuple[Relay, ...] = ()
    """Where it stood before: read, and not written to."""
    lacking: dict[ContentHash, Lacking] = msgspec.field(default_factory=dict)
    moved: Hour = Hour(0)
    """When it came to stand on other relays."""
    to_tell: bool = False
    """Whether those who may still be on relays that it left are to be told."""
    contested: bool = False
    """Whether rivals were announced in it: who follows another one reads nowhere else."""
    announced: EpochId = EpochId(b"")
    """In whose drop it was announced, so that all who are here read that one, too; of one's first
    it is not known.
    """

    def drops(self) -> list[tuple[Relay, Drop]]:
        """Its drop on each relay."""
        return [(relay, Drop.of_epoch(self.secret, relay.public)) for relay in self.relays]

    def courier(self) -> Drop:
        """The drop that is none: under it stands what is carried by hand."""
        return Drop.of_epoch(self.secret, BY_HAND)

    def left(self) -> list[tuple[Relay, Drop]]:
        """Its drop on each relay that it stood on before."""
        return [(relay, Drop.of_epoch(self.secret, relay.public)) for relay in self.former]
