"""What a member holds of one channel, as a plain structure. No behaviour beyond look-ups: the doors change it."""

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
    reply_due: bool = False
    reply: ContentHash | None = None
    generations: dict[GenerationId, PeerGeneration] = msgspec.field(default_factory=dict)
    steps: dict[Step, ContentHash] = msgspec.field(default_factory=dict)
    """One's own line blocks to it, for when it asks."""
    wrote: Hour = Hour(0)
    """Of the latest of them."""


class ThreadState(msgspec.Struct, frozen=True, array_like=True):
    """A thread that is known, until it was not used for the channel's lifetime."""

    topic: str
    lifetime: int
    until: Hour


class Partial(msgspec.Struct, frozen=True, array_like=True):
    """The parts so far of a message of several blocks."""

    total: int
    hour: Hour
    order: int
    hash: ContentHash
    pieces: dict[int, bytes]


class Pending(msgspec.Struct, frozen=True, array_like=True):
    """A core that waits for a key or a roster."""

    core: Core
    sender: int
    """Claimed; 255 where the kind names none."""
    hour: Hour
    """The relay's."""


WantKind = Literal["core", "generation", "step"]


class Want(msgspec.Struct, frozen=True, array_like=True):
    """Something missing, since when, and how often it was asked for."""

    kind: WantKind
    slot: int
    name: bytes
    """Content hash, generation id, or step as u32."""
    since: Timestamp
    asked: Timestamp = Timestamp(0)
    times: int = 0


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
    package: tuple[ContentHash, ...] = ()
    """The announcement and pieces that this member last issued."""
    threads: dict[ThreadId, ThreadState] = msgspec.field(default_factory=dict)
    partial: dict[bytes, Partial] = msgspec.field(default_factory=dict)
    delivered: dict[bytes, Hour] = msgspec.field(default_factory=dict)
    pending: list[Pending] = msgspec.field(default_factory=list)
    wants: list[Want] = msgspec.field(default_factory=list)
    owed: dict[ContentHash, Timestamp] = msgspec.field(default_factory=dict)
    """Cores that somebody asked for, and when they are due; 0 until a delay is drawn."""
    seen: dict[ContentHash, Hour] = msgspec.field(default_factory=dict)
    """Cores that need no second look, group posts aside."""
    guests: list[Guest] = msgspec.field(default_factory=list)

    def current(self) -> Roster:
        """The adopted roster; `LocalProtocolError` while a newcomer still waits for it."""
        if self.roster is None:
            msg = "the list of members has not arrived yet"
            raise LocalProtocolError(msg)
        return self.roster

    def thread_lifetime(self, thread: ThreadId) -> int:
        """Hours that content of a thread lives; the channel's for a thread that is not known."""
        known = self.threads.get(thread)
        return self.lifetime if thread == MAIN_THREAD or known is None else known.lifetime

    def oldest(self, now: Hour) -> Hour:
        """The first hour whose cores are still accepted."""
        return Hour(now - self.lifetime)

    def want(self, kind: WantKind, slot: int, name: bytes, now: Timestamp) -> None:
        """Note something missing, once."""
        if not any((w.kind, w.slot, w.name) == (kind, slot, name) for w in self.wants):
            self.wants = [*self.wants, Want(kind, slot, name, now)][-4 * limits.WANTED :]

    def got(self, kind: WantKind, slot: int, name: bytes) -> None:
        """It came."""
        self.wants = [w for w in self.wants if (w.kind, w.slot, w.name) != (kind, slot, name)]
