"""Off the record, and read timers: real programs, an agent, a relay, and clocks set ahead."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backchannel.client.machine.profile import Profile
from backchannel.client.unlocking import unlocked
from backchannel.protocol.types import Timestamp, start_of
from tests.support import relay as relays
from tests.support.canaries import Hunt, told
from tests.support.member import LATER, Channel, Member, channel

pytestmark = [pytest.mark.system, pytest.mark.slow]
WORDS = "the minister would accept a longer pause, if nobody said so first"
ANSWER = "then nobody has said so, and we shall hear it from the mediator"


@pytest.fixture
def north() -> Iterator[Channel]:
    with channel("Heron", expires="72h") as made:
        yield made
        for person in made.people.values():
            unlocked.end(Profile.at(person.home))


def unlock(*people: Member) -> None:
    for each in people:
        each.do("unlock", "--for", "1h")


def corridor(north: Channel) -> Member:
    """A thread off the record that both know; who has been invited to it."""
    made = north.facilitator.json("thread", "new", "Corridor", "--off-record")
    assert made["off_record"]
    heron = north.people["Heron"]
    heron.do("sync")
    return heron


def files(home: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def kept(person: Member) -> dict[str, bytes]:
    """All that the vault's passphrase opens of what people said."""
    with person.vault() as vault:
        (row,) = vault.channels.list()
        rows = vault._database.all(
            "SELECT stored, expires, item, name, content FROM named_messages"
        )
        now = start_of(vault.hour(Timestamp(0)))
        opened = [
            vault.messages._items.open(tuple(each[:3]), row.id + each[4], now, each[3])
            for each in rows
        ]
        state = [row.state, json.dumps(row.summary).encode()]
        cores = vault._database.all("SELECT content FROM cores")
        held = [vault.cores.get(row.id, content, now) for (content,) in cores]
    every = enumerate([*opened, *state, *held])
    return {f"kept {number}": each for number, each in every if each is not None}


def test_what_is_said_off_the_record_is_in_no_file_and_ends_with_the_agent(
    north: Channel,
) -> None:
    fox, heron = north.facilitator, corridor(north)
    unlock(fox, heron)
    said = fox.json("say", WORDS, "--thread", "corridor")
    assert said["off_record"]
    heron.do("sync")
    (found,) = heron.lines("read", "--offline")
    assert (found["text"], found["off_record"]) == (WORDS, True)
    number = str(found["number"])
    heron.do("say", ANSWER, "--thread", "corridor", "--reply", number)
    assert fox.texts() == [WORDS, ANSWER]
    assert "[own, off the record]" in heron.do("read")
    heron.do("status")

    hunt = Hunt({"words": WORDS, "answer": ANSWER})
    for person in (fox, heron):
        assert told(hunt.search(files(person.home) | kept(person))) == []
        person.do("lock")
    for person in (fox, heron):
        assert person.texts("--offline") == []
    assert "not shown" not in heron.run("read").stderr, "both were read before"


def test_who_was_locked_before_reading_is_told_how_much_it_was_once(north: Channel) -> None:
    fox, heron = north.facilitator, corridor(north)
    unlock(fox, heron)
    fox.do("say", WORDS, "--thread", "corridor")
    heron.do("sync")
    heron.do("lock")
    shown = heron.run("read")
    assert WORDS not in shown.stdout
    assert "1 item off the record was not shown: the vault was not unlocked when" in shown.stderr
    assert "next: ask for it to be said again, after: backchannel unlock" in shown.stderr
    assert "off the record" not in heron.run("read").stderr
    (standing,) = heron.json("status")["channels"]
    assert (standing["unread"], standing["expired_unread"]) == (0, 0)


def test_without_an_agent_what_came_is_counted_and_who_speaks_is_told(north: Channel) -> None:
    fox, heron = north.facilitator, corridor(north)
    said = fox.run("say", WORDS, "--thread", "corridor")
    assert "At the relay, off the record; expires" in said.stdout
    assert "no later command shows this again" in said.stderr
    heron.do("sync")
    shown = heron.run("read", "--json")
    assert shown.stdout == ""
    note = json.loads(shown.stderr)
    assert (note["reason"], note["count"]) == ("off-record", 1)
    assert fox.texts() == []


def test_who_follows_sees_it_without_an_agent(north: Channel) -> None:
    fox, heron = north.facilitator, corridor(north)
    following = heron.start("read", "--follow", "--json")
    try:
        fox.do("say", WORDS, "--thread", "corridor")
        assert following.stdout is not None
        assert json.loads(following.stdout.readline())["text"] == WORDS
    finally:
        following.kill()
        following.communicate()
    assert heron.texts() == []


def test_who_follows_is_ended_by_the_lock(north: Channel) -> None:
    heron = north.people["Heron"]
    heron.do("unlock", "--for", "1h", "--idle", "15s")
    following = heron.start("read", "--follow")
    _, said = following.communicate(timeout=120)
    assert following.returncode == 8
    assert said == (
        "error: The vault was locked meanwhile, so this ends.\nnext: backchannel unlock\n"
    )


