"""An invite's words become a lobby: SPEC.md section 11.

Owns the lobby's keys and its card, marker and join cores. Knows the shapes, not the procedure; who
may be admitted and what burns an invite is `lobby`'s matter.
"""

from typing import Annotated, NamedTuple, Self
from unicodedata import is_normalized

from msgspec import Meta

from backchannel.protocol import limits
from backchannel.protocol.alias import check_alias
from backchannel.protocol.codec import Record, decode, encode
from backchannel.protocol.core import HEAD, CoreKey, Head, Kind
from backchannel.protocol.drop import Drop
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.errors import DecodeError, RefusedError
from backchannel.protocol.identity import Bundle, BundleKeys
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
from backchannel.protocol.roster import (
    PIECE,
    Disclosure,
    Hash,
    Id,
    Lifetime,
    Name,
    Relay,
    Role,
    SlotNumber,
    charter_hash,
    check_relays,
    open_piece,
    seal_piece,
)
from backchannel.protocol.secret import (
    ClockValue,
    CoreSecret,
    IntroKey,
    InviteSecret,
    OnceSecret,
    X25519Private,
)
from backchannel.protocol.types import Core, Hour

_CARD_PIECE = PIECE - 2
_CARD_BYTES = limits.CARD_PIECES * _CARD_PIECE
_BundleBytes = Annotated[bytes, Meta(min_length=limits.BUNDLE, max_length=limits.BUNDLE)]
_EPHEMERAL_END = HEAD + limits.X25519
_CIPHERTEXT_END = _EPHEMERAL_END + limits.KEM_CIPHERTEXT
_COMMITMENT_END = _CIPHERTEXT_END + limits.HASH
_JOIN = limits.CORE - _COMMITMENT_END - limits.TAG


class Lobby(NamedTuple):
    """What the words of one invite open."""

    drop: Drop
    clock: ClockValue
    card: CoreSecret

    @classmethod
    def of(cls, secret: InviteSecret, relay: X25519Public) -> Self:
        """The lobby on one relay."""
        value = secret.expose()
        return cls(
            Drop.of_lobby(secret, relay),
            ClockValue(kdf(value, b"", Label.LOBBY_CLOCK)),
            CoreSecret(kdf(value, b"", Label.LOBBY_CARD)),
        )

    def at(self, _hour: Hour) -> ClockValue:
        """The lobby's clock stands still."""
        return self.clock


def invite_secret(entropy: bytes) -> InviteSecret:
    """From the 16 bytes that twelve words carry."""
    return InviteSecret(kdf(entropy, b"", Label.INVITE))


def admission_key(secret: InviteSecret, once: OnceSecret) -> IntroKey:
    """The pre-shared key of the admitting intro; gone for good once both sides erase `once`."""
    return IntroKey(kdf(secret.expose() + once.expose(), b"", Label.LOBBY_INTRO))


class Person(Record, frozen=True):
    """How somebody stands, or will stand, in a roster."""

    alias: Name
    party: Name
    role: Role


class Card(Record, frozen=True, tag="card"):
    """What a facilitator shows to whoever holds the words."""

    channel: Id
    name: Name
    charter: Annotated[str, Meta(min_length=1)]
    disclosure: Disclosure
    relays: Annotated[tuple[Relay, ...], Meta(min_length=1, max_length=limits.RELAYS)]
    lifetime: Lifetime
    slot: SlotNumber
    facilitator: Person
    bundle: _BundleBytes
    invited: Person
    last: Annotated[int, Meta(ge=0, lt=2**32)]

    def check(self) -> "Card":
        """The card itself; `DecodeError` where a name, key or length is not allowed."""
        for person in (self.facilitator, self.invited):
            check_alias(person.alias)
            check_alias(person.party)
        check_alias(self.name)
        if self.facilitator.role != "facilitator":
            msg = "an invitation by somebody who is no facilitator"
            raise DecodeError(msg)
        if len(self.charter.encode()) > limits.CHARTER_BYTES:
            msg = "a charter is too long"
            raise DecodeError(msg)
        if not all(is_normalized("NFC", text) for text in self._texts()):
            msg = "a text is not in the form NFC"
            raise DecodeError(msg)
        Bundle.parse(self.bundle)
        check_relays(self.relays)
        return self

    def _texts(self) -> tuple[str, ...]:
        own = self.disclosure
        return (self.charter, own.convened_by, own.funded_by, own.relay_run_by)


