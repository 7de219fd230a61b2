"""The hybrid deniable handshake: SPEC.md section 12."""

from collections.abc import Callable
from typing import Any

import pytest

from backchannel.protocol import intro, limits, line
from backchannel.protocol.core import Kind, head_of
from backchannel.protocol.errors import (
    AuthenticationError,
    DecodeError,
    RefusedError,
    RemoteProtocolError,
    StaleError,
)
from backchannel.protocol.identity import Bundle, BundleKeys, HybridPrivate, HybridPublic, prekey_id
from backchannel.protocol.intro import (
    Accepted,
    Admission,
    Envelope,
    Payload,
    Seeds,
    SessionKeys,
    Setting,
    Side,
    Started,
)
from backchannel.protocol.primitives import KemPublic, X25519Public, dh, x25519_public
from backchannel.protocol.secret import (
    ChainKey,
    ClockValue,
    CoreSecret,
    EpochSecret,
    IntroKey,
    KemShared,
    X25519Private,
)
from backchannel.protocol.types import ChannelId, Core, GenerationId, Hour, RosterHash, Slot
from tests.support import cast
from tests.support.bits import flip, sampled_flips
from tests.support.cast import KEY, SEEDS, SETTING
from tests.support.entropy import ScriptedEntropy

ANNA, BELA, CLEO = cast.keys("anna"), cast.keys("bela"), cast.keys("cleo")
HEAD = cast.head(Kind.INTRO)
ADMISSION = Admission(3, EpochSecret(b"e" * 32), ClockValue(b"c" * 32))


class Replayed:
    """The same coins again: bytes by script, encapsulations as they once fell."""

    def __init__(self, seed: str, first: ScriptedEntropy) -> None:
        self._bytes, self._kems = ScriptedEntropy(seed), iter(first.encapsulations)

    def draw(self, count: int, /) -> bytes:
        return self._bytes.draw(count)

    def encapsulate(self, public: KemPublic, /) -> tuple[KemShared, bytes]:
        once = next(self._kems)
        assert once.public == public
        return once.shared, once.ciphertext


def start(**changes: Any) -> Started:
    given: dict[str, Any] = {
        "setting": SETTING,
        "own": ANNA,
        "bundle": BELA.public(),
        "key": KEY,
        "seeds": SEEDS,
        "admission": None,
        "clock": cast.clock,
        "head": HEAD,
        "entropy": ScriptedEntropy("intro"),
    }
    return intro.start(**given | changes)


STARTED = start()


def accept(core: bytes = STARTED.core, **changes: Any) -> Accepted:
    given: dict[str, Any] = {
        "head": head_of(core),
        "setting": SETTING,
        "own": BELA,
        "identity": ANNA.public().identity,
        "key": KEY,
        "clock": cast.clock,
    }
    return intro.accept(Core(core), **given | changes)


# --- Agreement ------------------------------------------------------------------------------------


@pytest.mark.parametrize("admission", [None, ADMISSION])
def test_both_agree_on_every_key(admission: Admission | None) -> None:
    started = start(admission=admission)
    read = accept(started.core)
    assert read.keys == started.keys
    assert read.ratchet == started.ratchet.public()
    assert (read.seeds, read.admission) == (SEEDS, admission)
    assert len({key.expose() for key in read.keys}) == len(SessionKeys._fields)


def test_the_places_of_an_intro() -> None:
    core = STARTED.core
    assert len(core) == limits.CORE
    assert core[:23] == HEAD.pack() + b"\0\1"
    assert core[23:55] == cast.ROSTER
    assert core[55:71] == prekey_id(BELA.public().prekey)
    assert Envelope.read(core).pack() == core[21:2279]
    assert [len(part) for part in Envelope.read(core)[4:]] == [32, 1088, 1088]


def test_two_intros_share_no_key() -> None:
    other = start(entropy=ScriptedEntropy("other"))
    assert not {k.expose() for k in other.keys} & {k.expose() for k in STARTED.keys}


def test_secrets_do_not_print() -> None:
    shown = repr((STARTED.keys, STARTED.ratchet, ADMISSION, SEEDS))
    for key in (*STARTED.keys, ADMISSION.secret, ADMISSION.clock, SEEDS.chain):
        assert key.expose().hex() not in shown
        assert repr(key.expose()) not in shown


