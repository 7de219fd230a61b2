"""A channel in the vault: every change whole or not at all, nothing kept past its hour."""

import json
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from backchannel.client.errors import DropFull, NoVoucher, Refused, UsageMistake
from backchannel.client.keeping.seen import mark_read, mark_seen, mark_taken
from backchannel.client.rounds import refusals, session
from backchannel.client.rounds.outbox import Refusal
from backchannel.client.rounds.session import Session, change, look
from backchannel.client.telling import overview
from backchannel.client.telling.summary import name_of
from backchannel.client.vault.vault import Vault
from backchannel.protocol import command
from backchannel.protocol.channel import Channel
from backchannel.protocol.errors import ForbiddenError
from backchannel.protocol.expiry import PlaceKind, expiry_name
from backchannel.protocol.outcome import (
    NOBODY,
    Acted,
    Alarm,
    Arrival,
    Change,
    Ended,
    Event,
    Expired,
    Lost,
    Offered,
    Outcome,
    Released,
    Rephrased,
    Replaced,
    Repost,
    Said,
    Shortened,
    ThreadBegan,
)
from backchannel.protocol.primitives import x25519_public
from backchannel.protocol.roster import Disclosure, Entry, Policy, Relay
from backchannel.protocol.secret import FileKey, X25519Private
from backchannel.protocol.types import (
    MAIN_THREAD,
    ContentHash,
    DropId,
    Hour,
    MessageId,
    RosterHash,
    Slot,
    Timestamp,
    hour_of,
    start_of,
)
from tests.support.people import ENTROPY, NOON, make_vault

KEY = x25519_public(X25519Private(bytes(range(32))))
RELAY = Relay("https://relay.example", KEY.value)
DAY = 24
HELLO = command.Say(MAIN_THREAD, "Hello.")


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    """A vault with one channel, `North`, that Fox has founded."""
    with Vault(*make_vault(tmp_path / "home"), NOON) as opened:
        found(opened)
        yield opened


def found(vault: Vault) -> None:
    fox = Entry(0, "Fox", "Bridge", "facilitator", bytes(32))
    disclosure = Disclosure("Fox", "nobody", "nobody")
    made, outcome = Channel.create(
        fox, "North", (RELAY,), Policy(DAY), "We talk.", disclosure, NOON, ENTROPY
    )
    with vault.exclusive(NOON), vault.transaction():
        vault.vouchers.add_many(RELAY.url, [b"v" * 16])
        opened = session.begin(vault, made, founded=True, now=NOON, entropy=ENTROPY)
        opened.carry(outcome)
        opened.save()


def shown(vault: Vault, now: Timestamp = NOON) -> Session:
    return look(vault, "North", now, ENTROPY)


def owed(vault: Vault) -> int:
    return vault.outbox.count()


def test_a_founded_channel_owes_its_drop_and_has_a_summary(vault: Vault) -> None:
    assert owed(vault) == 1
    (row,) = vault.channels.list()
    assert row.summary["alias"] == "Fox"
    assert row.summary["relays"] == [[RELAY.url, RELAY.key.hex()]]
    assert row.summary["since"] == hour_of(NOON)


def test_what_is_said_is_saved_with_what_it_owes(vault: Vault) -> None:
    before = shown(vault).channel.snapshot()
    with change(vault, "North", NOON, ENTROPY) as opened:
        opened.act(HELLO)
        assert len(opened.owed) == 1
    assert owed(vault) == 2
    assert shown(vault).channel.snapshot() != before
    (message,) = vault.messages.list(shown(vault).row.id, NOON)
    assert b"Hello." in message.plain
    assert vault.cores.has(shown(vault).row.id, message.content)


def test_what_a_change_kept_it_can_post_again_itself(vault: Vault) -> None:
    with change(vault, "North", NOON, ENTROPY) as opened:
        (posted,) = (each for each in opened.act(HELLO) if isinstance(each, Said))
        opened.carry(Outcome([Repost(posted.hash)], []))
        assert len(opened.owed) == 2
    assert owed(vault) == 3


