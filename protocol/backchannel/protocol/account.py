"""What a member keeps to see that nobody is shown another conversation: SPEC.md section 16. What
follows from it is `record`'s matter.
"""

import msgspec

from backchannel.protocol.successor import Rival
from backchannel.protocol.types import ContentHash, Hour, RosterHash, Slot, Timestamp


class Account(msgspec.Struct, frozen=True, array_like=True):
    """A member's newest digest, as it compared with what was held here."""

    hour: Hour
    """Of the digest."""
    first: Hour
    last: Hour
    """The hours that both tell of."""
    differs: dict[tuple[Hour, int], bytes] = msgspec.field(default_factory=dict)
    """Rows of theirs, by hour and roster version, that were not one's own; empty: they have none.
    """
    since: dict[tuple[Hour, int], Timestamp] = msgspec.field(default_factory=dict)
    """When each was first seen to differ."""


class Record(msgspec.Struct, array_like=True):
    """What is watched, so that nobody is shown another conversation: see `record.py`."""

    refused: dict[ContentHash, tuple[Hour, Slot]] = msgspec.field(default_factory=dict)
    """Posts whose slot for this member did not verify, and whose they claim to be."""
    alarmed: dict[bytes, Hour] = msgspec.field(default_factory=dict)
    """What an alarm was raised about already."""
    foreign: dict[RosterHash, tuple[tuple[Slot, ...], Timestamp]] = msgspec.field(
        default_factory=dict
    )
    """Rosters that nobody announced here, who posted under them, and since when."""
    conceded: dict[RosterHash, Rival] = msgspec.field(default_factory=dict)
    """Rivals whose issuers came over; others may still stand behind them."""
    split: list[int] = msgspec.field(default_factory=list)
    """Roster versions in which there were two halves: of those nobody has all."""
    sent: dict[ContentHash, Hour] = msgspec.field(default_factory=dict)
    """One's own posts and line blocks that no relay has shown yet: a sealed drop may have taken
    none of them.
    """
    accounts: dict[Slot, Account] = msgspec.field(default_factory=dict)
    told: Hour = Hour(0)
    """Of one's own latest digest."""
    beat: int = 0
    """The number of one's own latest heartbeat: see `standing`."""
    asked: Hour = Hour(0)
    """Of one's own latest that asked for others'."""
    answer: Timestamp | None = None
    """When to answer who asked; 0: at a time that is still to be drawn."""
    kept: Hour = Hour(0)
    """Hours before this were forgotten."""
