"""What may be carried: released words, exactly, under their label; and nothing that leads back."""

import json
from typing import Any

import pytest

from backchannel.client.convening import carrying
from backchannel.client.errors import Refused, UsageMistake
from backchannel.client.telling.shown import Opened
from backchannel.client.vault.messages import Message
from backchannel.protocol import command as commands
from backchannel.protocol.command import Say
from backchannel.protocol.content import Text, carried_words
from backchannel.protocol.errors import LocalProtocolError
from backchannel.protocol.outcome import Alarm, Arrival, Released, Said
from backchannel.protocol.types import (
    MAIN_THREAD,
    ChannelId,
    ContentHash,
    Hour,
    MessageId,
    Slot,
    ThreadId,
)
from tests.support.insider import Insider
from tests.support.world import Member, World

NOW = Hour(500_000)
ME, HERON, IBIS = Slot(0), Slot(1), Slot(2)
NAMES = {ME: "Fox", HERON: "Heron", IBIS: "Ibis", Slot(255): ""}
WORDS = "We could live with June."
OTHER = "A later date is not excluded."
THERE = ThreadId(b"there".ljust(16, b"."))
SAYING: dict[str, Any] = {
    "kind": "text", "text": WORDS, "authority": "sounding", "release": "no", "carried": False,
    "about": "", "quote": "", "out_of_turn": False, "number": 7,
}  # fmt: skip


def kept(author: Slot, plain: dict[str, Any], name: int = 7, expires: int = 24) -> Message:
    content, ident = ContentHash(name.to_bytes(32)), MessageId(bytes([name]) * 16)
    data = json.dumps({"from": NAMES[author]} | plain).encode()
    channel = ChannelId(b"north".ljust(16, b"."))
    return Message(
        channel, content, ident, author, MAIN_THREAD, NOW, name, Hour(NOW + expires), data
    )


def said(author: Slot = HERON, expires: int = 24, **changes: Any) -> Opened:
    message = kept(author, SAYING | changes, expires=expires)
    return Opened(message, json.loads(message.plain))


def asked(words: str = OTHER, name: int = 7) -> Message:
    about = (bytes([name]) * 16).hex()
    return kept(ME, {"kind": "paraphrase", "about": about, "text": words}, 8)


def released(words: str, author: Slot = HERON, name: int = 7) -> Message:
    about, named = (bytes([name]) * 16).hex(), carried_words(words).hex()
    return kept(author, {"kind": "release", "about": about, "words": named}, 9)


def passed(found: Opened, *others: Message, paraphrase: bool = False) -> Say:
    """As `carry` does it."""
    known = carrying.about(found, [found.message, *others])
    carrying.refuse_unless_anothers(found, ME)
    text = carrying.words(found, known, paraphrase=paraphrase)
    say = carrying.elsewhere(found, text, THERE)
    carrying.check(say, found, known, NOW)
    return say


# --- What passes --------------------------------------------------------------------------------


@pytest.mark.parametrize("authority", ["own", "sounding", "checked"])
def test_what_was_released_when_it_was_said_passes_under_its_label(authority: str) -> None:
    say = passed(said(release="exact", authority=authority))
    number = ("own", "sounding", "checked").index(authority)
    assert say == Say(THERE, WORDS, number, carried=True)


def test_what_was_released_later_passes() -> None:
    assert passed(said(), released(WORDS)).text == WORDS


def test_other_words_pass_once_their_author_approved_them() -> None:
    say = passed(said(), asked(), released(OTHER), paraphrase=True)
    assert (say.text, say.authority) == (OTHER, 1)


def test_the_newest_approved_words_are_carried_not_the_newest_asked() -> None:
    say = passed(said(), asked(), released(OTHER), asked("Anything goes."), paraphrase=True)
    assert say.text == OTHER


def test_nothing_of_where_it_comes_from_goes_along() -> None:
    found = said(release="exact", about="07" * 16, quote="What Ibis said.")
    say = passed(found)
    assert (say.about, say.quote, say.id, say.release) == (b"", "", None, 0)
    assert say.thread == THERE


# --- What does not ------------------------------------------------------------------------------


def test_attack_unreleased_words_are_carried() -> None:
    with pytest.raises(Refused, match="Heron has not released message 7") as refused:
        passed(said())
    assert "backchannel release 7" in refused.value.next_step


def test_attack_words_released_for_a_paraphrase_only_are_carried_exactly() -> None:
    with pytest.raises(Refused, match="has not released"):
        passed(said(release="paraphrase"))
    with pytest.raises(Refused, match="has not released"):
        passed(said(), asked(), released(OTHER))


def test_attack_other_words_are_carried_that_nobody_approved() -> None:
    for others in ([], [asked()], [released(WORDS), asked()]):
        with pytest.raises(Refused, match="has not approved other words"):
            passed(said(release="paraphrase"), *others, paraphrase=True)


def test_attack_a_paraphrase_was_released_for_other_words() -> None:
    with pytest.raises(Refused, match="has not approved other words"):
        passed(said(), asked("We accept everything."), released(OTHER), paraphrase=True)


def test_attack_somebody_else_releases_the_words() -> None:
    with pytest.raises(Refused, match="has not released"):
        passed(said(), released(WORDS, author=IBIS))


