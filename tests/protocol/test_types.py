"""Hours and seconds: SPEC.md section 4."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backchannel.protocol.types import MAIN_THREAD, Hour, Timestamp, hour_of, start_of

HOURS = st.integers(0, 2**32 - 1).map(Hour)


@given(HOURS, st.integers(0, 3599))
def test_every_second_of_an_hour_is_in_it(hour: Hour, second: int) -> None:
    assert hour_of(Timestamp(start_of(hour) + second)) == hour


@given(HOURS)
def test_the_second_before_an_hour_is_not_in_it(hour: Hour) -> None:
    assert hour_of(Timestamp(start_of(hour) - 1)) == hour - 1


@pytest.mark.parametrize(("now", "hour"), [(0, 0), (3599, 0), (3600, 1), (1_763_773_688, 489_937)])
def test_known_hours(now: int, hour: int) -> None:
    assert hour_of(Timestamp(now)) == hour


def test_the_channels_own_thread_is_zero() -> None:
    assert bytes(16) == MAIN_THREAD
