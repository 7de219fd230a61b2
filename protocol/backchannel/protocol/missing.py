"""What has come in part, what came and cannot be opened yet, and what is missing. Asks nobody: that
is `upkeep`'s matter.
"""

from typing import Literal

import msgspec

from backchannel.protocol.secret import FileKey
from backchannel.protocol.types import ContentHash, Core, EpochId, Hour, Slot, Timestamp


class Concealed(msgspec.Struct, frozen=True, array_like=True):
    """A piece that nobody sees yet, under a key of its hour: saved, it dies with the clock."""

    hash: ContentHash
    hour: Hour
    epoch: EpochId
    """Whose clock has the key."""
    sealed: bytes


class Partial(msgspec.Struct, frozen=True, array_like=True):
    """The parts so far of a message of several blocks."""

    total: int
    sent: Hour
    """Of the first core that came; of the first part's once that is here. For the order."""
    hour: Hour
    """What the message's life is counted from."""
    order: int
    hash: ContentHash
    """Likewise of the first part."""
    pieces: dict[int, Concealed]


class Pending(msgspec.Struct, frozen=True, array_like=True):
    """A core that waits for a key or a roster."""

    core: Core
    hash: ContentHash
    sender: int
    """Claimed; 255 where the kind names none."""
    hour: Hour
    """The relay's, which may be a lie."""
    epoch: EpochId
    """Of the drop that it came from."""


WantKind = Literal["core", "generation", "step"]


class Want(msgspec.Struct, frozen=True, array_like=True):
    """Something missing, since when, and how often it was asked for."""

    kind: WantKind
    slot: int
    """Of a core who named it, otherwise whose it is."""
    name: bytes
    """Content hash, generation id, or step as u32."""
    since: Timestamp
    asked: Timestamp = Timestamp(0)
    times: int = 0

    def is_(self, kind: WantKind, slot: int, name: bytes) -> bool:
        """Whether it is this very thing; a core is, whoever named it."""
        return (self.kind, self.name) == (kind, name) and (kind == "core" or self.slot == slot)


class Incoming(msgspec.Struct, array_like=True):
    """A file that was offered, while its cores come: they say nothing of themselves, so only those
    that are named here are taken.
    """

    author: Slot
    epoch: EpochId
    size: int
    key: FileKey
    """Opens the index cores; it and the hour's clock are needed."""
    index: tuple[ContentHash, ...]
    awaited: set[ContentHash]
    expires: Hour
