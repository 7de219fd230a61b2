"""The head of a core, its hash, and the one key rule: SPEC.md sections 3 and 7."""

import hmac
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backchannel.protocol import limits
from backchannel.protocol.core import (
    GROUP_HASHED,
    Clock,
    CoreKey,
    Head,
    Kind,
    content_hash,
    head_of,
    leaf_key,
)
from backchannel.protocol.errors import AuthenticationError, DecodeError, StaleError
from backchannel.protocol.labels import Label
from backchannel.protocol.primitives import expand, extract, hash_, kdf
from backchannel.protocol.secret import ClockValue, CoreSecret
from backchannel.protocol.types import Core, Hour
from tests.support import spec

SECRET = CoreSecret(bytes(range(32)))
HEAD = Head(Kind.ROSTER, Hour(489_937), bytes(range(16)))
HEADS = st.builds(
    Head,
    st.sampled_from(Kind),
    st.integers(0, 2**32 - 1).map(Hour),
    st.binary(min_size=16, max_size=16),
)


def clock(hour: Hour) -> ClockValue:
    return ClockValue(hour.to_bytes(32))


def core_of(head: Head, rest: int = 0) -> Core:
    return Core(head.pack() + bytes([rest]) * (limits.CORE - 21))


# --- Head -----------------------------------------------------------------------------------------


@given(HEADS)
def test_a_head_is_read_as_written(head: Head) -> None:
    assert len(head.pack()) == 21
    assert head_of(core_of(head)) == head


def test_the_bytes_of_a_head() -> None:
    assert HEAD.pack().hex() == "07" + "000779d1" + bytes(range(16)).hex()


@pytest.mark.parametrize("size", [0, 20, 21, limits.CORE - 1, limits.CORE + 1, limits.BLOCK])
def test_a_core_has_one_size(size: int) -> None:
    with pytest.raises(DecodeError, match="4,056"):
        head_of(core_of(HEAD)[:size].ljust(size, b"\0"))


@pytest.mark.parametrize("kind", sorted(set(range(256)) - set(Kind)))
def test_an_unknown_kind_is_refused(kind: int) -> None:
    with pytest.raises(DecodeError, match="unknown kind"):
        head_of(bytes([kind]) + core_of(HEAD)[1:])


def test_the_specification_lists_these_kinds() -> None:
    listed = re.findall(r"\| (\d+) \| ([a-z]+) \|", spec.section(7))
    assert {int(number): name.upper() for number, name in listed} == {k.value: k.name for k in Kind}


# --- Content hash ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", set(Kind) - {Kind.GROUP})
def test_the_hash_of_a_core_covers_it_whole(kind: Kind) -> None:
    core = core_of(HEAD._replace(kind=kind))
    assert content_hash(core) == hash_(Label.CONTENT, core)
    assert content_hash(core) != content_hash(Core(core[:-1] + b"\1"))


def test_the_hash_of_a_group_core_leaves_its_slots_out() -> None:
    """Slots differ by reader's key, the words do not: all must name the post alike."""
    core = core_of(HEAD._replace(kind=Kind.GROUP))
    assert content_hash(core) == hash_(Label.CONTENT, core[:3032])
    assert content_hash(core) == content_hash(Core(core[:GROUP_HASHED] + b"\1" * 1024))
    assert content_hash(core) != content_hash(Core(core[:3031] + b"\1" + core[3032:]))


# --- The key rule ---------------------------------------------------------------------------------


def test_the_key_rule_as_written() -> None:
    """`kdf(secret | E(hour), salt, "core key", u32 hour | u8 kind | context, 64)`."""
    both = kdf(
        SECRET.expose() + clock(HEAD.hour).expose(),
        HEAD.salt,
        Label.CORE_KEY,
        HEAD.hour.to_bytes(4) + b"\x07" + b"header",
        64,
    )
    key = CoreKey(SECRET, clock, HEAD, b"header")
    assert key.commitment == both[32:]
    assert key._key == both[:32]


OTHERS = {
    "secret": CoreKey(CoreSecret(bytes(32)), clock, HEAD),
    "clock": CoreKey(SECRET, lambda _: ClockValue(bytes(32)), HEAD),
    "hour": CoreKey(SECRET, lambda _: clock(HEAD.hour), HEAD._replace(hour=Hour(HEAD.hour + 1))),
    "kind": CoreKey(SECRET, clock, HEAD._replace(kind=Kind.CARD)),
    "salt": CoreKey(SECRET, clock, HEAD._replace(salt=bytes(16))),
    "context": CoreKey(SECRET, clock, HEAD, b"body"),
}


@pytest.mark.parametrize("changed", OTHERS)
def test_attack_69_whatever_differs_commits_to_another_key(changed: str) -> None:
    key, other = CoreKey(SECRET, clock, HEAD), OTHERS[changed]
    key.check(key.commitment)
    assert key.matches(key.commitment)
    assert not other.matches(key.commitment)
    with pytest.raises(AuthenticationError, match="commitment"):
        other.check(key.commitment)
    with pytest.raises(AuthenticationError):
        other.open(key.seal(b"plain", b""), b"")


@pytest.mark.parametrize("commitment", [b"", bytes(32), bytes(31), bytes(64)])
def test_a_commitment_of_another_size_is_refused(commitment: bytes) -> None:
    with pytest.raises(AuthenticationError):
        CoreKey(SECRET, clock, HEAD).check(commitment)


@given(st.binary(max_size=100), st.binary(max_size=40))
def test_open_undoes_seal_with_the_same_associated_data(plain: bytes, associated: bytes) -> None:
    key = CoreKey(SECRET, clock, HEAD)
    sealed = key.seal(plain, associated)
    assert len(sealed) == len(plain) + limits.TAG
    assert key.open(sealed, associated) == plain
    with pytest.raises(AuthenticationError):
        key.open(sealed, associated + b"\0")


def test_without_the_clock_there_is_no_key() -> None:
    def gone(_: Hour) -> ClockValue:
        raise StaleError

    without: Clock = gone
    with pytest.raises(StaleError):
        CoreKey(SECRET, without, HEAD)


@given(HEADS, st.binary(max_size=20), st.binary(max_size=40))
def test_the_two_halves_of_the_key_rule_are_the_whole(
    head: Head, context: bytes, secret: bytes
) -> None:
    """As RFC 5869 has it, whatever library does the whole."""
    about = head.hour.to_bytes(4) + bytes([head.kind]) + context
    leaf = extract(head.salt, secret)
    assert leaf == hmac.digest(head.salt, secret, "sha256")
    for length in (0, 31, 32, 33, 64):
        halves = expand(leaf, Label.CORE_KEY, about, length)
        whole = kdf(secret, head.salt, Label.CORE_KEY, about, length) if length else b""
        assert halves == whole


def test_a_leaf_key_opens_its_core_and_no_other() -> None:
    leaf, key = leaf_key(SECRET, clock, HEAD), CoreKey(SECRET, clock, HEAD)
    again = CoreKey.of_leaf(leaf, HEAD)
    again.check(key.commitment)
    assert again.open(key.seal(b"plain", b""), b"") == b"plain"
    for other in (HEAD._replace(salt=bytes(16)), HEAD._replace(hour=Hour(489_938))):
        with pytest.raises(AuthenticationError):
            CoreKey.of_leaf(leaf, other).check(CoreKey(SECRET, clock, other).commitment)


def test_a_key_shows_no_bytes() -> None:
    key = CoreKey(SECRET, clock, HEAD)
    assert key._key.hex() not in repr(key)
    assert repr(key._key) not in repr(key)
