"""The main job, as people and scripts do it: a relay, three homes, ordinary commands."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from backchannel.client.demo.evidence import search, words_of
from tests.support.member import Channel, Member, channel
from tests.support.relay import RelayProcess

pytestmark = [pytest.mark.system, pytest.mark.slow]

NAMES = {"Heron": "Northern side", "Osprey": "Southern side"}
SAID = {
    "Fox": "Gentlemen, the mackerel question remains.",
    "Heron": "Tuesday would suit our captains.",
    "Osprey": "Équilibre \u2014 d'accord, \u062f\u0631\u0648\u062f.",
}


@pytest.fixture(scope="module")
def north() -> Iterator[Channel]:
    with channel() as made:
        yield made


@pytest.fixture(scope="module")
def talked(north: Channel) -> Channel:
    """Three people in a channel who have said something each in a thread."""
    for alias, party in NAMES.items():
        check_joining(north, alias, party)
    north.settle()
    north.facilitator.json("thread", "new", "Quayside prices", "--expires", "24h")
    for name, person in north.people.items():
        done = person.json("say", SAID[name], "--thread", "quay")
        assert done["state"] == "at-relay"
        assert len(bytes.fromhex(done["id"])) == 16
    return north


def check_joining(north: Channel, alias: str, party: str) -> None:
    """One newcomer's way in, with all that scripts rely on."""
    invited = north.invite(alias, party)
    assert invited["relay"] == north.relay.url
    assert len(invited["words"].split(" ")) == 12
    guest = Member.make(alias, north.folder)
    shown, joined = guest.lines("join", invited["relay"], give=f"{invited['words']}\ny\n")
    assert shown["state"] == "invited"
    assert shown["charter"]
    assert (joined["state"], joined["alias"]) == ("waiting", alias)
    assert guest.json("status", "--offline")["joins"][0]["alias"] == alias
    (waiting,) = north.facilitator.json("lobby")["waiting"]
    assert (waiting["alias"], waiting["party"]) == (alias, party)
    assert waiting["check_words"] == joined["check_words"]
    assert len(waiting["check_words"].split(" ")) == 6
    assert north.facilitator.json("status", "--offline")["next"] == "backchannel lobby"
    assert north.facilitator.json("admit", alias)["state"] == "admitted"
    told = guest.do("sync")
    assert f"You are in North, as {alias}: " in told
    assert "next: backchannel read, then: backchannel say TEXT" in told
    assert guest.json("sync")["joined"] == []
    north.people[alias] = guest


def test_everybody_reads_the_same(talked: Channel) -> None:
    for name, person in talked.people.items():
        found = person.lines("read", "--thread", "quayside")
        assert {each["from"]: each["text"] for each in found} == SAID
        assert {each["thread"] for each in found} == {"Quayside prices"}
        assert {each["kind"] for each in found} == {"text"}
        assert [each["from"] for each in found if each["you"]] == [name]
        assert all(each["sent_at"] < each["expires_at"] for each in found)


def test_everybody_sees_the_same_roster(talked: Channel) -> None:
    seen = {name: person.json("members") for name, person in talked.people.items()}
    assert len({each["roster_words"] for each in seen.values()}) == 1
    assert len(seen["Fox"]["roster_words"].split(" ")) == 10
    for name, each in seen.items():
        members = [(m["alias"], m["party"], m["role"]) for m in each["members"]]
        assert members == [
            ("Fox", "Facilitation", "facilitator"),
            ("Heron", NAMES["Heron"], "participant"),
            ("Osprey", NAMES["Osprey"], "participant"),
        ]
        assert [m["alias"] for m in each["members"] if m["you"]] == [name]


def test_what_was_said_before_somebody_came_is_no_damage_to_them(talked: Channel) -> None:
    for person in talked.people.values():
        (standing,) = person.json("status", "--offline")["channels"]
        assert (standing["refused_blocks"], standing["missed_blocks"]) == (0, 0)


def test_the_relay_has_seen_only_noise(talked: Channel) -> None:
    texts = (*SAID.values(), *NAMES, *NAMES.values(), "Fox", "North", "Quayside prices")
    files = {path.name: path.read_bytes() for path in talked.relay.data.rglob("*")}
    files["log"] = talked.relay.log.read_bytes()
    found = search(words_of(*texts) - {"Fox", "North"}, files)
    assert found.found == []
    assert found.size > 100_000


