"""Who is in a channel and by which rules: SPEC.md section 9.

Owns the roster's encoding, its hash, its package of bundles in roster cores, and what makes a
successor acceptable. Knows nothing of lines or messages.
"""

from typing import Annotated, Literal, NamedTuple, Self
from unicodedata import is_normalized

from msgspec import Meta
from msgspec.structs import replace

from backchannel.protocol import limits
from backchannel.protocol.alias import alike, check_alias
from backchannel.protocol.codec import Record, decode, encode
from backchannel.protocol.core import HEAD, Clock, CoreKey, Head, Kind
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.errors import DecodeError, RefusedError
from backchannel.protocol.identity import Bundle, identity_hash
from backchannel.protocol.labels import Label
from backchannel.protocol.primitives import X25519Public, hash_, pad, unpad
from backchannel.protocol.secret import CoreSecret
from backchannel.protocol.types import (
    ChannelId,
    CharterHash,
    Core,
    DisclosureHash,
    Hour,
    IdentityHash,
    RosterHash,
    Slot,
)

Role = Literal["facilitator", "participant", "observer", "note-taker"]
ROLES: tuple[Role, ...] = ("facilitator", "participant", "observer", "note-taker")
"""A role's number in an intro is its place here."""
_WEIGHT: dict[Role, int] = {"facilitator": 3, "participant": 2, "note-taker": 1, "observer": 0}
"""Each role may do all that a lighter one may, and more: so a lighter role takes something away."""

Hash = Annotated[bytes, Meta(min_length=limits.HASH, max_length=limits.HASH)]
Id = Annotated[bytes, Meta(min_length=limits.ID, max_length=limits.ID)]
SlotNumber = Annotated[int, Meta(ge=0, lt=limits.ENTRIES)]
U32 = Annotated[int, Meta(ge=0, lt=2**32)]
Lifetime = Annotated[int, Meta(ge=1, le=limits.LIFETIME)]
Name = Annotated[str, Meta(min_length=1, max_length=limits.ALIAS)]
Url = Annotated[str, Meta(min_length=1, max_length=limits.URL_BYTES)]

PIECE = limits.CORE - HEAD - limits.HASH - limits.TAG - 1


class Relay(Record, frozen=True):
    """Address and static key of one relay."""

    url: Url
    key: Hash

    @property
    def public(self) -> X25519Public:
        """The parsed static key; `DecodeError` when it is not canonical."""
        return X25519Public(self.key)

    def check(self) -> None:
        """`DecodeError` for a key that is none, or an address not in the form NFC."""
        if not any(self.public.value):
            msg = "the key of courier files is no relay's"
            raise DecodeError(msg)
        if not is_normalized("NFC", self.url):
            msg = "an address is not in the form NFC"
            raise DecodeError(msg)


Format = Literal["plenary", "bilateral", "shuttle", "hotline", "workshop"]
Standing = Literal["open", "suspended", "dormant", "closed"]
"""Whether there is talk, none for now, none expected, or none ever again."""


class Policy(Record, frozen=True):
    """The rules of a channel."""

    lifetime: Lifetime
    """Hours that content lives, at most."""
    format: Format = "plenary"
    """What kind of talk it is for."""
    unattributed: Annotated[int, Meta(ge=0, le=limits.ENTRIES)] = 0
    """How many people must have shown life for an unattributed post; 0: there are none."""
    vouches: Annotated[int, Meta(ge=0, le=limits.VOUCHES)] = 0
    """How many members vouch for somebody before the door opens."""
    pulse: Annotated[int, Meta(ge=0, le=limits.PULSE)] = 0
    """Hours after which each member's program tells again that it is there; 0: it does not."""
    cover: Annotated[int, Meta(ge=0, le=limits.COVER)] = 0
    """Seconds after which the channel posts one block, real or not; 0: only real ones."""
    standing: Standing = "open"

    def check(self) -> None:
        """`DecodeError` for so few people that a guess would name an author."""
        if 0 < self.unattributed < limits.UNATTRIBUTED_FEWEST:
            msg = f"unattributed posts want at least {limits.UNATTRIBUTED_FEWEST} people"
            raise DecodeError(msg)

    def lengthens(self, other: "Policy") -> bool:
        """Whether what is said lives longer than under `other`, or the talk is of another kind,
        which others may join: that waits for everybody.
        """
        return self.lifetime > other.lifetime or self.format != other.format

    def closes(self, other: "Policy") -> bool:
        """Whether the channel ends by it: nobody decides that alone."""
        return self.standing == "closed" != other.standing


class Entry(Record, frozen=True):
    """A place in the roster."""

    slot: SlotNumber
    alias: Name
    party: Name
    role: Role
    identity: Hash