class Marker(Record, frozen=True, tag="marker"):
    """Why nobody is waited for in a lobby any more."""

    reason: Annotated[str, Meta(pattern=r"\A(used|refused|burnt|withdrawn)\Z")]


class Join(Record, frozen=True):
    """A newcomer's answer: name, keys, and what was shown and accepted."""

    alias: Name
    bundle: _BundleBytes
    charter: Hash
    disclosure: Hash
    once: Hash


class Piece(NamedTuple):
    """One opened card core."""

    place: int
    total: int
    data: bytes


def seal_card(card: Card | Marker, lobby: Lobby, hour: Hour, entropy: Entropy) -> tuple[Core, ...]:
    """The card cores of a card or marker; `DecodeError` for a card over eight pieces."""
    data = encode(card)
    pieces = [data[at : at + _CARD_PIECE] for at in range(0, len(data), _CARD_PIECE)]
    if len(pieces) > limits.CARD_PIECES:
        msg = "a card is too long"
        raise DecodeError(msg)
    return tuple(
        seal_piece(
            bytes([index, len(pieces)]) + piece,
            lobby.card,
            lobby.at,
            Head(Kind.CARD, hour, entropy.draw(limits.SALT)),
        )
        for index, piece in enumerate(pieces)
    )


def open_card_piece(core: Core, head: Head, lobby: Lobby) -> Piece:
    """One piece; `AuthenticationError` or `DecodeError` where it is none."""
    plain = open_piece(core, lobby.card, lobby.at, head)
    if len(plain) < 3 or not plain[0] < plain[1] <= limits.CARD_PIECES:
        msg = "not a piece of a card"
        raise DecodeError(msg)
    return Piece(plain[0], plain[1], plain[2:])


def read_card(data: bytes) -> Card | Marker:
    """A card or marker from its pieces, joined in order."""
    card: Card | Marker = decode(data, Card | Marker, _CARD_BYTES)  # type: ignore[arg-type]  # a union is no type[T]
    return card.check() if isinstance(card, Card) else card


def _join_key(
    shared: tuple[bytes, bytes, bytes], lobby: Lobby, bundle: Bundle, head: Head
) -> CoreKey:
    context = hash_(Label.BUNDLE, bundle.pack())
    secret = kdf(b"".join(shared), lobby.card.expose(), Label.JOIN, context)
    return CoreKey(CoreSecret(secret), lobby.at, head)


def seal_join(join: Join, bundle: Bundle, lobby: Lobby, hour: Hour, entropy: Entropy) -> Core:
    """A join core, sealed to the facilitator's `bundle` under what the words open."""
    head = Head(Kind.JOIN, hour, entropy.draw(limits.SALT))
    ephemeral = X25519Private(entropy.draw(limits.X25519))
    kem, ciphertext = entropy.encapsulate(bundle.prekey.kem)
    shared = (dh(ephemeral, bundle.identity.x), dh(ephemeral, bundle.prekey.x), kem.expose())
    key = _join_key(shared, lobby, bundle, head)
    front = head.pack() + x25519_public(ephemeral).value + ciphertext + key.commitment
    return Core(front + key.seal(pad(encode(join), _JOIN), front))


def open_join(core: Core, head: Head, keys: BundleKeys, lobby: Lobby) -> Join:
    """The inverse, with the private keys of the card's bundle.

    `AuthenticationError` where it does not verify, `DecodeError` for a name or key that may not be.
    """
    ephemeral = X25519Public(core[HEAD:_EPHEMERAL_END])
    kem = decapsulate(keys.prekey.kem, core[_EPHEMERAL_END:_CIPHERTEXT_END])
    shared = (dh(keys.identity.x, ephemeral), dh(keys.prekey.x, ephemeral), kem.expose())
    key = _join_key(shared, lobby, keys.public(), head)
    key.check(core[_CIPHERTEXT_END:_COMMITMENT_END])
    plain = key.open(core[_COMMITMENT_END:], core[:_COMMITMENT_END])
    join = decode(unpad(plain), Join, _JOIN)
    check_alias(join.alias)
    Bundle.parse(join.bundle)
    return join


def check_accepted(join: Join, card: Card) -> None:
    """`RefusedError` unless the newcomer accepted the charter and disclosure of this very card."""
    if join.charter != charter_hash(card.charter) or join.disclosure != card.disclosure.hash:
        msg = "a newcomer accepted another charter or disclosure"
        raise RefusedError(msg)
