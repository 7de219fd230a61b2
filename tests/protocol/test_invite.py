"""An invite's words become a lobby: SPEC.md section 11."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from backchannel.protocol import invite, limits
from backchannel.protocol.codec import encode
from backchannel.protocol.core import HEAD, CoreKey, Head, Kind, head_of
from backchannel.protocol.drop import Drop
from backchannel.protocol.errors import AuthenticationError, DecodeError, RefusedError
from backchannel.protocol.identity import Bundle, BundleKeys, HybridPrivate
from backchannel.protocol.invite import Card, Join, Lobby, Marker, Person
from backchannel.protocol.labels import Label
from backchannel.protocol.primitives import kdf, pad
from backchannel.protocol.roster import Disclosure, Relay, charter_hash, seal_piece
from backchannel.protocol.secret import InviteSecret, OnceSecret
from backchannel.protocol.types import Core, Hour
from tests.support import cast
from tests.support.bits import flip, sampled_flips
from tests.support.entropy import ScriptedEntropy
from tests.support.filled import secrets_of

SECRET = invite.invite_secret(bytes(range(16)))
LOBBY = Lobby.of(SECRET, cast.relay().public)
LOBBY_KEYS = BundleKeys(cast.keys("anna").identity, HybridPrivate.draw(ScriptedEntropy("lobby")))
BUNDLE = LOBBY_KEYS.public()
CHARTER = "We speak for nobody but ourselves."
CARD = Card(
    channel=cast.CHANNEL,
    name="north",
    charter=CHARTER,
    disclosure=cast.DISCLOSURE,
    relays=(cast.relay(),),
    lifetime=720,
    slot=0,
    facilitator=Person("anna", "institute", "facilitator"),
    bundle=BUNDLE.pack(),
    invited=Person("guest", "ministry", "participant"),
    last=cast.HOUR + 72,
)
ONCE = OnceSecret(b"once".ljust(32, b"."))
JOIN = Join(
    "bela",
    cast.bundle("bela").pack(),
    charter_hash(CHARTER),
    cast.DISCLOSURE.hash,
    ONCE.expose(),
)


# --- Keys -----------------------------------------------------------------------------------------


def test_a_lobbys_keys_as_written() -> None:
    value = SECRET.expose()
    assert value == kdf(bytes(range(16)), b"", Label.INVITE)
    assert LOBBY.clock.expose() == kdf(value, b"", Label.LOBBY_CLOCK)
    assert LOBBY.card.expose() == kdf(value, b"", Label.LOBBY_CARD)
    drop = Drop.of_lobby(SECRET, cast.relay().public)
    assert (LOBBY.drop.id, LOBBY.drop.outer) == (drop.id, drop.outer)


def test_the_key_of_an_admission_as_written() -> None:
    key = invite.admission_key(SECRET, ONCE)
    assert key.expose() == kdf(SECRET.expose() + ONCE.expose(), b"", Label.LOBBY_INTRO)


def test_c4_the_words_alone_give_no_key_of_an_admission() -> None:
    """It carries E under a clock that stands still: with `once` erased nothing opens it again."""
    key = invite.admission_key(SECRET, ONCE)
    value = SECRET.expose()
    for guess in (b"", ONCE.expose()[:31], bytes(32)):
        assert kdf(value + guess, b"", Label.LOBBY_INTRO) != key.expose()
    assert key.expose() not in {secret.expose() for secret in secrets_of(list(LOBBY))}
    assert invite.admission_key(SECRET, OnceSecret(bytes(32))) != key
    assert invite.admission_key(InviteSecret(bytes(32)), ONCE) != key


def test_a_lobbys_clock_stands_still() -> None:
    assert LOBBY.at(Hour(0)) == LOBBY.at(Hour(2**32 - 1)) == LOBBY.clock


def test_other_words_and_other_relays_are_other_lobbies() -> None:
    elsewhere = Lobby.of(SECRET, cast.relay("other").public)
    other = Lobby.of(invite.invite_secret(bytes(16)), cast.relay().public)
    assert len({LOBBY.drop.id, elsewhere.drop.id, other.drop.id}) == 3
    assert LOBBY.card != other.card


# --- Cards ----------------------------------------------------------------------------------------


def sealed(card: Card | Marker) -> tuple[Core, ...]:
    return invite.seal_card(card, LOBBY, cast.HOUR, ScriptedEntropy())


def opened(core: Core) -> invite.Piece:
    return invite.open_card_piece(core, head_of(core), LOBBY)


@settings(max_examples=25)
@given(st.text("word \n", min_size=1, max_size=20_000), st.integers(1, 2160))
def test_a_card_is_read_as_written(charter: str, lifetime: int) -> None:
    card = replace(CARD, charter=charter, lifetime=lifetime)
    pieces = [opened(core) for core in sealed(card)]
    assert [piece.place for piece in pieces] == list(range(len(pieces)))
    assert {piece.total for piece in pieces} == {len(pieces)}
    assert invite.read_card(b"".join(piece.data for piece in pieces)) == card


def test_the_longest_card_fits_eight_cores() -> None:
    """Of every text the most: a charter of 20,000 bytes, eight relays, three long disclosures."""
    card = replace(
        CARD,
        charter="é" * 10_000,
        disclosure=Disclosure(*["桜" * 500] * 3),
        relays=tuple(Relay(f"{n}" * 256, cast.relay(f"r{n}").key) for n in range(8)),
    )
    cores = sealed(card)
    assert len(cores) == limits.CARD_PIECES
    assert invite.read_card(b"".join(opened(core).data for core in cores)) == card


def test_a_card_over_eight_cores_is_not_made() -> None:
    most = replace(CARD, charter="")
    room = limits.CARD_PIECES * 3984 - len(encode(most)) - 2
    assert len(sealed(replace(most, charter="c" * room))) == 8
    with pytest.raises(DecodeError, match="too long"):
        sealed(replace(most, charter="c" * (room + 1)))


@pytest.mark.parametrize("reason", ["used", "refused", "burnt", "withdrawn"])
def test_a_marker_is_read_as_written(reason: str) -> None:
    (core,) = sealed(Marker(reason))
    assert opened(core)[:2] == (0, 1)
    assert invite.read_card(opened(core).data) == Marker(reason)


@pytest.mark.parametrize("reason", ["", "used ", "gone", "used\n"])
def test_a_marker_gives_no_other_reason(reason: str) -> None:
    with pytest.raises(DecodeError):
        invite.read_card(encode(Marker(reason)))


def person(**changes: str) -> Callable[[Card], Card]:
    return lambda card: replace(card, invited=replace(card.invited, **changes))


CARDS: dict[str, Callable[[Card], Card]] = {
    "channel too short": lambda c: replace(c, channel=bytes(15)),
    "a name that is none": lambda c: replace(c, name="no\u200brth"),
    "no charter": lambda c: replace(c, charter=""),
    "a charter too long": lambda c: replace(c, charter="é" * 10_000 + "."),
    "a charter not composed": lambda c: replace(c, charter="Zoe\u0308"),
    "a disclosure not composed": lambda c: replace(c, disclosure=Disclosure("x", "Zoe\u0308", "x")),
    "an empty disclosure": lambda c: replace(c, disclosure=Disclosure("", "x", "x")),
    "a disclosure too long": lambda c: replace(c, disclosure=Disclosure("x" * 501, "x", "x")),
    "no relay": lambda c: replace(c, relays=()),
    "nine relays": lambda c: replace(c, relays=c.relays * 9),
    "relay key": lambda c: replace(c, relays=(Relay("u", b"\xff" * 32),)),
    "relay address not composed": lambda c: replace(
        c, relays=(Relay("https://zoe\u0308", c.relays[0].key),)
    ),
    "lifetime 0": lambda c: replace(c, lifetime=0),
    "slot 64": lambda c: replace(c, slot=64),
    "no facilitator": lambda c: replace(c, facilitator=c.invited),
    "bundle too short": lambda c: replace(c, bundle=c.bundle[:-1]),
    "last hour too large": lambda c: replace(c, last=2**32),
    "an alias that is none": person(alias=" "),
    "a party that is none": person(party="a\x07"),
    "a role that is none": person(role="owner"),
}


@pytest.mark.parametrize("why", CARDS)
def test_what_a_card_may_not_say(why: str) -> None:
    with pytest.raises(DecodeError):
        invite.read_card(encode(CARDS[why](CARD)))


@pytest.mark.parametrize("at", [0, 1216])
def test_attack_74_a_poisoned_bundle_in_a_card(at: int) -> None:
    for x in (b"\xff" * 32, *cast.LOW_ORDER):
        poisoned = CARD.bundle[:at] + x + CARD.bundle[at + 32 :]
        with pytest.raises(DecodeError):
            invite.read_card(encode(replace(CARD, bundle=poisoned)))


@given(st.integers(0, 8 * len(encode(CARD)) - 1))
def test_a_changed_card_is_another_or_none(bit: int) -> None:
    try:
        read = invite.read_card(flip(encode(CARD), bit))
    except DecodeError:
        return
    assert read != CARD


@pytest.mark.parametrize("start", ["", "00", "0001", "010178", "000078", "000978", "ffff78"])
def test_what_is_no_piece_of_a_card(start: str) -> None:
    head = cast.head(Kind.CARD)
    core = seal_piece(bytes.fromhex(start), LOBBY.card, LOBBY.at, head)
    with pytest.raises(DecodeError, match="not a piece"):
        invite.open_card_piece(core, head, LOBBY)


def test_attack_01_who_lacks_the_words_makes_no_card() -> None:
    """The relay keeps the lobby's drop, and not the words."""
    (core,) = sealed(Marker("used"))
    other = Lobby.of(InviteSecret(bytes(32)), cast.relay().public)
    with pytest.raises(AuthenticationError):
        invite.open_card_piece(core, head_of(core), other)
    for changed in sampled_flips(core[1:], 1501):
        altered = Core(core[:1] + changed)
        with pytest.raises(AuthenticationError):
            invite.open_card_piece(altered, head_of(altered), LOBBY)


