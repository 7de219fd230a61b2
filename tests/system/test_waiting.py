"""Whoever waits at the door: takes the answer back, or is let in, and what both sides are told."""

from collections.abc import Iterator

import pytest

from tests.support.member import Channel, Member, channel

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.fixture(scope="module")
def north() -> Iterator[Channel]:
    with channel() as made:
        yield made


def answered(north: Channel, alias: str) -> Member:
    """Somebody who waits to be admitted."""
    guest = Member.make(alias, north.folder)
    invited = north.invite(alias)
    guest.do("join", north.relay.url, "--yes", give=invited["words"] + "\n")
    return guest


def test_who_waits_takes_the_answer_back_and_keeps_nothing(north: Channel) -> None:
    wren = answered(north, "Wren")
    assert wren.run("channel", "leave", give="n\n").returncode == 6
    assert len(wren.json("status", "--offline")["joins"]) == 1
    assert wren.fails("channel", "leave", "--yes", "--channel", "South")[0] == 9
    said = wren.do("channel", "leave", "--yes")
    assert "You wait for North no more, and nothing of it is left here." in said
    assert "who types: backchannel refuse Wren" in said
    left = wren.json("status")
    assert (left["joins"], left["channels"], left["outbox"]) == ([], [], 0)
    assert wren.fails("channel", "leave", "--yes")[0] == 9
    north.facilitator.do("refuse", "Wren")


def test_who_was_admitted_without_a_word_about_words_is_not_verified(north: Channel) -> None:
    fox, heron = north.facilitator, answered(north, "Heron")
    said = fox.do("admit", "Heron")
    assert "Nobody said that the six words were compared: Heron is not verified." in said
    assert "next: backchannel verify --check Heron" in said
    ibis = answered(north, "Ibis")
    assert fox.json("admit", "Ibis", "--yes")["compared"] is True
    for each in (heron, ibis, fox):
        each.do("sync")
    verified = {each["alias"]: each["verified"] for each in fox.json("members")["members"]}
    assert (verified["Heron"], verified["Ibis"]) == (False, True)
