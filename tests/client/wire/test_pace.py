"""How much is asked for at once: by how long the last took, and less where the link breaks."""

import pytest

from backchannel.client.wire.pace import Pace, Paces
from backchannel.protocol import limits

URL = "https://relay.example"


def blocks_of(pace: Pace, seconds_each: float, around: float, times: int = 40) -> int:
    """After so many whole exchanges over one link."""
    for _ in range(times):
        pace.took(pace.blocks, around + pace.blocks * seconds_each)
    return pace.blocks


def test_a_fast_link_carries_whole_pages_from_the_fourth_exchange_on() -> None:
    pace = Pace()
    assert blocks_of(pace, 0.0, 0.001, 3) == limits.MOST_BLOCKS
    assert blocks_of(pace, 0.0, 0.001) == limits.MOST_BLOCKS


@pytest.mark.parametrize(("seconds_each", "around", "least", "most"), [
    (2.05, 4.0, 2, 4),  # 2 kB/s, two seconds away
    (0.41, 4.0, 10, 16),  # 10 kB/s
    (0.041, 1.0, 64, 64),  # 100 kB/s through Tor
    (15.0, 4.0, 1, 1),
])  # fmt: skip
def test_an_exchange_takes_some_ten_seconds(
    seconds_each: float, around: float, least: int, most: int
) -> None:
    assert least <= blocks_of(Pace(), seconds_each, around) <= most


def test_a_link_that_breaks_is_asked_for_less_and_proves_itself_before_more() -> None:
    pace = Pace(limits.MOST_BLOCKS)
    pace.broke()
    assert pace.blocks == 16
    for _ in range(16):
        pace.took(16, 1.0)
        assert pace.blocks == 16
    pace.took(16, 1.0)
    assert pace.blocks == limits.MOST_BLOCKS
    for _ in range(5):
        pace.broke()
    assert pace.blocks == 1


def test_a_short_answer_shows_nothing() -> None:
    """One block of a possible 64, four seconds away: not a slow link."""
    pace = Pace(limits.MOST_BLOCKS)
    pace.took(1, 9.0)
    assert pace.blocks == limits.MOST_BLOCKS


def test_what_was_learned_of_a_relay_and_direction_stays_with_it() -> None:
    paces = Paces()
    paces.of(URL, reads=True).took(2, 0.1)
    assert paces.of(URL, reads=True).blocks == 8
    assert paces.of(URL, reads=False).blocks == 2
    assert paces.of("https://other.example", reads=True).blocks == 2