def test_what_a_change_kept_lives_shorter_with_what_it_shortens(vault: Vault) -> None:
    with change(vault, "North", NOON, ENTROPY) as opened:
        (posted,) = (each for each in opened.act(HELLO) if isinstance(each, Said))
        opened.carry(Outcome([], [Shortened(None, 2)]))
    ident, hour = shown(vault).row.id, hour_of(NOON)
    for hours, there in ((1, True), (2, False)):
        then = start_of(Hour(hour + hours))
        assert (vault.cores.get(ident, posted.hash, then) is not None) is there


def test_a_change_that_fails_half_way_leaves_nothing(vault: Vault) -> None:
    before = shown(vault).channel.snapshot()

    def fail() -> None:
        with change(vault, "North", NOON, ENTROPY) as opened:
            opened.act(HELLO)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert owed(vault) == 1
    assert shown(vault).channel.snapshot() == before
    assert vault.messages.list(shown(vault).row.id, NOON) == []


def test_an_invite_without_a_voucher_is_not_made(vault: Vault) -> None:
    asked = command.Invite("Heron", "North", "participant", 24)
    with pytest.raises(NoVoucher), change(vault, "North", NOON, ENTROPY) as opened:
        opened.act(asked)
    assert shown(vault).state.guests == []
    assert owed(vault) == 1


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        (command.Invite("Fox", "North", "participant", 24), Refused),
        (command.Invite("\u0430b", "North", "participant", 24), UsageMistake),
        (command.Say(MAIN_THREAD, "x" * 50_000), UsageMistake),
        (command.Admit("Nobody"), Refused),
    ],
    ids=["taken", "two scripts", "too long", "nobody"],
)
def test_what_is_not_allowed_is_a_sentence(
    vault: Vault, asked: command.Command, error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"[A-Z].*\. Nothing was done\."):
        attempt(vault, asked)
    assert owed(vault) == 1


def attempt(vault: Vault, asked: command.Command) -> None:
    with change(vault, "North", NOON, ENTROPY) as opened:
        opened.act(asked)


def test_a_block_that_is_refused_is_counted_and_changes_nothing_else(vault: Vault) -> None:
    before = shown(vault).channel.snapshot()
    with change(vault, "North", NOON, ENTROPY) as opened:
        drop = opened.channel.polls()[0].drop.id
        for arrival in (
            Arrival(drop, hour_of(NOON), bytes(4096)),
            Arrival(DropId(bytes(16)), hour_of(NOON), bytes(4096)),
            Arrival(drop, hour_of(NOON), b"short"),
        ):
            assert opened.receive(arrival) == []
    assert shown(vault).summary["refused"] == 3
    assert shown(vault).channel.snapshot() == before


def said(number: int, author: int, hour: Hour, expires: Hour) -> Said:
    name = bytes([number] * 16)
    return Said(
        MessageId(name), MAIN_THREAD, Slot(author), "Hm.", hour, 1, ContentHash(name * 2), expires
    )


def hear(vault: Vault, *events: Said | Expired, now: Timestamp = NOON) -> None:
    with change(vault, "North", now, ENTROPY) as opened:
        opened._intake.take(list(events))


def test_unread_until_shown_and_expired_unread_is_told_once(vault: Vault) -> None:
    hour = hour_of(NOON)
    own = said(1, 0, hour, Hour(hour + 5))
    theirs = [said(n, 1, hour, Hour(hour + n)) for n in (2, 3, 4)]
    hear(vault, own, *theirs, Expired(Slot(1)), Expired(Slot(0)))
    assert set(shown(vault).summary["unread"]) == {name_of(each.hash) for each in theirs}
    later = Timestamp(NOON + 2 * 3600)
    looked = mark_read(vault, "North", {theirs[1].hash: 0}, later, ENTROPY)
    assert looked == (2, 0, {})
    assert list(shown(vault).summary["unread"]) == [name_of(theirs[2].hash)]
    assert mark_read(vault, "North", {}, later, ENTROPY) == (0, 0, {})


