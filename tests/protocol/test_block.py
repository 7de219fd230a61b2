"""The outer layer: SPEC.md section 7."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backchannel.protocol import limits
from backchannel.protocol.block import outer_key, unwrap, wrap
from backchannel.protocol.core import Head, Kind
from backchannel.protocol.epoch import EpochClock
from backchannel.protocol.errors import AuthenticationError, DecodeError, StaleError
from backchannel.protocol.labels import Label
from backchannel.protocol.primitives import kdf, xseal
from backchannel.protocol.secret import ClockValue, ItemKey, OuterSecret
from backchannel.protocol.types import Block, Core, Hour
from tests.support.bits import chi_squared, sampled_flips
from tests.support.entropy import ScriptedEntropy

SECRET = OuterSecret(bytes(range(32)))
FIRST = Hour(489_900)
LAST = Hour(489_940)
WINDOW = (FIRST, LAST)
HOURS = st.integers(FIRST, LAST).map(Hour)


def clock() -> EpochClock:
    return EpochClock(FIRST, ClockValue(bytes(range(32, 64))))


def core_at(hour: int, fill: bytes = b"\0") -> Core:
    return Core(Head(Kind.COVER, Hour(hour), bytes(16)).pack() + fill * (limits.CORE - 21))


def block_at(hour: int, core: bytes | None = None) -> Block:
    """A block under the key of `hour`, whatever its core says."""
    nonce = bytes(range(24))
    return Block(
        nonce + xseal(outer_key(SECRET, clock(), Hour(hour)), nonce, core or core_at(hour))
    )


def test_the_outer_key_as_written() -> None:
    """`kdf(outer secret | E(t), "", "outer key", u32 t, 32)`."""
    ikm = SECRET.expose() + clock()(LAST).expose()
    expected = ItemKey(kdf(ikm, b"", Label.OUTER_KEY, LAST.to_bytes(4)))
    assert outer_key(SECRET, clock(), LAST) == expected


def test_a_block_is_a_nonce_and_the_sealed_core() -> None:
    core, nonce = core_at(LAST), ScriptedEntropy(1).draw(24)
    block = wrap(core, SECRET, clock(), ScriptedEntropy(1))
    assert len(block) == limits.BLOCK
    assert block == nonce + xseal(outer_key(SECRET, clock(), LAST), nonce, core)


@given(HOURS, st.integers(0, 2**32 - 1).map(Hour), st.binary(min_size=1, max_size=1))
def test_unwrap_undoes_wrap_whatever_hour_the_relay_names(
    hour: Hour, hint: Hour, fill: bytes
) -> None:
    core = core_at(hour, fill)
    block = wrap(core, SECRET, clock(), ScriptedEntropy(hour))
    assert unwrap(block, SECRET, clock(), hint, WINDOW) == core


@given(HOURS, st.integers(-50, 50))
def test_attack_57_a_hint_cannot_change_what_a_block_says(hour: Hour, off: int) -> None:
    core = core_at(hour)
    assert unwrap(block_at(hour), SECRET, clock(), Hour(hour + off), WINDOW) == core


def test_hours_are_tried_from_the_hint_outwards_each_once() -> None:
    asked: list[int] = []
    inner = clock()

    def noting(hour: Hour) -> ClockValue:
        asked.append(hour)
        return inner(hour)

    with pytest.raises(AuthenticationError):
        unwrap(bytes(4096), SECRET, noting, Hour(LAST - 5), WINDOW)
    assert asked[:3] == [LAST - 5, LAST - 6, LAST - 4]
    assert sorted(asked) == list(range(FIRST, LAST + 1))


@pytest.mark.parametrize("hint", [0, FIRST - 1, FIRST, LAST, LAST + 1, 2**32 - 1])
def test_a_hint_at_or_past_the_ends_finds_both_ends(hint: int) -> None:
    for hour in WINDOW:
        assert unwrap(block_at(hour), SECRET, clock(), Hour(hint), WINDOW) == core_at(hour)


@pytest.mark.parametrize("hour", [FIRST, LAST])
def test_the_window_ends_where_it_says(hour: int) -> None:
    inside = (Hour(FIRST + 1), Hour(LAST - 1))
    with pytest.raises(AuthenticationError, match=r"^a block opens at no hour of the window$"):
        unwrap(block_at(hour), SECRET, clock(), Hour(hour), inside)


def test_an_empty_window_opens_nothing() -> None:
    with pytest.raises(AuthenticationError):
        unwrap(block_at(LAST), SECRET, clock(), LAST, (LAST, FIRST))


def test_hours_whose_clock_is_gone_are_passed_over() -> None:
    late = clock()
    late.forget_before(Hour(LAST - 2))
    assert unwrap(block_at(LAST), SECRET, late, FIRST, WINDOW) == core_at(LAST)
    with pytest.raises(AuthenticationError):
        unwrap(block_at(FIRST), SECRET, late, FIRST, WINDOW)
    with pytest.raises(StaleError):
        wrap(core_at(FIRST), SECRET, late, ScriptedEntropy())


def test_attack_59_block_withheld_past_its_hour() -> None:
    """A relay may name any hour for a kept-back block: the block still says its own, or nothing."""
    block = block_at(FIRST)
    for hint in (FIRST, LAST):
        core = unwrap(block, SECRET, clock(), hint, WINDOW)
        assert core == core_at(FIRST)
    later = clock()
    later.forget_before(Hour(FIRST + 1))
    for window in (WINDOW, (Hour(FIRST + 1), LAST)):
        with pytest.raises(AuthenticationError):
            unwrap(block, SECRET, later, LAST, window)


@settings(max_examples=20)
@given(st.integers(0, 239), st.integers(0, 2**32 - 1))
def test_every_bit_flip_is_refused(start: int, seed: int) -> None:
    block = wrap(core_at(LAST), SECRET, clock(), ScriptedEntropy(seed))
    for damaged in sampled_flips(block, 4001 + start):
        with pytest.raises(AuthenticationError):
            unwrap(damaged, SECRET, clock(), LAST, (Hour(LAST - 1), LAST))


@pytest.mark.parametrize("size", [0, 23, 24, 40, limits.CORE, limits.BLOCK - 1, limits.BLOCK + 1])
def test_another_size_is_refused(size: int) -> None:
    with pytest.raises(DecodeError, match=r"^a block has 4,096 bytes$"):
        unwrap(block_at(LAST)[:size].ljust(size, b"\0"), SECRET, clock(), LAST, WINDOW)


@given(st.integers(FIRST + 1, LAST), st.sampled_from([-1, 1, -40, 2**31]))
def test_a_core_of_another_hour_than_its_key_is_refused(hour: int, off: int) -> None:
    with pytest.raises(DecodeError, match=r"^a core names another hour than its key's$"):
        unwrap(block_at(hour, core_at(hour + off)), SECRET, clock(), Hour(hour), WINDOW)


def test_a_core_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(DecodeError, match="unknown kind"):
        unwrap(block_at(LAST, b"\0" * limits.CORE), SECRET, clock(), LAST, WINDOW)


def test_random_bytes_are_no_block() -> None:
    for seed in range(5):
        with pytest.raises(AuthenticationError):
            unwrap(ScriptedEntropy(seed).draw(4096), SECRET, clock(), LAST, WINDOW)


def test_attack_3_a_block_of_another_drop_or_epoch_does_not_open() -> None:
    other = EpochClock(FIRST, ClockValue(bytes(32)))
    for secret, hours in ((OuterSecret(bytes(32)), clock()), (SECRET, other)):
        with pytest.raises(AuthenticationError):
            unwrap(block_at(LAST), secret, hours, LAST, WINDOW)


@pytest.mark.parametrize("size", [0, 21, limits.CORE - 1, limits.CORE + 1])
def test_only_a_core_is_wrapped(size: int) -> None:
    core = Core(core_at(LAST)[:size].ljust(size, b"\0"))
    with pytest.raises(DecodeError):
        wrap(core, SECRET, clock(), ScriptedEntropy())


def test_attack_47_blocks_of_one_core_are_noise() -> None:
    """200 copies of one core of zeros: no two alike, byte values even, no position constant."""
    entropy, hours = ScriptedEntropy("noise"), clock()
    blocks = [wrap(core_at(LAST), SECRET, hours, entropy) for _ in range(200)]
    assert len(set(blocks)) == len({block[:24] for block in blocks}) == 200
    assert 255 - 6 * 22.6 < chi_squared(b"".join(blocks)) < 255 + 6 * 22.6
    columns = zip(*blocks, strict=True)
    assert min(len(set(column)) for column in columns) > 100