# --- What is bound --------------------------------------------------------------------------------

SETTINGS = {
    "channel": SETTING._replace(channel=ChannelId(b"x" * 16)),
    "roster": SETTING._replace(roster=RosterHash(b"x" * 32)),
    "slot of A": SETTING._replace(a=Side(Slot(2), 0)),
    "slot of B": SETTING._replace(b=Side(Slot(2), 1)),
    "role of A": SETTING._replace(a=Side(Slot(0), 1)),
    "role of B": SETTING._replace(b=Side(Slot(1), 0)),
    "sides": SETTING._replace(a=SETTING.b, b=SETTING.a),
}


@pytest.mark.parametrize("what", SETTINGS)
def test_attack_05_unknown_key_share(what: str) -> None:
    """Who is who, where: seen differently by the two sides, it gives them different keys."""
    with pytest.raises(AuthenticationError):
        accept(setting=SETTINGS[what])
    assert keys_of(setting=SETTINGS[what]) != keys_of()


def keys_of(**changes: Any) -> SessionKeys:
    given: dict[str, Any] = {
        "envelope": Envelope.read(STARTED.core),
        "setting": SETTING,
        "own": BELA,
        "identity": ANNA.public().identity,
        "key": KEY,
    }
    return intro.answering_keys(**given | changes)


def identity_of(x: BundleKeys, kem: BundleKeys) -> HybridPublic:
    return HybridPublic(x.public().identity.x, kem.public().identity.kem)


@pytest.mark.parametrize(("x", "kem"), [(CLEO, CLEO), (CLEO, ANNA), (ANNA, CLEO)])
def test_attack_05_no_half_of_an_identity_is_left_out(x: BundleKeys, kem: BundleKeys) -> None:
    """A's KEM identity takes part in no secret of the intro; the transcript binds it too."""
    with pytest.raises(AuthenticationError):
        accept(identity=identity_of(x, kem))


BOUND: dict[str, Callable[[], bytes]] = {
    "B's identity X25519": lambda: bound(bundle=mixed(0)),
    "B's identity KEM": lambda: bound(bundle=mixed(1)),
    "B's prekey X25519": lambda: bound(bundle=mixed(2)),
    "B's prekey KEM": lambda: bound(bundle=mixed(3)),
    "A's identity": lambda: bound(identity=CLEO.public().identity),
    "ephemeral": lambda: bound(envelope=changed(ephemeral=bytes(32))),
    "ciphertext to the identity": lambda: bound(envelope=changed(to_identity=bytes(1088))),
    "ciphertext to the prekey": lambda: bound(envelope=changed(to_prekey=bytes(1088))),
    **{what: lambda what=what: bound(setting=SETTINGS[what]) for what in SETTINGS},  # type: ignore[misc]
}


def mixed(part: int) -> Bundle:
    """Bela's bundle with one key of Cleo's."""
    places = [0, 32, 1216, 1248, 2432]
    cut, end = places[part : part + 2]
    own, other = BELA.public().pack(), CLEO.public().pack()
    return Bundle.parse(own[:cut] + other[cut:end] + own[end:])


def changed(**fields: bytes) -> Envelope:
    return Envelope.read(STARTED.core)._replace(**fields)  # type: ignore[arg-type]


def bound(**changes: Any) -> bytes:
    given: dict[str, Any] = {
        "setting": SETTING,
        "identity": ANNA.public().identity,
        "bundle": BELA.public(),
        "envelope": Envelope.read(STARTED.core),
    }
    return intro.transcript(**given | changes)


@pytest.mark.parametrize("what", BOUND)
def test_everything_both_must_see_alike_is_in_the_transcript(what: str) -> None:
    assert BOUND[what]() != bound()


@pytest.mark.parametrize("place", range(5))
def test_each_of_five_secrets_alone_changes_the_keys(place: int) -> None:
    """So the session is good while any X25519 or any KEM secret is."""
    secrets = [bytes([n]) * 32 for n in range(5)]
    known = session_of(secrets)
    secrets[place] = b"x" * 32
    assert not {k.expose() for k in session_of(secrets)} & {k.expose() for k in known}


def session_of(secrets: list[bytes]) -> SessionKeys:
    kems = (KemShared(secrets[3]), KemShared(secrets[4]))
    return intro.session(b"".join(secrets[:3]), kems, KEY, bytes(32))