# --- Join -----------------------------------------------------------------------------------------

JOINED = invite.seal_join(JOIN, BUNDLE, LOBBY, cast.HOUR, ScriptedEntropy())


def read(core: bytes, keys: BundleKeys = LOBBY_KEYS, lobby: Lobby = LOBBY) -> Join:
    return invite.open_join(Core(core), head_of(core), keys, lobby)


def test_a_join_is_read_as_written() -> None:
    assert head_of(JOINED)[:2] == (Kind.JOIN, cast.HOUR)
    assert len(JOINED) == limits.CORE
    assert read(JOINED) == JOIN


def test_the_longest_alias_fits_a_join() -> None:
    join = replace(JOIN, alias="桜" * 21)
    assert read(invite.seal_join(join, BUNDLE, LOBBY, cast.HOUR, ScriptedEntropy())) == join


def test_the_bits_of_a_join_cannot_be_changed() -> None:
    for changed in sampled_flips(JOINED[1:], 499):
        with pytest.raises((AuthenticationError, DecodeError)):
            read(JOINED[:1] + changed)


def test_attack_01_the_words_alone_do_not_open_a_join() -> None:
    """A join is sealed to the facilitator too: whoever overhears the words reads the card only."""
    for thief in (cast.keys("bela"), BundleKeys(LOBBY_KEYS.identity, cast.keys("bela").prekey)):
        with pytest.raises(AuthenticationError):
            read(JOINED, thief)


