"""What a member holds of one channel, as a plain structure, put together from the nouns below it.
Look-ups, and notes of what is missing or owed; all else the doors change.
"""

from typing import Literal

import msgspec

from backchannel.protocol import limits
from backchannel.protocol.account import Record
from backchannel.protocol.alias import alike
from backchannel.protocol.content import Gone
from backchannel.protocol.epochs import Epoch
from backchannel.protocol.errors import LocalProtocolError
from backchannel.protocol.guest import Guest
from backchannel.protocol.hotline import Hotline
from backchannel.protocol.identity import BundleKeys, HybridPrivate
from backchannel.protocol.missing import Incoming, Partial, Pending, Want, WantKind
from backchannel.protocol.peer import Peer
from backchannel.protocol.proposal import Answer, Proposed, Vouched
from backchannel.protocol.roster import ROLES, Disclosure, Entry, Policy, Relay, Role, Roster
from backchannel.protocol.sender_key import OwnGeneration
from backchannel.protocol.successor import Announced, Draft, Rival
from backchannel.protocol.transcript import Transcript
from backchannel.protocol.types import (
    MAIN_THREAD,
    ChannelId,
    ContentHash,
    EpochId,
    Hour,
    IdentityHash,
    PrekeyId,
    RosterHash,
    Slot,
    ThreadId,
    Timestamp,
    hour_of,
)


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


class OldPrekey(msgspec.Struct, frozen=True, array_like=True):
    """A prekey that gave way, and since when."""

    keys: HybridPrivate
    id: PrekeyId
    hour: Hour


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
    heal: set[Slot] = msgspec.field(default_factory=set)
    """To whom the next one must rest on a fresh line block: mine went where they may not read."""
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
    ended: Literal["", "removed", "compromised", "left", "replaced", "closed"] = ""
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
    """Policies that wait for an answer, by hash."""
    floor: Slot | None = None
    """Whose turn it is; None: everybody's."""
    hands: list[Slot] = msgspec.field(default_factory=list)
    candidates: dict[bytes, Vouched] = msgspec.field(default_factory=dict)
    """Who waits, by identity, as facilitators present them."""
    record: Record = msgspec.field(default_factory=Record)
    files: dict[ContentHash, Incoming] = msgspec.field(default_factory=dict)
    """Offered, and not all here yet; by the content hash of the post."""
    hotline: Hotline = msgspec.field(default_factory=Hotline)
    behind: list[Slot] = msgspec.field(default_factory=list)
    """Who asked for keys of one's own that nobody can give any more: they are to get fresh ones."""
    standing_since: Hour = Hour(0)
    """Of the first roster that said so; a newcomer's own first one."""
    quiet: list[RosterHash] = msgspec.field(default_factory=list)
    """Rosters under which nobody speaks."""
    lost: dict[Slot, Hour] = msgspec.field(default_factory=dict)
    """Who lost a voice in closings by a lighter role, and when."""
    answers: dict[Slot, dict[bytes, Answer]] = msgspec.field(default_factory=dict)
    """What members answered, by policy hash, whether or not the proposal has come."""
    before: int = 0
    """The longest lifetime under which anything may have been said that lives still."""
    tightened: Hour = Hour(0)
    """Of the newest roster that shortened lives."""

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

    def untold(self, over: Epoch) -> bool:
        """Whether oneself ended an epoch, and no relay has shown that: for others it goes on, and
        what is owed to its drops comes before that.
        """
        if over.ending is None or not over.ending.issuer:
            return False
        unread = over.seen.keys() & self.record.sent.keys() & self.transcript.posts.keys()
        last = over.ending.roster.version
        return any(self.transcript.posts[core].version > last for core in unread)

    def announced_in(self, draft: Draft) -> Epoch:
        """In whose drops a change of one's own was announced."""
        return self.epoch_of(draft.unread[0]) or self.epoch

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
        if roster.policy.standing in {"suspended", "closed"} and roster.hash not in self.quiet:
            self.quiet.append(roster.hash)
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

    @property
    def divided(self) -> bool:
        """Whether somebody may follow another roster: a rival stands; or one does not, and not
        everybody has come to mine of its version since.
        """
        lost = self.record.conceded.values()
        behind = (self.come.get(slot, 0) < each.version for each in lost for slot in self.peers)
        return bool(self.rivals) or any(behind)

    def rival(
        self, version: int, roster: RosterHash, by: Slot, epoch: EpochId, gone: tuple[Gone, ...]
    ) -> Rival:
        """A second successor, announced in an epoch; somebody may have posted under it before."""
        slots, _ = self.record.foreign.get(roster, ((), 0))
        common = self._common(version, epoch)
        for each in self.epochs:
            each.contested = each.contested or each.id == common
        return Rival(by, common, gone, version, behind=tuple(slot for slot in slots if slot != by))

    def against(self, rival: Rival, *, leads: bool = True) -> dict[RosterHash, Rival]:
        """Where a rival is noted: with those that stand while its issuer does, who has not asked to
        go, or anybody else; or with the others.
        """
        stands = rival.backed or (leads and rival.by not in self.leavers)
        return self.rivals if stands else self.record.conceded

    def _common(self, version: int, where: EpochId) -> EpochId:
        """Where everybody reads who may follow a rival that was announced there: in the epoch of
        the roster before it. What settles others may be announced in an older one.
        """
        current = self.current()
        older = any(each.version < version for each in self.rivals.values())
        if version != current.version or current.merged or older:
            return where
        before = self.numbers.get(RosterHash(current.previous))
        return [each.id for each in self.epochs if each.id == where or each.number == before][-1]

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

    def stays(self) -> None:
        """Nobody took one's place away, or only what did not stand: one is here, but for who asked
        to go itself.
        """
        self.ended = "left" if self.me in self.leavers else ""

    def fall_behind(self, asker: Slot, now: Timestamp) -> None:
        """Note that somebody lacks one's keys, and what held them is dead; once an hour at most."""
        fresh = self.own is not None and self.own.hour >= hour_of(now)
        if not fresh and asker not in self.behind:
            self.behind.append(asker)

    def asked_by_another(self, cores: tuple[bytes, ...], now: Timestamp) -> None:
        """What somebody else asks for comes for all: one's own asking can wait."""
        self.wants = [
            msgspec.structs.replace(each, asked=now) if each.name in cores else each
            for each in self.wants
        ]
