"""Cover as people meet it: whole programs, and time as it goes by."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from backchannel.client.exits import Exit
from tests.support.clients import Hours
from tests.support.member import Channel, Member, channel
from tests.support.relay import until

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.fixture(scope="module")
def north() -> Iterator[Channel]:
    with channel("Heron") as made:
        yield made


@contextmanager
def watching(member: Member, *more: str) -> Iterator[subprocess.Popen[str]]:
    process = member.start("watch", "--json", *more)
    with process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            yield process
        finally:
            process.terminate()


def comes(member: Member, text: str, *more: str) -> bool:
    return any(text in member.texts(*more) for _ in until(60))


def test_what_it_costs_is_said_and_nobody_is_hurried_into_it(north: Channel) -> None:
    code, error = north.facilitator.fails("policy", "set", "--cover", "60s", give="n\n")
    assert code == Exit.REFUSED
    assert "stay as they are" in error["message"]
    assert json.loads(north.facilitator.do("policy", "--json"))["cover_seconds"] == 0


def test_with_programs_that_stay_what_is_said_comes_at_a_turn(north: Channel) -> None:
    fox, heron = north.facilitator, north.people["Heron"]
    with watching(fox), watching(heron):
        fox.do("policy", "set", "--cover", "1s", "--yes")
        assert any(
            json.loads(heron.do("policy", "--json", "--offline"))["cover_seconds"] == 1
            for _ in until(60)
        )
        said = json.loads(heron.do("say", "by chance", "--json"))
        assert said["state"] == "queued"
        assert comes(fox, "by chance", "--offline")
        fox.do("--now", "say", "at once")
        assert comes(heron, "at once", "--offline")


def test_who_has_nothing_running_waits_until_its_turn_comes(north: Channel) -> None:
    fox = north.facilitator
    with fox.vault() as vault, vault.exclusive(Hours().now()), vault.transaction():
        row = vault.channels.get("North")  # as a minute later
        vault.channels.put_state(row.id, row.state, row.summary | {"stays": 0})
    said = json.loads(fox.do("say", "without a program", "--json"))
    assert said["state"] == "at-relay"
    assert comes(north.people["Heron"], "without a program")


def test_whole_pages_bring_what_is_said(north: Channel) -> None:
    fox, heron = north.facilitator, north.people["Heron"]
    with watching(heron, "--private", "10s", "--yes"):
        fox.do("--now", "say", "whole")
        assert comes(heron, "whole", "--offline")