def test_attack_11_downgrade() -> None:
    """There is nothing to choose: the classical half without a KEM secret is no session."""
    shared = dh(BELA.prekey.x, ANNA.public().identity.x)
    envelope = Envelope.read(STARTED.core)
    ephemeral = X25519Public(envelope.ephemeral)
    agreed = shared + dh(BELA.identity.x, ephemeral) + dh(BELA.prekey.x, ephemeral)
    zeros = (KemShared(bytes(32)), KemShared(bytes(32)))
    assert intro.session(agreed, zeros, KEY, bound()).payload != STARTED.keys.payload
    for kind in set(Kind) - {Kind.INTRO}:
        with pytest.raises(AuthenticationError):
            accept(bytes([kind]) + STARTED.core[1:])


def test_attack_12_re_encapsulation() -> None:
    """Whoever learns a KEM secret may seal it to another key: the ciphertext is bound as sent."""
    envelope = Envelope.read(STARTED.core)
    for field, kem in (("to_identity", BELA.identity.kem), ("to_prekey", BELA.prekey.kem)):
        public = (
            BELA.public().identity.kem if kem is BELA.identity.kem else BELA.public().prekey.kem
        )
        _, other = ScriptedEntropy().encapsulate(public)
        again = envelope._replace(**{field: other})  # type: ignore[arg-type]
        same_secrets = intro.session(*known_secrets(), KEY, bound(envelope=again))
        assert same_secrets.payload != intro.session(*known_secrets(), KEY, bound()).payload
    swapped = changed(to_identity=envelope.to_prekey, to_prekey=envelope.to_identity)
    with pytest.raises(AuthenticationError):
        accept(STARTED.core[:21] + swapped.pack() + STARTED.core[2279:])


def known_secrets() -> tuple[bytes, tuple[KemShared, KemShared]]:
    scripted = ScriptedEntropy("intro")
    ephemeral = X25519Private(scripted.draw(32))
    public = BELA.public()
    agreed = dh(ANNA.identity.x, public.prekey.x)
    agreed += dh(ephemeral, public.identity.x) + dh(ephemeral, public.prekey.x)
    return agreed, (KemShared(b"i" * 32), KemShared(b"p" * 32))


# --- Refusals -------------------------------------------------------------------------------------


def test_the_bits_of_an_intro_cannot_be_changed() -> None:
    for altered in sampled_flips(STARTED.core[1:], 211):
        with pytest.raises(RemoteProtocolError):
            accept(STARTED.core[:1] + altered)


@pytest.mark.parametrize("at", [1, 5, 21, 22, 23, 55, 71, 103, 1191, 2279, 2311, 4055])
def test_no_field_of_an_intro_can_be_changed(at: int) -> None:
    for bit in range(8):
        with pytest.raises(RemoteProtocolError):
            accept(flip(STARTED.core, 8 * at + bit))


@pytest.mark.parametrize(("a", "b"), [(0, 0), (63, 63), (64, 1), (1, 64), (255, 0)])
def test_slots_that_cannot_be(a: int, b: int) -> None:
    with pytest.raises(DecodeError, match=r"^an intro is between two slots$"):
        accept(STARTED.core[:21] + bytes([a, b]) + STARTED.core[23:])


@pytest.mark.parametrize("point", cast.LOW_ORDER)
def test_attack_13_an_ephemeral_of_low_order(point: bytes) -> None:
    with pytest.raises(AuthenticationError, match="all zero"):
        accept(STARTED.core[:71] + point + STARTED.core[103:])


@pytest.mark.parametrize("point", cast.LOW_ORDER)
def test_attack_13_a_first_ratchet_key_of_low_order(point: bytes) -> None:
    """B would accept it, and then find itself unable to reply, and so to post."""
    payload = Payload(STARTED.ratchet.public(), SEEDS, None).pack()
    with pytest.raises(DecodeError, match="low order"):
        Payload.parse(point + payload[32:])


def test_attack_03_an_intro_is_of_an_epoch_or_of_a_lobby() -> None:
    for other in (IntroKey(b"lobby".ljust(32, b".")), IntroKey(bytes(32))):
        with pytest.raises(AuthenticationError):
            accept(key=other)
    with pytest.raises(AuthenticationError):
        accept(clock=lambda _: ClockValue(bytes(32)))


