"""Floors: exactly the calls into the libraries that the format cannot do without, and no more.

The outer layer is within, as it is within what they are compared with. So is the randomness that
goes into a block, and reading public keys that came by wire.
"""

import hashlib
import hmac
import os

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from nacl import bindings as sodium

_KEY, _SALT, _NONCE, _X_NONCE = bytes(32), bytes(16), bytes(12), bytes(24)
_PADDED, _ASSOCIATED, _HASHED, _CORE = bytes(2781), bytes(235), bytes(3032), bytes(4056)
_SEALED = ChaCha20Poly1305(_KEY).encrypt(_NONCE, _PADDED, _ASSOCIATED)
_BLOCK = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(_CORE, b"", _X_NONCE, _KEY)
_INFO, _NAMED = bytes(29), bytes(53)
"""As long as a label with its context, and as what a slot is a MAC of."""


def _derive(length: int, secret: bytes = _KEY) -> bytes:
    return HKDF(SHA256(), length, _SALT, _INFO).derive(secret)


def _step() -> None:
    """A chain key and a message key."""
    hmac.digest(_KEY, _INFO, "sha256")
    hmac.digest(_KEY, _INFO, "sha256")


def seal_post(readers: int) -> None:
    """A post for so many readers."""
    os.urandom(16)
    _step()
    _derive(64)
    ChaCha20Poly1305(_KEY).encrypt(_NONCE, _PADDED, _ASSOCIATED)
    hashlib.sha256(_HASHED).digest()
    os.urandom(1024)
    for _ in range(readers):
        hmac.digest(_KEY, _NAMED, "sha256")
    _derive(32)
    sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(_CORE, b"", os.urandom(24), _KEY)


def open_post() -> None:
    """A post, by one reader."""
    _derive(32)
    sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(_BLOCK, b"", _X_NONCE, _KEY)
    hashlib.sha256(_HASHED).digest()
    hmac.digest(_KEY, _NAMED, "sha256")
    _step()
    _derive(64)
    ChaCha20Poly1305(_KEY).decrypt(_NONCE, _SEALED, _ASSOCIATED)


_PEER = X25519PrivateKey.generate()
_PEER_PUBLIC = _PEER.public_key().public_bytes_raw()
_KEPT = MLKEM768PrivateKey.generate()
_KEPT_PUBLIC = _KEPT.public_key()


def _line_block(*, from_bytes: bool) -> None:
    """Sent and received, with a step of the ratchet on both sides."""
    ratchet, fresh = X25519PrivateKey.generate(), X25519PrivateKey.generate()
    names = ratchet.public_key().public_bytes_raw(), fresh.public_key().public_bytes_raw()
    kem = MLKEM768PrivateKey.generate().public_key().public_bytes_raw()
    shared, ciphertext = _KEPT_PUBLIC.encapsulate()
    theirs = X25519PublicKey.from_public_bytes(_PEER_PUBLIC)
    secrets = ratchet.exchange(theirs), fresh.exchange(theirs)
    header, body = _line_keys(*secrets, shared)
    sealed = (
        ChaCha20Poly1305(header).encrypt(_NONCE, bytes(2344), bytes(53)),
        ChaCha20Poly1305(body).encrypt(_NONCE, bytes(1595), bytes(2445)),
    )
    own, opener = _PEER, _KEPT
    if from_bytes:
        own = X25519PrivateKey.from_private_bytes(_PEER.private_bytes_raw())
        opener = MLKEM768PrivateKey.from_seed_bytes(_KEPT.private_bytes_raw())
    MLKEM768PublicKey.from_public_bytes(kem)
    found = [own.exchange(X25519PublicKey.from_public_bytes(name)) for name in names]
    header, body = _line_keys(*found, opener.decapsulate(ciphertext))
    ChaCha20Poly1305(header).decrypt(_NONCE, sealed[0], bytes(53))
    ChaCha20Poly1305(body).decrypt(_NONCE, sealed[1], bytes(2445))


def _line_keys(root: bytes, fresh: bytes, shared: bytes) -> tuple[bytes, bytes]:
    """Of header and body: the root's step, the chain's, and the key rule twice."""
    _derive(96, root)
    header = _derive(64)[:32]
    _step()
    return header, _derive(64, _derive(64, _KEY + fresh + shared))[:32]


def line_block() -> None:
    """A line block whose reader's private keys are ready for use already."""
    _line_block(from_bytes=False)


def kept_line_block() -> None:
    """A line block whose reader has kept its private keys as the format says: X25519's 32 bytes,
    the KEM's seed.
    """
    _line_block(from_bytes=True)