def ends(vault: Vault, now: Timestamp = NOON) -> dict[ContentHash, int]:
    """In how many hours from noon each message ends."""
    rows = vault.messages.list(shown(vault).row.id, now)
    return {each.content: each.expires - hour_of(NOON) for each in rows}


def test_a_read_timer_runs_from_when_a_message_is_first_shown_and_ones_own_from_the_first(
    vault: Vault,
) -> None:
    hour = hour_of(NOON)
    own, theirs, plain = (said(n, n - 1, hour, Hour(hour + 20)) for n in (1, 2, 3))
    theirs = theirs._replace(burn=2, expires=Hour(hour + 19))
    hear(vault, own._replace(burn=2), theirs, plain)
    assert ends(vault) == {own.hash: 2, theirs.hash: 19, plain.hash: 20}
    assert expiry_name(hour, Hour(hour + 19)) in vault._expiry.keys.names(PlaceKind.EXPIRY)
    later = Timestamp(NOON + 3600)
    timers = {theirs.hash: 2, plain.hash: 0}
    assert mark_read(vault, "North", timers, later, ENTROPY).ends == {theirs.hash: hour + 3}
    assert expiry_name(hour, Hour(hour + 19)) not in vault._expiry.keys.names(PlaceKind.EXPIRY)
    assert ends(vault) == {own.hash: 2, theirs.hash: 3, plain.hash: 20}
    assert mark_read(vault, "North", timers, Timestamp(NOON + 7200), ENTROPY).ends == {}
    assert ends(vault, Timestamp(NOON + 7200)) == {theirs.hash: 3, plain.hash: 20}
    assert ends(vault, Timestamp(NOON + 3 * 3600)) == {plain.hash: 20}
    assert shown(vault).summary["expired_unread"] == 0, "it was read"


def test_attack_what_is_written_to_a_file_burns_like_what_is_shown(vault: Vault) -> None:
    """Else it could be saved or exported again and again, and nothing of it ever burnt."""
    hour = hour_of(NOON)
    theirs, plain = (said(n, 1, hour, Hour(hour + 20)) for n in (2, 3))
    hear(vault, theirs._replace(burn=2), plain)
    mark_taken(vault, "North", {theirs.hash: 2, plain.hash: 0}, NOON, ENTROPY)
    assert ends(vault) == {theirs.hash: 2, plain.hash: 20}
    assert expiry_name(hour, Hour(hour + 2)) in vault._expiry.keys.names(PlaceKind.EXPIRY)
    assert list(shown(vault).summary["unread"]) == [name_of(plain.hash)]
    mark_taken(vault, "North", {theirs.hash: 2}, Timestamp(NOON + 3600), ENTROPY)
    assert ends(vault)[theirs.hash] == 2, "taking it again prolongs nothing"


def test_a_timer_never_prolongs(vault: Vault) -> None:
    hour = hour_of(NOON)
    theirs = said(2, 1, hour, Hour(hour + 2))
    hear(vault, theirs._replace(burn=9))
    assert mark_read(vault, "North", {theirs.hash: 9}, NOON, ENTROPY).ends == {}
    assert ends(vault) == {theirs.hash: 2}


def test_rules_that_a_thread_has_got_hold_for_what_was_read_and_its_topic_is_not_noted(
    vault: Vault,
) -> None:
    hour = hour_of(NOON)
    with change(vault, "North", NOON, ENTROPY) as opened:
        events = opened.act(command.Begin("The harbour plan", 20))
    thread = next(each.thread for each in events if isinstance(each, ThreadBegan))
    read, unread = (said(n, 1, hour, Hour(hour + 20))._replace(thread=thread) for n in (2, 3))
    hear(vault, read, unread)
    mark_read(vault, "North", {read.hash: 0}, NOON, ENTROPY)
    with change(vault, "North", NOON, ENTROPY) as opened:
        opened.act(command.Shorten(thread, burn=4))
    assert ends(vault) == {read.hash: 4, unread.hash: 20}
    (notice,) = shown(vault).summary["notices"]
    assert notice["detail"] == "The harbour plan: 20 hours, and 4 hours once read"
    mark_seen(vault, "North", NOON)
    with change(vault, "North", NOON, ENTROPY) as opened:
        opened.act(command.Shorten(thread, 10, off=True))
    assert ends(vault) == {read.hash: 4, unread.hash: 10}
    assert "harbour" not in json.dumps(shown(vault).summary)


