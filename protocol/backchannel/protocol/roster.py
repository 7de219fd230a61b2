"""Who is in a channel and by which rules: SPEC.md section 9.

Owns the roster's encoding, its hash, its package of bundles in roster cores, and what makes a
successor acceptable. Knows nothing of lines or messages.
"""

from typing import Annotated, Literal, NamedTuple, Self
from unicodedata import is_normalized

from msgspec import Meta

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
        """`DecodeError` for a key that is not canonical, or an address not in the form NFC."""
        _ = self.public
        if not is_normalized("NFC", self.url):
            msg = "an address is not in the form NFC"
            raise DecodeError(msg)


class Policy(Record, frozen=True):
    """The rules of a channel: how long content lives, in hours."""

    lifetime: Lifetime


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
    issuer: SlotNumber
    hour: U32
    epoch: U32
    commitment: Hash
    relays: Annotated[tuple[Relay, ...], Meta(min_length=1, max_length=limits.RELAYS)]
    policy: Policy
    charter: Hash
    disclosure: Hash
    heads: Annotated[tuple[Hash, ...], Meta(max_length=0)]
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
        for relay in roster.relays:
            relay.check()
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
    """A roster with the bundle of each entry."""

    roster: Roster
    bundles: dict[Slot, Bundle]

    def pack(self) -> bytes:
        """`u32 length | roster | bundles in the roster's order`."""
        body = self.roster.pack()
        bundles = (self.bundles[Slot(entry.slot)].pack() for entry in self.roster.entries)
        return len(body).to_bytes(4) + body + b"".join(bundles)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """`DecodeError` unless whole and each bundle is the entry's; identity keys differ."""
        length = int.from_bytes(data[:4])
        roster = Roster.parse(data[4 : 4 + length])
        rest = data[4 + length :]
        if len(rest) != limits.BUNDLE * len(roster.entries):
            msg = "a package holds one bundle for each entry"
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
    """`RefusedError` unless `new` may follow `current` while its epoch only grows."""
    kept = new.entries[: len(current.entries)]
    same = ("channel", "epoch", "relays", "policy", "charter", "disclosure")
    if any(getattr(new, field) != getattr(current, field) for field in same):
        msg = "a roster changes what an epoch keeps"
        raise RefusedError(msg)
    if new.version != current.version + 1 or new.previous != current.hash:
        msg = "a roster does not follow the current one"
        raise RefusedError(msg)
    if kept != current.entries or len(new.entries) == len(current.entries):
        msg = "a roster does not keep every entry and add one"
        raise RefusedError(msg)
    if current.entry(new.issuer).role != "facilitator":
        msg = "only a facilitator issues a roster"
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
