"""`watch`: a program that stays, keeps the line going, and tells what changes: row CL23."""

import configparser
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from backchannel.client.exits import Exit
from tests.support.member import Channel, Member, channel
from tests.support.relay import until

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.fixture(scope="module")
def north() -> Iterator[Channel]:
    with channel("Heron", "Ibis") as made:
        yield made


@contextmanager
def watching(member: Member, *more: str) -> Iterator[subprocess.Popen[str]]:
    process = member.start("watch", *more)
    with process:
        yield process
        process.terminate()


def next_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    found: dict[str, Any] = json.loads(process.stdout.readline())
    return found


def test_it_tells_what_comes_and_marks_nothing_as_read(north: Channel) -> None:
    heron = north.people["Heron"]
    with watching(heron, "--json") as process:
        assert next_line(process)["unread"] == 0
        north.facilitator.do("say", "Are you there?")
        told = next_line(process)
        assert told["channel"] == "North"
        assert told["unread"] == 1
        assert any("1 unread" in line for line in told["told"])
        assert "Are you there?" not in json.dumps(told)
    assert heron.texts("--unread") == ["Are you there?"]


def test_for_people_it_is_a_line(north: Channel) -> None:
    ibis = north.people["Ibis"]
    ibis.do("read")
    with watching(ibis) as process:
        north.facilitator.do("say", "Anybody?")
        assert process.stdout is not None
        line = process.stdout.readline()
        while "unread" not in line:
            line = process.stdout.readline()
        assert line.startswith("North: 1 unread")


def test_it_goes_on_while_the_relay_is_away_and_says_so_once(north: Channel) -> None:
    heron = north.people["Heron"]
    with watching(heron, "--json") as process:
        next_line(process)
        north.relay.kill()
        assert process.stderr is not None
        told = json.loads(process.stderr.readline())
        assert "Trying again" in told["note"]
        assert told["next"] == "backchannel doctor"
        north.come_back()
        north.facilitator.do("say", "Back")
        assert any("unread" in line for line in next_line(process)["told"])


def test_whoever_has_no_channel_is_told_what_to_do(north: Channel) -> None:
    nobody = Member.make("Nobody", north.folder)
    code, error = nobody.fails("watch")
    assert code == Exit.REFUSED
    assert error["next"] == "backchannel join URL"


def test_the_unit_runs_this_very_program_and_holds_no_passphrase(north: Channel) -> None:
    heron = north.people["Heron"]
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[method-assign,assignment]
    unit.read_string(heron.do("watch", "--unit"))
    start = unit["Service"]["ExecStart"]
    assert f'"--home" "{heron.home}" "watch" "--json"' in start
    assert "passphrase" not in start
    assert unit["Service"]["Restart"] == "always"


@contextmanager
def by_an_agent(member: Member, *verb: str, give: str = "") -> Iterator[subprocess.Popen[str]]:
    """A command that has the key of nobody else."""
    member.do("unlock")
    own = {k: v for k, v in member.env.items() if k != "BACKCHANNEL_PASSPHRASE_FILE"}
    with subprocess.Popen(
        [*member.command, *verb], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, env=own,
    ) as process:  # fmt: skip
        try:
            assert process.stdin is not None
            process.stdin.write(give)
            process.stdin.close()
            yield process
        finally:
            process.kill()


def test_attack_168_who_waits_to_be_admitted_ends_with_the_lock(north: Channel) -> None:
    """Nothing is kept, and nobody is greeted, by a vault that was locked."""
    jay, words = Member.make("Jay", north.folder), north.invite("Jay")["words"] + "\n"
    with by_an_agent(jay, "join", north.relay.url, "--yes", "--wait", give=words) as process:
        for _ in until(60):
            if north.facilitator.json("lobby")["waiting"]:
                break
        jay.do("lock")
        north.facilitator.do("admit", "Jay")
        assert process.wait(60) == Exit.LOCKED
    assert jay.json("channel", "list")["channels"] == []


def test_attack_168_who_watches_a_lobby_alone_ends_with_the_lock(north: Channel) -> None:
    kite, words = Member.make("Kite", north.folder), north.invite("Kite")["words"] + "\n"
    kite.do("join", north.relay.url, "--yes", give=words)
    north.relay.kill()
    with by_an_agent(kite, "watch") as process:
        assert process.stderr is not None
        assert "Trying again" in process.stderr.readline()
        kite.do("lock")
        assert process.wait(60) == Exit.LOCKED
    north.come_back()
