"""What a member holds of one channel, as a plain structure. No behaviour beyond look-ups: the doors
change it.
"""

from typing import Literal

import msgspec

from backchannel.protocol import limits
from backchannel.protocol.content import Announcement
from backchannel.protocol.errors import LocalProtocolError
from backchannel.protocol.identity import Bundle, BundleKeys
from backchannel.protocol.invite import Card, Join
from backchannel.protocol.line import Line
from backchannel.protocol.roster import Disclosure, Relay, Roster
from backchannel.protocol.secret import CloseSecret, EpochSecret, InviteSecret
from backchannel.protocol.sender_key import OwnGeneration, PeerGeneration
from backchannel.protocol.transcript import Transcript
from backchannel.protocol.types import (
    MAIN_THREAD,
    ChannelId,
    ContentHash,
    Core,
    GenerationId,
    Hour,
    RosterHash,
    Slot,
    Step,
    ThreadId,
    Timestamp,
    hour_of,
)


class Greeting(msgspec.Struct, frozen=True, array_like=True):
    """One's own intro that nobody answered yet."""

    hash: ContentHash
    made: Hour
    posted: Hour
    times: int
    replaced: bool = False


class Peer(msgspec.Struct, array_like=True):
    """Another entry, as this member knows it."""

    bundle: Bundle
    line: Line | None = None
    greeting: Greeting | None = None
    heard: ContentHash | None = None
    """Its intro."""
    heard_hour: Hour = Hour(0)
    answered_hour: Hour = Hour(0)
    """Of its reply to one's own intro."""
    proved: bool = False
    """Whether a line block of its, or a key block that rests on one, has opened."""
    reply_due: bool = False
    reply: ContentHash | None = None
    generations: dict[GenerationId, PeerGeneration] = msgspec.field(default_factory=dict)
    crossed: ContentHash | None = None
    """One's own intro that gave way to its: key blocks may rest on it."""
    given: dict[GenerationId, ContentHash] = msgspec.field(default_factory=dict)
    """The core that gave it a generation of one's own, for when it asks."""
    steps: dict[Step, ContentHash] = msgspec.field(default_factory=dict)
    """One's own line blocks to it, for when it asks."""
    wrote: Hour = Hour(0)
    """Of the latest of them."""


class ThreadState(msgspec.Struct, frozen=True, array_like=True):
    """A thread that is known, until it was not used for the channel's lifetime."""

    topic: str
    lifetime: int
    until: Hour
    author: Slot


class Concealed(msgspec.Struct, frozen=True, array_like=True):
    """A piece that nobody sees yet, under a key of its hour: saved, it dies with the clock."""

    hash: ContentHash
    hour: Hour
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


class Guest(msgspec.Struct, array_like=True):
    """An invite of this member's, from its making until its lobby is deleted."""

    secret: InviteSecret
    relay: Relay
    keys: BundleKeys | None
    """None once its prekey is erased."""
    card: Card
    first: Hour
    join: Join | None = None
    heard: ContentHash | None = None
    state: Literal["open", "waiting", "burnt", "admitted", "refused"] = "open"
    marked: bool = False
    slot: Slot | None = None
    """Of whom it admitted."""
    package: tuple[ContentHash, ...] = ()
    """Announcement and pieces of the roster that admitted, posted again until they are answered."""


class Announced(msgspec.Struct, array_like=True):
    """The next roster, while its pieces come."""

    by: Slot
    announcement: Announcement
    pieces: dict[ContentHash, bytes] = msgspec.field(default_factory=dict)


