"""Known answers, refusals and properties of the primitives: SPEC.md section 2."""

import hashlib
import hmac
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from hypothesis import given
from hypothesis import strategies as st

from backchannel.protocol import limits, primitives
from backchannel.protocol.errors import AuthenticationError, DecodeError
from backchannel.protocol.labels import Label
from backchannel.protocol.primitives import KemPublic, X25519Public, dh, kdf, mac, pad, unpad
from backchannel.protocol.secret import ChainKey, KemSeed, RequestKey, StoreKey, X25519Private

PRIME = 2**255 - 19
BASE = X25519Public(b"\x09" + bytes(31))
BOB = X25519Private(
    bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
)


# --- H, mac, kdf ----------------------------------------------------------------------------------


def hkdf(ikm: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 written out, to compare with the library's."""
    prk = hmac.digest(salt, ikm, "sha256")
    okm, block = b"", b""
    for number in range(1, -(-length // 32) + 1):
        block = hmac.digest(prk, block + info + bytes([number]), "sha256")
        okm += block
    return okm[:length]


RFC_5869 = [
    (
        b"\x0b" * 22,
        bytes(range(13)),
        bytes(range(0xF0, 0xFA)),
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    (
        b"\x0b" * 22,
        b"",
        b"",
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ),
]


@pytest.mark.parametrize(("ikm", "salt", "info", "okm"), RFC_5869)
def test_the_comparison_is_rfc_5869(ikm: bytes, salt: bytes, info: bytes, okm: str) -> None:
    assert hkdf(ikm, salt, info, 42).hex() == okm


@given(
    st.binary(min_size=1, max_size=200),
    st.binary(max_size=80),
    st.sampled_from(Label),
    st.binary(max_size=80),
    st.sampled_from([16, 32, 64, 96, 192]),
)
def test_kdf_is_hkdf_with_the_prefix_before_the_context(
    secret: bytes, salt: bytes, label: Label, context: bytes, length: int
) -> None:
    expected = hkdf(secret, salt, label.prefix + context, length)
    assert kdf(secret, salt, label, context, length) == expected


def test_an_empty_salt_is_32_zero_bytes() -> None:
    assert kdf(b"s", b"", Label.DROP) == kdf(b"s", bytes(32), Label.DROP)


def test_hash_is_sha_256_behind_the_prefix() -> None:
    expected = hashlib.sha256(b"\x13backchannel/1 places").digest()
    assert primitives.hash_(Label.PLACE, b"s") == expected


def test_mac_is_hmac_behind_the_prefix() -> None:
    key = ChainKey(bytes(range(32)))
    expected = hmac.digest(key.expose(), b"\x12backchannel/1 slotdata", "sha256")
    assert primitives.mac(key, Label.SLOT, b"data") == expected


def test_attack_4_labels_separate() -> None:
    key = ChainKey(bytes(32))
    assert len({primitives.hash_(label, b"") for label in Label}) == len(Label)
    assert len({primitives.mac(key, label) for label in Label}) == len(Label)
    assert len({kdf(b"s", b"", label) for label in Label}) == len(Label)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_same_is_equality(one: bytes, other: bytes) -> None:
    assert primitives.same(one, other) == (one == other)
    assert primitives.same(one, bytes(one))


@pytest.mark.slow
def test_argon2id_agrees_with_another_library() -> None:
    salt = bytes(range(16))
    other = Argon2id(salt=salt, length=32, iterations=3, lanes=1, memory_cost=256 * 1024)
    assert primitives.argon2id(b"password", salt) == other.derive(b"password")


# --- X25519 ---------------------------------------------------------------------------------------


def test_x25519_rfc_7748_section_6() -> None:
    alice = X25519Private(
        bytes.fromhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    )
    a, b = primitives.x25519_public(alice), primitives.x25519_public(BOB)
    assert a.value.hex() == "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    assert b.value.hex() == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    assert dh(alice, b).hex() == dh(BOB, a).hex() == shared


def test_x25519_rfc_7748_section_5_2() -> None:
    once = "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"
    assert dh(X25519Private(BASE.value), BASE).hex() == once


LOW_ORDER = [
    (0).to_bytes(32, "little"),
    (1).to_bytes(32, "little"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    (PRIME - 1).to_bytes(32, "little"),
    PRIME.to_bytes(32, "little"),
    (PRIME + 1).to_bytes(32, "little"),
]


@pytest.mark.parametrize("point", LOW_ORDER, ids=["0", "1", "8a", "8b", "p-1", "p", "p+1"])
def test_attack_13_low_order_points(point: bytes) -> None:
    with pytest.raises((AuthenticationError, DecodeError)):
        dh(BOB, X25519Public(point))
    marked = point[:31] + bytes([point[31] | 0x80])
    with pytest.raises(DecodeError):
        X25519Public(marked)


def test_attack_13_canonical_low_order_points_fail_at_the_exchange() -> None:
    for point in LOW_ORDER[:5]:
        public = X25519Public(point)
        with pytest.raises(AuthenticationError, match="all zero"):
            dh(BOB, public)


@pytest.mark.parametrize("value", [PRIME, PRIME + 1, PRIME + 9, 2**255 - 1, 2**255, 2**255 + 9])
def test_non_canonical_x25519_keys_are_refused(value: int) -> None:
    with pytest.raises(DecodeError, match="not canonical"):
        X25519Public(value.to_bytes(32, "little"))


def test_the_last_canonical_x25519_key_parses() -> None:
    assert X25519Public((PRIME - 1).to_bytes(32, "little")).value[0] == 0xEC


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_x25519_keys_have_32_bytes(size: int) -> None:
    with pytest.raises(DecodeError):
        X25519Public(bytes(size))


# --- ML-KEM-768 -----------------------------------------------------------------------------------

SEED = KemSeed(bytes(range(64)))


def test_kem_key_from_seed_is_the_final_fips_203() -> None:
    """Algorithm 13: rho is half of G(d | k), where drafts had G(d)."""
    public = primitives.kem_public(SEED)
    assert public.value[-32:] == hashlib.sha3_512(SEED.expose()[:32] + b"\x03").digest()[:32]


def test_kem_round_trip() -> None:
    shared, ciphertext = primitives.encapsulate(primitives.kem_public(SEED))
    assert len(ciphertext) == limits.KEM_CIPHERTEXT
    assert primitives.decapsulate(SEED, ciphertext) == shared


def test_attack_14_forged_ciphertext_gives_another_secret() -> None:
    """FIPS 203 algorithm 18: implicit rejection, J(z | c)."""
    shared, ciphertext = primitives.encapsulate(primitives.kem_public(SEED))
    forged = bytes([ciphertext[0] ^ 1]) + ciphertext[1:]
    wrong = primitives.decapsulate(SEED, forged)
    assert wrong != shared
    assert wrong.expose() == hashlib.shake_256(SEED.expose()[32:] + forged).digest(32)


@pytest.mark.parametrize("size", [0, 1087, 1089])
def test_attack_14_ciphertext_of_another_size(size: int) -> None:
    with pytest.raises(DecodeError, match="1,088"):
        primitives.decapsulate(SEED, bytes(size))


def coefficient(public: bytes, index: int, value: int) -> bytes:
    """`public` with its twelve-bit coefficient `index` set."""
    number = int.from_bytes(public[:1152], "little") & ~(0xFFF << 12 * index)
    return (number | value << 12 * index).to_bytes(1152, "little") + public[1152:]


@pytest.mark.parametrize("index", [0, 1, 255, 256, 511, 767])
def test_attack_14_public_key_at_and_over_the_modulus(index: int) -> None:
    public = primitives.kem_public(SEED).value
    assert KemPublic(coefficient(public, index, 3328)).value != public
    for over in (3329, 3330, 4095):
        with pytest.raises(DecodeError, match="not canonical"):
            KemPublic(coefficient(public, index, over))


@pytest.mark.parametrize("size", [0, 1183, 1185])
def test_attack_14_public_key_of_another_size(size: int) -> None:
    with pytest.raises(DecodeError):
        KemPublic(bytes(size))


# --- Public keys as values ------------------------------------------------------------------------

PUBLICS: list[Callable[[], X25519Public | KemPublic]] = [
    lambda: primitives.x25519_public(BOB),
    lambda: primitives.kem_public(SEED),
]


@pytest.mark.parametrize("make", PUBLICS)
def test_public_keys_are_values(make: Callable[[], X25519Public | KemPublic]) -> None:
    one, other = make(), make()
    assert one == other
    assert {one} == {other}
    assert one != one.value
    assert type(one)(one.value) == one
    assert len(repr(one)) < 40
    assert one.value[:4].hex() in repr(one)


def test_attack_12_public_keys_of_two_kinds_are_never_equal() -> None:
    assert primitives.x25519_public(BOB) != primitives.kem_public(SEED)
    assert primitives.kem_public(SEED) != primitives.x25519_public(BOB)


# --- AEAD, XAEAD ----------------------------------------------------------------------------------

# RFC 8439, appendix A.1, vectors 1 and 2: key and nonce zero, block counters 0 and 1.
STREAM_0 = bytes.fromhex("76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7")
STREAM_1 = bytes.fromhex(
    "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
    "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"
)


def poly1305(key: bytes, message: bytes) -> bytes:
    """RFC 8439 section 2.5, for whole blocks."""
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    sum_ = 0
    for at in range(0, len(message), 16):
        sum_ = (sum_ + int.from_bytes(message[at : at + 16] + b"\x01", "little")) * r
        sum_ %= 2**130 - 5
    return ((sum_ + int.from_bytes(key[16:], "little")) % 2**128).to_bytes(16, "little")


def test_seal_is_rfc_8439_with_a_zero_nonce() -> None:
    sizes = (16).to_bytes(8, "little") + (64).to_bytes(8, "little")
    tag = poly1305(STREAM_0, b"associated bytes" + STREAM_1 + sizes)
    assert primitives.seal(bytes(32), bytes(64), b"associated bytes") == STREAM_1 + tag


def test_xseal_is_the_draft_of_xchacha() -> None:
    """draft-irtf-cfrg-xchacha-03, appendix A.3.1."""
    plain = (
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
        b"future, sunscreen would be it."
    )
    sealed = primitives.xseal(
        StoreKey(bytes(range(0x80, 0xA0))),
        bytes(range(0x40, 0x58)),
        plain,
        bytes.fromhex("50515253c0c1c2c3c4c5c6c7"),
    )
    assert sealed.hex() == (
        "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f"
        "4eda7e39ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f"
        "76b2383565d3fff921f9664c97637da9768812f615c68b13b52e"
        "c0875924c1c7987947deafd8780acf49"
    )


@given(st.binary(max_size=100), st.binary(max_size=40), st.data())
def test_open_undoes_seal_and_refuses_every_bit_flip(
    plain: bytes, associated: bytes, data: st.DataObject
) -> None:
    key = bytes(range(32))
    sealed = primitives.seal(key, plain, associated)
    assert primitives.open_(key, sealed, associated) == plain
    with pytest.raises(AuthenticationError):
        primitives.open_(key, flipped(sealed, data), associated)
    with pytest.raises(AuthenticationError):
        primitives.open_(key, sealed, associated + b"\0")


@given(st.binary(max_size=100), st.binary(max_size=40), st.data())
def test_xopen_undoes_xseal_and_refuses_every_bit_flip(
    plain: bytes, associated: bytes, data: st.DataObject
) -> None:
    key, nonce = StoreKey(bytes(range(32))), bytes(24)
    sealed = primitives.xseal(key, nonce, plain, associated)
    assert primitives.xopen(key, nonce, sealed, associated) == plain
    with pytest.raises(AuthenticationError):
        primitives.xopen(key, nonce, flipped(sealed, data), associated)
    with pytest.raises(AuthenticationError):
        primitives.xopen(key, flipped(nonce, data), sealed, associated)
    with pytest.raises(AuthenticationError):
        primitives.xopen(key, nonce, sealed, associated + b"\0")


def flipped(value: bytes, data: st.DataObject) -> bytes:
    bit = data.draw(st.integers(0, 8 * len(value) - 1))
    changed = bytearray(value)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize("size", range(16))
def test_what_is_shorter_than_a_tag_does_not_open(size: int) -> None:
    with pytest.raises(AuthenticationError):
        primitives.open_(bytes(32), bytes(size), b"")
    with pytest.raises(AuthenticationError):
        primitives.xopen(StoreKey(bytes(32)), bytes(24), bytes(size))


@pytest.mark.parametrize("size", [0, 23, 25])
def test_a_nonce_of_another_size_does_not_open(size: int) -> None:
    with pytest.raises(AuthenticationError):
        primitives.xopen(StoreKey(bytes(32)), bytes(size), bytes(32))


# --- Padding --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plain", "padded"),
    [("", "8000000000"), ("01", "0180000000"), ("0180", "0180800000"), ("01020304", "0102030480")],
)
def test_iso_padding(plain: str, padded: str) -> None:
    assert pad(bytes.fromhex(plain), 5).hex() == padded
    assert unpad(bytes.fromhex(padded)).hex() == plain


@given(st.binary(max_size=200), st.integers(1, 100))
def test_unpad_undoes_pad(plain: bytes, more: int) -> None:
    padded = pad(plain, len(plain) + more)
    assert len(padded) == len(plain) + more
    assert unpad(padded) == plain


@given(st.binary(max_size=40))
def test_what_unpads_is_what_was_padded(data: bytes) -> None:
    try:
        plain = unpad(data)
    except DecodeError:
        assert not data.rstrip(b"\0").endswith(b"\x80")
    else:
        assert pad(plain, len(data)) == data


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\0", b"\x01", b"\x80\x01", b"\x81\0"])
def test_padding_without_a_mark_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError, match="no mark"):
        unpad(data)


@pytest.mark.parametrize("size", [5, 6])
def test_padding_has_room_for_its_mark(size: int) -> None:
    with pytest.raises(ValueError, match="do not fit in 4"):
        pad(bytes(size), 5)


@pytest.mark.parametrize("size", [0, 1, 4096, 65_535, 65_536, 300_000])
def test_a_mac_in_parts_is_the_mac_of_the_whole(size: int) -> None:
    """`HMAC-SHA-256(key, u8 length of L | L | data)`, by the standard library."""
    data, key = bytes(index % 251 for index in range(size)), RequestKey(bytes(range(32)))
    label = b"backchannel/1 relay answer"
    whole = hmac.digest(key.expose(), bytes([len(label)]) + label + data, "sha256")
    for cut in {0, 1, size // 2, size}:
        assert mac(key, Label.RELAY_ANSWER, data[:cut], data[cut:]) == whole
