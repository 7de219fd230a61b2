"""What waits for the members' word: a policy, and somebody whom a facilitator presents."""

import msgspec

from backchannel.protocol.roster import Policy, Role
from backchannel.protocol.types import Hour, Slot


class Proposed(msgspec.Struct, frozen=True, array_like=True):
    """A policy that waits, and who has said yes."""

    policy: Policy
    by: Slot
    hour: Hour
    yes: tuple[Slot, ...] = ()
    no: tuple[Slot, ...] = ()


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """A member's latest to one proposal."""

    told: tuple[Hour, int]
    """Hour and order of its post."""
    yes: bool


class Vouched(msgspec.Struct, frozen=True, array_like=True):
    """Somebody whom a facilitator presents before admitting, and what members say."""

    alias: str
    party: str
    role: Role
    by: Slot
    hour: Hour
    vouched: tuple[Slot, ...] = ()
    objected: bool = False
    """Known to facilitators alone."""