class ChannelState(msgspec.Struct, array_like=True):
    """All that is saved of a channel but its epoch clock, which stands in the expiry-key file."""

    format: int
    id: ChannelId
    name: str
    alias: str
    """One's own."""
    me: Slot
    keys: BundleKeys
    epoch: int
    secret: EpochSecret
    close: CloseSecret | None
    relays: tuple[Relay, ...]
    lifetime: int
    charter: str
    disclosure: Disclosure
    roster: Roster | None
    expected: RosterHash
    """Of the roster that a newcomer was admitted by, or of the current one."""
    transcript: Transcript
    versions: dict[RosterHash, int] = msgspec.field(default_factory=dict)
    peers: dict[Slot, Peer] = msgspec.field(default_factory=dict)
    own: OwnGeneration | None = None
    renew: bool = False
    """Whether somebody answered an intro since the generation was made."""
    announced: Announced | None = None
    since: Hour = Hour(0)
    """Of one's first roster: what a newcomer reads of that very hour may be from before it."""
    threads: dict[ThreadId, ThreadState] = msgspec.field(default_factory=dict)
    partial: dict[bytes, Partial] = msgspec.field(default_factory=dict)
    delivered: dict[bytes, Hour] = msgspec.field(default_factory=dict)
    pending: list[Pending] = msgspec.field(default_factory=list)
    wants: list[Want] = msgspec.field(default_factory=list)
    owed: dict[ContentHash, Timestamp] = msgspec.field(default_factory=dict)
    """Cores that somebody asked for, and when they are due; 0 until a delay is drawn."""
    reposted: dict[ContentHash, Timestamp] = msgspec.field(default_factory=dict)
    """Cores that were handed out lately, and when: asking again at once gives nothing."""
    served: dict[Slot, tuple[Hour, int]] = msgspec.field(default_factory=dict)
    """How much of `owed` each asker caused, and in which hour."""
    seen: dict[ContentHash, Hour] = msgspec.field(default_factory=dict)
    """Cores that need no second look."""
    guests: list[Guest] = msgspec.field(default_factory=list)

    def current(self) -> Roster:
        """The adopted roster; `LocalProtocolError` while a newcomer still waits for it."""
        if self.roster is None:
            msg = "the list of members has not arrived yet"
            raise LocalProtocolError(msg)
        return self.roster

    def facilitates(self, slot: Slot) -> bool:
        """Whether a member is a facilitator, as far as is known."""
        return self.roster is not None and self.roster.entry(slot).role == "facilitator"

    def thread_lifetime(self, thread: ThreadId) -> int:
        """Hours that content of a thread lives; the channel's for a thread that is not known."""
        known = self.threads.get(thread)
        return self.lifetime if thread == MAIN_THREAD or known is None else known.lifetime

    def oldest(self, now: Hour) -> Hour:
        """The first hour whose cores are still accepted."""
        return Hour(now - self.lifetime)

    def want(self, kind: WantKind, slot: int, name: bytes, now: Timestamp) -> None:
        """Note something missing, once; of one kind and sender the newest are kept."""
        if any(each.is_(kind, slot, name) for each in self.wants):
            return
        alike = [w for w in self.wants if (w.kind, w.slot) == (kind, slot)]
        over = alike[: max(0, len(alike) + 1 - limits.WANTS[kind])]
        self.wants = [*(w for w in self.wants if w not in over), Want(kind, slot, name, now)]

    def got(self, kind: WantKind, slot: int, name: bytes) -> None:
        """It came."""
        self.wants = [each for each in self.wants if not each.is_(kind, slot, name)]

    def owe(self, core: ContentHash, asker: Slot, now: Timestamp) -> None:
        """Note a core to post again, unless it is unknown here, was handed out lately, or its asker
        had enough for this hour.
        """
        hour, count = self.served.get(asker, (hour_of(now), 0))
        count = count if hour == hour_of(now) else 0
        lately = now - self.reposted.get(core, 0) < limits.REPOST_AGAIN
        if core in self.seen and core not in self.owed and not lately and count < limits.SERVED:
            self.owed[core] = Timestamp(0)
            self.served[asker] = (hour_of(now), count + 1)

    def asked_by_another(self, cores: tuple[bytes, ...], now: Timestamp) -> None:
        """What somebody else asks for comes for all: one's own asking can wait."""
        self.wants = [
            msgspec.structs.replace(each, asked=now) if each.name in cores else each
            for each in self.wants
        ]
