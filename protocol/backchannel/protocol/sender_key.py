"""Group messages under a sender's own chain, with a MAC for each reader: SPEC.md section 14.

```
group core
  21  sender 1 | generation id 16 | number 1 | roster hash 32 | parents 4 x 32 | ages 4
  203 commitment 32 | AEAD 2797 of pad(part, 2781) | slots 64 x 16
key core
  21  sender 1 | generation id 16 | roster hash 32
  70  64 x (step 4 | wrapped chain seed 48) | random 658
```
No insider speaks as another, and a reader can always have made its own slot: nothing is provable
outside. Knows no texts and no order of posts.
"""

from collections.abc import Mapping
from struct import Struct
from typing import NamedTuple, Self

import msgspec

from backchannel.protocol import limits
from backchannel.protocol.chain import Chain, step
from backchannel.protocol.core import (
    GROUP_HASHED,
    HEAD,
    Clock,
    CoreKey,
    Head,
    content_hash,
    head_of,
    leaf_key,
)
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.errors import AuthenticationError, DecodeError, LocalProtocolError
from backchannel.protocol.intro import Seeds
from backchannel.protocol.labels import Label
from backchannel.protocol.line import Wrap
from backchannel.protocol.primitives import hash_, kdf, mac, macs, pad, same, unpad
from backchannel.protocol.secret import (
    ChainKey,
    ChainSeed,
    ExportKey,
    LeafKey,
    MacSeed,
    MaskKey,
    MessageKey,
    Secret,
)
from backchannel.protocol.types import ContentHash, Core, GenerationId, Hour, RosterHash, Slot, Step

_HEADER = Struct(f">B{limits.ID}sB{'32s' * (1 + limits.PARENTS)}{limits.PARENTS}s")
_COMMITMENT_AT = HEAD + _HEADER.size
_BODY_AT = _COMMITMENT_AT + limits.HASH
_PADDED = GROUP_HASHED - _BODY_AT - limits.TAG
PART = _PADDED - 1
_WRAPS_AT = HEAD + 1 + limits.ID + limits.HASH
_WRAP = 4 + 32 + limits.TAG
_NO_PARENT = bytes(limits.HASH)
_NO_PARENTS = [_NO_PARENT] * limits.PARENTS


class Parent(NamedTuple):
    """A post that a post answers to, and by how many versions its roster is older; 255: or more."""

    hash: ContentHash
    age: int


class GroupHeader(NamedTuple):
    """The part of a group core that every member can read."""

    sender: Slot
    generation: GenerationId
    number: int
    roster: RosterHash
    parents: tuple[Parent, ...]

    def pack(self) -> bytes:
        """182 bytes: what stands between head and commitment. Parents rise."""
        parents = sorted(self.parents)
        hashes = [parent.hash for parent in parents] + _NO_PARENTS[len(parents) :]
        ages = bytes([parent.age for parent in parents])
        return _HEADER.pack(*self[:4], *hashes, ages)

    @classmethod
    def read(cls, core: Core) -> Self:
        """`DecodeError` for a slot that cannot be, or parents that do not rise with zeros last."""
        sender, generation, number, roster, *hashes, ages = _HEADER.unpack_from(core, HEAD)
        count = limits.PARENTS - hashes.count(_NO_PARENT)
        named = hashes[:count]
        rising = hashes == sorted(set(named)) + _NO_PARENTS[count:]
        if sender >= limits.ENTRIES or not rising or any(ages[count:]):
            msg = "not the header of a post"
            raise DecodeError(msg)
        return cls(sender, generation, number, roster, tuple(map(Parent, named, ages)))


class OwnGeneration(msgspec.Struct, frozen=True, array_like=True):
    """One's own sender key: where it stands, and the MAC seed of each reader."""

    id: GenerationId
    hour: Hour
    chain: ChainKey
    number: int
    readers: dict[Slot, MacSeed]
    block: ContentHash | None = None
    """Of the key block that gave it out."""

    def seeds(self) -> Seeds:
        """As it stands now, for one more reader."""
        return Seeds(self.id, self.number, self.chain)

    def with_reader(self, slot: Slot, export: ExportKey) -> "OwnGeneration":
        """With one more reader, who was given `seeds` in the block that `export` is of."""
        readers = {**self.readers, slot: mac_seed(export, self.id)}
        return msgspec.structs.replace(self, readers=readers)


class PeerGeneration(msgspec.Struct, frozen=True, array_like=True):
    """Another's sender key, as one reader holds it."""

    id: GenerationId
    mac: MacSeed
    chain: Chain
    hour: Hour
    """Of the latest post read."""
    block: ContentHash | None = None
    """Of the key block that gave it out, if one did."""
    first: int = 0
    """The number from which on it was given: what is before has no slot for this reader."""


