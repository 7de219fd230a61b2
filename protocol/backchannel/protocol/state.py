"""What a member holds of one channel, as a plain structure. No behaviour beyond look-ups: the doors
change it.
"""

from typing import Literal

import msgspec

from backchannel.protocol import limits
from backchannel.protocol.alias import alike
from backchannel.protocol.content import Announcement, Gone
from backchannel.protocol.drop import Drop
from backchannel.protocol.errors import LocalProtocolError
from backchannel.protocol.identity import Bundle, BundleKeys, HybridPrivate
from backchannel.protocol.invite import Card, Join
from backchannel.protocol.line import Line
from backchannel.protocol.roster import ROLES, Disclosure, Entry, Policy, Relay, Role, Roster
from backchannel.protocol.secret import CloseSecret, EpochSecret, FileKey, InviteSecret
from backchannel.protocol.sender_key import OwnGeneration, PeerGeneration
from backchannel.protocol.transcript import Transcript
from backchannel.protocol.types import (
    MAIN_THREAD,
    ChannelId,
    ContentHash,
    Core,
    EpochId,
    GenerationId,
    Hour,
    IdentityHash,
    PrekeyId,
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
    to_greet: bool = False
    """Whether it was there before me: who comes greets."""
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
    rotated: tuple[Hour, int] = (Hour(0), 0)
    """Hour and order of the post that gave its prekey."""
    wrote: Hour = Hour(0)
    """Of one's latest line block to it."""
    noted: tuple[Hour, int] = (Hour(0), 0)
    """Hour of the latest private note between the two, and the highest order in it."""

    @property
    def answers(self) -> bool:
        """Whether its line is answered, and no reply to it is due: so a block may go now."""
        return self.line is not None and self.line.answered and not self.reply_due


class ThreadState(msgspec.Struct, frozen=True, array_like=True):
    """A thread that is known, until it was not used for the channel's lifetime."""

    topic: str
    lifetime: int
    until: Hour
    author: Slot
    burn: int = 0
    """Hours that content lives once it was shown; 0: no fewer than unread."""
    off: bool = False
    """Off the record."""


class Concealed(msgspec.Struct, frozen=True, array_like=True):
    """A piece that nobody sees yet, under a key of its hour: saved, it dies with the clock."""

    hash: ContentHash
    hour: Hour
    epoch: EpochId
    """Whose clock has the key."""
    sealed: bytes


class Epoch(msgspec.Struct, array_like=True):
    """One epoch of the channel, from its beginning until nothing of it can be read."""

    id: EpochId
    number: int
    secret: EpochSecret
    relays: tuple[Relay, ...]
    began: Hour
    """The first hour of its clock."""
    close: CloseSecret | None = None
    """The facilitators' secret."""
    given: list[Slot] = msgspec.field(default_factory=list)
    """Facilitators to whom one sent it."""
    seen: dict[ContentHash, Hour] = msgspec.field(default_factory=dict)
    """Cores of its drops that need no second look."""
    ending: "Ending | None" = None
    """None while it is the current one."""

    def drops(self) -> list[tuple[Relay, Drop]]:
        """Its drop on each relay."""
        return [(relay, Drop.of_epoch(self.secret, relay.public)) for relay in self.relays]


class Ending(msgspec.Struct, array_like=True):
    """What is still known of an epoch that is over."""

    roster: Roster
    """Its last."""
    hour: Hour
    """When it ended here."""
    gone: dict[Slot, "Peer"]
    """Who did not come along."""
    bound: set[Slot]
    """Whose posts count only in the past of the heads: of who is gone, or lost a role."""
    past: set[ContentHash]
    """Was not here: in the past of the heads that the next roster names, or named by others."""
    echoed: bool = False
    """Whether one's own echo was posted there."""
    issuer: bool = False
    """Whether this member has to seal its drops."""
    sealed: bool = False


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
    since: Timestamp = Timestamp(0)
    """0 until the next tick."""


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


class OldPrekey(msgspec.Struct, frozen=True, array_like=True):
    """A prekey that gave way, and since when."""

    keys: HybridPrivate
    id: PrekeyId
    hour: Hour


class Proposed(msgspec.Struct, frozen=True, array_like=True):
    """A policy that waits, and who has said yes."""

    policy: Policy
    by: Slot
    hour: Hour
    yes: tuple[Slot, ...] = ()


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
    since: Timestamp = Timestamp(0)
    """When they were first seen to differ."""


class Record(msgspec.Struct, array_like=True):
    """What is watched, so that nobody is shown another conversation: see `record.py`."""

    refused: dict[ContentHash, tuple[Hour, Slot]] = msgspec.field(default_factory=dict)
    """Posts whose slot for this member did not verify, and whose they claim to be."""
    alarmed: dict[bytes, Hour] = msgspec.field(default_factory=dict)
    """What an alarm was raised about already."""
    foreign: dict[RosterHash, tuple[Slot, Timestamp]] = msgspec.field(default_factory=dict)
    """Rosters that nobody announced here, who posted under them, and since when."""
    conceded: dict[RosterHash, "Rival"] = msgspec.field(default_factory=dict)
    """Rivals whose issuers came over; others may still stand behind them."""
    split: list[int] = msgspec.field(default_factory=list)
    """Roster versions in which there were two halves: of those nobody has all."""
    sent: dict[ContentHash, Hour] = msgspec.field(default_factory=dict)
    """One's own posts that no relay has shown yet: a sealed drop may have taken none of them."""
    accounts: dict[Slot, Account] = msgspec.field(default_factory=dict)
    told: Hour = Hour(0)
    """Of one's own latest digest."""
    asked: Hour = Hour(0)
    """Of one's own latest that asked for others'."""
    answer: Timestamp | None = None
    """When to answer who asked; 0: at a time that is still to be drawn."""
    kept: Hour = Hour(0)
    """Hours before this were forgotten."""


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


class ChannelState(msgspec.Struct, array_like=True):
    """All that is saved of a channel but its epoch clocks, which stand in the expiry-key file."""

    format: int
    id: ChannelId
    name: str
    alias: str
    """One's own."""
    me: Slot
    keys: BundleKeys
    epochs: list[Epoch]
    """The last is the current one."""
    policy: Policy
    charter: str
    disclosure: Disclosure
    roster: Roster | None
    expected: RosterHash
    """Of the roster that a newcomer was admitted by, or of the current one."""
    transcript: Transcript
    versions: dict[RosterHash, int] = msgspec.field(default_factory=dict)
    roles: dict[RosterHash, bytes] = msgspec.field(default_factory=dict)
    """64 bytes for each roster: role by slot, 255 where nobody stands."""
    numbers: dict[RosterHash, int] = msgspec.field(default_factory=dict)
    """The epoch of each roster."""
    former: list[IdentityHash] = msgspec.field(default_factory=list)
    """Of who went: nobody comes back with old keys."""
    peers: dict[Slot, Peer] = msgspec.field(default_factory=dict)
    own: OwnGeneration | None = None
    renew: bool = False
    """Whether somebody answered an intro, or left, since the generation was made."""
    heal: bool = False
    """Whether the next one must rest on fresh line blocks: others may not read where mine went."""
    prekeys: list[OldPrekey] = msgspec.field(default_factory=list)
    """One's own former ones: an intro may name them for a lifetime."""
    prekey_since: Hour = Hour(0)
    announced: list[Announced] = msgspec.field(default_factory=list)
    draft: Draft | None = None
    rivals: dict[RosterHash, Rival] = msgspec.field(default_factory=dict)
    """Successors of the roster before that are not the one adopted."""
    concede: bool = False
    """Whether one's own roster lost, and the others are to know that one has come over."""
    come: dict[Slot, int] = msgspec.field(default_factory=dict)
    """The newest roster version that each member has shown to be at."""
    alive: dict[Slot, Hour] = msgspec.field(default_factory=dict)
    """Hour of the newest post of each member."""
    ended: Literal["", "removed", "compromised", "left", "replaced"] = ""
    """Why one is a member no more."""
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
    guests: list[Guest] = msgspec.field(default_factory=list)
    verified: dict[Slot, IdentityHash] = msgspec.field(default_factory=dict)
    """Whom one compared words with, and behind which identity."""
    compared: dict[Slot, bytes] = msgspec.field(default_factory=dict)
    """What each member says to have compared: a hash of identities."""
    leavers: dict[Slot, Hour] = msgspec.field(default_factory=dict)
    """Who asked to go, and still stands in the roster."""
    proposals: dict[bytes, Proposed] = msgspec.field(default_factory=dict)
    """Policies that wait for everybody, by hash."""
    floor: Slot | None = None
    """Whose turn it is; None: everybody's."""
    hands: list[Slot] = msgspec.field(default_factory=list)
    candidates: dict[bytes, Vouched] = msgspec.field(default_factory=dict)
    """Who waits, by identity, as facilitators present them."""
    record: Record = msgspec.field(default_factory=Record)
    files: dict[ContentHash, Incoming] = msgspec.field(default_factory=dict)
    """Offered, and not all here yet; by the content hash of the post."""

    @property
    def epoch(self) -> Epoch:
        """The current one."""
        return self.epochs[-1]

    @property
    def lifetime(self) -> int:
        """Hours that content lives."""
        return self.policy.lifetime

    @property
    def relays(self) -> tuple[Relay, ...]:
        """Of the current epoch."""
        return self.epoch.relays

    def epoch_of(self, core: ContentHash) -> Epoch | None:
        """In whose drops a core was seen."""
        return next((each for each in self.epochs if core in each.seen), None)

    def named(self, alias: str) -> Entry:
        """Who stands here under a name; `LocalProtocolError` where nobody does."""
        entry = self.current().named(alias)
        if entry is None:
            msg = "nobody of that name is here"
            raise LocalProtocolError(msg)
        return entry

    def presented(self, alias: str) -> list[bytes]:
        """Identities of who waits under a name; `LocalProtocolError` where nobody does."""
        found = [name for name, each in self.candidates.items() if alike(each.alias, alias)]
        if not found:
            msg = "nobody of that name is presented"
            raise LocalProtocolError(msg)
        return found

    def role(self, slot: Slot, roster: RosterHash) -> Role | None:
        """A member's role under one roster; None where it does not stand, or the roster is not
        known.
        """
        number = self.roles.get(roster, b"")[slot : slot + 1]
        return ROLES[number[0]] if number and number[0] < len(ROLES) else None

    def knows(self, roster: Roster) -> None:
        """Remember a roster's version and roles."""
        self.versions[roster.hash] = roster.version
        self.numbers[roster.hash] = roster.epoch
        roles = bytearray(b"\xff" * limits.ENTRIES)
        for entry in roster.entries:
            roles[entry.slot] = ROLES.index(entry.role)
        self.roles[roster.hash] = bytes(roles)

    def current(self) -> Roster:
        """The adopted roster; `LocalProtocolError` while a newcomer still waits for it."""
        if self.roster is None:
            msg = "the list of members has not arrived yet"
            raise LocalProtocolError(msg)
        return self.roster

    def facilitates(self, slot: Slot) -> bool:
        """Whether a member is a facilitator, as far as is known; nobody is who does not stand."""
        entries = self.roster.entries if self.roster is not None else ()
        return any(each.slot == slot and each.role == "facilitator" for each in entries)

    def thread_lifetime(self, thread: ThreadId) -> int:
        """Hours that content of a thread lives; the channel's for a thread that is not known."""
        known = self.threads.get(thread)
        return self.lifetime if thread == MAIN_THREAD or known is None else known.lifetime

    def thread_burn(self, thread: ThreadId) -> int:
        """Its read timer; 0 for none, and for a thread that is not known."""
        known = self.threads.get(thread)
        return known.burn if known is not None else 0

    def off_the_record(self, thread: ThreadId) -> bool:
        """Whether what is said in a thread is; of one that is not known, only the text says."""
        known = self.threads.get(thread)
        return known is not None and known.off

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
        if self.epoch_of(core) and core not in self.owed and not lately and count < limits.SERVED:
            self.owed[core] = Timestamp(0)
            self.served[asker] = (hour_of(now), count + 1)

    def asked_by_another(self, cores: tuple[bytes, ...], now: Timestamp) -> None:
        """What somebody else asks for comes for all: one's own asking can wait."""
        self.wants = [
            msgspec.structs.replace(each, asked=now) if each.name in cores else each
            for each in self.wants
        ]