def test_an_intro_of_a_dead_hour_does_not_open() -> None:
    def gone(_: Hour) -> ClockValue:
        raise StaleError

    with pytest.raises(StaleError):
        accept(clock=gone)


def test_an_intro_to_an_old_prekey() -> None:
    rotated = BundleKeys(BELA.identity, CLEO.prekey)
    with pytest.raises(RefusedError, match=r"^an intro names a prekey that is not here$"):
        accept(own=rotated)


def test_attack_02_an_intro_to_one_is_not_to_another() -> None:
    core = STARTED.core[:55] + prekey_id(CLEO.public().prekey) + STARTED.core[71:]
    with pytest.raises(AuthenticationError):
        accept(core, own=CLEO)


# --- Payload --------------------------------------------------------------------------------------


@pytest.mark.parametrize("admission", [None, ADMISSION])
def test_a_payload_is_read_as_written(admission: Admission | None) -> None:
    payload = Payload(STARTED.ratchet.public(), SEEDS, admission)
    assert Payload.parse(payload.pack()) == payload
    assert len(payload.pack()) == (1334 if admission else 1265)


@pytest.mark.parametrize("size", [0, 1216, 1264, 1266, 1333, 1335])
def test_a_payload_has_one_of_two_sizes(size: int) -> None:
    whole = Payload(STARTED.ratchet.public(), SEEDS, ADMISSION).pack() + b"\0"
    why = "an intro's payload is too short" if size < 1265 else "not an admission"
    with pytest.raises(DecodeError, match=f"^{why}$"):
        Payload.parse(whole[:size])


@pytest.mark.parametrize("first", [0, 2, 255])
def test_an_admission_begins_with_one(first: int) -> None:
    assert Admission.parse(ADMISSION.pack()) == ADMISSION
    with pytest.raises(DecodeError, match=r"^not an admission$"):
        Admission.parse(bytes([first]) + ADMISSION.pack()[1:])


def test_an_admission_of_the_largest_epoch() -> None:
    largest = ADMISSION._replace(epoch=2**32 - 1)
    assert Admission.parse(largest.pack()) == largest


@pytest.mark.parametrize("number", [0, 255])
def test_seeds_are_read_as_written(number: int) -> None:
    seeds = Seeds(GenerationId(b"g" * 16), number, ChainKey(b"c" * 32))
    assert seeds.pack() == b"g" * 16 + bytes([number]) + b"c" * 32
    assert Seeds.parse(seeds.pack()) == seeds


def test_the_room_of_a_payload_is_the_specifications() -> None:
    assert intro._PADDED - 1 == 1728


# --- Attacks on the parties -----------------------------------------------------------------------


def claimed_by(thief: BundleKeys, agreed: bytes | None = None) -> Core:
    """What somebody can send as Anna who has not Anna's keys; `agreed` is DH(ikA, pkB) if known."""
    scripted = ScriptedEntropy("thief")
    ephemeral, public = X25519Private(scripted.draw(32)), BELA.public()
    identity_kem, to_identity = scripted.encapsulate(public.identity.kem)
    prekey_kem, to_prekey = scripted.encapsulate(public.prekey.kem)
    own = agreed or dh(thief.identity.x, public.prekey.x)
    shared = own + dh(ephemeral, public.identity.x) + dh(ephemeral, public.prekey.x)
    envelope = Envelope(
        Slot(0),
        Slot(1),
        cast.ROSTER,
        prekey_id(public.prekey),
        x25519_public(ephemeral).value,
        to_identity,
        to_prekey,
    )
    keys = intro.session(shared, (identity_kem, prekey_kem), KEY, bound(envelope=envelope))
    payload = Payload(CLEO.prekey.public(), SEEDS, None)
    return intro.seal(payload, envelope, keys, cast.clock, HEAD)


def test_attack_06_key_compromise_impersonation() -> None:
    """B's stolen identity keys do not let the thief speak to B as A: DH(ikA, pkB) is missing.

    With them it has DH(ikB, anything) and whatever is sealed to B's identity, and no more.
    """
    with pytest.raises(AuthenticationError):
        accept(claimed_by(CLEO))
    stolen = BundleKeys(BELA.identity, CLEO.prekey)
    with pytest.raises(AuthenticationError):
        accept(claimed_by(stolen))
    guess = dh(BELA.identity.x, ANNA.public().identity.x)
    with pytest.raises(AuthenticationError):
        accept(claimed_by(stolen, guess))


