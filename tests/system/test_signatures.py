"""Attack 22: a signature slips in. Whole programs found a channel, join it and talk, and every
function of a cryptographic library that any of them really calls is on a list; none of them signs.

Of TLS: a relay that serves it, or the proxy before it, proves by a certificate to whom a connection
leads, as every web server does; Python's `ssl` checks that for the client. No client has a
certificate or key of its own, so nothing that anybody says is ever under such a signature. The
relays of these tests speak plain HTTP, so that what is left is our own.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import member, people, relay, surface
from tests.support.member import Channel, channel

pytestmark = [pytest.mark.system, pytest.mark.slow]

_LOADED = {
    "_ssl.txt2obj",
    "cryptography.hazmat.primitives.ciphers.base.Cipher.__init_subclass__",
    "lib.OpenSSL_version_num",
    "lib.sodium_init",
    "nacl.bindings.sodium_core.sodium_init",
    "nacl.exceptions.ensure",
}
"""What goes with loading the libraries."""
_BOTH = {
    "cryptography.hazmat.bindings._rust.openssl.aead.ChaCha20Poly1305.decrypt",
    "cryptography.hazmat.bindings._rust.openssl.aead.ChaCha20Poly1305.encrypt",
    "cryptography.hazmat.primitives.kdf.hkdf.HKDF.derive",
    "lib.crypto_scalarmult",
    "lib.crypto_scalarmult_base",
    "nacl.bindings.crypto_scalarmult.crypto_scalarmult",
    "nacl.bindings.crypto_scalarmult.crypto_scalarmult_base",
}
"""Key derivation, X25519; of clients the inner layer, of relays what lies on the disk."""
_OF_CLIENTS = {
    "cryptography.hazmat.bindings._rust.openssl.mlkem.MLKEM768PrivateKey.decapsulate",
    "cryptography.hazmat.bindings._rust.openssl.mlkem.MLKEM768PrivateKey.public_key",
    "cryptography.hazmat.bindings._rust.openssl.mlkem.MLKEM768PublicKey.encapsulate",
    "cryptography.hazmat.bindings._rust.openssl.mlkem.MLKEM768PublicKey.public_bytes_raw",
    "cryptography.hazmat.primitives.asymmetric.mlkem.MLKEM768PrivateKey.from_seed_bytes",
    "cryptography.hazmat.primitives.asymmetric.mlkem.MLKEM768PublicKey.from_public_bytes",
    "cryptography.hazmat.primitives.kdf.hkdf.HKDFExpand.derive",
    "lib.crypto_aead_xchacha20poly1305_ietf_decrypt",
    "lib.crypto_aead_xchacha20poly1305_ietf_encrypt",
    "lib.crypto_pwhash",
    "nacl.bindings.crypto_aead.crypto_aead_xchacha20poly1305_ietf_decrypt",
    "nacl.bindings.crypto_aead.crypto_aead_xchacha20poly1305_ietf_encrypt",
    "nacl.bindings.crypto_pwhash.crypto_pwhash_alg",
}
"""The outer layer and what lies on a disk, ML-KEM, and words and passphrases through Argon2id."""
SERVER = relay.PROGRAM[2]
CLIENT = people.PROGRAM[2]


def play(north: Channel, folder: Path) -> None:
    """A little of everything that has keys."""
    fox, heron = north.facilitator, north.people["Heron"]
    fox.do("thread", "new", "Ceasefire")
    heron.do("say", "Not before Sunday. " * 300)
    fox.do("say", "--to", "Heron", "Between us?")
    heron.do("say", "--to", "Fox", "Between us.")
    (folder / "file").write_bytes(bytes(9000))
    fox.do("file", "send", str(folder / "file"))
    heron.do("file", "save", "4", str(folder / "saved"))
    fox.do("verify", "--compared")
    fox.do("transcript", "export", str(folder / "real"))
    fox.do("forge", "--as", "Heron", "--text", "Never.", "--out", str(folder / "forged"))
    fox.do("transcript", "check", str(folder / "forged"))
    fox.do("epoch", "turn")
    north.settle()
    heron.do("say", "Under new keys.")
    fox.do("read")


class Played(NamedTuple):
    """A channel of two whose programs were all watched."""

    channel: Channel
    clients: Path
    relay: Path


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    folder = tmp_path_factory.mktemp("surface")
    clients, served = folder / "clients", folder / "relay"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(member, "PROGRAM", surface.watched(CLIENT, clients))
        with channel() as made:
            made.relay.stop()
            made.come_back(program=surface.watched(SERVER, served))
            made.admit("Heron")
            play(made, folder)
            yield Played(made, clients, served)


def test_attack_22_what_members_really_call_is_on_the_list_and_nothing_of_it_signs(
    played: Played,
) -> None:
    """Not one more, and not one less: what is not called any more goes from the list."""
    assert surface.called(played.clients) - _LOADED == _BOTH | _OF_CLIENTS


def test_attack_22_what_a_relay_really_calls_is_on_the_list_and_nothing_of_it_signs(
    played: Played,
) -> None:
    assert surface.called(played.relay) - _LOADED == _BOTH


_ALSO = """
from backchannel.protocol import sender_key
_seal = sender_key.seal_post
def _sealed(*given):
    {signs}
    return _seal(*given)
sender_key.seal_post = _sealed
"""


@pytest.mark.parametrize(
    ("signs", "found"),
    [
        (
            "from nacl import bindings as b; b.crypto_sign(b'x', b.crypto_sign_keypair()[1])",
            "lib.crypto_sign",
        ),
        (
            "from nacl.signing import SigningKey as S; S.generate().sign(b'x')",
            "nacl.signing.SigningKey.sign",
        ),
        (
            (
                "from cryptography.hazmat.primitives.asymmetric import ed25519 as e;"
                " e.Ed25519PrivateKey.generate().sign(b'x')"
            ),
            "cryptography.hazmat.bindings._rust.openssl.ed25519.Ed25519PrivateKey.sign",
        ),
        (
            (
                "from cryptography.hazmat.primitives.asymmetric import mldsa as m;"
                " m.MLDSA65PrivateKey.generate().sign(b'x')"
            ),
            "cryptography.hazmat.bindings._rust.openssl.mldsa.MLDSA65PrivateKey.sign",
        ),
        (
            (
                "import threading as t; from nacl import bindings as b;"
                " s = t.Thread(target=b.crypto_sign, args=(b'x', b.crypto_sign_keypair()[1]));"
                " s.start(); s.join()"
            ),
            "lib.crypto_sign",
        ),
    ],
)
def test_control_a_signature_that_slips_in_is_found_whatever_makes_it(
    played: Played, tmp_path: Path, signs: str, found: str
) -> None:
    """In the sending code, by a call that no word in our own source gives away."""
    fox, log = played.channel.facilitator, tmp_path / "log"
    program = surface.watched(CLIENT, log, _ALSO.format(signs=signs))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(member, "PROGRAM", program)
        fox.do("say", "Signed.")
    assert found in surface.called(log) - (_LOADED | _BOTH | _OF_CLIENTS)
