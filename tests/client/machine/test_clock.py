"""The one clock: the system's, and the hours that a demonstration's home is ahead."""

from pathlib import Path

import pytest
import time_machine

from backchannel.client.errors import ClientError
from backchannel.client.machine import clock
from backchannel.client.machine.profile import Profile
from tests.support.people import NOON


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return Profile.at(tmp_path)


def test_an_ordinary_home_follows_the_system(profile: Profile) -> None:
    with time_machine.travel(NOON, tick=False):
        assert clock.now(profile) == NOON


@pytest.mark.parametrize("hours", [0, 1, 999_999])
def test_a_demonstration_is_whole_hours_ahead(profile: Profile, hours: int) -> None:
    profile.demo_hours.write_text(f"{hours}\n")
    with time_machine.travel(NOON, tick=False):
        assert clock.now(profile) == NOON + 3600 * hours


@pytest.mark.parametrize("text", ["", "-1", "1.5", "1000000", "soon"])
def test_a_demonstration_never_goes_back_nor_astray(profile: Profile, text: str) -> None:
    profile.demo_hours.write_text(text)
    with pytest.raises(ClientError, match="does not hold a number of hours"):
        clock.now(profile)


def test_waiting_is_measured_by_a_clock_that_is_never_set() -> None:
    with time_machine.travel(NOON):
        before = clock.elapsed()
    assert 0 <= clock.elapsed() - before < 60
