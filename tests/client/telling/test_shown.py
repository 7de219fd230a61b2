"""How a message is shown: who, to whom, with what label; and what `status` says of a channel."""

import json
from typing import Any

import pytest

from backchannel.client.keeping.reader import _gaps
from backchannel.client.telling import bulletin, people, shown
from backchannel.client.telling.shown import Opened
from backchannel.client.vault.messages import Message
from backchannel.protocol import command as commands
from backchannel.protocol.outcome import NOBODY
from backchannel.protocol.transcript import Post
from backchannel.protocol.types import MAIN_THREAD, ContentHash, Hour, MessageId, Slot
from tests.support.world import World


@pytest.fixture(scope="module")
def world() -> World:
    return World.of(2)


def a_message(world: World, author: int, **plain: Any) -> Opened:
    state = world.founder.state
    known = {"kind": "text", "from": people.alias(state, author), "number": 7, "text": "Words."}
    message = Message(
        state.id, ContentHash(bytes(32)), MessageId(bytes(16)), Slot(author), MAIN_THREAD,
        Hour(500_000), 1, Hour(500_024), json.dumps(known | plain).encode(),
    )  # fmt: skip
    (found,) = shown.opened([message])
    return found


@pytest.mark.parametrize(
    ("author", "plain", "expected"),
    [
        (0, {"authority": "own"}, "  7  Founder in main [own]"),
        (1, {"authority": "sounding"}, "  7  Guest 1 (unverified) in main [sounding]"),
        (1, {"authority": "own", "carried": True},
         "  7  Guest 1 (unverified) in main [own, carried from elsewhere]"),
        (1, {"authority": "own", "out_of_turn": True},
         "  7  Guest 1 (unverified) in main [own, out of turn]"),
        (1, {"authority": "own", "release": "exact"},
         "  7  Guest 1 (unverified) in main [own, may be carried]"),
        (1, {"kind": "note", "to": "Founder", "authority": "own"},
         "  7  Guest 1 (unverified) to you alone [own]"),
        (0, {"kind": "note", "to": "Guest 1", "authority": "own"},
         "  7  Founder to Guest 1 alone [own]"),
        (NOBODY, {"from": "", "authority": "own"}, "  7  somebody in main [unattributed]"),
        (1, {"kind": "file", "name": "a.pdf", "size": 1}, "  7  Guest 1 (unverified) in main"),
        (1, {"from": "Heron", "authority": "own"}, "  7  Heron (gone) in main [own]"),
    ],
)  # fmt: skip
def test_the_heading(world: World, author: int, plain: dict[str, Any], expected: str) -> None:
    found = a_message(world, author, **plain)
    assert shown.heading(found, world.founder.state) == expected


def test_attack_38_a_name_a_topic_or_a_file_cannot_draw_a_line_of_ours(world: World) -> None:
    found = a_message(world, 1, kind="file", name="a\nALARM\x1b[2J.pdf", size=2_100_000)
    assert shown.body(found) == "a ALARM\ufffd[2J.pdf, 2.1 MB"
    quoted = a_message(world, 1, quote="one\ntwo").plain
    assert shown.refers(world.founder.state, quoted, None) == ["quotes: “one two”"]


def test_an_answer_names_what_it_answers_in_a_few_words(world: World) -> None:
    state, first = world.founder.state, a_message(world, 0, text="We could\nmeet. " + "x" * 90)
    (line,) = shown.refers(state, a_message(world, 1, about="00" * 16).plain, first)
    assert line.startswith("answers 7, Founder: “We could meet. xxx")
    assert len(line) < 80
    lost = shown.refers(state, a_message(world, 1, about="ff" * 16).plain, None)
    assert lost == ["answers a message that is not here, or no more"]


def test_acts_and_releases_are_no_messages(world: World) -> None:
    message = a_message(world, 0).message
    plain = json.dumps({"kind": "act", "from": "Fox"}).encode()
    assert shown.opened([message._replace(plain=plain)]) == []


def test_a_gap_is_shown_once_it_was_asked_for_and_in_its_place() -> None:
    world = World.of(2)
    founder, lost = world.founder, ContentHash(b"l" * 32)
    state = founder.state
    state.transcript.posts[ContentHash(b"a" * 32)] = Post(Hour(500_000), 9, 2, Slot(1), (lost,))
    state.transcript.posts[ContentHash(b"b" * 32)] = Post(Hour(500_000), 4, 2, Slot(1), (lost,))
    state.transcript.missing[lost] = Hour(500_000)
    state.want("core", 1, lost, founder.now)
    assert _gaps(state) == []
    world.pass_time(seconds=60)
    founder.tick()
    assert _gaps(state) == [(500_000, 4, lost)]


QUIET: dict[str, Any] = {
    "ended": "", "alarms": [], "rivals": 0, "notices": [], "differs": [], "not_shown": [],
    "unread": 0, "unread_hours_left": None, "unread_soon": 0,
    "expired_unsent": 0, "proposals": [], "candidates": [], "asked_release": 0, "drafts": [],
    "agreed_until": None, "unverified": [], "floor": None, "hands": [], "leaving": [],
    "epoch": {"number": 1, "age_hours": 5, "due": "", "vouchers_needed": []}, "not_here": [],
    "change_waits": False, "waiting": [], "invited": 0, "newcomer": False,
    "policy": {"lifetime": 24, "format": "plenary", "unattributed": 0, "vouches": 2},
    "standing": "open", "standing_hours": 400, "role": "facilitator", "expires_hours": 24,
    "alive": {"parties": [], "pulse_hours": 24, "read_hours_ago": 0, "lost": None, "behind": []},
}  # fmt: skip


