"""A relay that asks to wait is let alone no longer than is good; not all come back at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backchannel.client.errors import NotYet
from backchannel.client.wire.respite import PROVED, UNPROVED, heeded, refuse_before
from tests.support.people import ENTROPY, NOON


@given(st.integers(0, 2**40), st.sampled_from([PROVED, UNPROVED]))
def test_never_less_than_asked_nor_much_more_than_the_bound(asked: int, most: int) -> None:
    wait = heeded(asked, most, ENTROPY)
    assert min(asked, most) <= wait <= min(asked, most) * 5 // 4


def test_not_all_come_back_in_one_moment() -> None:
    assert len({heeded(40, PROVED, ENTROPY) for _ in range(200)}) > 5


def test_a_wait_is_for_a_time_that_is_still_to_come() -> None:
    refuse_before(0, NOON)
    refuse_before(NOON, NOON)
    with pytest.raises(NotYet) as error:
        refuse_before(NOON + 7, NOON)
    assert error.value.retry_after == 7


def test_attack_28_a_clock_that_was_set_back_makes_nobody_wait_for_days() -> None:
    longest = PROVED + PROVED // 4
    with pytest.raises(NotYet):
        refuse_before(NOON + longest, NOON)
    refuse_before(NOON + longest + 1, NOON)
    refuse_before(2**62, NOON)