class Roster(Record, frozen=True):
    """One version of who is in a channel."""

    channel: Id
    version: Annotated[int, Meta(ge=1, lt=2**32)]
    previous: Hash
    merged: Annotated[tuple[Hash, ...], Meta(max_length=limits.MERGED)]
    """Rivals of `previous` that this one ends."""
    issuer: SlotNumber
    hour: U32
    epoch: U32
    commitment: Hash
    relays: Annotated[tuple[Relay, ...], Meta(min_length=1, max_length=limits.RELAYS)]
    policy: Policy
    charter: Hash
    disclosure: Hash
    heads: Annotated[tuple[Hash, ...], Meta(max_length=limits.HEADS)]
    """Of the record of the epoch before; empty while an epoch stays."""
    entries: Annotated[tuple[Entry, ...], Meta(min_length=1, max_length=limits.ENTRIES)]

    def pack(self) -> bytes:
        """The one encoding."""
        return encode(self)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """`DecodeError` unless a roster that could be one: slots rise, names differ, keys parse."""
        roster = decode(data, cls, limits.ROSTER_BYTES)
        if (roster.version == 1) != (roster.previous == bytes(limits.HASH)):
            msg = "the first roster alone has none before it"
            raise DecodeError(msg)
        _check_entries(roster.entries)
        roster.policy.check()
        check_relays(roster.relays)
        return roster

    @property
    def hash(self) -> RosterHash:
        """32 bytes."""
        return RosterHash(hash_(Label.ROSTER, self.pack()))

    def entry(self, slot: int) -> Entry:
        """`RefusedError` where nobody stands."""
        for entry in self.entries:
            if entry.slot == slot:
                return entry
        msg = "nobody stands in that slot"
        raise RefusedError(msg)

    def named(self, alias: str) -> Entry | None:
        """The entry with an alias like this one."""
        return next((entry for entry in self.entries if alike(entry.alias, alias)), None)

    def spoken(self) -> bytes:
        """What the ten roster words are made from: section 10."""
        each = (bytes([entry.slot]) + sized(entry.alias) + entry.identity for entry in self.entries)
        return b"roster" + self.channel + b"".join(each)


def check_relays(relays: tuple[Relay, ...]) -> None:
    """`DecodeError` where one is none, or two share a key, and so a drop, or an address."""
    for relay in relays:
        relay.check()
    if min(len({each.key for each in relays}), len({each.url for each in relays})) < len(relays):
        msg = "two relays share a key or an address"
        raise DecodeError(msg)


def _check_entries(entries: tuple[Entry, ...]) -> None:
    slots = [entry.slot for entry in entries]
    if slots != sorted(set(slots)):
        msg = "slots of a roster rise without a repeat"
        raise DecodeError(msg)
    if len({entry.identity for entry in entries}) != len(entries):
        msg = "two entries of a roster share a key"
        raise DecodeError(msg)
    for number, entry in enumerate(entries):
        check_alias(entry.alias)
        check_alias(entry.party)
        if any(alike(entry.alias, other.alias) for other in entries[:number]):
            msg = "two names of a roster are alike"
            raise DecodeError(msg)


class Disclosure(Record, frozen=True):
    """Who stands behind a channel, in their own words."""

    convened_by: Annotated[str, Meta(min_length=1, max_length=500)]
    funded_by: Annotated[str, Meta(min_length=1, max_length=500)]
    relay_run_by: Annotated[str, Meta(min_length=1, max_length=500)]

    @property
    def hash(self) -> DisclosureHash:
        """32 bytes."""
        return DisclosureHash(hash_(Label.DISCLOSURE, encode(self)))


def charter_hash(text: str) -> CharterHash:
    """32 bytes."""
    return CharterHash(hash_(Label.CHARTER, text.encode()))


def sized(text: str) -> bytes:
    """`u8 length | UTF-8`."""
    data = text.encode()
    return bytes([len(data)]) + data


def check_data(
    channel: ChannelId, facilitator: Entry, newcomer: str, identity: IdentityHash
) -> bytes:
    """What the six check words are made from: section 10."""
    return (
        b"check"
        + channel
        + bytes([facilitator.slot])
        + sized(facilitator.alias)
        + facilitator.identity
        + sized(newcomer)
        + identity
    )


class Package(NamedTuple):
    """A roster, with the bundle of each entry if somebody is new, else with none."""

    roster: Roster
    bundles: dict[Slot, Bundle]

    def pack(self) -> bytes:
        """`u32 length | roster | bundles in the roster's order`."""
        body = self.roster.pack()
        entries = self.roster.entries if self.bundles else ()
        bundles = (self.bundles[Slot(entry.slot)].pack() for entry in entries)
        return len(body).to_bytes(4) + body + b"".join(bundles)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """`DecodeError` unless whole and each bundle is the entry's; identity keys differ."""
        length = int.from_bytes(data[:4])
        body, rest = data[4 : 4 + length], data[4 + length :]
        if len(body) != length:
            msg = "a package is shorter than its roster"
            raise DecodeError(msg)
        roster = Roster.parse(body)
        if not rest:
            return cls(roster, {})
        if len(rest) != limits.BUNDLE * len(roster.entries):
            msg = "a package holds one bundle for each entry, or none"
            raise DecodeError(msg)
        bundles = {
            Slot(entry.slot): Bundle.parse(rest[at * limits.BUNDLE : (at + 1) * limits.BUNDLE])
            for at, entry in enumerate(roster.entries)
        }
        _check_identities(roster, bundles)
        return cls(roster, bundles)