def test_every_stored_block_has_one_size(talked: Channel) -> None:
    with closing(database(talked.relay)) as connection:
        sizes = connection.execute("SELECT DISTINCT length(sealed) FROM blocks").fetchall()
    assert sizes == [(12 + 4096 + 16,)]


def database(relay: RelayProcess) -> sqlite3.Connection:
    return sqlite3.connect(f"{(relay.data / 'relay.db').as_uri()}?mode=ro", uri=True)


def blocks(relay: RelayProcess) -> int:
    with closing(database(relay)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM blocks").fetchone()
    return int(count)


def test_a_short_and_a_long_message_are_one_block_each(talked: Channel) -> None:
    talked.settle()
    for text in ("a", "\u00e9" * 1250):
        before = blocks(talked.relay)
        talked.people["Heron"].json("say", text)
        assert blocks(talked.relay) == before + 1
    assert talked.people["Osprey"].texts()[-2:] == ["a", "\u00e9" * 1250]


def test_a_long_message_comes_whole_from_standard_input(talked: Channel) -> None:
    text = "A long proposal. " * 1200
    talked.people["Osprey"].json("say", "-", give=text)
    assert talked.facilitator.texts()[-1] == text.removesuffix("\n")


def test_text_from_others_cannot_move_the_cursor(talked: Channel) -> None:
    talked.people["Heron"].json("say", "-", give="red \x1b[31m \u202egnp.exe\x9b2J\r\x07")
    for shown in (talked.people["Osprey"].do("read"), talked.people["Osprey"].texts()[-1]):
        assert not {"\x1b", "\u202e", "\x9b", "\r", "\x07"} & set(shown)


def test_standard_output_is_documents_alone(talked: Channel) -> None:
    for verb in (
        ["status"], ["status", "--offline"], ["members"], ["thread", "list"], ["channel", "show"],
        ["channel", "list"], ["sync"], ["read"], ["lobby"], [],
    ):  # fmt: skip
        done = talked.facilitator.run(*verb, "--json")
        assert done.returncode == 0, done.stderr
        assert all(json.loads(line)["schema_version"] == 1 for line in done.stdout.splitlines())
        assert done.stderr == ""


def test_sentences_fit_a_screen(talked: Channel) -> None:
    for verb in (["status"], ["members"], ["thread", "list"], ["channel", "show"], ["read"]):
        assert max(map(len, talked.people["Heron"].do(*verb).splitlines())) <= 80


def test_unread_is_counted_until_it_is_read(talked: Channel) -> None:
    heron, osprey = talked.people["Heron"], talked.people["Osprey"]
    heron.do("read")
    osprey.json("say", "Count me.")
    heron.do("sync")
    (standing,) = heron.json("status", "--offline")["channels"]
    assert standing["unread"] == 1
    assert heron.texts("--unread") == ["Count me."]
    (standing,) = heron.json("status", "--offline")["channels"]
    assert standing["unread"] == 0


def test_what_was_fetched_is_read_without_the_relay(talked: Channel) -> None:
    seen = talked.people["Heron"].texts()
    talked.relay.kill()
    try:
        assert talked.people["Heron"].texts("--offline") == seen
        done = talked.people["Heron"].run("read", "--json")
        assert done.returncode == 3
        assert [json.loads(line)["text"] for line in done.stdout.splitlines()] == seen
    finally:
        talked.come_back()


def test_only_a_facilitator_invites_and_admits(talked: Channel) -> None:
    for verb in (["invite", "Wren"], ["lobby"], ["admit", "Wren"], ["refuse", "Wren"]):
        code, error = talked.people["Heron"].fails(*verb)
        assert (code, error["code"]) == (6, "refused")


def test_a_vault_holds_nothing_in_the_clear(talked: Channel) -> None:
    texts = words_of(*SAID.values(), *NAMES.values(), "Quayside prices", talked.relay.url)
    for person in talked.people.values():
        files = {path.name: path.read_bytes() for path in Path(person.home).rglob("*.*")}
        assert search(texts, files).found == []