def test_attack_03_a_join_is_of_one_lobby() -> None:
    other = Lobby.of(InviteSecret(bytes(32)), cast.relay().public)
    with pytest.raises(AuthenticationError):
        read(JOINED, lobby=other)


@pytest.mark.parametrize("point", cast.LOW_ORDER)
def test_attack_13_a_joins_ephemeral_of_low_order(point: bytes) -> None:
    with pytest.raises(AuthenticationError, match="all zero"):
        read(JOINED[:HEAD] + point + JOINED[HEAD + 32 :])


@pytest.mark.parametrize("at", [0, 1216])
def test_attack_74_a_newcomers_poisoned_bundle_is_refused_at_the_door(at: int) -> None:
    """Were it kept, every member's intro to the newcomer would fail, and with it their posts."""
    for x in (b"\xff" * 32, *cast.LOW_ORDER):
        join = replace(JOIN, bundle=JOIN.bundle[:at] + x + JOIN.bundle[at + 32 :])
        core = invite.seal_join(join, BUNDLE, LOBBY, cast.HOUR, ScriptedEntropy())
        with pytest.raises(DecodeError):
            read(core)


@pytest.mark.parametrize(
    "change",
    [
        {"alias": "b\u202eela"},
        {"alias": ""},
        {"bundle": bytes(2431)},
        {"charter": bytes(31)},
        {"once": bytes(31)},
        {"once": bytes(33)},
    ],
)
def test_what_a_join_may_not_say(change: dict[str, object]) -> None:
    core = invite.seal_join(replace(JOIN, **change), BUNDLE, LOBBY, cast.HOUR, ScriptedEntropy())
    with pytest.raises(DecodeError):
        read(core)