class Sealed(NamedTuple):
    """A post to send; its leaf key is for who keeps its text."""

    own: OwnGeneration
    """As it stands after it."""
    core: Core
    leaf: LeafKey


class Opened(NamedTuple):
    """A post that verified; its leaf key is for who keeps its text."""

    held: PeerGeneration
    """As it stands after it."""
    part: bytes
    leaf: LeafKey


def generation_id(seed: ChainSeed) -> GenerationId:
    """Names and commits to a chain seed."""
    return GenerationId(hash_(Label.GENERATION, seed.expose())[: limits.ID])


def mac_seed(export: ExportKey | MessageKey, generation: GenerationId) -> MacSeed:
    """One reader's MAC seed for one generation; with seeds the export stands for its use."""
    return MacSeed(kdf(export.expose(), b"", Label.MAC_SEED, generation))


def first_key(seed: ChainSeed) -> ChainKey:
    """Chain key of number 0."""
    return ChainKey(kdf(seed.expose(), b"", Label.SENDER_CHAIN))


def slot_mac(seed: MacSeed, number: int, hash_of: ContentHash) -> bytes:
    """One slot, 16 bytes."""
    return mac(seed, Label.SLOT, bytes([number]) + hash_of)[: limits.SLOT_MAC]


def seal_post(
    own: OwnGeneration,
    sender: Slot,
    roster: RosterHash,
    parents: tuple[Parent, ...],
    part: bytes,
    clock: Clock,
    head: Head,
    entropy: Entropy,
) -> Sealed:
    """One post.

    `LocalProtocolError` when all 256 numbers are used, `ValueError` for a part over 2,780 bytes.
    """
    if own.number >= limits.POSTS:
        msg = "a generation is used up"
        raise LocalProtocolError(msg)
    chain, message = step(own.chain)
    leaf = leaf_key(message, clock, head)
    key = CoreKey.of_leaf(leaf, head)
    header = GroupHeader(sender, own.id, own.number, roster, parents)
    front = head.pack() + header.pack() + key.commitment
    hashed = front + key.seal(pad(part, _PADDED), front)
    following = msgspec.structs.replace(own, chain=chain, number=own.number + 1)
    return Sealed(following, Core(hashed + _slots(own, hashed, entropy)), leaf)


def _slots(own: OwnGeneration, hashed: bytes, entropy: Entropy) -> bytes:
    """64 x 16: each reader's MAC, and noise that looks the same where there is no reader."""
    slots = bytearray(entropy.draw(limits.ENTRIES * limits.SLOT_MAC))
    named = bytes([own.number]) + hash_(Label.CONTENT, hashed)
    tags = macs(own.readers.values(), Label.SLOT, named)
    for slot, tag in zip(own.readers, tags, strict=True):
        at = slot * limits.SLOT_MAC
        slots[at : at + limits.SLOT_MAC] = tag[: limits.SLOT_MAC]
    return bytes(slots)


def open_post(
    held: PeerGeneration,
    header: GroupHeader,
    core: Core,
    reader: Slot,
    clock: Clock,
    head: Head,
    hash_of: ContentHash | None = None,
) -> Opened:
    """Read one post; `hash_of` the core, where it is known.

    `AuthenticationError` when the reader's slot or the body does not verify, `ReplayError` for a
    number that was used.
    """
    at = GROUP_HASHED + reader * limits.SLOT_MAC
    expected = slot_mac(held.mac, header.number, hash_of or content_hash(core))
    if not same(expected, core[at : at + limits.SLOT_MAC]):
        msg = "a post's slot for me does not verify"
        raise AuthenticationError(msg)
    chain, message = held.chain.take(header.number, limits.POSTS)
    leaf = leaf_key(message, clock, head)
    part = _read(core, leaf, head)
    following = msgspec.structs.replace(held, chain=chain, hour=max(held.hour, head.hour))
    return Opened(following, part, leaf)


def read_part(core: Core, leaf: LeafKey) -> bytes:
    """The part of a post for who has its leaf key alone; `AuthenticationError` for another core's.
    Whoever has the key can have made the core: its slots are not asked.
    """
    return _read(core, leaf, head_of(core))


def _read(core: Core, leaf: LeafKey, head: Head) -> bytes:
    key = CoreKey.of_leaf(leaf, head)
    key.check(core[_COMMITMENT_AT:_BODY_AT])
    return unpad(key.open(core[_BODY_AT:GROUP_HASHED], core[:_BODY_AT]))


def slots_name(core: Core) -> bytes:
    """16 bytes that tell one copy's slots from another's: not under its content hash."""
    return hash_(Label.SLOT, core[GROUP_HASHED:])[: limits.ID]


