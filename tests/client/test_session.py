"""A channel in the vault: every change whole or not at all, nothing kept past its hour."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from backchannel.client import session
from backchannel.client.errors import NoVoucher, Refused, UsageMistake
from backchannel.client.session import Session, change, look, mark_read, name_of
from backchannel.client.vault.vault import Vault
from backchannel.protocol import command
from backchannel.protocol.channel import Channel
from backchannel.protocol.outcome import Arrival, Expired, Said
from backchannel.protocol.primitives import x25519_public
from backchannel.protocol.roster import Disclosure, Entry, Policy, Relay
from backchannel.protocol.secret import X25519Private
from backchannel.protocol.types import (
    MAIN_THREAD,
    ContentHash,
    DropId,
    Hour,
    MessageId,
    Slot,
    Timestamp,
    hour_of,
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
        opened._take_in(list(events))


def test_unread_until_shown_and_expired_unread_is_told_once(vault: Vault) -> None:
    hour = hour_of(NOON)
    own = said(1, 0, hour, Hour(hour + 5))
    theirs = [said(n, 1, hour, Hour(hour + n)) for n in (2, 3, 4)]
    hear(vault, own, *theirs, Expired(Slot(1)), Expired(Slot(0)))
    assert set(shown(vault).summary["unread"]) == {name_of(each.hash) for each in theirs}
    later = Timestamp(NOON + 2 * 3600)
    looked = mark_read(vault, "North", [name_of(theirs[1].hash)], later)
    assert looked == (2, 0)
    assert list(shown(vault).summary["unread"]) == [name_of(theirs[2].hash)]
    assert mark_read(vault, "North", [], later) == (0, 0)


def test_the_same_message_is_one_message(vault: Vault) -> None:
    hour = hour_of(NOON)
    for _ in range(2):
        hear(vault, said(1, 1, hour, Hour(hour + 5)))
    assert len(vault.messages.list(shown(vault).row.id, NOON)) == 1


def test_a_clock_that_is_set_back_stands_still(vault: Vault) -> None:
    tomorrow = Timestamp(NOON + 2 * DAY * 3600)
    attempt(vault, HELLO)
    with change(vault, "North", tomorrow, ENTROPY) as opened:
        opened.tick()
    assert shown(vault, NOON).hour == hour_of(tomorrow)
    assert vault.messages.list(shown(vault).row.id, NOON) == []


def test_what_never_left_and_nobody_could_open_is_let_go_and_counted(vault: Vault) -> None:
    attempt(vault, HELLO)
    later = Timestamp(NOON + (DAY + 1) * 3600)
    with change(vault, "North", later, ENTROPY) as opened:
        opened.tick()
    assert shown(vault).summary["unsent"] == 1
    assert [row.operation for row in vault.outbox.pending()] == [1]