def test_attack_20_a_replayed_join_is_the_same_and_another_is_not() -> None:
    """What burns an invite can be told from what arrives twice: the bytes say it."""
    again = invite.seal_join(JOIN, BUNDLE, LOBBY, cast.HOUR, ScriptedEntropy("again"))
    assert read(JOINED) == read(JOINED) == read(again)
    assert again != JOINED
    moved = invite.seal_join(JOIN, BUNDLE, LOBBY, Hour(cast.HOUR + 1), ScriptedEntropy())
    with pytest.raises(AuthenticationError):
        read(moved[:1] + cast.HOUR.to_bytes(4) + moved[5:])


def test_attack_20_the_lobbys_prekey_once_erased_opens_no_old_join() -> None:
    fresh = BundleKeys(LOBBY_KEYS.identity, HybridPrivate.draw(ScriptedEntropy("later")))
    with pytest.raises(AuthenticationError):
        read(JOINED, fresh)


def test_what_was_accepted_is_what_the_card_said() -> None:
    invite.check_accepted(JOIN, CARD)
    for other in (
        replace(CARD, charter=CHARTER + " "),
        replace(CARD, disclosure=Disclosure("x", "y", "z")),
    ):
        with pytest.raises(RefusedError, match="another charter"):
            invite.check_accepted(JOIN, other)


def test_attack_69_a_join_commits_to_its_key() -> None:
    """Its ciphertext under another key, with that key's commitment, is refused by the reader's."""
    other = CoreKey(LOBBY.card, LOBBY.at, head_of(JOINED))
    front = JOINED[:1141] + other.commitment
    core = front + other.seal(pad(encode(JOIN), 2867), front)
    with pytest.raises(AuthenticationError, match="commitment"):
        read(core)


def test_the_head_of_another_kind_opens_nothing() -> None:
    wrong = Head(Kind.CARD, cast.HOUR, head_of(JOINED).salt)
    with pytest.raises(AuthenticationError):
        invite.open_join(JOINED, wrong, LOBBY_KEYS, LOBBY)


def test_a_bundle_of_the_card_is_the_lobbys() -> None:
    assert Bundle.parse(CARD.bundle).identity == cast.bundle("anna").identity
    assert Bundle.parse(CARD.bundle).prekey != cast.bundle("anna").prekey
