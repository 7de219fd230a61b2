"""One turn of a line's ratchet: SPEC.md section 13."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backchannel.protocol.errors import AuthenticationError, DecodeError
from backchannel.protocol.labels import Label
from backchannel.protocol.primitives import X25519Public, dh, kdf
from backchannel.protocol.ratchet import HEADER, Header, body_keys, root_step
from backchannel.protocol.secret import KemShared, MessageKey, RootKey
from tests.support import cast
from tests.support.entropy import ScriptedEntropy

OWN = cast.keys("anna").prekey
PEER = cast.bundle("bela").prekey
FRESH = cast.bundle("cleo").prekey.x
SHARED, CIPHERTEXT = ScriptedEntropy().encapsulate(OWN.public().kem)
HEADING = Header(PEER, FRESH, CIPHERTEXT, 3, 4)
REPLY = KemShared(b"r" * 32)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_a_header_is_read_as_written(previous: int, number: int) -> None:
    header = HEADING._replace(previous=previous, number=number)
    assert len(header.pack()) == HEADER == 2344
    assert Header.parse(header.pack()) == header


def test_the_places_of_a_header() -> None:
    packed = HEADING.pack()
    assert packed[:1216] == PEER.pack()
    assert packed[1216:1248] == FRESH.value
    assert packed[1248:2336] == CIPHERTEXT
    assert packed[2336:] == bytes([0, 0, 0, 3, 0, 0, 0, 4])


@pytest.mark.parametrize("point", cast.LOW_ORDER)
def test_attack_13_keys_of_low_order_in_a_header(point: bytes) -> None:
    packed = HEADING.pack()
    with pytest.raises(DecodeError, match="low order"):
        Header.parse(point + packed[32:])
    with pytest.raises(AuthenticationError):
        HEADING._replace(fresh=X25519Public(point)).shared(OWN)


def test_a_blocks_own_secrets() -> None:
    assert HEADING.shared(OWN) == dh(cast.keys("cleo").prekey.x, OWN.public().x) + SHARED.expose()


@pytest.mark.parametrize("reply", [None, REPLY])
def test_the_derivations_as_written(reply: KemShared | None) -> None:
    root, message, more = RootKey(b"o" * 32), MessageKey(b"m" * 32), b"r" * 32 if reply else b""
    out = kdf(dh(OWN.x, PEER.x) + more, root.expose(), Label.RATCHET_ROOT, b"", 96)
    assert b"".join(key.expose() for key in root_step(root, OWN.x, PEER.x, reply)) == out
    both = kdf(message.expose() + b"s" * 64 + more, b"", Label.LINE_BODY, b"", 64)
    assert b"".join(key.expose() for key in body_keys(message, b"s" * 64, reply)) == both


def test_both_sides_make_the_same_root_step() -> None:
    root = RootKey(bytes(32))
    theirs = root_step(root, cast.keys("bela").prekey.x, OWN.public().x, REPLY)
    assert root_step(root, OWN.x, PEER.x, REPLY) == theirs
    assert root_step(root, OWN.x, PEER.x, None) != theirs
