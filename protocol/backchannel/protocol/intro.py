"""The hybrid deniable handshake that begins a line: SPEC.md section 12.

```
intro core
  21 slot of A 1 | slot of B 1 | roster hash 32 | prekey id of B 16 | ekA 32 | KEM ciphertexts 2 x 1088
  2279 commitment 32 | AEAD 1745 of pad(payload, 1729)
```
Either side alone can make the whole: nothing here proves anything to a third.
"""

from typing import NamedTuple, Self

from backchannel.protocol import limits
from backchannel.protocol.core import HEAD, Clock, CoreKey, Head, Kind
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
    """One party of an intro as the roster (in a lobby, the card and the roster to come) names it."""

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
    """A sender's generation as it stands now, for one reader: `generation id 16 | u8 number | chain key 32`."""

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
    """What lets a newcomer into the epoch: `u8 1 | u32 epoch | epoch secret 32 | E(core hour) 32`."""

    epoch: int
    secret: EpochSecret
    clock: ClockValue

    def pack(self) -> bytes:
        """69 bytes."""
        return bytes([_ADMITTING]) + self.epoch.to_bytes(4) + self.secret.expose() + self.clock.expose()

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


def _session(
    shared: tuple[bytes, ...], key: IntroKey, setting: Setting, identity: HybridPublic, bundle: Bundle, envelope: Envelope
) -> SessionKeys:
    transcript = hash_(
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
    intro = kdf(b"".join(shared), key.expose(), Label.INTRO, transcript)
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
    to_identity, identity_ciphertext = entropy.encapsulate(bundle.identity.kem)
    to_prekey, prekey_ciphertext = entropy.encapsulate(bundle.prekey.kem)
    envelope = Envelope(
        setting.a.slot,
        setting.b.slot,
        setting.roster,
        prekey_id(bundle.prekey),
        x25519_public(ephemeral).value,
        identity_ciphertext,
        prekey_ciphertext,
    )
    shared = (
        dh(own.identity.x, bundle.prekey.x),
        dh(ephemeral, bundle.identity.x),
        dh(ephemeral, bundle.prekey.x),
        to_identity.expose(),
        to_prekey.expose(),
    )
    keys = _session(shared, key, setting, own.identity.public(), bundle, envelope)
    ratchet = HybridPrivate.draw(entropy)
    payload = ratchet.public().pack() + seeds.pack() + (admission.pack() if admission else b"")
    core_key = CoreKey(keys.payload, clock, head)
    front = head.pack() + envelope.pack() + core_key.commitment
    return Started(Core(front + core_key.seal(pad(payload, _PADDED), front)), keys, ratchet)


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

    `RefusedError` for a prekey that is not B's, `AuthenticationError` where it does not open, `DecodeError` for a
    payload that is none.
    """
    envelope = Envelope.read(core)
    bundle = own.public()
    if envelope.prekey != prekey_id(bundle.prekey):
        msg = "an intro names a prekey that is not here"
        raise RefusedError(msg)
    ephemeral = X25519Public(envelope.ephemeral)
    kems: list[KemShared] = [
        decapsulate(own.identity.kem, envelope.to_identity),
        decapsulate(own.prekey.kem, envelope.to_prekey),
    ]
    shared = (
        dh(own.prekey.x, identity.x),
        dh(own.identity.x, ephemeral),
        dh(own.prekey.x, ephemeral),
        *(kem.expose() for kem in kems),
    )
    keys = _session(shared, key, setting, identity, bundle, envelope)
    core_key = CoreKey(keys.payload, clock, head)
    core_key.check(core[_COMMITMENT_AT:_SEALED_AT])
    payload = unpad(core_key.open(core[_SEALED_AT:], core[:_SEALED_AT]))
    if len(payload) < _PLAIN:
        msg = "an intro's payload is too short"
        raise DecodeError(msg)
    rest = payload[_PLAIN:]
    return Accepted(
        keys,
        HybridPublic.parse(payload[:_SEEDS_AT]),
        Seeds.parse(payload[_SEEDS_AT:_PLAIN]),
        Admission.parse(rest) if rest else None,
    )
