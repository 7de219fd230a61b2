"""The hybrid deniable handshake that begins a line: SPEC.md section 12.

```
intro core
  21   slot of A 1 | slot of B 1 | roster hash 32 | prekey id of B 16
  71   ekA 32 | KEM ciphertext to B's identity 1088 | KEM ciphertext to B's prekey 1088
  2279 commitment 32 | AEAD 1745 of pad(payload, 1729)
```
Either side alone can make the whole: nothing here proves anything to a third. Knows no procedure;
which intro stands between two entries is `reading`'s matter.
"""

from typing import NamedTuple, Self

from backchannel.protocol import limits
from backchannel.protocol.core import HEAD, Clock, CoreKey, Head
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.errors import DecodeError, RefusedError
from backchannel.protocol.identity import (
    Bundle,
    BundleKeys,
    HybridPrivate,
    HybridPublic,
    prekey_id,
)
from backchannel.protocol.labels import Label
from backchannel.protocol.primitives import (
    X25519Public,
    decapsulate,
    dh,
    hash_,
    kdf,
    pad,
    unpad,
    x25519_public,
)
from backchannel.protocol.secret import (
    ChainKey,
    ClockValue,
    CoreSecret,
    EpochSecret,
    ExportKey,
    HeaderKey,
    IntroKey,
    KemShared,
    RootKey,
    X25519Private,
)
from backchannel.protocol.types import (
    ChannelId,
    Core,
    GenerationId,
    PrekeyId,
    RosterHash,
    Slot,
)

_PREKEY_AT = HEAD + 2 + limits.HASH
_EPHEMERAL_AT = _PREKEY_AT + limits.ID
_IDENTITY_AT = _EPHEMERAL_AT + limits.X25519
_KEM_AT = _IDENTITY_AT + limits.KEM_CIPHERTEXT
_COMMITMENT_AT = _KEM_AT + limits.KEM_CIPHERTEXT
_SEALED_AT = _COMMITMENT_AT + limits.HASH
_PADDED = limits.CORE - _SEALED_AT - limits.TAG
_SEEDS_AT = limits.IDENTITY
_PLAIN = _SEEDS_AT + limits.ID + 1 + 32
_ADMITTING = 1


class Side(NamedTuple):
    """One party of an intro, as the roster names it (in a lobby: card and roster to come)."""

    slot: Slot
    role: int
    """Its place in `roster.ROLES`."""


class Setting(NamedTuple):
    """What both parties know before: channel, roster, who is A and who is B."""

    channel: ChannelId
    roster: RosterHash
    a: Side
    b: Side


class Seeds(NamedTuple):
    """A sender's generation as it stands now, for one reader.

    `generation id 16 | u8 number | chain key 32`
    """

    generation: GenerationId
    number: int
    chain: ChainKey

    def pack(self) -> bytes:
        """49 bytes."""
        return self.generation + bytes([self.number]) + self.chain.expose()

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """From 49 bytes."""
        return cls(GenerationId(data[:16]), data[16], ChainKey(data[17:49]))


class Admission(NamedTuple):
    """What lets a newcomer into the epoch.

    `u8 1 | u32 epoch | epoch secret 32 | E(core hour) 32`
    """

    epoch: int
    secret: EpochSecret
    clock: ClockValue

    def pack(self) -> bytes:
        """69 bytes."""
        return (
            bytes([_ADMITTING])
            + self.epoch.to_bytes(4)
            + self.secret.expose()
            + self.clock.expose()
        )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """`DecodeError` unless 69 bytes with their first as written."""
        if len(data) != 69 or data[0] != _ADMITTING:
            msg = "not an admission"
            raise DecodeError(msg)
        return cls(int.from_bytes(data[1:5]), EpochSecret(data[5:37]), ClockValue(data[37:69]))


