"""Counts in a summary, and the next useful command."""

from typing import Any

import pytest

from backchannel.client.telling import overview, summary
from backchannel.client.vault.channels import ChannelRow, JoinRow
from backchannel.client.vault.health import Failing
from backchannel.protocol.types import ChannelId, Hour, Timestamp

NOW = Hour(500_000)


def row(name: str = "North", **more: Any) -> ChannelRow:
    about = summary.fresh(NOW, founded=True) | {
        "alias": "Fox", "role": "facilitator", "members": 3, "lifetime": 24, "waiting": [],
        "invites": 0, "relays": [],
        "epoch": 0, "began": NOW, "ended": "", "rivals": 0, "change_waits": False,
        "not_here": [], "unverified": [], "leaving": [], "candidates": [], "proposals": [],
        "floor": None, "hands": [], "drafts": [],
        "agreed": None, "differs": [], "missing": 0, "pulse": 24, "standing_since": NOW,
        "policy": {"standing": "open"}, "heard": [], "facilitators": [],
    }  # fmt: skip
    return ChannelRow(ChannelId(bytes(16)), name, b"", about | more)


def guest(**more: Any) -> ChannelRow:
    """The channel of somebody who came into it just now."""
    return row(founded=False, **{"alias": "Heron", "role": "participant"} | more)


def test_a_newcomer_is_told_that_it_is_in_and_what_it_can_do() -> None:
    alone = overview.arrived(guest(not_here=["Fox", "Ibis"]), several=False)
    assert alone[0] == "You are in North, as Heron: 3 members."
    assert alone[1] == "Greeted by 0 of 2."
    assert alone[2].startswith("What Fox and Ibis say opens here once")
    assert alone[3] == "next: backchannel read, then: backchannel say TEXT"
    greeted = overview.arrived(guest(), several=True)
    assert greeted[1] == "Greeted by 2 of 2."
    assert "read --channel North, then: backchannel say --channel North TEXT" in greeted[2]
    quiet = overview.arrived(row(role="observer"), several=False)
    assert quiet[2] == "next: backchannel read"


def test_who_was_here_before_the_epoch_is_no_newcomer() -> None:
    assert overview.of_channel(guest(), NOW)["newcomer"]
    assert not overview.of_channel(guest(began=NOW + 1), NOW)["newcomer"]
    assert not overview.of_channel(row(), NOW)["newcomer"]


def step(*rows: ChannelRow, owed: int = 0, joins: tuple[JoinRow, ...] = ()) -> str:
    channels = [overview.of_channel(each, NOW) for each in rows]
    return overview.next_step(channels, [overview.of_join(each) for each in joins], owed)


def test_what_only_a_dead_relay_is_owed_asks_for_nothing() -> None:
    north, south = row("North", relays=[["a", ""], ["b", ""]]), row("South", relays=[["a", ""]])
    dead = {"a": Failing("a", 1, Timestamp(0), Timestamp(0), Timestamp(0), "relay-down")}
    owed = {"a": 2, "b": 1}
    assert overview.unanswered([north], lambda _: owed, dead) == 2
    assert overview.unanswered([north, south], lambda _: owed, dead) == 2
    assert overview.unanswered([south], lambda _: owed, dead) == 0
    assert overview.unanswered([north], lambda _: owed, {}) == 0
    assert overview.unanswered([north], lambda _: owed, dead | {"b": dead["a"]}) == 0


def test_what_waits_for_turns_of_cover_is_sent_by_no_sync() -> None:
    covered = row(relays=[["a", ""], ["b", ""]], policy={"standing": "open", "cover": 60})
    dead = {"a": Failing("a", 1, Timestamp(0), Timestamp(0), Timestamp(0), "relay-down")}
    assert overview.covered([covered, row("South")], lambda _: {"a": 2}) == 2
    assert overview.unanswered([covered], lambda _: {"a": 2}, dead) == 0
    (line,) = overview.outbox_lines(2, 0, 2)
    assert line.endswith("backchannel watch")
    channels = [overview.of_channel(covered, NOW)]
    assert overview.next_step(channels, [], 0, turns=True) == "backchannel watch"
    assert overview.next_step(channels, [], 1, turns=True) == "backchannel sync"


def test_what_is_owed_is_told_apart_from_what_a_dead_relay_is_owed() -> None:
    late = "to a relay that does not answer: sent later, by itself. See: backchannel relay list"
    assert overview.outbox_lines(0, 0) == []
    assert overview.outbox_lines(1, 1) == [f"1 request {late}"]
    assert overview.outbox_lines(3, 0) == ["3 requests to a relay still to be sent."]
    assert overview.outbox_lines(3, 2) == [
        "1 request to a relay still to be sent.", f"2 requests {late}"
    ]  # fmt: skip


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
        ({"notices": [{}]}, "backchannel alarms --seen"),
        ({"ended": "removed", "alarms": [{}]}, "backchannel read"),
        ({"members": 1}, "backchannel invite ALIAS"),
        ({"members": 1, "invites": 1}, "backchannel lobby"),
        ({"role": "observer"}, "backchannel read"),
        ({"policy": {"standing": "suspended"}}, "backchannel read"),
    ],
)
def test_the_next_step(more: dict[str, Any], expected: str) -> None:
    assert step(row(**more)) == expected


def test_a_channel_that_is_over_is_not_spoken_in() -> None:
    over, live = row("North", ended="left"), row("South")
    assert step(over, live) == "backchannel say --channel South TEXT"


def test_what_is_owed_comes_first() -> None:
    assert step(row(waiting=["Wren"]), owed=1) == "backchannel sync"


def test_of_several_channels_the_one_is_named() -> None:
    assert step(row(), row("Two words", unread={"a": NOW + 1})) == (
        "backchannel read --channel 'Two words'"
    )


def test_of_several_channels_the_most_urgent_goes_first() -> None:
    called = {"incidents": [{"you_are_called": True, "state": "open", "id": "3f2a"}], "calls": []}
    quiet, line = row("North", notices=[{}]), row("Line", waiting=["Wren"])
    assert step(quiet, line) == "backchannel lobby --channel Line"
    found = [overview.of_channel(each, NOW) for each in (row("North", alarms=[{}]), line)]
    found[1]["hotline"] = called
    assert overview.next_step(found, [], 0) == "backchannel incident ack --channel Line 3f2a"


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
    standing_now = overview.of_channel(row(unread={"a": NOW + hours, "b": NOW + 99}), NOW)
    assert standing_now["unread_soon"] == soon


def test_what_cannot_be_opened_has_its_reason_and_a_next_step() -> None:
    found = overview.of_channel(row(refused=1, missed=2, missing=3, expired_unread=4), NOW)
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
