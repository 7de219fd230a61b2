"""Twelve words: typed as people type them, and the three ways in which they do not work."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.support.liar import Liar, http
from tests.support.member import Channel, Member, channel
from tests.support.relay import running_relay

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.fixture(scope="module")
def north() -> Iterator[Channel]:
    with channel() as made:
        yield made


def newcomer(north: Channel, name: str) -> Member:
    return Member.make(name, north.folder)


def test_mistyped_words_are_told_before_anything_is_asked_of_anybody(north: Channel) -> None:
    guest = newcomer(north, "Typo")
    words = "abandon " * 11 + "zoo"
    with Liar(lambda _: [http(200, b"{}")]) as nobody:
        code, error = guest.fails("join", nobody.url, "--yes", give=words)
        assert nobody.requests == []
    assert (code, error["code"]) == (2, "words-mistyped")
    assert "ask for a new invite" in error["next"]


@pytest.mark.parametrize(
    "words", ["", "one two three", "zzz " * 12], ids=["none", "few", "strange"]
)
def test_what_are_no_twelve_words_is_mistyped_too(north: Channel, words: str) -> None:
    guest = newcomer(north, f"Typo{len(words)}")
    code, _ = guest.fails("join", north.relay.url, "--yes", give=words)
    assert code == 2


def test_used_words_say_so(north: Channel) -> None:
    invited = north.invite("Wren")
    for name, expected in (("Wren", 0), ("Late", 7)):
        done = newcomer(north, name).run(
            "join", north.relay.url, "--yes", "--json", give=invited["words"]
        )
        assert done.returncode == expected, done.stderr
        if not expected:
            north.facilitator.do("admit", "Wren")
    assert "invite-over" in done.stderr
    assert "used" in done.stderr
    assert "ask for a new invite" in done.stderr


def test_words_of_another_relay_are_unknown(north: Channel) -> None:
    words = north.invite("Strayed")["words"]
    with running_relay() as other:
        code, error = newcomer(north, "Strayed").fails("join", other.url, "--yes", give=words)
    assert (code, error["code"]) == (9, "invite-unknown")
    assert "ask for a new invite" in error["next"]


def test_withdrawn_words_say_so(north: Channel) -> None:
    words = north.invite("Dropped")["words"]
    north.facilitator.do("refuse", "Dropped")
    code, error = newcomer(north, "Dropped").fails("join", north.relay.url, "--yes", give=words)
    assert (code, error["code"]) == (7, "invite-over")
    assert "withdrawn" in error["message"]


def test_case_commas_and_long_words_do_not_matter(north: Channel) -> None:
    words = north.invite("Sloppy")["words"].split(" ")
    typed = ", ".join(word[:4].upper() if len(word) > 3 else word for word in words)
    joined = newcomer(north, "Sloppy").json("join", north.relay.url, "--yes", give=typed)
    assert joined["state"] == "waiting"


def test_no_is_the_default_and_leaves_nothing(north: Channel) -> None:
    words = north.invite("Shy")["words"]
    guest = newcomer(north, "Shy")
    for answer in ("n", "", "maybe"):
        done = guest.run("join", north.relay.url, give=f"{words}\n{answer}\n")
        assert done.returncode == 6
        assert "Nothing was sent" in done.stderr
    assert guest.json("status", "--offline")["joins"] == []
    assert "Shy" in north.facilitator.json("lobby")["invited"]


def test_all_is_shown_before_the_question(north: Channel) -> None:
    words = north.invite("Careful")["words"]
    shown = newcomer(north, "Careful").run("join", north.relay.url, give=f"{words}\nn\n").stdout
    for said in (
        "unofficial conversation", "convened by", "funded by", "not declared", "relay run by",
        "personal capacity", "7 days", "may be unlawful where you are", "Nobody signs anything",
        "accepted like a real one", "backchannel forge",
    ):  # fmt: skip
        assert said in " ".join(shown.split())
    assert "key" not in shown.lower()
    assert len(shown.splitlines()) <= 30


def test_two_answers_burn_an_invite(north: Channel) -> None:
    words = north.invite("Twins")["words"]
    for name in ("Twins", "Twinned"):
        newcomer(north, name).do("join", north.relay.url, "--yes", give=words)
    found = north.facilitator.json("lobby")
    assert found["burnt"] == ["Twins"]
    assert not {"Twins", "Twinned"} & {each["alias"] for each in found["waiting"]}
    code, _ = north.facilitator.fails("admit", "Twins")
    assert code == 9


def test_somebody_refused_learns_it(north: Channel) -> None:
    words = north.invite("Unwanted")["words"]
    guest = newcomer(north, "Unwanted")
    guest.do("join", north.relay.url, "--yes", give=words)
    north.facilitator.do("refuse", "Unwanted")
    guest.do("sync")
    assert guest.json("status", "--offline")["joins"][0]["ended"] == "refused"
    assert "did not admit" in guest.do("status")


def test_waiting_ends_when_the_door_opens(north: Channel) -> None:
    words = north.invite("Patient")["words"]
    guest = newcomer(north, "Patient")
    (north.folder / "words").write_text(words)
    with (north.folder / "words").open() as given:
        waiting = subprocess.Popen(
            [*guest.command, "join", north.relay.url, "--yes", "--wait", "--json"],
            stdin=given, stdout=subprocess.PIPE, text=True, env=guest.env,
        )  # fmt: skip
    while "Patient" not in str(north.facilitator.json("lobby")["waiting"]):
        assert waiting.poll() is None
    north.facilitator.do("admit", "Patient")
    out, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 0
    assert '"state": "admitted"' in out
    assert guest.json("say", "I am in.")["state"] == "at-relay"


def test_a_vault_holds_one_entry_of_a_channel(north: Channel) -> None:
    words = north.invite("Again")["words"]
    code, error = north.facilitator.fails("join", north.relay.url, "--yes", give=words)
    assert (code, error["code"]) == (6, "refused")
    assert "already" in error["message"]


@pytest.mark.parametrize("alias", ["fox", "Two\nlines", "", "Fox\u0430"])
def test_an_alias_that_cannot_be_is_refused_kindly(north: Channel, alias: str) -> None:
    code, error = north.facilitator.fails("invite", alias)
    assert code in {2, 6}
    assert "Nothing was done" in error["message"]
