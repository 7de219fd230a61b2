"""What comes out of a channel's doors: events for people, effects for the shell. Values only."""

from typing import Literal, NamedTuple

from backchannel.protocol.drop import Drop
from backchannel.protocol.hotline import Signal
from backchannel.protocol.primitives import X25519Public
from backchannel.protocol.secret import FileKey, LeafKey, X25519Private
from backchannel.protocol.types import (
    Block,
    ContentHash,
    Core,
    DropId,
    Hour,
    MessageId,
    RosterHash,
    Slot,
    ThreadId,
)


class Arrival(NamedTuple):
    """A block as a relay gave it: of which drop, stored at which hour, the 4,096 bytes."""

    drop: DropId
    hour: Hour
    block: bytes


NOBODY = Slot(255)
"""Author of what nobody in particular said."""


class Leaf(NamedTuple):
    """What opens one core of a text, for who wants to show it: see `exhibit`."""

    core: ContentHash
    key: LeafKey


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
    authority: int = 0
    """Index into `content.AUTHORITY`."""
    release: int = 0
    """Index into `content.RELEASE`."""
    carried: bool = False
    about: bytes = b""
    """Id of the message that it answers, or empty."""
    quote: str = ""
    to: Slot | None = None
    """Of a private note: for whom."""
    out_of_turn: bool = False
    """Whether somebody else had the floor."""
    burn: int = 0
    """Hours that it lives once it was shown; 0: no fewer than unread."""
    off: bool = False
    """Off the record: to be kept nowhere that outlives this session."""
    leaves: tuple[Leaf, ...] = ()
    """Of its blocks, in order; none of what never leaves: a note, or what is off the record."""


class Offered(NamedTuple):
    """A file was offered, one's own included; its chunks are kept as cores."""

    id: MessageId
    thread: ThreadId
    author: Slot
    name: str
    size: int
    key: FileKey
    names: tuple[ContentHash, ...]
    """Of its index cores."""
    hour: Hour
    order: int
    hash: ContentHash
    expires: Hour
    burn: int = 0
    """As of a text."""


class Rang(NamedTuple):
    """Something was said on a hotline, by oneself included."""

    id: MessageId
    author: Slot
    signal: Signal
    hour: Hour
    order: int
    hash: ContentHash
    expires: Hour


class Rephrased(NamedTuple):
    """A facilitator asks whether other words for a message may be carried."""

    about: MessageId
    author: Slot
    text: str
    expires: Hour


class Released(NamedTuple):
    """An author lets these words, by their hash, be carried."""

    about: MessageId
    author: Slot
    words: bytes
    expires: Hour


class Expired(NamedTuple):
    """A text was accepted whose hour had passed: there is nothing to show but that it was."""

    author: Slot


class Hushed(NamedTuple):
    """A text came that was said after the channel was suspended: it is not shown."""

    author: Slot


class ThreadBegan(NamedTuple):
    """A thread is known now."""

    thread: ThreadId
    topic: str
    lifetime: int
    burn: int = 0
    off: bool = False


class Shortened(NamedTuple):
    """Content of one thread, or of all, lives at most so many hours from now on, the old too."""

    thread: ThreadId | None
    lifetime: int
    burn: int = 0
    """The thread's read timer, which holds for the old too."""
    off: bool = False
    """Whether what is said in it from now on is off the record."""


class RosterAdopted(NamedTuple):
    """A roster version holds now."""

    version: int


class Change(NamedTuple):
    """One thing that a roster changed."""

    what: str
    """`came`, `removed`, `compromised`, `left`, `replaced`, `role`, `policy`, `epoch`, `relays`,
    `merged`.
    """
    alias: str = ""
    detail: str = ""


class Acted(NamedTuple):
    """What a facilitator did with a roster, for everybody to see."""

    version: int
    by: str
    """Alias."""
    hour: Hour
    hash: RosterHash
    changes: tuple[Change, ...]
    expires: Hour


class Lost(NamedTuple):
    """One's own roster was too late: another facilitator's holds, and this must be done again."""

    version: int


class Ended(NamedTuple):
    """One is a member no more."""

    reason: str
    by: Slot


AlarmKind = Literal[
    "fork", "cited", "rival", "foreign", "epoch", "forbidden", "record", "compromised"
]
"""Two posts under one number; a post cited that was refused here; two rosters after one; a roster
that nobody announced; an epoch that is not its roster's; an act beyond a role; records that differ;
a device in other hands.
"""


class Alarm(NamedTuple):
    """Something that an honest channel does not show: people should compare by voice."""

    kind: AlarmKind
    slot: Slot
    """Of whom it is about; `NOBODY` where that is not known."""
    name: bytes = b""
    """Content or roster hash."""
    reason: str = ""
    """In words, where there is more to say than the kind."""


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
    | Hushed
    | ThreadBegan
    | Offered
    | Rang
    | Rephrased
    | Released
    | Shortened
    | RosterAdopted
    | Acted
    | Lost
    | Ended
    | Alarm
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


class Alone(NamedTuple):
    """Put this block into this drop, on a connection of its own."""

    relay: str
    drop: Drop
    block: Block


class SealDrop(NamedTuple):
    """Let nothing more be written to this drop, but these last blocks."""

    relay: str
    drop: Drop
    close: X25519Private
    blocks: tuple[Block, ...] = ()


class Repost(NamedTuple):
    """If this core is kept, hand it back in a `command.Repost`."""

    hash: ContentHash
    drop: DropId | None = None
    """For this one alone; None: for those of every relay."""


Effect = OpenDrop | Append | Alone | SealDrop | DeleteDrop | Repost


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
    former: bool = False
    """Whether its relay is the channel's no more: it may be gone, and concerns nobody."""