def _check_identities(roster: Roster, bundles: dict[Slot, Bundle]) -> None:
    for entry in roster.entries:
        if identity_hash(bundles[Slot(entry.slot)].identity) != entry.identity:
            msg = "a bundle is not its entry's"
            raise DecodeError(msg)
    identities = [bundle.identity for bundle in bundles.values()]
    fewest = min(len({each.x for each in identities}), len({each.kem for each in identities}))
    if fewest != len(identities):
        msg = "two entries of a roster share a key"
        raise DecodeError(msg)


def succeeds(new: Roster, current: Roster) -> None:
    """`RefusedError` unless `new` may follow `current`, in its epoch or by beginning the next."""
    same = ("channel", "charter", "disclosure")
    if any(getattr(new, field) != getattr(current, field) for field in same):
        msg = "a roster is of another channel"
        raise RefusedError(msg)
    if not follows(new, current):
        msg = "a roster does not follow the current one"
        raise RefusedError(msg)
    if current.entry(new.issuer).role != "facilitator":
        msg = "only a facilitator issues a roster"
        raise RefusedError(msg)
    closes = new.policy.closes(current.policy)
    others = replace(new.policy, standing=current.policy.standing)
    if current.policy.standing == "closed" or (closes and others != current.policy):
        msg = "a channel that is closed has no rules to change"
        raise RefusedError(msg)
    if new.epoch == current.epoch and current.hash == new.previous:
        _stays(new, current)
    elif new.epoch <= current.epoch:
        msg = "a roster goes back to an epoch"
        raise RefusedError(msg)
    elif new.epoch > last_epoch(new.version):
        msg = "a roster jumps over epochs"
        raise RefusedError(msg)
    _keeps_identities(new, current)
    if not any(entry.role == "facilitator" for entry in new.entries):
        msg = "a roster leaves nobody who facilitates"
        raise RefusedError(msg)


def follows(new: Roster, current: Roster) -> bool:
    """Whether it comes next after `current`, or ends the branch that `current` is the newest of,
    which may be shorter than another.
    """
    if current.hash == new.previous:
        return new.version == current.version + 1
    ahead = new.version - current.version
    return current.hash in new.merged and 0 < ahead <= limits.VERSIONS_AHEAD


def last_epoch(version: int) -> int:
    """The highest number that an epoch begun by a roster of this version may have. What ends rivals
    takes it, and so is above all epochs of any branch, of which nobody may know.
    """
    return 2 * (version - 1)


def lighter(role: Role, than: Role) -> bool:
    """Whether a role takes away what another gave."""
    return _WEIGHT[role] < _WEIGHT[than]


def _stays(new: Roster, current: Roster) -> None:
    """While an epoch stays nobody goes, since who goes would read on."""
    slots = {entry.slot: entry for entry in new.entries}
    demoted = any(
        lighter(slots[entry.slot].role, entry.role)
        for entry in current.entries
        if entry.slot in slots
    )
    if not {entry.slot for entry in current.entries} <= set(slots) or demoted:
        msg = "a roster without a new epoch takes away what somebody has"
        raise RefusedError(msg)
    lengthens = new.policy.lengthens(current.policy)
    if new.heads or new.hour < current.hour or lengthens:
        msg = "a roster changes what an epoch keeps"
        raise RefusedError(msg)


def _keeps_identities(new: Roster, current: Roster) -> None:
    """Who stays keeps alias, party and identity; who comes gets a place that was free."""
    for entry in new.entries:
        before = next((each for each in current.entries if each.slot == entry.slot), None)
        if before is not None and replace(entry, role=before.role) != before:
            msg = "a roster gives somebody another name or identity"
            raise RefusedError(msg)


def seal_package(
    package: Package, secret: CoreSecret, clock: Clock, hour: Hour, entropy: Entropy
) -> tuple[Core, ...]:
    """The roster cores of a package, in order."""
    data = package.pack()
    pieces = [data[at : at + PIECE] for at in range(0, len(data), PIECE)]
    return tuple(
        seal_piece(piece, secret, clock, Head(Kind.ROSTER, hour, entropy.draw(limits.SALT)))
        for piece in pieces
    )


def seal_piece(piece: bytes, secret: CoreSecret, clock: Clock, head: Head) -> Core:
    """`head 21 | commitment 32 | AEAD`: the shape of roster and card cores."""
    key = CoreKey(secret, clock, head)
    front = head.pack() + key.commitment
    return Core(front + key.seal(pad(piece, PIECE + 1), front))


def open_piece(core: Core, secret: CoreSecret, clock: Clock, head: Head) -> bytes:
    """The inverse of `seal_piece`; `AuthenticationError` where it does not verify."""
    front = core[: HEAD + limits.HASH]
    key = CoreKey(secret, clock, head)
    key.check(front[HEAD:])
    return unpad(key.open(core[len(front) :], front))
