"""The epoch secret and the epoch clock: SPEC.md section 5."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backchannel.protocol import epoch
from backchannel.protocol.epoch import EpochClock
from backchannel.protocol.errors import StaleError
from backchannel.protocol.labels import Label
from backchannel.protocol.primitives import kdf
from backchannel.protocol.secret import ClockValue, CoreSecret, EpochSecret, EpochSeed, IntroKey
from backchannel.protocol.types import Hour

SEED = EpochSeed(bytes(range(32)))
SECRET, FIRST = epoch.begin(SEED)
START = Hour(489_937)


def fresh() -> EpochClock:
    return EpochClock(START, FIRST)


def direct(hour: int) -> ClockValue:
    """E at `hour` by the formula alone."""
    value = FIRST.expose()
    for _ in range(hour - START):
        value = kdf(value, b"", Label.NEXT_HOUR)
    return ClockValue(value)


def test_secret_and_clock_come_from_the_seed_by_their_own_labels() -> None:
    assert EpochSecret(kdf(SEED.expose(), b"", Label.EPOCH_SECRET)) == SECRET
    assert ClockValue(kdf(SEED.expose(), b"", Label.EPOCH_CLOCK)) == FIRST
    assert SECRET.expose() != FIRST.expose()


def test_what_the_secret_gives() -> None:
    assert epoch.intro_key(SECRET) == IntroKey(kdf(SECRET.expose(), b"", Label.INTRO_KEY))
    assert epoch.roster_secret(SECRET) == CoreSecret(kdf(SECRET.expose(), b"", Label.ROSTER_BODY))


def test_attack_60_commitment_binds_secret_hour_and_clock() -> None:
    """Whom a facilitator gave other values, it did not give the same roster."""
    ours = epoch.commitment(SECRET, START, FIRST)
    named = b"\x1ebackchannel/1 epoch commitment"
    data = SECRET.expose() + START.to_bytes(4) + FIRST.expose()
    assert ours == hashlib.sha256(named + data).digest()
    assert ours != epoch.commitment(EpochSecret(bytes(32)), START, FIRST)
    assert ours != epoch.commitment(SECRET, Hour(START + 1), FIRST)
    assert ours != epoch.commitment(SECRET, START, epoch.next_hour(FIRST))


@given(st.integers(0, 60))
def test_the_clock_is_the_chain_of_hours(ahead: int) -> None:
    assert fresh()(Hour(START + ahead)) == direct(START + ahead)
    assert epoch.advance(FIRST, ahead) == direct(START + ahead)


@given(st.lists(st.integers(0, 60), max_size=8))
def test_the_order_of_asking_does_not_matter(asked: list[int]) -> None:
    clock = fresh()
    answers = [clock(Hour(START + ahead)) for ahead in asked]
    assert answers == [direct(START + ahead) for ahead in asked]
    assert (clock.hour, clock.value) == (START, FIRST)


@given(st.lists(st.tuples(st.booleans(), st.integers(-5, 60)), max_size=10))
def test_what_is_forgotten_stays_gone(steps: list[tuple[bool, int]]) -> None:
    clock, kept = fresh(), START
    for forget, ahead in steps:
        hour = Hour(START + ahead)
        if forget:
            clock.forget_before(hour)
            kept = max(kept, hour)
        elif hour >= kept:
            assert clock(hour) == direct(hour)
        else:
            with pytest.raises(StaleError):
                clock(hour)
        assert (clock.hour, clock.value) == (kept, direct(kept))


def test_attack_34_a_forgotten_value_is_in_no_field() -> None:
    clock = fresh()
    clock(Hour(START + 10))
    clock.forget_before(Hour(START + 4))
    held = [value.expose() for value in clock._values]
    assert held == [direct(START + ahead).expose() for ahead in range(4, 11)]


def test_attack_28_the_clock_does_not_go_back() -> None:
    clock = fresh()
    clock.forget_before(Hour(START + 5))
    clock.forget_before(Hour(START + 2))
    clock.forget_before(Hour(0))
    assert clock.hour == START + 5


def test_an_absurd_hour_costs_nothing() -> None:
    clock = fresh()
    for hour in (START + EpochClock.MOST_AHEAD + 1, 2**32 - 1):
        with pytest.raises(StaleError):
            clock(Hour(hour))
    assert len(clock._values) == 1


def test_the_farthest_hour_is_answered() -> None:
    clock = fresh()
    far = clock(Hour(START + EpochClock.MOST_AHEAD))
    assert far == epoch.advance(FIRST, EpochClock.MOST_AHEAD)


def test_who_was_away_for_years_forgets_all_the_same() -> None:
    """Else the oldest keys would stay exactly where nobody looks after them."""
    clock, later = fresh(), Hour(START + EpochClock.MOST_AHEAD + 100)
    clock.forget_before(later)
    assert (clock.hour, clock.value) == (later, epoch.advance(FIRST, later - START))
    with pytest.raises(StaleError):
        clock(START)