def test_attack_07_a_leaked_prekey_lets_another_begin_and_not_go_on() -> None:
    """Inherent in deniability, so prekeys rotate. The reply is sealed to A's identity."""
    core = claimed_by(CLEO, dh(BELA.prekey.x, ANNA.public().identity.x))
    read = accept(core)
    assert read.ratchet == CLEO.prekey.public()
    begun = line.answer(read.keys, read.ratchet, cast.HOUR)
    kem, head = ANNA.public().identity.kem, cast.head(Kind.LINE)
    _, reply, _ = line.send(begun, b"hello", kem, cast.clock, head, ScriptedEntropy())
    thief = line.begin(read.keys, CLEO.prekey, cast.HOUR)
    with pytest.raises(AuthenticationError):
        line.open_(thief, reply, cast.clock, head, CLEO.identity.kem)


def test_attack_08_replay_of_the_first_flight() -> None:
    """A copy is the same intro and makes no second session; elsewhere or later it is none."""
    assert accept() == accept()
    later = STARTED.core[:1] + (cast.HOUR + 1).to_bytes(4) + STARTED.core[5:]
    with pytest.raises(AuthenticationError):
        accept(later)
    with pytest.raises(AuthenticationError):
        accept(setting=SETTINGS["roster"])
    with pytest.raises(RefusedError):
        accept(own=BundleKeys(BELA.identity, HybridPrivate.draw(ScriptedEntropy("rotated"))))


def test_attack_10_reflection() -> None:
    """A's own intro sent back to A is none of B's."""
    mirrored = STARTED.core[:21] + b"\1\0" + STARTED.core[23:]
    sides = Setting(SETTING.channel, SETTING.roster, SETTING.b, SETTING.a)
    with pytest.raises(RefusedError):
        accept(mirrored, own=ANNA, identity=BELA.public().identity, setting=sides)
    core = STARTED.core[:55] + prekey_id(ANNA.public().prekey) + STARTED.core[71:]
    with pytest.raises(AuthenticationError):
        accept(core, own=ANNA, identity=BELA.public().identity, setting=sides)


def test_attack_14_ciphertexts_of_noise() -> None:
    """ML-KEM rejects implicitly: another secret, and so another key."""
    for at in (103, 1191):
        core = STARTED.core[:at] + b"\x5a" * 1088 + STARTED.core[at + 1088 :]
        with pytest.raises(AuthenticationError):
            accept(core)


def test_attack_69_the_commitment_is_compared_first() -> None:
    other = intro.seal(
        Payload(STARTED.ratchet.public(), SEEDS, None),
        Envelope.read(STARTED.core),
        STARTED.keys._replace(payload=CoreSecret(bytes(32))),
        cast.clock,
        HEAD,
    )
    with pytest.raises(AuthenticationError, match="commitment"):
        accept(other)


# --- Deniability ----------------------------------------------------------------------------------


def simulated(first: ScriptedEntropy) -> Core:
    """Bela makes Anna's intro: Anna's public identity, Bela's own secrets, the same coins."""
    coins, public = Replayed("intro", first), BELA.public()
    ephemeral = X25519Private(coins.draw(32))
    _, to_identity = coins.encapsulate(public.identity.kem)
    _, to_prekey = coins.encapsulate(public.prekey.kem)
    envelope = Envelope(
        Slot(0),
        Slot(1),
        cast.ROSTER,
        prekey_id(public.prekey),
        x25519_public(ephemeral).value,
        to_identity,
        to_prekey,
    )
    keys = keys_of(envelope=envelope)
    payload = Payload(HybridPrivate.draw(coins).public(), SEEDS, None)
    return intro.seal(payload, envelope, keys, cast.clock, HEAD)


@pytest.mark.parametrize("time", range(8))
def test_deniability_bela_alone_makes_annas_intro_byte_for_byte(time: int) -> None:
    coins = ScriptedEntropy("intro")
    real = start(entropy=coins)
    forged = simulated(coins)
    assert forged == real.core
    assert accept(forged).keys == real.keys
