"""Vectors of sections 2 to 8 and 10: what derives, opens and names, one value at a time."""

from typing import Any

from backchannel.protocol import limits
from backchannel.protocol import primitives as prim
from backchannel.protocol.block import outer_key, wrap
from backchannel.protocol.core import Head, Kind
from backchannel.protocol.drop import (
    Drop,
)
from backchannel.protocol.epoch import EpochClock, begin
from backchannel.protocol.labels import Label
from backchannel.protocol.secret import (
    EpochSeed,
    KemSeed,
    StoreKey,
    X25519Private,
)
from backchannel.protocol.types import (
    Core,
    Hour,
)
from backchannel.protocol.words import invite_words
from tests.support import cast
from tests.support.bits import flip
from tests.support.entropy import ScriptedEntropy
from tests.support.make_vectors.cases import (
    CLOCK,
    HOUR,
    RELAY,
    SECOND,
    SECRET,
    Cases,
    case,
    changed,
    damaged,
    fixed,
    of_byte,
)
from tests.support.vectors import Case


def primitives() -> Cases:
    secret, data = fixed("secret"), b"some data"
    for label in Label:
        yield case(f"hash {label}", "hash", label=label, data=data)
    yield case("hash of nothing", "hash", label="content", data=b"")
    yield case("mac", "mac", key=secret, label="slot", data=data)
    for size in (16, 32, 64, 96, 192):
        yield case(
            f"kdf of {size}", "kdf", secret=secret, salt=b"", label="drop", context=b"", size=size
        )
    salt, context = fixed("salt", 16), b"context"
    yield case(
        "kdf with salt and context",
        "kdf",
        secret=secret + secret,
        salt=salt,
        label="core key",
        context=context,
        size=64,
    )
    yield from _agreements()
    yield from _ciphers()
    yield from _padding()


def _agreements() -> Cases:
    a, b = X25519Private(fixed("a")), X25519Private(fixed("b"))
    yield case("X25519 public key", "x25519 public", private=a.expose())
    good = case("X25519", "dh", private=a.expose(), public=prim.x25519_public(b).value)
    yield good
    yield damaged(good, "X25519, highest bit set", "encoding", "public", of_byte(31))
    yield changed(
        good, "X25519, the prime", "encoding", public=(2**255 - 19).to_bytes(32, "little")
    )
    for number, point in enumerate(cast.LOW_ORDER):
        yield changed(good, f"X25519, point of low order {number}", "rules", public=point)
    seed = KemSeed(fixed("kem", 64))
    public = prim.kem_public(seed)
    yield case("ML-KEM-768 public key", "kem public", public=public.value)
    above = public.value[:3].replace(public.value[:2], b"\xff\xff") + public.value[3:]
    yield case("ML-KEM-768 public key, over the modulus", "kem public", "encoding", public=above)
    yield case("ML-KEM-768 public key, cut", "kem public", "size", public=public.value[:-1])
    _, ciphertext = prim.encapsulate(public)
    opened = case("ML-KEM-768", "decapsulate", seed=seed.expose(), ciphertext=ciphertext)
    yield opened
    bad = flip(ciphertext, 100)
    yield case(
        "ML-KEM-768, forged: another secret", "decapsulate", seed=seed.expose(), ciphertext=bad
    )
    yield changed(opened, "ML-KEM-768, cut", "size", ciphertext=ciphertext[:-1])


def _ciphers() -> Cases:
    key, nonce, about = fixed("key"), fixed("nonce", 24), b"about"
    sealed = prim.seal(key, b"plain", about)
    good = case("AEAD", "aead", key=key, associated=about, ciphertext=sealed)
    yield good
    yield damaged(good, "AEAD, ciphertext changed", "ciphertext", "ciphertext", 0)
    yield damaged(good, "AEAD, associated data changed", "ciphertext", "associated", 0)
    far = prim.xseal(StoreKey(key), nonce, b"plain", about)
    good = case("XAEAD", "xaead", key=key, nonce=nonce, associated=about, ciphertext=far)
    yield good
    yield damaged(good, "XAEAD, nonce changed", "ciphertext", "nonce", 0)
    yield damaged(good, "XAEAD, tag changed", "ciphertext", "ciphertext", 8 * len(far) - 1)


def _padding() -> Cases:
    for text in (b"", b"plain", b"plain\x80", b"\x00\x00"):
        yield case(f"padding of {len(text)} bytes", "unpad", padded=prim.pad(text, 16))
    yield case("padding without a mark", "unpad", "encoding", padded=bytes(16))
    yield case("padding with another end", "unpad", "encoding", padded=b"plain\x80\x00\x01")


def epoch() -> Cases:
    seed = fixed("epoch")
    secret, clock = begin(EpochSeed(seed))
    yield case("an epoch begins", "epoch", seed=seed)
    yield case("its keys", "epoch keys", secret=secret.expose())
    for hours in (0, 1, 2, 720):
        yield case(f"the clock after {hours} hours", "clock", clock=clock.expose(), hours=hours)
    yield case("no way back", "clock", "stale", clock=clock.expose(), hours=-1)
    for hour in (0, HOUR, 2**32 - 1):
        yield case(
            f"commitment at {hour}",
            "commitment",
            secret=secret.expose(),
            hour=hour,
            clock=clock.expose(),
        )


