"""The only module that imports a cryptographic library: SPEC.md sections 2 and 3.

Functions over bytes, each with its label; they know nothing of blocks, members or time.
"""

import hashlib
import hmac
from collections.abc import Iterable
from typing import Self, final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from nacl import bindings as sodium
from nacl.exceptions import CryptoError
from nacl.exceptions import RuntimeError as SodiumError

from backchannel.protocol import limits
from backchannel.protocol.errors import AuthenticationError, DecodeError
from backchannel.protocol.labels import Label
from backchannel.protocol.secret import KemSeed, KemShared, Secret, X25519Private

_PRIME = 2**255 - 19
_SHA256 = SHA256()
_PREFIXES = {label._value_: label.prefix for label in Label}  # `label.prefix` is two calls more
_ZERO_NONCE = bytes(12)
_ARGON2_PASSES = 3
_LONG = 65_536  # bytes that cost more to put together than a MAC in parts does
_ARGON2_BYTES = 256 * 1024 * 1024

same = hmac.compare_digest
"""Whether two byte strings are equal, in constant time."""


def hash_(label: Label, data: bytes) -> bytes:
    """`H(label, data)`, 32 bytes."""
    return hashlib.sha256(_PREFIXES[label._value_] + data).digest()


def mac(key: Secret, label: Label, data: bytes = b"", *more: bytes) -> bytes:
    """`mac(key, label, data)`, 32 bytes, where the data may come in parts: long ones are not put
    together first.
    """
    prefix = _PREFIXES[label._value_]
    if not more:
        return hmac.digest(key.expose(), prefix + data, "sha256")
    parts = prefix, data, *more
    if sum(map(len, parts)) < _LONG:
        return hmac.digest(key.expose(), b"".join(parts), "sha256")
    whole = hmac.new(key.expose(), digestmod="sha256")
    for part in parts:
        whole.update(part)
    return whole.digest()


def macs(keys: Iterable[Secret], label: Label, data: bytes) -> list[bytes]:
    """`mac(key, label, data)` of each key in turn, 32 bytes each."""
    labelled = _PREFIXES[label._value_] + data
    return [hmac.digest(key.expose(), labelled, "sha256") for key in keys]


def kdf(secret: bytes, salt: bytes, label: Label, context: bytes = b"", length: int = 32) -> bytes:
    """`kdf(secret, salt, label, context, n)`: HKDF-SHA-256, RFC 5869."""
    return HKDF(_SHA256, length, salt, _PREFIXES[label._value_] + context).derive(secret)


def extract(salt: bytes, secret: bytes) -> bytes:
    """The first half of `kdf`, 32 bytes: RFC 5869, section 2.2. Whoever has it has what `expand`
    gives, and neither the secret nor what other salts give.
    """
    return HKDF.extract(_SHA256, salt, secret)


def expand(leaf: bytes, label: Label, context: bytes, length: int) -> bytes:
    """The second half of `kdf`: RFC 5869, section 2.3."""
    return HKDFExpand(_SHA256, length, _PREFIXES[label._value_] + context).derive(leaf)


def argon2id(password: bytes, salt: bytes) -> bytes:
    """Argon2id of 256 MiB and three passes, 32 bytes; `salt` has 16. RFC 9106."""
    return sodium.crypto_pwhash_alg(
        32, password, salt, _ARGON2_PASSES, _ARGON2_BYTES, sodium.crypto_pwhash_ALG_ARGON2ID13
    )


@final
class X25519Public:
    """A parsed X25519 public key 32, canonical; equal and hashable by its bytes."""

    __slots__ = ("value",)

    def __init__(self, value: bytes, /) -> None:
        """Parse; `DecodeError` unless 32 bytes that are the least encoding of their point."""
        if len(value) != limits.X25519 or int.from_bytes(value, "little") >= _PRIME:
            msg = "an X25519 public key is not canonical"
            raise DecodeError(msg)
        self.value = bytes(value)

    def __eq__(self, other: object) -> bool:
        return type(other) is X25519Public and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        return f"<X25519Public {self.value[:4].hex()}…>"


@final
class KemPublic:
    """A parsed ML-KEM-768 public key 1,184; equal and hashable by its bytes."""

    __slots__ = ("key", "value")

    def __init__(self, value: bytes, /) -> None:
        """Parse; `DecodeError` unless 1,184 bytes that pass the modulus check of FIPS 203: decoding
        twelve bits each and encoding again gives the same key (section 7.2).
        """
        try:
            self.key = MLKEM768PublicKey.from_public_bytes(value)
        except ValueError:
            msg = "an ML-KEM-768 public key is not canonical"
            raise DecodeError(msg) from None
        self.value = bytes(value)

    @classmethod
    def of(cls, seed: KemSeed) -> Self:
        """The public half; what the library made of a seed needs no check."""
        public = cls.__new__(cls)
        public.key = MLKEM768PrivateKey.from_seed_bytes(seed.expose()).public_key()
        public.value = public.key.public_bytes_raw()
        return public

    def __eq__(self, other: object) -> bool:
        return type(other) is KemPublic and self.value == other.value

    def __hash__(self) -> int:
        return hash(self.value)

    def __repr__(self) -> str:
        return f"<KemPublic {self.value[:4].hex()}…>"


