"""Microseconds of one block: sealing and opening a post, and a turn of a line.

Floors are the bare libraries. Prints one JSON document. Each figure is the median of several
rounds, in one run with its floor.
"""

import hashlib
import hmac
import json
import os
import statistics
import time
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from nacl import bindings as sodium

from backchannel.protocol import block, intro, line, sender_key
from backchannel.protocol.core import Head, Kind, head_of
from backchannel.protocol.epoch import EpochClock
from backchannel.protocol.identity import BundleKeys
from backchannel.protocol.secret import (
    ChainKey,
    ClockValue,
    IntroKey,
    MessageKey,
    OuterSecret,
)
from backchannel.protocol.types import (
    Block,
    ChannelId,
    GenerationId,
    Hour,
    RosterHash,
    Slot,
    Step,
)
from tests.support.entropy import ScriptedEntropy

ROUNDS = 7
MEMBERS = (3, 30)
HOUR = Hour(500_000)
PART = b"\x2a" * 1024


def microseconds(action: Callable[[], object], times: int = 200) -> float:
    """Median microseconds of one `action`."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(times):
            action()
        rounds.append((time.perf_counter() - began) / times)
    return round(statistics.median(rounds) * 1e6, 1)


def beside(figure: float, floor: float) -> dict[str, float]:
    """A figure with its floor and their ratio."""
    return {"us": figure, "floor_us": floor, "ratio": round(figure / floor, 2)}


def posts(members: int) -> dict[str, dict[str, float]]:
    """Sealing a 1 KiB post for a channel of `members`, outer layer included, and opening it."""
    entropy, clock = ScriptedEntropy(members), EpochClock(HOUR, ClockValue(bytes(32)))
    outer = OuterSecret(bytes(32))
    wraps = {Slot(n): line.Wrap(Step(0), 0, MessageKey(os.urandom(32))) for n in range(1, members)}
    head = Head(Kind.KEY, HOUR, bytes(16))
    own, key_core = sender_key.seal_key_block(
        Slot(0), RosterHash(bytes(32)), wraps, clock, head, entropy
    )

    def seal() -> Block:
        fresh = Head(Kind.GROUP, HOUR, entropy.draw(16))
        _, core = sender_key.seal_post(
            own, Slot(0), RosterHash(bytes(32)), (), PART, clock, fresh, entropy
        )
        return block.wrap(core, outer, clock, entropy)

    header = sender_key.KeyHeader.read(key_core)
    held = sender_key.open_key_block(
        key_core, header, Slot(1), wraps[Slot(1)].secret, clock, head_of(key_core)
    )
    sealed = seal()

    def open_() -> bytes:
        core = block.unwrap(sealed, outer, clock, HOUR, (HOUR, HOUR))
        read = sender_key.GroupHeader.read(core)
        return sender_key.open_post(held, read, core, Slot(1), clock, head_of(core))[1]

    return {
        "seal": beside(microseconds(seal), microseconds(lambda: bare_seal(members))),
        "open": beside(microseconds(open_), microseconds(bare_open)),
    }


_KEY, _NONCE, _X_NONCE, _INNER, _CORE = bytes(32), bytes(12), bytes(24), bytes(2781), bytes(4056)
_SEALED = ChaCha20Poly1305(_KEY).encrypt(_NONCE, _INNER, bytes(235))
_BLOCK = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(_CORE, b"", _X_NONCE, _KEY)


def _derive(length: int) -> bytes:
    return HKDF(SHA256(), length, _KEY, b"floor").derive(_KEY)


def bare_seal(members: int) -> None:
    """What sealing cannot do without."""
    hmac.digest(_KEY, b"next", "sha256")
    hmac.digest(_KEY, b"message", "sha256")
    _derive(64)
    ChaCha20Poly1305(_KEY).encrypt(_NONCE, _INNER, bytes(235))
    hashlib.sha256(_CORE[:3032]).digest()
    for _ in range(members - 1):
        hmac.digest(_KEY, _KEY, "sha256")
    _derive(32)
    sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(_CORE, b"", _X_NONCE, _KEY)


def bare_open() -> None:
    """What opening cannot do without."""
    _derive(32)
    sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(_BLOCK, b"", _X_NONCE, _KEY)
    hashlib.sha256(_CORE[:3032]).digest()
    hmac.digest(_KEY, _KEY, "sha256")
    hmac.digest(_KEY, b"next", "sha256")
    hmac.digest(_KEY, b"message", "sha256")
    _derive(64)
    ChaCha20Poly1305(_KEY).decrypt(_NONCE, _SEALED, bytes(235))


def lines() -> dict[str, dict[str, float]]:
    """A ratchet step with KEM: one block there and one back, sending and opening both."""
    entropy, clock = ScriptedEntropy("line"), EpochClock(HOUR, ClockValue(bytes(32)))
    a, b = BundleKeys.draw(entropy), BundleKeys.draw(entropy)
    key = IntroKey(bytes(32))
    sides = intro.Side(Slot(0), 0), intro.Side(Slot(1), 1)
    setting = intro.Setting(ChannelId(bytes(16)), RosterHash(bytes(32)), *sides)
    seeds = intro.Seeds(GenerationId(bytes(16)), 0, ChainKey(bytes(32)))
    head = Head(Kind.INTRO, HOUR, bytes(16))
    started = intro.start(setting, a, b.public(), key, seeds, None, clock, head, entropy)
    accepted = intro.accept(started.core, head, setting, b, a.identity.public(), key, clock)
    one = line.begin(started.keys, started.ratchet, HOUR)
    other = line.answer(accepted.keys, accepted.ratchet, HOUR)
    kem, seed = a.identity.public().kem, a.identity.kem
    state = {"a": one, "b": other}

    def pass_(sender: str, reader: str) -> None:
        fresh = Head(Kind.LINE, HOUR, entropy.draw(16))
        sent = line.send(state[sender], b"hello", kem, clock, fresh, entropy)
        opened = line.open_(state[reader], sent.core, clock, fresh, seed)
        if opened is None:
            raise RuntimeError
        state[sender], state[reader] = sent.line, opened.line

    def turn() -> None:
        pass_("b", "a")
        pass_("a", "b")

    turn()
    return {"turn": beside(microseconds(turn, 20), microseconds(bare_turn, 20))}


def bare_turn() -> None:
    """What a turn (two blocks, each with a ratchet step) cannot do without."""
    for _ in range(2):
        ratchet, fresh = X25519PrivateKey.generate(), X25519PrivateKey.generate()
        ratchet_public, fresh_public = ratchet.public_key(), fresh.public_key()
        seed = MLKEM768PrivateKey.generate()
        shared, ciphertext = seed.public_key().encapsulate()
        seed.decapsulate(ciphertext)
        for mine, theirs in ((ratchet, fresh_public), (fresh, ratchet_public)):
            mine.exchange(theirs)
            mine.exchange(theirs)
        for _ in range(2):
            _derive(96)
            _derive(64)
            _derive(64)
            _derive(64)
            hmac.digest(_KEY, shared, "sha256")
            hmac.digest(_KEY, shared, "sha256")
        cipher = ChaCha20Poly1305(_KEY)
        cipher.decrypt(_NONCE, cipher.encrypt(_NONCE, bytes(2344), bytes(53)), bytes(53))
        cipher.decrypt(_NONCE, cipher.encrypt(_NONCE, bytes(1595), bytes(2445)), bytes(2445))


def measure() -> dict[str, object]:
    """All figures."""
    groups = {f"group_{members}": posts(members) for members in MEMBERS}
    return {**groups, "line": lines()}


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