def test_its_words_go_nowhere_else(north: Channel) -> None:
    """Not by a file, a quote, another thread, a note, a release, a paraphrase, nor a transcript."""
    fox, heron = north.facilitator, corridor(north)
    unlock(fox, heron)
    heron.do("say", WORDS, "--thread", "corridor")
    number = str(fox.lines("read")[0]["number"])
    mine = str(heron.lines("read")[0]["number"])
    answer = ("say", "Well.", "--reply", number)
    for refused in (
        (*answer, "--quote", "the minister"),
        (*answer, "--thread", "main"),
        (*answer, "--to", "Heron"),
        ("paraphrase", number, "In other words."),
        ("say", WORDS, "--thread", "corridor", "--release", "exact"),
        ("say", WORDS, "--thread", "corridor", "--unattributed", "--yes"),
        ("say", "x" * 3000, "--thread", "corridor"),
    ):
        code, error = fox.fails(*refused)
        assert code in {2, 6}, refused
        assert "Nothing was" in error["message"] or "not said" in error["message"]
    assert heron.fails("release", mine, "--yes")[0] == 6
    (fox.home / "map.txt").write_text("a map")
    assert fox.fails("file", "send", str(fox.home / "map.txt"), "--thread", "corridor")[0] == 6
    fox.do(*answer)
    assert heron.texts() == [WORDS, "Well."]


def test_a_thread_goes_off_the_record_later_and_what_was_said_before_stays(
    north: Channel,
) -> None:
    fox, heron = north.facilitator, north.people["Heron"]
    fox.do("thread", "new", "Harbour")
    fox.do("say", "on the record", "--thread", "harbour")
    shown = fox.do("thread", "shorten", "harbour", "--off-record")
    assert "What was said before stays as it was." in shown
    assert "What is said in 'Harbour' is kept" in shown
    unlock(heron)
    fox.do("say", WORDS, "--thread", "harbour")
    assert heron.texts() == ["on the record", WORDS]
    alarms = heron.do("alarms")
    assert "A thread is off the record from now on" in alarms
    assert "Harbour" not in alarms
    assert "kept 3 days, off the record" in heron.do("thread", "list")
    heron.do("lock")
    assert heron.texts() == ["on the record"]


# --- Read timers ----------------------------------------------------------------------------------


def set_clocks(north: Channel, hours: int) -> None:
    """Everybody's system clock, the relay's included, is so far ahead."""
    later = (sys.executable, "-c", LATER + relays.PROGRAM[2], str(hours))
    north.relay.stop()
    north.come_back("--accept-clock", program=later)
    for person in north.people.values():
        person.ahead = hours


def test_what_was_read_burns_and_what_nobody_reads_lives_as_long_as_all(north: Channel) -> None:
    fox, heron = north.facilitator, north.people["Heron"]
    fox.do("thread", "new", "Ashes", "--burn", "2h", "--expires", "20h")
    fox.do("say", "Read at once.", "--thread", "ashes")
    fox.do("say", "To everybody.")
    (found, _) = sorted(heron.lines("read"), key=lambda each: str(each["thread"]))
    assert (found["text"], found["burns_hours"]) == ("Read at once.", 2)
    assert "burns 2 hours after reading]" in heron.do("read", "--offline")
    fox.do("say", "Read by nobody.", "--thread", "ashes")
    heron.do("sync")
    set_clocks(north, 2)
    assert heron.texts("--thread", "main", "--offline") == ["To everybody."]
    assert fox.texts("--offline") == ["To everybody."], "one's own burn from when they were sent"
    (standing,) = heron.json("status", "--offline")["channels"]
    assert (standing["unread"], standing["expired_unread"]) == (1, 0)
    assert sorted(heron.texts()) == ["Read by nobody.", "To everybody."]
    set_clocks(north, 4)
    assert heron.texts() == ["To everybody."]


def test_unread_it_dies_with_its_thread(north: Channel) -> None:
    fox, heron = north.facilitator, north.people["Heron"]
    fox.do("thread", "new", "Ashes", "--burn", "48h", "--expires", "3h")
    fox.do("say", "Brief.", "--thread", "ashes")
    heron.do("sync")
    assert "1 unread item expires within 6 hours." in heron.do("status")
    assert "North: 1 unread item expires within 6 hours." in heron.do("sync")
    beside = heron.run("read", "--thread", "main").stderr
    assert beside == "North: 1 unread item expires within 6 hours.\nnext: backchannel status\n"
    set_clocks(north, 3)
    assert "1 item expired unread" in heron.run("read").stderr


def test_a_timer_that_comes_later_holds_for_what_was_read_before(north: Channel) -> None:
    fox, heron = north.facilitator, north.people["Heron"]
    fox.do("thread", "new", "Ashes")
    fox.do("say", "Read before.", "--thread", "ashes")
    assert heron.texts() == ["Read before."]
    shown = fox.do("thread", "shorten", "ashes", "--burn", "1h")
    assert "Once it was read, for 1 hour; what was read before, from now." in shown
    heron.do("sync")
    assert "once read" in heron.do("alarms")
    set_clocks(north, 1)
    assert heron.texts("--offline") == []
    assert fox.texts("--offline") == []