class KeyHeader(NamedTuple):
    """The part of a key core that every member can read."""

    sender: Slot
    generation: GenerationId
    roster: RosterHash

    def pack(self) -> bytes:
        """49 bytes: what stands between head and wraps."""
        return bytes([self.sender]) + self.generation + self.roster

    @classmethod
    def read(cls, core: Core) -> Self:
        """`DecodeError` for a slot that cannot be."""
        if core[HEAD] >= limits.ENTRIES:
            msg = "not the header of a key block"
            raise DecodeError(msg)
        return cls(
            Slot(core[HEAD]),
            GenerationId(core[HEAD + 1 : HEAD + 17]),
            RosterHash(core[HEAD + 17 : _WRAPS_AT]),
        )


def seal_key_block(
    sender: Slot,
    roster: RosterHash,
    wraps: Mapping[Slot, Wrap],
    clock: Clock,
    head: Head,
    entropy: Entropy,
) -> tuple[OwnGeneration, Core]:
    """A new generation, and the core that gives it to every peer with a use of its export."""
    seed = ChainSeed(entropy.draw(32))
    generation = generation_id(seed)
    header = KeyHeader(sender, generation, roster)
    core = seal_wraps(header, seed, wraps, clock, head, entropy)
    readers = {slot: mac_seed(wrap.secret, generation) for slot, wrap in wraps.items()}
    own = OwnGeneration(generation, head.hour, first_key(seed), 0, readers, content_hash(core))
    return own, core


def seal_wraps(
    header: KeyHeader,
    seed: Secret,
    wraps: Mapping[Slot, Wrap],
    clock: Clock,
    head: Head,
    entropy: Entropy,
) -> Core:
    """A core that gives one seed to every peer with a use of its export: a key block, or the like
    of it that begins an epoch.
    """
    front = head.pack() + header.pack()
    rest = bytearray(entropy.draw(limits.CORE - _WRAPS_AT))
    for slot, wrap in wraps.items():
        mask = _step_mask(wrap.mask, clock, head, header.sender, slot)
        named = _masked(wrap.step.to_bytes(3) + bytes([wrap.use]), mask)
        key = _wrap_key(wrap.secret, clock, head, header.sender, slot)
        at = slot * _WRAP
        rest[at : at + _WRAP] = named + key.seal(seed.expose(), front + bytes([slot]) + named)
    return Core(front + bytes(rest))


def wrapped(
    core: Core, sender: Slot, reader: Slot, mask: MaskKey, clock: Clock, head: Head
) -> tuple[Step, int]:
    """Step and use that a core names for one reader; noise where there is none, or under another
    mask.
    """
    at = _WRAPS_AT + reader * _WRAP
    named = _masked(core[at : at + 4], _step_mask(mask, clock, head, sender, reader))
    return Step(int.from_bytes(named[:3])), named[3]


def _step_mask(mask: MaskKey, clock: Clock, head: Head, sender: Slot, reader: Slot) -> bytes:
    """4 bytes that hide step and use: others would count the blocks between two members by them."""
    context = head.hour.to_bytes(4) + bytes([head.kind, sender, reader])
    secret = mask.expose() + clock(head.hour).expose()
    return kdf(secret, head.salt, Label.STEP_MASK, context, 4)


def _masked(data: bytes, mask: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(data, mask, strict=True))


def open_wrap(
    core: Core, header: KeyHeader, reader: Slot, secret: MessageKey, clock: Clock, head: Head
) -> bytes:
    """The seed 32 that a core gives to `reader`, who holds the key of the use that it names.

    `AuthenticationError` where it does not open.
    """
    at = _WRAPS_AT + reader * _WRAP
    associated = core[:_WRAPS_AT] + bytes([reader]) + core[at : at + 4]
    key = _wrap_key(secret, clock, head, header.sender, reader)
    return key.open(core[at + 4 : at + _WRAP], associated)


def open_key_block(
    core: Core, header: KeyHeader, reader: Slot, secret: MessageKey, clock: Clock, head: Head
) -> PeerGeneration:
    """What a key block gives to `reader`; `AuthenticationError` where it does not open to the seed
    that the generation id names.
    """
    seed = ChainSeed(open_wrap(core, header, reader, secret, clock, head))
    if not same(generation_id(seed), header.generation):
        msg = "a key block gives another generation than it names"
        raise AuthenticationError(msg)
    mac_key, chain = mac_seed(secret, header.generation), Chain(first_key(seed))
    return PeerGeneration(header.generation, mac_key, chain, head.hour, content_hash(core))


def _wrap_key(secret: MessageKey, clock: Clock, head: Head, sender: Slot, reader: Slot) -> CoreKey:
    return CoreKey(secret, clock, head, b"wrap" + bytes([sender, reader]))


def from_seeds(seeds: Seeds, export: ExportKey, hour: Hour) -> PeerGeneration:
    """A generation that came in an intro or line block, with the export of that very block."""
    chain = Chain(seeds.chain, seeds.number)
    mac_key = mac_seed(export, seeds.generation)
    return PeerGeneration(seeds.generation, mac_key, chain, hour, first=seeds.number)