class SessionKeys(NamedTuple):
    """What both parties hold after one intro."""

    root: RootKey
    header_ba: HeaderKey
    header_ab: HeaderKey
    export_ab: ExportKey
    export_ba: ExportKey
    payload: CoreSecret


class Envelope(NamedTuple):
    """The part of an intro core that every member can read."""

    a: Slot
    b: Slot
    roster: RosterHash
    prekey: PrekeyId
    ephemeral: bytes
    to_identity: bytes
    to_prekey: bytes

    @classmethod
    def read(cls, core: Core) -> Self:
        """`DecodeError` for a slot that cannot be or a party that speaks to itself."""
        a, b = core[HEAD], core[HEAD + 1]
        if max(a, b) >= limits.ENTRIES or a == b:
            msg = "an intro is between two slots"
            raise DecodeError(msg)
        return cls(
            Slot(a),
            Slot(b),
            RosterHash(core[HEAD + 2 : _PREKEY_AT]),
            PrekeyId(core[_PREKEY_AT:_EPHEMERAL_AT]),
            core[_EPHEMERAL_AT:_IDENTITY_AT],
            core[_IDENTITY_AT:_KEM_AT],
            core[_KEM_AT:_COMMITMENT_AT],
        )

    def pack(self) -> bytes:
        """2,258 bytes: what stands in the core between head and commitment."""
        return (
            bytes([self.a, self.b])
            + self.roster
            + self.prekey
            + self.ephemeral
            + self.to_identity
            + self.to_prekey
        )


class Payload(NamedTuple):
    """What only B reads: `A's first ratchet keys 1216 | seeds 49 | in a lobby, admission 69`."""

    ratchet: HybridPublic
    seeds: Seeds
    admission: Admission | None

    def pack(self) -> bytes:
        """1,265 or 1,334 bytes."""
        admission = self.admission.pack() if self.admission else b""
        return self.ratchet.pack() + self.seeds.pack() + admission

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """`DecodeError` for any other size and for keys that are not canonical."""
        if len(data) < _PLAIN:
            msg = "an intro's payload is too short"
            raise DecodeError(msg)
        ratchet, seeds, rest = data[:_SEEDS_AT], data[_SEEDS_AT:_PLAIN], data[_PLAIN:]
        admission = Admission.parse(rest) if rest else None
        return cls(HybridPublic.parse(ratchet), Seeds.parse(seeds), admission)


class Started(NamedTuple):
    """A's side of a new intro."""

    core: Core
    keys: SessionKeys
    ratchet: HybridPrivate


class Accepted(NamedTuple):
    """B's side of an intro that opened."""

    keys: SessionKeys
    ratchet: HybridPublic
    """A's first ratchet keys."""
    seeds: Seeds
    admission: Admission | None


def start(
    setting: Setting,
    own: BundleKeys,
    bundle: Bundle,
    key: IntroKey,
    seeds: Seeds,
    admission: Admission | None,
    clock: Clock,
    head: Head,
    entropy: Entropy,
) -> Started:
    """A's intro to the owner of `bundle`."""
    ephemeral = X25519Private(entropy.draw(limits.X25519))
    identity_kem, to_identity = entropy.encapsulate(bundle.identity.kem)
    prekey_kem, to_prekey = entropy.encapsulate(bundle.prekey.kem)
    envelope = _envelope(setting, bundle, ephemeral, to_identity, to_prekey)
    agreed = (
        dh(own.identity.x, bundle.prekey.x)
        + dh(ephemeral, bundle.identity.x)
        + dh(ephemeral, bundle.prekey.x)
    )
    bound = transcript(setting, own.identity.public(), bundle, envelope)
    keys = session(agreed, (identity_kem, prekey_kem), key, bound)
    ratchet = HybridPrivate.draw(entropy)
    payload = Payload(ratchet.public(), seeds, admission)
    return Started(seal(payload, envelope, keys, clock, head), keys, ratchet)