def x25519_public(private: X25519Private) -> X25519Public:
    """The public half."""
    return X25519Public(sodium.crypto_scalarmult_base(private.expose()))


def kem_public(seed: KemSeed) -> KemPublic:
    """The public half."""
    return KemPublic.of(seed)


def dh(private: X25519Private, public: X25519Public) -> bytes:
    """X25519, RFC 7748, 32 bytes; `AuthenticationError` for an all-zero result (low order)."""
    try:
        return sodium.crypto_scalarmult(private.expose(), public.value)
    except SodiumError:
        msg = "an X25519 result is all zero"
        raise AuthenticationError(msg) from None


def encapsulate(public: KemPublic) -> tuple[KemShared, bytes]:
    """ML-KEM-768 encapsulation with the library's own randomness: for an `Entropy` of a shell."""
    shared, ciphertext = public.key.encapsulate()
    return KemShared(shared), ciphertext


def decapsulate(seed: KemSeed, ciphertext: bytes) -> KemShared:
    """The shared secret 32; a forged ciphertext gives another one (implicit rejection)."""
    if len(ciphertext) != limits.KEM_CIPHERTEXT:
        msg = "an ML-KEM-768 ciphertext has 1,088 bytes"
        raise DecodeError(msg)
    return KemShared(MLKEM768PrivateKey.from_seed_bytes(seed.expose()).decapsulate(ciphertext))


def seal(key: bytes, plain: bytes, associated: bytes) -> bytes:
    """ChaCha20-Poly1305 under a key that is used once; 16 bytes longer."""
    return ChaCha20Poly1305(key).encrypt(_ZERO_NONCE, plain, associated)


def open_(key: bytes, sealed: bytes, associated: bytes) -> bytes:
    """The inverse of `seal`; `AuthenticationError` when it does not verify."""
    try:
        return ChaCha20Poly1305(key).decrypt(_ZERO_NONCE, sealed, associated)
    except InvalidTag:
        msg = "a ciphertext does not verify"
        raise AuthenticationError(msg) from None


def nseal(key: Secret, nonce: bytes, plain: bytes, associated: bytes) -> bytes:
    """ChaCha20-Poly1305 with a random nonce 12; 16 bytes longer."""
    return ChaCha20Poly1305(key.expose()).encrypt(nonce, plain, associated)


def nopen(key: Secret, nonce: bytes, sealed: bytes | memoryview, associated: bytes) -> bytes:
    """The inverse of `nseal`; `AuthenticationError` when it does not verify."""
    try:
        return ChaCha20Poly1305(key.expose()).decrypt(nonce, sealed, associated)
    except InvalidTag:
        msg = "a stored block does not verify"
        raise AuthenticationError(msg) from None


def xseal(key: Secret, nonce: bytes, plain: bytes, associated: bytes = b"") -> bytes:
    """XChaCha20-Poly1305 with a random nonce 24; 16 bytes longer."""
    return sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, associated, nonce, key.expose())


def xopen(key: Secret, nonce: bytes, sealed: bytes, associated: bytes = b"") -> bytes:
    """The inverse of `xseal`; `AuthenticationError` when it does not verify, or is cut short."""
    if len(nonce) != limits.NONCE or len(sealed) < limits.TAG:
        msg = "a block is shorter than its nonce and tag"
        raise AuthenticationError(msg)
    try:
        return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
            sealed, associated, nonce, key.expose()
        )
    except CryptoError:
        msg = "a block does not open"
        raise AuthenticationError(msg) from None


def pad(plain: bytes, length: int) -> bytes:
    """ISO/IEC 7816-4 to `length` bytes; `plain` has at most `length - 1`."""
    if len(plain) >= length:
        msg = f"{len(plain)} bytes do not fit in {length - 1}"
        raise ValueError(msg)
    return plain + b"\x80" + bytes(length - len(plain) - 1)


def unpad(padded: bytes) -> bytes:
    """The inverse of `pad`; `DecodeError` where there is no mark."""
    end = padded.rfind(b"\x80")
    if end < 0 or not padded.endswith(bytes(len(padded) - end - 1)):
        msg = "padding has no mark"
        raise DecodeError(msg)
    return padded[:end]
