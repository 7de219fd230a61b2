"""What comes out of a channel's doors: events for people, effects for the shell. Values only."""

from typing import NamedTuple

from backchannel.protocol.drop import Drop
from backchannel.protocol.primitives import X25519Public
from backchannel.protocol.secret import X25519Private
from backchannel.protocol.types import (
    Block,
    ContentHash,
    Core,
    DropId,
    Hour,
    MessageId,
    Slot,
    ThreadId,
)


class Arrival(NamedTuple):
    """A block as a relay gave it: of which drop, stored at which hour, the 4,096 bytes."""

    drop: DropId
    hour: Hour
    block: bytes


class Said(NamedTuple):
    """A text was accepted, one's own included."""

    id: MessageId
    thread: ThreadId
    author: Slot
    text: str
    hour: Hour
    order: int
    hash: ContentHash
    expires: Hour


class Expired(NamedTuple):
    """A text was accepted whose hour had passed: there is nothing to show but that it was."""

    author: Slot


class ThreadBegan(NamedTuple):
    """A thread is known now."""

    thread: ThreadId
    topic: str
    lifetime: int


class RosterAdopted(NamedTuple):
    """A roster version holds now."""

    version: int


class Answered(NamedTuple):
    """The line to a member stands."""

    slot: Slot


class Replaced(NamedTuple):
    """A member greeted anew, its first intro having died unproved: words are worth comparing."""

    slot: Slot


class Knocked(NamedTuple):
    """Somebody answered an invite and waits in the lobby."""

    alias: str


class Burnt(NamedTuple):
    """Two people answered one invite: nobody is admitted on it."""

    alias: str


class Invited(NamedTuple):
    """An invite was made: what to tell its guest."""

    relay: str
    words: tuple[str, ...]
    last: Hour


class CardRead(NamedTuple):
    """A newcomer has the whole card."""


class Marked(NamedTuple):
    """The lobby says why nobody is waited for: used, refused, burnt or withdrawn."""

    reason: str


class Admitted(NamedTuple):
    """A newcomer was let in: the candidate has become a channel."""


class Keep(NamedTuple):
    """A core to keep until its content dies: it may be asked for."""

    hash: ContentHash
    core: Core
    hour: Hour
    expires: Hour


Event = (
    Said
    | Expired
    | ThreadBegan
    | RosterAdopted
    | Answered
    | Replaced
    | Knocked
    | Burnt
    | Invited
    | CardRead
    | Marked
    | Admitted
    | Keep
)


class OpenDrop(NamedTuple):
    """Create this drop, for a voucher."""

    relay: str
    drop: Drop
    close: X25519Public
    keep: int
    """Index into `limits.CLASSES`."""


class Append(NamedTuple):
    """Put this block into this drop."""

    relay: str
    drop: Drop
    block: Block
    hash: ContentHash


class DeleteDrop(NamedTuple):
    """Delete this drop."""

    relay: str
    drop: Drop
    close: X25519Private


class Repost(NamedTuple):
    """If this core is kept, hand it back in a `command.Repost`."""

    hash: ContentHash


Effect = OpenDrop | Append | DeleteDrop | Repost


class Outcome(NamedTuple):
    """What `act` and `tick` give: save the state first, then do the effects in order."""

    effects: list[Effect]
    events: list[Event]


EVERY_HOUR = Hour(0)
"""What every reader asks for: an hour of its own would tell the relay when it came."""


class Poll(NamedTuple):
    """A drop to read, from its first hour: everybody asks alike, whenever they came."""

    relay: str
    drop: Drop