def _envelope(
    setting: Setting,
    bundle: Bundle,
    ephemeral: X25519Private,
    to_identity: bytes,
    to_prekey: bytes,
) -> Envelope:
    return Envelope(
        setting.a.slot,
        setting.b.slot,
        setting.roster,
        prekey_id(bundle.prekey),
        x25519_public(ephemeral).value,
        to_identity,
        to_prekey,
    )


def accept(
    core: Core,
    head: Head,
    setting: Setting,
    own: BundleKeys,
    identity: HybridPublic,
    key: IntroKey,
    clock: Clock,
) -> Accepted:
    """B's reading of an intro from the owner of `identity`.

    `RefusedError` for a prekey that is not B's, `AuthenticationError` where it does not open,
    `DecodeError` for an envelope or payload that is none.
    """
    envelope, bundle = Envelope.read(core), own.public()
    if envelope.prekey != prekey_id(bundle.prekey):
        msg = "an intro names a prekey that is not here"
        raise RefusedError(msg)
    keys = answering_keys(envelope, setting, own, identity, key)
    payload = _open(core, keys, clock, head)
    return Accepted(keys, payload.ratchet, payload.seeds, payload.admission)


def answering_keys(
    envelope: Envelope, setting: Setting, own: BundleKeys, identity: HybridPublic, key: IntroKey
) -> SessionKeys:
    """What B derives for any envelope from A's public identity and its own keys alone.

    That B can do so before A has said anything is what makes an intro deniable.
    """
    ephemeral = X25519Public(envelope.ephemeral)
    agreed = (
        dh(own.prekey.x, identity.x) + dh(own.identity.x, ephemeral) + dh(own.prekey.x, ephemeral)
    )
    identity_kem = decapsulate(own.identity.kem, envelope.to_identity)
    prekey_kem = decapsulate(own.prekey.kem, envelope.to_prekey)
    bound = transcript(setting, identity, own.public(), envelope)
    return session(agreed, (identity_kem, prekey_kem), key, bound)


def transcript(
    setting: Setting, identity: HybridPublic, bundle: Bundle, envelope: Envelope
) -> bytes:
    """T, 32 bytes: everything that both sides must see alike."""
    return hash_(
        Label.INTRO_TRANSCRIPT,
        setting.channel
        + setting.roster
        + bytes([*setting.a, *setting.b])
        + identity.pack()
        + bundle.pack()
        + envelope.ephemeral
        + envelope.to_identity
        + envelope.to_prekey,
    )


def session(
    agreed: bytes, kems: tuple[KemShared, KemShared], key: IntroKey, bound: bytes
) -> SessionKeys:
    """The keys of an intro from three X25519 results 96, two KEM secrets, intro key and T."""
    ikm = agreed + b"".join(kem.expose() for kem in kems)
    intro = kdf(ikm, key.expose(), Label.INTRO, bound)
    keys = kdf(intro, b"", Label.INTRO_KEYS, length=192)
    parts = [keys[at : at + 32] for at in range(0, 192, 32)]
    return SessionKeys(
        RootKey(parts[0]),
        HeaderKey(parts[1]),
        HeaderKey(parts[2]),
        ExportKey(parts[3]),
        ExportKey(parts[4]),
        CoreSecret(parts[5]),
    )


def seal(payload: Payload, envelope: Envelope, keys: SessionKeys, clock: Clock, head: Head) -> Core:
    """The core of an intro whose keys are agreed."""
    key = CoreKey(keys.payload, clock, head)
    front = head.pack() + envelope.pack() + key.commitment
    return Core(front + key.seal(pad(payload.pack(), _PADDED), front))


def _open(core: Core, keys: SessionKeys, clock: Clock, head: Head) -> Payload:
    key = CoreKey(keys.payload, clock, head)
    key.check(core[_COMMITMENT_AT:_SEALED_AT])
    return Payload.parse(unpad(key.open(core[_SEALED_AT:], core[:_SEALED_AT])))