def test_a_channel_in_order_is_silent_and_an_alarm_comes_first() -> None:
    assert bulletin.lines(QUIET) == []
    alarm = {"kind": "record", "alias": "Heron", "name": "", "at": 0}
    loud = bulletin.lines(QUIET | {"unread": 2, "unread_hours_left": 3, "alarms": [alarm]})
    assert loud[0].startswith("ALARM: The record of Heron differs from yours")
    assert loud[1].startswith("2 unread")


def test_a_newcomer_is_told_who_has_not_greeted_it() -> None:
    new = QUIET | {"newcomer": True, "not_here": ["Fox", "Ibis"]}
    assert bulletin.lines(new) == [
        "What Fox and Ibis say opens here once their programs have greeted you."
    ]
    assert bulletin.lines(QUIET | {"newcomer": True}) == []


def test_every_key_that_status_counts_has_a_line() -> None:
    proposal = {
        "policy": {"lifetime": 48}, "by": "Fox", "yes": ["Fox"], "missing": ["Ibis"], "no": [],
        "closes": False, "ends": None,
    }  # fmt: skip
    who = {"alias": "Wren", "party": "South", "role": "observer", "vouched": [], "objected": False}
    for key, value in {
        "rivals": 1, "differs": ["Heron"], "unread_soon": 1,
        "expired_unsent": 1, "asked_release": 1, "agreed_until": "noon",
        "notices": [{"what": "lost", "alias": "", "detail": "4", "at": 0}],
        "proposals": [proposal | {"for_me": True}], "candidates": [who | {"mine": False}],
        "drafts": [{"number": 1, "until": 3600, "refused": ""}], "unverified": ["Heron"],
        "floor": "Heron", "hands": ["Ibis"], "leaving": ["Ibis"], "not_here": ["Ibis"],
        "epoch": {"number": 1, "age_hours": 400, "due": "", "vouchers_needed": []},
        "change_waits": True, "waiting": ["Wren"], "invited": 1,
    }.items():  # fmt: skip
        assert len(bulletin.lines(QUIET | {key: value})) == 1, key
    for reason in ("refused", "missed", "missing", "expired-unread"):
        (line,) = bulletin.lines(QUIET | {"not_shown": [{"reason": reason, "count": 2}]})
        assert ". Next: " in line
    assert bulletin.lines(QUIET | {"ended": "left", "hands": ["Ibis"]}) == [
        "You are a member no more: you have left."
    ]


SOUTH = {"party": "South", "state": "alive", "heard_at": "2026-07-02T14:00Z", "hours": 2}


@pytest.mark.parametrize(
    ("alive", "said"),
    [
        ({"parties": [SOUTH]}, ["Party South: alive, 2 hours ago."]),
        (
            {"read_hours_ago": 60},
            ["That is as of 2 days ago: this machine has read nothing since."],
        ),
        ({"read_hours_ago": 24}, []),
        (
            {"behind": [{"alias": "Ibis", "hours": 460}]},
            [
                (
                    "Ibis has been silent for 19 days and cannot find the newest keys. "
                    "Next: backchannel handover Ibis NEWNAME"
                )
            ],
        ),
        (
            {
                "parties": [SOUTH],
                "lost": {"sure": True, "away_hours": 0, "ask": [], "next": "backchannel join URL"},
            },
            [
                "You were away for longer; what is said here is kept for 24 hours.",
                "There are new keys by now, and what would give them to this machine has expired.",
                "Ask another facilitator for a new invite. Next: backchannel join URL",
            ],
        ),
    ],
)
def test_who_is_there_and_who_was_away(alive: dict[str, Any], said: list[str]) -> None:
    assert bulletin.lines(QUIET | {"alive": QUIET["alive"] | alive}) == said


def test_only_who_facilitates_is_told_of_who_lacks_keys() -> None:
    behind = QUIET["alive"] | {"behind": [{"alias": "Ibis", "hours": 460}]}
    assert bulletin.lines(QUIET | {"alive": behind, "role": "participant"}) == []


@pytest.mark.parametrize(
    ("no", "for_me", "said"),
    [
        ([], False, ["Fox proposes to close this channel for good, on 15 January 2027 at the"]),
        (
            [],
            True,
            [
                "Fox proposes to close this channel for good, on 15 January 2027 at the",
                "Yes: backchannel channel close. No: backchannel channel object",
            ],
        ),
        (["Ibis"], False, ["Fox proposes to close this channel for good; Ibis objects, so it"]),
        (["A", "B"], False, ["Fox proposes to close this channel for good; some object, so it"]),
    ],
)
def test_a_closing_that_is_proposed(no: list[str], for_me: bool, said: list[str]) -> None:
    proposal = {"by": "Fox", "closes": True, "no": no, "for_me": for_me, "ends": 500_000}
    shown = bulletin.lines(QUIET | {"proposals": [proposal]})
    assert [each[: len(wanted)] for each, wanted in zip(shown, said, strict=True)] == said


def test_an_observer_is_not_asked_and_who_objected_is_not_named() -> None:
    who = {"alias": "Wren", "party": "South", "role": "observer", "vouched": ["A"], "mine": True}
    (line,) = bulletin.lines(QUIET | {"candidates": [who | {"objected": True}]})
    assert line == ("Wren (South, observer) is presented: 1 vouched, 2 must; somebody objects.")


def test_the_marks_survive_what_is_known_of_the_channel(world: World) -> None:
    world.founder.act(commands.Compare())
    assert people.shown(world.founder.state, 1) == "Guest 1"