def test_attack_a_newcomer_in_the_place_of_who_left_releases_its_words() -> None:
    stranger = released(WORDS)
    plain = json.loads(stranger.plain) | {"from": "Wren"}
    with pytest.raises(Refused, match="has not released"):
        passed(said(), stranger._replace(plain=json.dumps(plain).encode()))


def test_attack_a_release_of_another_message_is_used() -> None:
    with pytest.raises(Refused, match="has not released"):
        passed(said(), released(WORDS, name=3))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"text": "We accept June."}, "not released in these words"),
        ({"text": WORDS + " "}, "not released in these words"),
        ({"authority": 2}, "another label"),
        ({"authority": 0}, "another label"),
        ({"carried": False}, "not that it was carried"),
        ({"about": b"\7" * 16}, "where it comes from"),
        ({"quote": WORDS}, "where it comes from"),
        ({"id": MessageId(b"\7" * 16)}, "where it comes from"),
        ({"release": 1}, "where it comes from"),
    ],
)
def test_attack_altered_on_the_way(change: dict[str, Any], why: str) -> None:
    found = said(release="exact")
    known = carrying.about(found, [found.message])
    say = carrying.elsewhere(found, WORDS, THERE)._replace(**change)
    with pytest.raises(Refused, match=why):
        carrying.check(say, found, known, NOW)


def test_what_has_expired_is_not_carried_at_the_very_hour() -> None:
    passed(said(release="exact", expires=1))
    with pytest.raises(Refused, match="has expired"):
        passed(said(release="exact", expires=0))


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (said(kind="note", to="Fox"), "private note"),
        (said(kind="file", name="map.pdf"), "is a file"),
        (said(author=Slot(255), release="exact"), "nobody in particular"),
        (said(carried=True, release="exact"), "its author is elsewhere"),
        (said(author=ME, release="exact"), "is your own"),
    ],
)
def test_what_has_no_author_to_release_it(found: Opened, why: str) -> None:
    with pytest.raises(Refused, match=why):
        carrying.refuse_unless_anothers(found, ME)


def test_only_its_author_releases_a_message() -> None:
    carrying.refuse_unless_own(said(), HERON)
    for found, me in ((said(), IBIS), (said(carried=True), HERON)):
        with pytest.raises(Refused, match="not yours"):
            carrying.refuse_unless_own(found, me)


def test_other_words_wait_until_they_are_answered() -> None:
    assert carrying.about(said(), [asked()]).waiting == OTHER
    assert carrying.about(said(), [asked(), released(OTHER)]).waiting is None


def test_the_same_words_are_not_carried_twice() -> None:
    there = kept(ME, SAYING | {"carried": True})
    with pytest.raises(Refused, match="there already"):
        carrying.refuse_again(WORDS, ME, [there])
    carrying.refuse_again(WORDS, ME, [kept(ME, SAYING), kept(HERON, SAYING | {"carried": True})])


def test_a_message_is_not_carried_to_where_it_is() -> None:
    with pytest.raises(UsageMistake, match="stands in Leg North already"):
        carrying.refuse_same("Leg North", "Leg North")


# --- Who is named -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def legs() -> tuple[World, World]:
    north, south = World(), World()
    for world, alias in ((north, "Heron"), (south, "Wren")):
        world.admit(alias)
        world.settle()
    return north, south


@pytest.mark.parametrize("text", ["Heron agrees.", "as HERON said", "heron's view"])
def test_attack_carried_words_name_somebody_of_the_other_leg(
    legs: tuple[World, World], text: str
) -> None:
    north, south = (world.founder.state for world in legs)
    with pytest.raises(Refused, match="name Heron"):
        carrying.refuse_names(text, north, south)


@pytest.mark.parametrize("text", ["Herons fly.", "Wren is known there.", "The Founder asks."])
def test_other_words_name_nobody(legs: tuple[World, World], text: str) -> None:
    north, south = (world.founder.state for world in legs)
    carrying.refuse_names(text, north, south)


# --- In the channel itself ----------------------------------------------------------------------


def test_a_participant_carries_nothing(legs: tuple[World, World]) -> None:
    with pytest.raises(LocalProtocolError, match="does not carry"):
        legs[0][1].act(Say(MAIN_THREAD, "From elsewhere.", carried=True))


def test_attack_a_participant_posts_carried_and_everybody_refuses_it(
    legs: tuple[World, World],
) -> None:
    liar = Insider(legs[0][1])
    text = Text(MAIN_THREAD, 168, 0, 0, 1, b"", "", "From elsewhere.")
    events = heard(legs[0].founder, liar.post(text))
    assert not [each for each in events if isinstance(each, Said)]
    assert [each.kind for each in events if isinstance(each, Alarm)] == ["forbidden"]


def heard(member: Member, arrival: Arrival) -> list[object]:
    return list(member.receive(arrival))


def test_a_release_reaches_the_facilitator_as_its_authors(legs: tuple[World, World]) -> None:
    north, heron = legs[0], legs[0][1]
    mine = heron.say(WORDS)
    heron.act(commands.Release(mine.id, WORDS))
    north.settle()
    (told,) = [each for each in north.founder.told if isinstance(each, Released)]
    assert (told.about, told.author, told.words) == (mine.id, 1, carried_words(WORDS))
