"""Alive, late, silent: at the limits, and for a party of several."""

import pytest

from backchannel.client.telling import alive
from backchannel.client.telling.alive import Heard
from backchannel.protocol.types import Hour

NOW = Hour(500_000)


@pytest.mark.parametrize(
    ("pulse", "hours", "sign"),
    [
        (1, 0, "alive"), (1, 3, "alive"), (1, 4, "late"), (1, 5, "late"), (1, 6, "silent"),
        (24, 26, "alive"), (24, 27, "late"), (24, 74, "late"), (24, 75, "silent"),
        (168, 170, "alive"), (168, 171, "late"), (168, 506, "late"), (168, 507, "silent"),
        (0, 0, "unwatched"), (0, 9999, "unwatched"),
    ],
)  # fmt: skip
def test_what_it_means_not_to_be_heard(pulse: int, hours: int, sign: str) -> None:
    assert alive.sign(hours, pulse) == sign
    (found,) = alive.members([Heard("Ibis", "South", Hour(NOW - hours), ever=True)], pulse, NOW)
    assert (found.name, found.sign, found.hours) == ("Ibis", sign, hours)


def test_a_party_is_as_alive_as_who_was_heard_of_it_last() -> None:
    heard = [
        Heard("Ibis", "South", Hour(NOW - 90), ever=True),
        Heard("Heron", "North", Hour(NOW - 30), ever=True),
        Heard("Wren", "South", Hour(NOW - 1), ever=True),
    ]
    found = [(each.name, each.sign, each.hours) for each in alive.parties(heard, 24, NOW)]
    assert found == [("South", "alive", 1), ("North", "late", 30)]


def test_who_was_heard_counts_before_who_is_only_on_the_list() -> None:
    heard = [Heard("Ibis", "South", NOW, ever=True), Heard("Wren", "South", NOW, ever=False)]
    (found,) = alive.parties(heard, 24, NOW)
    assert found.ever


def test_a_member_ahead_of_what_was_read_is_alive() -> None:
    (found,) = alive.members([Heard("Ibis", "South", Hour(NOW + 1), ever=True)], 1, NOW)
    assert (found.sign, found.hours) == ("alive", 0)


def test_falling_silent_is_told_once_and_again_after_a_return() -> None:
    def at(hours: int) -> list[alive.Pulse]:
        return alive.parties([Heard("Ibis", "South", Hour(NOW - hours), ever=True)], 24, NOW)

    assert alive.crossed([], at(74)) == ([], [])
    assert alive.crossed([], at(75)) == (["South"], ["South"])
    assert alive.crossed(["South"], at(99)) == ([], ["South"])
    assert alive.crossed(["South"], at(1)) == ([], [])


@pytest.mark.parametrize(
    ("pulse", "hours", "ever", "said"),
    [
        (24, 2, True, "Party South: alive, 2 hours ago."),
        (24, 0, True, "Party South: alive, within the hour."),
        (24, 30, True, "Party South: late, last heard 30 hours ago."),
        (24, 19 * 24 + 5, True, "Party South: SILENT for 19 days."),
        (0, 48, True, "Party South: last heard 2 days ago."),
        (24, 48, False, "Party South: not heard yet, for 2 days."),
    ],
)
def test_how_it_is_said(pulse: int, hours: int, ever: bool, said: str) -> None:
    (found,) = alive.parties([Heard("Ibis", "South", Hour(NOW - hours), ever)], pulse, NOW)
    assert alive.line("Party South", alive.document(found)) == said