def test_the_same_message_is_one_message(vault: Vault) -> None:
    hour = hour_of(NOON)
    for _ in range(2):
        hear(vault, said(1, 1, hour, Hour(hour + 5)))
    assert len(vault.messages.list(shown(vault).row.id, NOON)) == 1


def test_a_clock_that_is_set_back_stands_still(vault: Vault) -> None:
    tomorrow = Timestamp(NOON + 2 * DAY * 3600)
    attempt(vault, HELLO)
    vault.trust(tomorrow)
    with change(vault, "North", tomorrow, ENTROPY) as opened:
        opened.tick()
    assert shown(vault, NOON).hour == hour_of(tomorrow)
    assert vault.messages.list(shown(vault).row.id, NOON) == []


def test_what_never_left_and_nobody_could_open_is_let_go_and_counted(vault: Vault) -> None:
    attempt(vault, HELLO)
    later = Timestamp(NOON + (DAY + 1) * 3600)
    vault.trust(later)
    with change(vault, "North", later, ENTROPY) as opened:
        opened.tick()
    assert shown(vault).summary["unsent"] == 1
    assert [row.operation for row in vault.outbox.pending()] == [1]


def take(vault: Vault, *events: Event, now: Timestamp = NOON) -> None:
    with change(vault, "North", now, ENTROPY) as opened:
        opened._intake.take(list(events))


def plains(vault: Vault) -> list[dict[str, object]]:
    kept = vault.messages.list(shown(vault).row.id, NOON)
    return [json.loads(each.plain) for each in kept]


def test_an_alarm_stays_until_somebody_has_seen_it_and_is_told_once(vault: Vault) -> None:
    alarm = Alarm("fork", Slot(0), b"\1\2")
    take(vault, alarm, alarm, Alarm("rival", NOBODY))
    assert shown(vault).summary["alarms"] == [
        {"kind": "fork", "alias": "Fox", "name": "0102", "at": hour_of(NOON)},
        {"kind": "rival", "alias": "", "name": "", "at": hour_of(NOON)},
    ]
    document = overview.of_channel(vault.channels.list()[0], hour_of(NOON))
    assert [each["kind"] for each in document["alarms"]] == ["fork", "rival"]
    mark_seen(vault, "North", NOON)
    mark_seen(vault, "North", NOON)
    assert shown(vault).summary["alarms"] == []


def test_attack_what_goes_beyond_a_role_is_counted_and_an_alarm(vault: Vault) -> None:
    with change(vault, "North", NOON, ENTROPY) as opened:
        error = ForbiddenError("an observer does not speak", 0)
        with mock.patch.object(Channel, "receive", side_effect=error):
            arrival = Arrival(DropId(bytes(16)), hour_of(NOON), bytes(4096))
            assert opened.receive(arrival) == []
            assert opened.receive(arrival, again=True) == []
    about = shown(vault).summary
    assert (about["refused"], [each["kind"] for each in about["alarms"]]) == (1, ["forbidden"])


def test_news_stay_until_somebody_has_seen_them_and_the_newest_are_kept(vault: Vault) -> None:
    take(vault, Lost(3), Ended("removed", Slot(0)), Replaced(Slot(0)))
    found = shown(vault).summary["notices"]
    assert [(each["what"], each["alias"], each["detail"]) for each in found] == [
        ("lost", "", "3"),
        ("ended", "Fox", "removed"),
        ("replaced", "Fox", ""),
    ]
    take(vault, *(Lost(version) for version in range(100)))
    assert [each["detail"] for each in shown(vault).summary["notices"]][-1] == "99"
    assert len(shown(vault).summary["notices"]) == 32
    mark_seen(vault, "North", NOON)
    assert shown(vault).summary["notices"] == []


