"""The next roster, until it holds: announced by others, second to another, or a draft of one's own.
Knows not which one wins.
"""

import msgspec

from backchannel.protocol.content import Announcement, Gone
from backchannel.protocol.secret import CloseSecret, EpochSecret
from backchannel.protocol.types import ContentHash, EpochId, Hour, RosterHash, Slot, Timestamp


class Announced(msgspec.Struct, array_like=True):
    """The next roster, while its cores come."""

    by: Slot
    announcement: Announcement
    where: EpochId
    """In whose drop."""
    secret: EpochSecret | None = None
    """Of the epoch that it begins, once that core is here; the clock stands with the others."""
    pieces: dict[ContentHash, bytes] = msgspec.field(default_factory=dict)


class Rival(msgspec.Struct, frozen=True, array_like=True):
    """A second successor of one roster."""

    by: Slot
    epoch: EpochId
    """Where it was announced."""
    gone: tuple[Gone, ...] = ()
    """Whom it took away: so does what ends it."""
    version: int = 0
    since: Timestamp = Timestamp(0)
    """0 until the next tick."""
    behind: tuple[Slot, ...] = ()
    """Who else has come to it."""

    @property
    def backed(self) -> bool:
        """Whether it stands though its issuer has come over."""
        return bool(self.behind)


class Draft(msgspec.Struct, frozen=True, array_like=True):
    """A roster of one's own that was announced, and holds only once it is read back: where several
    facilitators write, the drop's order decides.
    """

    unread: tuple[ContentHash, ...]
    """Its cores that were not read back yet."""
    since: Timestamp
    """When they were sent, or sent again."""
    roster: RosterHash
    version: int
    package: bytes
    secret: EpochSecret | None
    close: CloseSecret | None
    gone: tuple[Gone, ...]
    hour: Hour
    """When it was made."""
