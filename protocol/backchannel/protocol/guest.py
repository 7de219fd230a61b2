"""Somebody whom this member invites, until the lobby is deleted. Knows no procedure: that is
`lobby`'s matter.
"""

from typing import Literal

import msgspec

from backchannel.protocol.identity import BundleKeys
from backchannel.protocol.invite import Card, Join
from backchannel.protocol.roster import Relay
from backchannel.protocol.secret import CloseSecret, InviteSecret
from backchannel.protocol.types import ContentHash, Core, Hour, Slot


class Guest(msgspec.Struct, array_like=True):
    """An invite of this member's, from its making until its lobby is deleted."""

    secret: InviteSecret
    relay: Relay
    close: CloseSecret
    """The facilitators' secret when it was made: closes the lobby."""
    keys: BundleKeys | None
    """None once its prekey is erased."""
    card: Card
    first: Hour
    join: Join | None = None
    heard: ContentHash | None = None
    state: Literal["open", "waiting", "admitting", "burnt", "admitted", "refused"] = "open"
    marked: bool = False
    slot: Slot | None = None
    """Of whom it admitted."""
    successor: str = ""
    """Alias of who goes when it has admitted; empty once that is done."""
    admission: Core | None = None
    """The intro that opens the door, until the roster holds that it is by."""
    package: tuple[ContentHash, ...] = ()
    """Announcement and pieces of the roster that admitted, posted again until they are answered."""
