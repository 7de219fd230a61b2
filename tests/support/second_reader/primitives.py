"""Owns SPEC 2: labels, hashes, key derivation, X25519, ML-KEM-768, the two AEADs, padding.

Hashes come from hashlib and hmac, HKDF is written out, X25519 and the ciphers come from libsodium,
ML-KEM from `cryptography`.
"""

import hashlib
import hmac

import nacl.bindings as sodium
import nacl.exceptions
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from nacl.pwhash import argon2id as sodium_argon2id

from tests.support.second_reader.refused import Refused, need

CURVE_PRIME = 2**255 - 19
KEM_PRIME = 3329
KEM_PUBLIC = 1184
KEM_CIPHERTEXT = 1088


def u8(value: int) -> bytes:
    """SPEC 1: one byte."""
    return value.to_bytes(1, "big")


def u16(value: int) -> bytes:
    """SPEC 1: two bytes, big-endian."""
    return value.to_bytes(2, "big")


def u32(value: int) -> bytes:
    """SPEC 1: four bytes, big-endian."""
    return value.to_bytes(4, "big")


def number(data: bytes) -> int:
    """SPEC 1: read a big-endian unsigned integer of any width."""
    return int.from_bytes(data, "big")


def prefix(label: str) -> bytes:
    """SPEC 2: u8 length of L | L."""
    name = b"backchannel/1 " + label.encode("ascii")
    return u8(len(name)) + name


def label_hash(label: str, data: bytes) -> bytes:
    """SPEC 2, H: 32 bytes."""
    return hashlib.sha256(prefix(label) + data).digest()


def kdf(secret: bytes, salt: bytes, label: str, context: bytes, size: int) -> bytes:
    """SPEC 2: HKDF-SHA-256 by hand (RFC 5869, sections 2.2 and 2.3)."""
    pseudorandom = hmac.digest(salt or bytes(32), secret, "sha256")
    info = prefix(label) + context
    output = block = b""
    while len(output) < size:
        block = hmac.digest(pseudorandom, block + info + u8(len(output) // 32 + 1), "sha256")
        output += block
    return output[:size]


def mac(key: bytes, label: str, data: bytes) -> bytes:
    """SPEC 2: HMAC-SHA-256, 32 bytes."""
    return hmac.digest(key, prefix(label) + data, "sha256")


def same(left: bytes, right: bytes) -> bool:
    """SPEC 1: compare in constant time."""
    return hmac.compare_digest(left, right)


def parts(data: bytes, *sizes: int) -> list[bytes]:
    """Cut data into pieces of exactly these sizes."""
    need(len(data) == sum(sizes), "size", f"{len(data)} bytes, not {sum(sizes)}")
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    return pieces


def check_x25519(public: bytes) -> None:
    """SPEC 2: refuse an X25519 public key with the high bit set or not below the prime."""
    need(len(public) == 32, "size", "X25519 public key")
    need(int.from_bytes(public, "little") < CURVE_PRIME, "encoding", "X25519 public key")


def check_kem(public: bytes) -> None:
    """SPEC 2: the modulus check of FIPS 203, section 7.2, on an ML-KEM-768 public key."""
    need(len(public) == KEM_PUBLIC, "size", "ML-KEM public key")
    for at in range(0, 1152, 3):
        pair = int.from_bytes(public[at : at + 3], "little")
        low, high = pair & 0xFFF, pair >> 12
        need(low < KEM_PRIME and high < KEM_PRIME, "encoding", "ML-KEM public key")


def dh(private: bytes, public: bytes) -> bytes:
    """SPEC 2: X25519; a bad public key and an all-zero result are refused."""
    check_x25519(public)
    try:
        secret = sodium.crypto_scalarmult(private, public)
    except nacl.exceptions.RuntimeError as error:
        raise Refused("rules", "all-zero X25519 result") from error
    need(secret != bytes(32), "rules", "all-zero X25519 result")
    return secret


def x25519_public(private: bytes) -> bytes:
    """SPEC 2: the public key of an X25519 private key."""
    return sodium.crypto_scalarmult_base(private)


def kem_open(seed: bytes, ciphertext: bytes) -> bytes:
    """SPEC 2: ML-KEM-768 decapsulation with the private key's 64-byte seed; 32 bytes."""
    need(len(ciphertext) == KEM_CIPHERTEXT, "size", "ML-KEM ciphertext")
    return MLKEM768PrivateKey.from_seed_bytes(seed).decapsulate(ciphertext)


def aead_open(key: bytes, associated: bytes, ciphertext: bytes) -> bytes:
    """SPEC 2: ChaCha20-Poly1305 with the zero nonce."""
    try:
        return sodium.crypto_aead_chacha20poly1305_ietf_decrypt(
            ciphertext, associated, bytes(12), key
        )
    except nacl.exceptions.CryptoError as error:
        raise Refused("ciphertext") from error


def xaead_open(key: bytes, nonce: bytes, associated: bytes, ciphertext: bytes) -> bytes:
    """SPEC 2: XChaCha20-Poly1305."""
    try:
        return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(ciphertext, associated, nonce, key)
    except nacl.exceptions.CryptoError as error:
        raise Refused("ciphertext") from error


def argon2id(password: bytes, salt: bytes) -> bytes:
    """SPEC 2 and 10: Argon2id, 256 MiB, 3 passes, one lane, 32 bytes."""
    return sodium_argon2id.kdf(32, password, salt, opslimit=3, memlimit=256 * 1024 * 1024)


def unpad(padded: bytes, size: int) -> bytes:
    """SPEC 2: what stands before the last 0x80 and its zeros; anything else is refused."""
    need(len(padded) == size, "size", "padding")
    body = padded.rstrip(b"\x00")
    need(body.endswith(b"\x80"), "encoding", "padding")
    return body[:-1]
