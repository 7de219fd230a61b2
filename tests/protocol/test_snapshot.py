"""Saved state as bytes, and back."""

from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from backchannel.protocol import line, snapshot
from backchannel.protocol.candidate import CandidateState
from backchannel.protocol.core import Kind
from backchannel.protocol.errors import StateError
from backchannel.protocol.guest import Guest
from backchannel.protocol.identity import Bundle, BundleKeys, HybridPublic
from backchannel.protocol.line import Line
from backchannel.protocol.missing import Pending
from backchannel.protocol.secret import EpochSecret, MacSeed
from backchannel.protocol.sender_key import PeerGeneration
from backchannel.protocol.state import ChannelState
from backchannel.protocol.transcript import Transcript
from tests.support import cast
from tests.support.bits import flip
from tests.support.entropy import ScriptedEntropy
from tests.support.filled import filled, secrets_of


@cache
def used_line() -> Line:
    """A line in which everything that can be held is held: a closed chain, keys put aside."""
    a, b = cast.pair()
    kems = {True: cast.keys("anna").identity, False: cast.keys("bela").identity}
    coins = ScriptedEntropy("line")
    for salt in range(4):
        head = cast.head(Kind.LINE, salt)
        b, core, _ = line.send(b, b"", kems[True].public().kem, cast.clock, head, coins)
        opened = line.open_(a, core, cast.clock, head, kems[True].kem) if salt != 1 else None
        a = opened.line if opened else a
    a, core, _ = line.send(
        a, b"", kems[False].public().kem, cast.clock, cast.head(Kind.LINE, 9), coins
    )
    opened = line.open_(b, core, cast.clock, cast.head(Kind.LINE, 9), kems[False].kem)
    assert opened is not None
    head = cast.head(Kind.LINE, 10)
    _, core, _ = line.send(opened.line, b"", kems[True].public().kem, cast.clock, head, coins)
    last = line.open_(a, core, cast.clock, head, kems[True].kem)
    assert last is not None
    assert [len(chain.chain.skipped) for chain in last.line.receiving] == [1, 0]
    return last.line


@cache
def channel() -> ChannelState:
    state: ChannelState = replace(filled(ChannelState), format=snapshot.FORMAT)
    return state


@cache
def candidate() -> CandidateState:
    state: CandidateState = replace(
        filled(CandidateState), format=snapshot.FORMAT, channel=channel()
    )
    return state


def emptied(state: Any) -> Any:
    """The same with nothing in every field that may be empty."""
    return type(state)(**{name: getattr(state, name) for name in required(type(state))})


def required(kind: type[msgspec.Struct]) -> list[str]:
    return [field.name for field in msgspec.structs.fields(kind) if field.required]


STATES: dict[str, Any] = {
    "channel": channel(),
    "channel with nothing in it": emptied(channel()),
    "channel of a newcomer": replace(channel(), roster=None, draft=None),
    "candidate": candidate(),
    "candidate who has just begun": emptied(candidate()),
    "guest": filled(Guest),
    "line": used_line(),
    "line to be answered": cast.pair().a,
    "line to answer": cast.pair().b,
    "transcript": filled(Transcript),
}


@pytest.mark.parametrize("which", STATES)
def test_a_state_comes_back_as_it_was(which: str) -> None:
    state = STATES[which]
    saved = snapshot.save(state)
    loaded = snapshot.load(saved, type(state))
    assert loaded == state
    assert snapshot.save(loaded) == saved


def test_what_comes_back_has_its_types() -> None:
    loaded = snapshot.load(snapshot.save(channel()), ChannelState)
    (held,) = loaded.peers.values()
    assert type(held.bundle) is Bundle
    assert type(held.bundle.identity) is HybridPublic
    assert type(loaded.keys) is BundleKeys
    assert type(loaded.epoch.secret) is EpochSecret
    assert loaded.own is not None
    assert {type(seed) for seed in loaded.own.readers.values()} == {MacSeed}
    assert {type(each) for each in held.generations.values()} == {PeerGeneration}
    assert {type(each) for each in loaded.pending} == {Pending}


@pytest.mark.parametrize("newer", [0, 2, 2**31])
@pytest.mark.parametrize("which", ["channel", "candidate"])
def test_another_format_is_refused(which: str, newer: int) -> None:
    state = STATES[which]
    saved = snapshot.save(replace(state, format=newer))
    with pytest.raises(StateError, match="another version"):
        snapshot.load(saved, type(state))


@given(st.binary(max_size=300))
def test_garbage_is_refused(data: bytes) -> None:
    for kind in (ChannelState, CandidateState, Line):
        with pytest.raises(StateError):
            snapshot.load(data, kind)


@pytest.mark.parametrize("data", [b"", b"\xc0", b"\x90", b"\x91" * 100_000, b"\xc1", b"\x81\x01"])
def test_garbage_of_some_shape_is_refused(data: bytes) -> None:
    with pytest.raises(StateError, match="cannot be read"):
        snapshot.load(data, ChannelState)


SAVED = snapshot.save(channel())


@given(st.integers(0, 8 * len(SAVED) - 1))
def test_damage_is_refused_or_another_state(bit: int) -> None:
    """The vault authenticates what it keeps; here no damage may be worse than a `StateError`."""
    try:
        loaded = snapshot.load(flip(SAVED, bit), ChannelState)
    except StateError:
        return
    assert snapshot.save(loaded) != SAVED


@given(st.integers(0, len(SAVED) - 1))
def test_a_state_cut_short_is_refused(size: int) -> None:
    with pytest.raises(StateError, match="cannot be read"):
        snapshot.load(SAVED[:size], ChannelState)


def test_a_secret_of_another_length_is_refused() -> None:
    plain = msgspec.msgpack.decode(snapshot.save(cast.pair().a))
    plain[1] = plain[1][:-1]
    with pytest.raises(StateError):
        snapshot.load(msgspec.msgpack.encode(plain), Line)


def test_a_public_key_that_is_none_is_refused() -> None:
    pair = msgspec.msgpack.encode([b"\xff" * 32, cast.bundle("anna").identity.kem.value])
    with pytest.raises(StateError):
        snapshot.load(pair, HybridPublic)


def test_only_what_has_a_form_is_saved() -> None:
    class Odd(msgspec.Struct):
        value: object

    with pytest.raises(NotImplementedError, match="object is not saved"):
        snapshot.save(Odd(object()))


@pytest.mark.parametrize("which", STATES)
def test_secrets_are_in_the_bytes_and_not_in_the_repr(which: str) -> None:
    """An exception's message or a log shows a repr: it must not show a key."""
    state = STATES[which]
    saved, shown, secrets = snapshot.save(state), repr(state), secrets_of(state)
    assert secrets or which == "transcript"
    for secret in secrets:
        assert secret.expose() in saved
        assert secret.expose().hex() not in shown
        assert repr(secret.expose())[2:-1] not in shown