def drop() -> Cases:
    for name in ("relay", "another relay"):
        relay = prim.x25519_public(X25519Private(fixed(name))).value
        yield case(
            f"a drop on {name}",
            "drop",
            epoch_secret=SECRET.expose(),
            relay_key=relay,
            facilitators_secret=fixed("facilitators"),
        )


def block() -> Cases:
    outer = Drop.of_epoch(SECRET, prim.x25519_public(RELAY)).outer
    clock, entropy = EpochClock(HOUR, CLOCK), ScriptedEntropy("block")
    window: dict[str, Any] = {
        "outer_secret": outer.expose(),
        "clock": CLOCK.expose(),
        "first": HOUR,
        "last": HOUR + 4,
        "hint": HOUR + 1,
    }
    goods = []
    for kind in (Kind.COVER, Kind.GROUP, Kind.ROSTER):
        head = Head(kind, Hour(HOUR + 2), fixed("salt", 16))
        core = Core(head.pack() + fixed(kind.name, limits.CORE - 21))
        sealed = wrap(core, outer, clock, entropy)
        goods.append(
            case(f"kind {int(kind)}, hour not the hint's", "block", block=sealed, **window)
        )
        yield goods[-1]
        yield case(f"content hash of kind {int(kind)}", "content hash", core=core)
    good = goods[0]
    yield damaged(good, "nonce changed", "ciphertext", "block", 0)
    yield damaged(good, "tag changed", "ciphertext", "block", 8 * 4096 - 1)
    yield changed(good, "an hour before the window", "ciphertext", **_later(good, 3))
    yield changed(good, "cut", "size", block=good["given"]["block"][:-2])
    lying = Core(Head(Kind.COVER, Hour(HOUR + 1), bytes(16)).pack() + bytes(limits.CORE - 21))
    nonce = fixed("nonce", 24)
    odd = nonce + prim.xseal(outer_key(outer, clock, Hour(HOUR)), nonce, lying)
    yield changed(good, "a core of another hour than its key's", "rules", block=odd.hex())


def _later(good: Case, hours: int) -> dict[str, Any]:
    """The window of a case, begun later, with the clock of then."""
    first = good["given"]["first"] + hours
    return {"first": first, "clock": EpochClock(HOUR, CLOCK)(first).expose().hex()}


def identity() -> Cases:
    good = case("a bundle", "bundle", bundle=cast.bundle("anna").pack())
    yield good
    yield damaged(good, "identity X25519, highest bit", "encoding", "bundle", of_byte(31))
    yield damaged(good, "prekey X25519, highest bit", "encoding", "bundle", of_byte(1247))
    whole = bytes.fromhex(good["given"]["bundle"])
    over = whole[:32] + b"\xff\xff\xff" + whole[35:]
    yield changed(good, "identity ML-KEM over the modulus", "encoding", bundle=over)
    yield changed(good, "of low order", "rules", bundle=cast.LOW_ORDER[1] + whole[32:])
    yield changed(good, "cut", "size", bundle=whole[:-1])
    for name in ("Anna", "Дмитро 2", "桜 さくら", "d'Arc-O.", "ﬁ", "é", "42", "Σίσυφος"):
        yield case(f"name {name}", "name", name=name)
    refused = {
        "empty": "",
        "33 characters": "a" * 33,
        "over 64 bytes": "桜" * 22,
        "two scripts": "Аnna",
        "decomposed": "e\u0301",
        "double space": "a  b",
        "space at its end": "a ",
        "no letter": "-.'",
        "a control character": "a\u0007",
        "an underscore": "a_b",
        "right-to-left mark": "a\u200f",
        "a filler nobody sees": "a\u3164",
        "a variation selector": "a\ufe0f",
    }
    for why, name in refused.items():
        yield case(f"name, {why}", "name", "rules", name=name)


def words() -> Cases:
    entropy = fixed("invite", 16)
    said = " ".join(invite_words(entropy))
    for value in (entropy, bytes(16), b"\xff" * 16):
        yield case(f"words of {value.hex()}", "invite words", entropy=value)
    cut = " ".join(word[:4] for word in said.split())
    for text in (said, said.upper(), f"  {said.replace(' ', '   ')} ", cut):
        yield case(f"typed: {text}", "typed words", text=text)
    swapped = " ".join([*said.split()[1:], said.split()[0]])
    yield case("typed: another order", "typed words", "encoding", text=swapped)
    yield case("typed: a word that is none", "typed words", "encoding", text=said + "x")
    eleven = " ".join(said.split()[1:])
    yield case("typed: eleven words", "typed words", "size", text=eleven)
    yield case("roster words", "roster words", encoded=SECOND.pack())
    host, guest = SECOND.entries[0], SECOND.entries[2]
    yield case(
        "check words",
        "check words",
        channel_id=SECOND.channel,
        facilitator={"slot": host.slot, "alias": host.alias, "identity_hash": host.identity},
        newcomer={"alias": guest.alias, "identity_hash": guest.identity},
    )
