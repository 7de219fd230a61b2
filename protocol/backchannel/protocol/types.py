"""Names for public bytes and numbers: what must not be swapped has its own type. No secrets."""

from typing import NewType

Timestamp = NewType("Timestamp", int)
"""Whole seconds since 1970-01-01T00:00Z."""
Hour = NewType("Hour", int)
"""Whole hours since 1970-01-01T00:00Z: SPEC.md section 4."""

Slot = NewType("Slot", int)
"""0-63: an entry's place in the roster."""
Step = NewType("Step", int)
"""Number of an export of a line, per direction: SPEC.md section 13."""

Core = NewType("Core", bytes)
"""4,056 bytes, SPEC.md section 7."""
Block = NewType("Block", bytes)
"""4,096 bytes, SPEC.md section 7."""

ContentHash = NewType("ContentHash", bytes)
RosterHash = NewType("RosterHash", bytes)
IdentityHash = NewType("IdentityHash", bytes)
CharterHash = NewType("CharterHash", bytes)
DisclosureHash = NewType("DisclosureHash", bytes)
"""All hashes are 32 bytes."""

ChannelId = NewType("ChannelId", bytes)
EpochId = NewType("EpochId", bytes)
DropId = NewType("DropId", bytes)
ThreadId = NewType("ThreadId", bytes)
MessageId = NewType("MessageId", bytes)
GenerationId = NewType("GenerationId", bytes)
PrekeyId = NewType("PrekeyId", bytes)
"""All ids are 16 bytes."""

MAIN_THREAD = ThreadId(bytes(16))
"""The channel's own thread: SPEC.md section 15."""


def hour_of(now: Timestamp) -> Hour:
    """The hour that holds `now`: SPEC.md section 4."""
    return Hour(now // 3600)


def start_of(hour: Hour) -> Timestamp:
    """The first second of `hour`."""
    return Timestamp(hour * 3600)
