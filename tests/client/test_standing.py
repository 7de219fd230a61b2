"""Counts in a summary, and the next useful command."""

from typing import Any

import pytest

from backchannel.client import standing, summary
from backchannel.client.vault.channels import ChannelRow, JoinRow
from backchannel.protocol.types import ChannelId, Hour

NOW = Hour(500_000)


def row(name: str = "North", **more: Any) -> ChannelRow:
    about = summary.fresh(NOW, founded=True) | {
        "alias": "Fox", "role": "facilitator", "members": 3, "lifetime": 24, "waiting": [],
        "invites": 0, "relays": [],
        "epoch": 0, "began": NOW, "ended": "", "policy": {}, "rivals": 0, "change_waits": False,
        "not_here": [], "unverified": [], "leaving": [], "candidates": [], "proposals": [],
        "floor": None, "hands": [], "drafts": [],
        "agreed": None, "differs": [], "missing": 0,
    }  # fmt: skip
    return ChannelRow(ChannelId(bytes(16)), name, b"", about | more)


def step(*rows: ChannelRow, owed: int = 0, joins: tuple[JoinRow, ...] = ()) -> str:
    channels = [standing.of_channel(each, NOW) for each in rows]
    return standing.next_step(channels, [standing.of_join(each) for each in joins], owed)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, "backchannel say TEXT"),
        ({"unread": {"aa": NOW + 2}}, "backchannel read"),
        ({"expired_unread": 1}, "backchannel read"),
        ({"unread": {"aa": NOW + 2}, "waiting": ["Wren"]}, "backchannel lobby"),
        ({"alarms": [{}], "waiting": ["Wren"]}, "backchannel alarms"),
        ({"rivals": 1}, "backchannel epoch turn"),
        ({"rivals": 1, "role": "participant"}, "backchannel say TEXT"),
        ({"proposals": [{"for_me": True}]}, "backchannel policy"),
        ({"proposals": [{"for_me": False}]}, "backchannel say TEXT"),
        (
            {"role": "participant", "candidates": [{"alias": "A B", "mine": False}]},
            "backchannel vouch 'A B'",
        ),
        ({"candidates": [{"alias": "Wren", "mine": False}]}, "backchannel say TEXT"),
        ({"asked": {"aa": NOW + 1}}, "backchannel release"),
        ({"asked": {"aa": NOW}}, "backchannel say TEXT"),
        ({"notices": [{}]}, "backchannel alarms"),
        ({"ended": "removed", "alarms": [{}]}, "backchannel read"),
        ({"members": 1}, "backchannel invite ALIAS"),
        ({"members": 1, "invites": 1}, "backchannel say TEXT"),
        ({"role": "observer"}, "backchannel read"),
    ],
)
def test_the_next_step(more: dict[str, Any], expected: str) -> None:
    assert step(row(**more)) == expected


def test_a_channel_that_is_over_is_not_spoken_in() -> None:
    over, live = row("North", ended="left"), row("South")
    assert step(over, live) == "backchannel say TEXT --channel South"


def test_what_is_owed_comes_first() -> None:
    assert step(row(waiting=["Wren"]), owed=1) == "backchannel sync"


def test_of_several_channels_the_one_is_named() -> None:
    assert step(row(), row("Two words", unread={"a": NOW + 1})) == (
        "backchannel read --channel 'Two words'"
    )


def test_somebody_who_waits_syncs_and_somebody_new_joins() -> None:
    about = {"channel": "North", "last": NOW, "over": "", "relays": []}
    join = JoinRow(bytes(16), "https://relay.example", "Wren", b"", about)
    assert step(joins=(join,)) == "backchannel sync"
    ended = join._replace(summary=about | {"over": "refused"})
    assert step(joins=(ended,)) == step() == "backchannel join URL"


def test_unread_and_expired_are_told_apart() -> None:
    about = row(unread={"a": NOW + 5, "b": NOW + 3, "c": NOW}, expired_unread=2).summary
    assert summary.unread(about, NOW) == (2, 3, NOW + 3, 2)
    summary.settle(about, NOW)
    assert (set(about["unread"]), about["expired_unread"]) == ({"a", "b"}, 3)
    summary.settle(about, NOW)
    assert about["expired_unread"] == 3


@pytest.mark.parametrize(("hours", "soon"), [(7, 0), (6, 1), (1, 1), (0, 0)])
def test_unread_things_are_warned_of_in_their_last_six_hours(hours: int, soon: int) -> None:
    standing_now = standing.of_channel(row(unread={"a": NOW + hours, "b": NOW + 99}), NOW)
    assert standing_now["unread_soon"] == soon


def test_what_cannot_be_opened_has_its_reason_and_a_next_step() -> None:
    found = standing.of_channel(row(refused=1, missed=2, missing=3, expired_unread=4), NOW)
    assert [(each["reason"], each["count"]) for each in found["not_shown"]] == [
        ("refused", 1), ("missed", 2), ("missing", 3), ("expired-unread", 4),
    ]  # fmt: skip
    assert all(each["next"] for each in found["not_shown"])


def test_pins_are_by_address() -> None:
    about = [
        {"relays": [["https://a.example", "aa"]]},
        {},
        {"relays": [["https://b.example", "bb"]]},
    ]
    assert summary.pins(about) == {"https://a.example": "aa", "https://b.example": "bb"}