def test_every_kind_is_kept_as_a_document_with_the_name_of_that_time(vault: Vault) -> None:
    hour, ends = hour_of(NOON), Hour(hour_of(NOON) + 5)
    text = said(1, 0, hour, ends)._replace(authority=2, release=1, carried=True, quote="Quoth")
    note = said(2, 9, hour, ends)._replace(to=Slot(0), about=b"\7" * 16)
    nobodys = said(3, NOBODY, hour, ends)
    file = Offered(
        *(MessageId(b"\4" * 16), MAIN_THREAD, Slot(0), "minutes.pdf", 9, FileKey(bytes(32))),
        *((ContentHash(b"\5" * 32),), hour, 1, ContentHash(b"\4" * 32), ends),
    )
    asked = Rephrased(MessageId(b"\1" * 16), Slot(0), "In other words.", ends)
    given = Released(MessageId(b"\1" * 16), Slot(0), b"\6" * 32, ends)
    change_ = Change("role", "Heron", "observer")
    acted = Acted(4, "Fox", hour, RosterHash(b"\7" * 32), (change_,), ends)
    take(vault, text, note, nobodys, file, asked, given, acted)
    kept = {str(each["kind"]) + str(each["from"]): each for each in plains(vault)}
    assert kept["textFox"]["authority"] == "checked"
    assert kept["textFox"]["release"] == "exact"
    assert kept["textFox"]["carried"] is True
    assert (kept["notemember 9"]["to"], kept["notemember 9"]["about"]) == ("Fox", "07" * 16)
    assert kept["text"]["text"] == "Hm."
    assert (kept["fileFox"]["name"], kept["fileFox"]["index"]) == ("minutes.pdf", ["05" * 32])
    assert kept["paraphraseFox"]["about"] == kept["releaseFox"]["about"] == "01" * 16
    changes = [{"what": "role", "alias": "Heron", "detail": "observer"}]
    assert (kept["actFox"]["version"], kept["actFox"]["changes"]) == (4, changes)
    assert len(shown(vault).summary["unread"]) == 2  # the note, and what nobody said


def test_a_message_that_waits_for_its_release_is_counted_until_then(vault: Vault) -> None:
    hour, ends = hour_of(NOON), Hour(hour_of(NOON) + 5)
    take(vault, said(1, 0, hour, ends))
    about = MessageId(bytes([1] * 16))
    take(vault, Rephrased(about, Slot(3), "In other words.", ends))
    take(vault, Rephrased(MessageId(bytes(16)), Slot(3), "Not mine.", ends))

    def asked(now: Hour) -> object:
        return overview.of_channel(vault.channels.list()[0], now)["asked_release"]

    assert (asked(hour), asked(ends)) == (1, 0)
    take(vault, Released(about, Slot(0), bytes(32), ends))
    assert asked(hour) == 0


def test_own_words_said_again_stand_in_the_place_of_the_first(vault: Vault) -> None:
    hour = hour_of(NOON)
    first = said(1, 0, hour, Hour(hour + 5))
    again = first._replace(hash=ContentHash(b"\2" * 32), expires=Hour(hour + 9))
    take(vault, first)
    take(vault, again)
    (kept,) = vault.messages.list(shown(vault).row.id, NOON)
    assert (kept.content, kept.expires) == (again.hash, again.expires)


def test_what_a_full_drop_of_the_current_epoch_refused_stays_owed(vault: Vault) -> None:
    before = shown(vault).row
    with change(vault, "North", NOON, ENTROPY) as opened:
        refusals.settle(
            vault, opened, [Refusal(RELAY.url, opened.channel.polls()[0].drop.id, DropFull("F"))]
        )
    assert shown(vault).row.state == before.state
    assert owed(vault) == 1
