"""What a person sees of the outbox: said now, said for later, and how far it has come."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.clients import Client
from tests.support.people import PROGRAM, passphrase_file, program
from tests.support.several import Several, frozen, several


@pytest.fixture(scope="module")
def north() -> Iterator[Several]:
    """For all tests, in their order."""
    with several("Heron", count=2) as made:
        for client in made.party.clients.values():
            passphrase_file(client.vault._folder.path.parent)
        yield made


def run(client: Client, *words: str) -> subprocess.CompletedProcess[str]:
    home = client.vault._folder.path.parent
    return program(*words, home=home, env={"BACKCHANNEL_PASSPHRASE_FILE": str(home / "passphrase")})


def told(client: Client, *words: str) -> list[dict[str, Any]]:
    """The documents of a command that must succeed."""
    done = run(client, *words, "--json")
    assert done.returncode == 0, (done.stdout, done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines()]


def states(client: Client) -> dict[str, str]:
    return {each["text"]: each["state"] for each in told(client, "read", "--offline")}


def test_what_is_queued_waits_for_the_next_sync_though_relays_could_be_reached(
    north: Several,
) -> None:
    (said,) = told(north.fox, "say", "--queue", "For later.")
    assert said["state"] == "queued"
    assert states(north.fox) == {"For later.": "queued"}
    assert north.fox.vault.health.all() == {}, "no relay was asked"
    (status,) = told(north.fox, "status", "--offline")
    assert (status["queued"], status["outbox"] >= 2, status["next"]) == (
        1, True, "backchannel sync",
    )  # fmt: skip
    told(north.fox, "sync")
    assert states(north.fox) == {"For later.": "at-relay"}
    (status,) = told(north.fox, "status", "--offline")
    assert (status["queued"], status["outbox"]) == (0, 0)


def test_a_person_is_told_so_in_words(north: Several) -> None:
    done = run(north.fox, "say", "--queue", "In words.")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Queued; it goes with the next sync; expires ")
    assert "No relay has 1 message of yours yet." in run(north.fox, "status", "--offline").stdout
    shown = run(north.fox, "read", "--offline").stdout
    assert "in main [own, at relay]" in shown
    assert "in main [own, queued]" in shown


def test_say_returns_when_a_relay_has_it_and_takes_along_what_was_queued(north: Several) -> None:
    (said,) = told(north.fox, "say", "Now.")
    assert said["state"] == "at-relay"
    assert set(states(north.fox).values()) == {"at-relay"}


def test_an_answer_shows_that_it_was_seen(north: Several) -> None:
    told(north.heron, "say", "Heard.")
    told(north.fox, "sync")
    found = states(north.fox)
    assert found.pop("Heard.") is None, "of others nobody asks"
    assert set(found.values()) == {"seen"}
    assert "in main [own, seen]" in run(north.fox, "read", "--offline").stdout


def test_to_read_what_is_new_ends_when_there_is_nothing(north: Several) -> None:
    told(north.heron, "read")
    done = run(north.heron, "read", "--unread", "--json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_whoever_follows_hears_through_the_other_relay(north: Several) -> None:
    """The first is silent all the while."""
    home = north.heron.vault._folder.path.parent
    with frozen(north.relays[0]) as silent:
        following = subprocess.Popen(
            [*PROGRAM, "--home", str(home), "--passphrase-file", str(home / "passphrase"),
             "read", "--unread", "--follow", "--json"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert following.stdout is not None
        with following.stdout:
            for number in range(3):
                told(north.fox, "say", f"followed {number}")
                assert json.loads(following.stdout.readline())["text"] == f"followed {number}"
            following.terminate()
        following.wait(60)
        assert not silent.waited


def test_with_every_relay_down_all_else_works(north: Several) -> None:
    told(north.fox, "sync")
    for relay in north.relays:
        relay.stop()
    (said,) = told(north.fox, "say", "--queue", "Into the dark.")
    assert said["state"] == "queued"
    done = run(north.fox, "say", "Kept all the same.", "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["state"] == "queued"
    assert json.loads(done.stderr)["error"]["next"] == "backchannel sync"
    found = states(north.fox)
    assert (found["Into the dark."], found["Kept all the same."]) == ("queued", "queued")
    for number in range(2):
        north.come_back(number)
    told(north.fox, "sync")
    told(north.heron, "sync")
    heard = list(states(north.heron))
    assert heard[-2:] == ["Into the dark.", "Kept all the same."]
