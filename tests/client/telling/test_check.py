"""What a check finds, and that its code is the gravest."""

from typing import Any

import pytest

from backchannel.client.errors import AwayTooLong, ClientError, RelayDown, RelayKeyChanged
from backchannel.client.exits import Exit
from backchannel.client.telling import check

ALARM = {"kind": "fork", "alias": "Heron"}
SILENT = {"party": "South", "state": "silent", "heard_at": "2026-07-02T14:00Z", "hours": 99}
LATE = SILENT | {"state": "late"}
QUIET: dict[str, Any] = {
    "channel": "North", "alarms": [], "rivals": 0, "ended": "", "expired_unread": 0,
    "expired_unsent": 0, "alive": {"lost": None, "parties": []}, "hotline": None,
}  # fmt: skip


def alive(*parties: dict[str, Any], sure: bool | None = None) -> dict[str, Any]:
    lost = None if sure is None else {"sure": sure, "next": "backchannel join URL"}
    return {"alive": {"lost": lost, "parties": list(parties)}}


def code(*channels: dict[str, Any], queued: int = 0) -> Exit:
    status = {"channels": [QUIET | each for each in channels], "queued": queued}
    return check.verdict(check.findings(status))


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        ({}, Exit.DONE),
        (alive(LATE), Exit.DONE),
        (alive(SILENT), Exit.OVERDUE),
        (alive(sure=True), Exit.GONE),
        (alive(sure=False), Exit.DONE),
        ({"alarms": [ALARM]}, Exit.ALARM),
        ({"alarms": [ALARM | {"kind": "silent"}]}, Exit.DONE),
        ({"rivals": 1}, Exit.ALARM),
        ({"expired_unread": 1}, Exit.EXPIRED_UNREAD),
        ({"expired_unsent": 1}, Exit.UNSENT),
        ({"ended": "left", **alive(SILENT), "expired_unread": 3}, Exit.DONE),
        ({"ended": "left", "alarms": [ALARM]}, Exit.ALARM),
    ],
)
def test_one_thing_that_is_wrong(about: dict[str, Any], expected: Exit) -> None:
    assert code(about) == expected


def test_of_several_the_gravest_counts_and_all_are_told() -> None:
    both = QUIET | alive(SILENT) | {"expired_unread": 2, "alarms": [ALARM]}
    found = check.findings({"channels": [QUIET, both], "queued": 1})
    codes = [Exit.ALARM, Exit.OVERDUE, Exit.EXPIRED_UNREAD, Exit.UNSENT]
    assert [each.exit for each in found] == codes
    assert check.line(found[1]) == "North: Party South: SILENT for 4 days."
    assert check.line(found[-1]) == "No relay has 1 message of yours yet."
    document = check.document(found)
    assert document["exit"] == Exit.ALARM
    assert [each["channel"] for each in document["findings"]] == ["North"] * 3 + [None]


def test_of_several_channels_a_command_names_its_own() -> None:
    wrong = QUIET | {"hotline": {"wrong": ["Nobody is on duty. See: backchannel duty check"]}}
    (alone,) = check.findings({"channels": [wrong], "queued": 0})
    assert alone.text.endswith("backchannel duty check")
    (found,) = check.findings({"channels": [wrong, QUIET | {"channel": "Line"}], "queued": 0})
    assert found.text.endswith("backchannel duty check --channel North")


def test_what_waits_for_a_relay_is_told() -> None:
    assert code({}, queued=1) == Exit.UNSENT


def test_what_is_known_is_judged_where_no_relay_answers() -> None:
    down = RelayDown("The relay cannot be reached.")
    wrong = QUIET | alive(SILENT) | {"expired_unread": 1}
    found = check.findings({"channels": [wrong], "queued": 1}, down)
    codes = [Exit.OVERDUE, Exit.EXPIRED_UNREAD, Exit.UNSENT, Exit.RELAY]
    assert [each.exit for each in found] == codes
    assert check.line(found[-1]) == (
        "The relay cannot be reached. All else is as of before. Next: backchannel doctor"
    )
    assert check.verdict(check.findings({"channels": [QUIET], "queued": 0}, down)) == Exit.RELAY


@pytest.mark.parametrize(
    ("problem", "about", "codes"),
    [
        (RelayKeyChanged("Another key."), alive(SILENT), [Exit.KEY_CHANGED, Exit.OVERDUE]),
        (RelayKeyChanged("Another key."), {"alarms": [ALARM]}, [Exit.ALARM, Exit.KEY_CHANGED]),
        (AwayTooLong("Away."), alive(sure=True), [Exit.GONE]),
    ],
)
def test_a_problem_has_its_place_among_the_rest_and_is_told_once(
    problem: ClientError, about: dict[str, Any], codes: list[Exit]
) -> None:
    found = check.findings({"channels": [QUIET | about], "queued": 0}, problem)
    assert [each.exit for each in found] == codes
