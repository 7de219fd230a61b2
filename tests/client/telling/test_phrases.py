"""How hours, lifetimes and counts are said."""

import pytest

from backchannel.client.telling import phrases
from backchannel.protocol.types import Hour

NOON = Hour(500_004)
"""2027-01-15T12:00Z."""


@pytest.mark.parametrize(
    ("hours", "said"),
    [(1, "1 hour"), (24, "24 hours"), (36, "36 hours"), (48, "2 days"), (168, "7 days")],
)
def test_a_lifetime(hours: int, said: str) -> None:
    assert phrases.lifetime(hours) == said


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        (-3, "under 1 h left"),
        (0, "under 1 h left"),
        (1, "under 1 h left"),
        (2, "2 h left"),
        (24, "1 day left"),
        (25, "1 day 1 h left"),
        (167, "6 days 23 h left"),
    ],
)
def test_what_is_left_is_never_said_to_be_more(hours: int, said: str) -> None:
    assert phrases.left(Hour(NOON + hours), NOON) == said


def test_dates() -> None:
    assert phrases.date(NOON) == "15 January 2027"
    assert phrases.hour_of_day(NOON) == "Friday 15 January, 12:00 UTC"
    assert phrases.stamp(NOON) == "2027-01-15T12:00Z"


def test_numbers_and_sentences() -> None:
    assert phrases.count(1, "message") == "1 message"
    assert phrases.count(0, "message") == "0 messages"
    assert phrases.sentence("that name is taken") == "That name is taken."
    assert phrases.sentence("Done.") == "Done."


def test_only_an_ended_lobby_has_a_reason() -> None:
    assert phrases.ended("") == ""
    assert "used" in phrases.ended("used")


@pytest.mark.parametrize(
    ("refusal", "command"),
    [
        ("somebody else has the floor: raise your hand", "backchannel hand raise"),
        ("an observer does not speak", "backchannel whoami"),
        ("that name is taken, or too like another", phrases._TAKEN),
        ("a thread's life is only made shorter", "backchannel thread list"),
        ("who began a thread, or facilitates, makes its life shorter", "backchannel whoami"),
        ("you are not a member of this channel any more", "backchannel channel list"),
        ("nobody else of that name is here", "backchannel members"),
        ("nothing like any of them", "backchannel status"),
    ],
)
def test_a_refusal_leads_on(refusal: str, command: str) -> None:
    assert phrases.way_out(refusal) == command
