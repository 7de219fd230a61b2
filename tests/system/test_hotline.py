"""A hotline between two sides, played end to end by real programs over a real relay."""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backchannel.client.exits import Exit
from backchannel.protocol.drop import show_voucher
from tests.support import relay as relays
from tests.support.member import Channel, Member

pytestmark = [pytest.mark.system, pytest.mark.slow]


@contextlib.contextmanager
def hotline() -> Iterator[Channel]:
    """Fox of the Bridge facilitates, Heron is of the North, Wren of the South."""
    with tempfile.TemporaryDirectory(prefix="hotline-") as name, relays.running_relay() as relay:
        folder = Path(name)
        fox = Member.make("Fox", folder)
        vouchers = "\n".join(map(show_voucher, relay.mint(8)))
        more = ("--relay", relay.url, "--vouchers", "-", "--kind", "hotline", "--alias", "Fox")
        fox.do("channel", "new", "Line", *more, "--party", "Bridge", give=vouchers)
        made = Channel(relay, folder, fox, {"Fox": fox})
        made.admit("Heron", "North")
        made.admit("Wren", "South")
        yield made


@pytest.fixture(scope="module")
def line() -> Iterator[Channel]:
    """Nobody goes in the tests that share it."""
    with hotline() as made:
        yield made


@pytest.fixture
def other_line() -> Iterator[Channel]:
    """For a test that takes it apart."""
    with hotline() as made:
        yield made


def people(line: Channel) -> tuple[Member, Member, Member]:
    return line.facilitator, line.people["Heron"], line.people["Wren"]


def board(member: Member, *more: str) -> dict[str, Any]:
    """What `status` knows of the hotline."""
    (found,) = member.json("status", *more)["channels"]
    hotline: dict[str, Any] = found["hotline"]
    return hotline


def test_an_incident_goes_all_its_way_and_each_side_sees_the_same(line: Channel) -> None:
    _, heron, wren = people(line)
    opened = heron.json(
        *("incident", "open", "Shots at the bridge.", "--sev", "high", "--place", "P7"),
        *("--ack", "10m", "--respond", "2h", "--hold-fire"),
    )
    assert (opened["state"], opened["called"], opened["sent"]) == ("open", ["Wren"], "at-relay")
    name = opened["id"]
    assert f"next: backchannel incident ack {name}" in wren.do("status")
    assert wren.run("incident", "list", "--check").returncode == Exit.OVERDUE
    assert wren.run("status", "--check").returncode == Exit.OVERDUE
    assert wren.json("incident", "ack", name, "We are asking.")["state"] == "acknowledged"
    assert wren.run("incident", "list", "--check").returncode == 0
    (seen,) = board(heron)["incidents"]
    assert (seen["state"], seen["text"]) == ("acknowledged", "We are asking.")
    wren.do("incident", "update", "Our people hold fire.")
    assert "Wren (South) says “Our people hold fire.”" in heron.do("incident", "list")
    assert heron.json("incident", "close", name)["state"] == "answered"
    assert wren.json("incident", "close")["state"] == "closed"
    shown = heron.json("incident", "show", name)
    assert [(each["from"], each["act"]) for each in shown["said"]] == [
        ("Heron", "reports"), ("Wren", "acknowledges"), ("Wren", "goes on"),
        ("Heron", "has done with it"), ("Wren", "has done with it"),
    ]  # fmt: skip
    assert board(heron)["incidents"] == []
    heron.do("incident", "list", "--check")


def test_who_follows_is_called_while_it_reads(line: Channel) -> None:
    _, heron, wren = people(line)
    following = wren.start("read", "--follow", "--json")
    try:
        assert following.stdout is not None
        name = heron.json("incident", "open", "A drone over P9.")["id"]
        told = next(each for each in map(json.loads, following.stdout) if each.get("id") == name)
        assert (told["kind"], told["you_are_called"]) == ("incident", True)
        heron.do("incident", "close", name)
        wren.do("incident", "close", name)
        told = next(each for each in map(json.loads, following.stdout) if each["state"] == "closed")
        assert told["id"] == name
    finally:
        following.terminate()
        following.communicate()


def test_an_incident_is_opened_with_one_question(line: Channel) -> None:
    _, heron, wren = people(line)
    name = heron.json("incident", "open", give="A wire was cut.\n")["id"]
    (found,) = board(wren)["incidents"]
    assert (found["id"], found["text"], found["severity"]) == (name, "A wire was cut.", "medium")
    assert (found["ack_minutes"], found["respond_minutes"]) == (30, 360)
    for member in (heron, wren):
        member.do("incident", "close", name)
    for text in ("two\nlines\x07", " "):
        code, error = heron.fails("incident", "open", text, give="")
        assert code == 2, error


def test_what_counts_for_nothing_is_said_and_what_is_not_there_is_not_found(line: Channel) -> None:
    fox, heron, wren = people(line)
    name = heron.json("incident", "open", "Again.")["id"]
    assert "does not count" in heron.do("incident", "ack", name)
    assert "does not count" in fox.do("incident", "ack", name)
    assert board(wren)["incidents"][0]["state"] == "open"
    code, error = wren.fails("incident", "ack", "ffffffff")
    assert (code, error["next"]) == (9, "backchannel incident list")
    other = wren.json("incident", "open", "The same.", "--sev", "low")["id"]
    merged = wren.json("incident", "merge", name, other)
    assert (merged["id"], merged["state"], merged["severity"]) == (name, "open", "medium")
    assert len(merged["merged"]) == 1
    code, _ = wren.fails("incident", "merge", name, other)
    assert code == 6
    for member in (heron, wren):
        member.do("incident", "close", name)
    assert board(fox)["incidents"] == []


