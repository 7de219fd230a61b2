"""A drop's rate: what fits goes, what does not is told when it will, and nothing grows."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backchannel.protocol.types import DropId
from backchannel.server import rates
from backchannel.server.errors import TooFastError
from backchannel.server.rates import Rate

HERE: Final = DropId(bytes(16))
Spending = list[tuple[float, int]]
spendings = st.lists(
    st.tuples(st.floats(0, 90, allow_nan=False), st.integers(1, 64)), min_size=1, max_size=60
)


def names(count: int) -> list[DropId]:
    return [DropId(number.to_bytes(16)) for number in range(count)]


def test_a_minutes_worth_may_come_at_once() -> None:
    rate = Rate(640)
    for _ in range(10):
        rate.spend(HERE, 64, 5.0)
    with pytest.raises(TooFastError) as refused:
        rate.spend(HERE, 64, 5.0)
    assert refused.value.retry_after == 6, "a tenth of a minute makes 64 good"


def test_one_drop_is_no_other() -> None:
    rate = Rate(64)
    for drop in names(100):
        rate.spend(drop, 64, 0.0)


def test_none_is_no_limit() -> None:
    rate = Rate(0)
    for _ in range(1000):
        rate.spend(HERE, 64, 0.0)
    assert len(rate) == 0


@given(st.integers(64, 10_000), spendings)
def test_what_was_told_is_true(most: int, spending: Spending) -> None:
    """Whoever comes when told is served, and whoever comes more than a second sooner is not."""
    rate, now = Rate(most), 0.0
    for later, count in spending:
        now += later
        try:
            rate.spend(HERE, count, now)
        except TooFastError as error:
            with pytest.raises(TooFastError):
                rate.spend(HERE, count, now + error.retry_after - 1.01)
            now += error.retry_after
            rate.spend(HERE, count, now)


@given(st.integers(64, 10_000), spendings)
def test_attack_52_no_minute_takes_more_than_two_minutes_worth(
    most: int, spending: Spending
) -> None:
    """What had been saved up, and what came since; and in the long run no more than the rate."""
    rate, now, taken = Rate(most), 0.0, list[tuple[float, int]]()
    for later, count in spending:
        now += later / 10
        try:
            rate.spend(HERE, count, now)
        except TooFastError:
            continue
        taken.append((now, count))
    for first, (start, _) in enumerate(taken):
        for last in range(first, len(taken)):
            units = sum(count for _, count in taken[first : last + 1])
            assert units <= most * (1 + (taken[last][0] - start) / 60) + 0.01


@given(spendings)
def test_a_refused_spending_changes_nothing(spending: Spending) -> None:
    rate, other, now = Rate(100), Rate(100), 0.0
    for later, count in spending:
        now += later / 10
        try:
            other.spend(HERE, count, now)
        except TooFastError:
            with pytest.raises(TooFastError):
                rate.spend(HERE, count, now)
            with pytest.raises(TooFastError):
                rate.spend(HERE, count, now)
        else:
            rate.spend(HERE, count, now)


def test_attack_52_many_drops_are_not_remembered_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rates, "RATED", 10)
    rate = Rate(64)
    for drop in names(1000):
        rate.spend(drop, 64, 0.0)
        assert len(rate) <= 10
    with pytest.raises(TooFastError):
        rate.spend(names(1000)[-1], 64, 0.0)


def test_who_owes_nothing_is_forgotten_as_others_spend() -> None:
    rate = Rate(6400)
    for drop in names(100):
        rate.spend(drop, 64, 0.0)
    assert len(rate) == 100
    for drop in names(60):
        rate.spend(drop, 64, 100.0)
    assert len(rate) == 60


def test_who_goes_on_spending_is_remembered_for_longest() -> None:
    rate = Rate(64)
    first, *others = names(2000)
    for at, drop in enumerate(others):
        rate.spend(drop, 64, float(at))
        if at % 60 == 0:
            rate.spend(first, 64, float(at))
    with pytest.raises(TooFastError):
        rate.spend(first, 64, float(at))
