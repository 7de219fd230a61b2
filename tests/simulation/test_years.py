"""Claim C8: a channel that is used weekly lives on for years, with nobody invited again."""

import pytest

from tests.simulation import years


@pytest.mark.slow
def test_months_of_weekly_use() -> None:
    """With a move, another with the old relay dead, an admission, a removal, and an upgrade of the
    program at each step; two years: `make schedules`.
    """
    sizes = years.run(days=120)
    assert sizes[-1].epoch >= 10
    assert sizes[-1].state < 2 * sizes[0].state