def test_a_test_is_echoed_by_the_other_sides_program_and_timed(line: Channel) -> None:
    _, heron, wren = people(line)
    following = wren.start("read", "--follow")
    try:
        sent = heron.json("hotline", "test", "--wait", "60s")
    finally:
        following.terminate()
        following.communicate()
    assert sent["not_yet"] == []
    assert list(sent["echo_seconds"]) == ["South"]
    found = {each["party"]: each for each in heron.json("hotline", "status")["lines"]}
    assert found["South"]["echo_seconds"] == sent["echo_seconds"]["South"]
    (seen,) = [each for each in board(wren)["lines"] if each["party"] == "North"]
    assert seen["last_test_heard_at"] is not None
    assert heron.run("hotline", "status", "--check").returncode == 0


def test_a_test_that_nobody_echoes_alarms_at_both_ends(other_line: Channel) -> None:
    fox, heron, wren = people(other_line)
    every = ("--watch", "Heron: always", "--watch", "Wren: always", "--tests", "1h")
    fox.do("duty", "set", *every)
    wren.do("sync")
    sent = heron.json("hotline", "test", "--wait", "0s", "--within", "1m")
    assert sent["not_yet"] == ["South"]
    assert heron.run("hotline", "status", "--check", "--offline").returncode == 0
    heron.ahead = wren.ahead = 3
    told = heron.run("hotline", "status", "--check", "--offline")
    assert told.returncode == Exit.OVERDUE
    assert "South has not echoed the test" in told.stdout
    told = wren.run("hotline", "status", "--check", "--offline")
    assert told.returncode == Exit.OVERDUE
    assert "The agreed tests of North have stopped coming." in told.stdout
    other_line.relay.stop()
    try:
        told = wren.run("hotline", "status", "--check")
    finally:
        other_line.come_back()
    assert told.returncode == Exit.OVERDUE
    assert "What is shown was fetched before." in told.stderr


def test_the_duty_list_covers_every_hour_or_says_which_not(
    other_line: Channel, tmp_path: Path
) -> None:
    fox, heron, wren = people(other_line)
    code, _ = heron.fails("duty", "set", "--watch", "Heron: always")
    assert code == 6
    assert fox.run("duty", "check").returncode == Exit.OVERDUE
    listed = tmp_path / "duty.toml"
    listed.write_text(
        'tests = "24h"\nladder = ["Fox"]\n[watch]\nHeron = "always"\nWren = "mon-fri"\n'
    )
    fox.do("duty", "set", str(listed))
    told = heron.json("duty", "show")
    assert (told["tests_hours"], told["ladder"]) == (24, ["Fox"])
    assert told["gaps"] == {"South": "Sat 00:00 to Mon 00:00"}
    check = heron.run("duty", "check")
    assert (check.returncode, "Sat 00:00 to Mon 00:00" in check.stdout) == (Exit.OVERDUE, True)
    fox.do("duty", "set", str(listed), "--watch", "Wren: always")
    assert heron.run("duty", "check").returncode == 0
    assert wren.json("duty", "now")["on_duty"] == {"North": ["Heron"], "South": ["Wren"]}
    other_line.admit("Owl", "South")
    assert other_line.people["Owl"].json("duty", "show")["ladder"] == ["Fox"]  # it was told
    fox.do("remove", "Wren", "--yes")
    assert "Nobody of South is on duty at all" in fox.do("status")
    for bad in ("Wren", "Heron: sometimes", "Nobody Here: always"):
        code, error = fox.fails("duty", "set", "--watch", bad)
        assert code in {2, 9}, error
    listed.write_text("watch = 3\n")
    assert fox.fails("duty", "set", str(listed))[0] == 2


def test_everybody_is_called_together_and_answers(line: Channel) -> None:
    fox, heron, wren = people(line)
    fox.do("convene", "call", "The bridge, by telephone", "What happened", "--in", "2h")
    shown = wren.do("status")
    assert "CONVENE: Fox (Bridge) calls everybody together" in shown
    assert "next: backchannel convene yes" in shown
    wren.do("convene", "yes")
    heron.do("convene", "no")
    (call,) = fox.json("convene", "list")["calls"]
    assert (call["coming"], call["not_coming"]) == (["Fox", "Wren"], ["Heron"])
    assert "CONVENE" not in wren.do("status")
    for when in (("--at", "25:00"), ("--at", "2020-01-01T10:00Z"), ("--at", "10:00", "--in", "1h")):
        assert fox.fails("convene", "call", "here", "now", *when)[0] == 2
    assert heron.fails("convene", "yes", "ffffffff")[0] == 9


def test_of_several_channels_the_only_hotline_is_meant(line: Channel) -> None:
    fox = line.facilitator
    vouchers = "\n".join(map(show_voucher, line.relay.mint(1)))
    more = ("--relay", line.relay.url, "--vouchers", "-")
    fox.do("channel", "new", "Plenary", *more, give=vouchers)
    assert fox.json("duty", "show")["channel"] == "Line"
    code, error = fox.fails("hotline", "status", "--channel", "Plenary")
    assert (code, error["message"]) == (6, "Plenary is no hotline. Nothing was done.")


def test_what_was_said_of_an_incident_dies_with_its_hour(other_line: Channel) -> None:
    _, heron, wren = people(other_line)
    heron.do("incident", "open", "Secret words of an incident.")
    assert "Secret words" in wren.do("status")
    wren.ahead = 24
    wren.do("tick", "--accept")
    assert "Secret words" not in wren.do("status", "--offline")
    with wren.vault() as vault:
        (row,) = vault.channels.list()
        assert "Secret words" not in json.dumps(row.summary)
        assert b"Secret words" not in row.state
