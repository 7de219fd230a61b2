"""Expiry in ordinary homes and an ordinary relay: their system clocks are set ahead, nothing else.

Each program is started with `time_machine`, so that this runs wherever the tests do.
"""

import sys
from collections.abc import Iterator

import pytest

from backchannel.client.vault.vault import Vault
from backchannel.protocol.types import Timestamp, hour_of
from tests.support import relay as relays
from tests.support.member import LATER, Channel, channel

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.fixture
def north() -> Iterator[Channel]:
    with channel("Heron", expires="24h") as made:
        yield made


def set_clocks(north: Channel, hours: int) -> None:
    """Everybody's system clock, the relay's included, is so far ahead."""
    later = (sys.executable, "-c", LATER + relays.PROGRAM[2], str(hours))
    north.relay.stop()
    north.come_back("--accept-clock", program=later)
    for person in north.people.values():
        person.ahead = hours


def test_what_expired_is_gone_from_screen_vault_and_relay(north: Channel) -> None:
    heron = north.people["Heron"]
    north.facilitator.json("thread", "new", "Brief", "--expires", "2h")
    north.facilitator.json("say", "Soon gone.", "--thread", "brief")
    north.facilitator.json("say", "Gone tomorrow.")
    assert sorted(heron.texts()) == ["Gone tomorrow.", "Soon gone."]
    set_clocks(north, 3)
    assert heron.texts("--offline") == ["Gone tomorrow."]
    assert heron.texts() == ["Gone tomorrow."]
    set_clocks(north, 25)
    assert heron.texts() == []
    north.facilitator.json("say", "A new day.")
    assert heron.texts() == ["A new day."]


def test_unread_and_expired_is_counted(north: Channel) -> None:
    heron = north.people["Heron"]
    north.facilitator.json("say", "One.")
    north.facilitator.json("say", "Two.")
    heron.do("sync")
    set_clocks(north, 25)
    (standing,) = heron.json("status")["channels"]
    assert (standing["unread"], standing["expired_unread"]) == (0, 2)
    assert "2 items expired unread" in heron.run("read").stderr
    assert heron.json("status", "--offline")["channels"][0]["expired_unread"] == 0


def test_what_the_relay_let_go_of_is_counted_in_blocks(north: Channel) -> None:
    heron = north.people["Heron"]
    heron.do("sync")
    north.facilitator.json("say", "Never fetched.")
    set_clocks(north, 25)
    shown = heron.run("read")
    assert shown.returncode == 0
    assert "expired at the relay before this machine fetched" in shown.stderr


def test_an_expired_message_does_not_open_from_the_vault_with_its_passphrase(
    north: Channel,
) -> None:
    heron = north.people["Heron"]
    north.facilitator.json("say", "Under expiry keys.")
    heron.do("read")
    with heron.vault() as vault:
        (row,) = vault.channels.list()
        before = Timestamp(3600 * vault.hour(Timestamp(0)))
        assert len(vault.messages.list(row.id, before)) == 1
        copied = vault._database.all("SELECT stored, expires, item, content FROM messages")
    set_clocks(north, 25)
    assert heron.fails("status", "--offline")[0] == 8, "more than a day, and no relay is asked"
    heron.do("tick", "--accept")
    with heron.vault() as vault:
        for stored, expires, item, content in copied:
            back = restored(vault, stored)
            about = row.id + content
            assert vault.messages._items.open((stored, expires, item), about, back) is None
    heron.do("sync")
    with heron.vault() as vault:
        assert vault._database.all("SELECT 1 FROM messages") == []


def restored(vault: Vault, hour: int) -> Timestamp:
    """A clock set back to when it was readable."""
    then = Timestamp(3600 * hour)
    assert hour_of(then) < vault.hour(then)
    return then


def test_a_lobby_ends_and_its_invite_with_it(north: Channel) -> None:
    invited = north.facilitator.json("invite", "Slow", "--valid", "1h")
    set_clocks(north, 2)
    wren = north.people["Heron"]
    code, error = wren.fails("join", north.relay.url, "--yes", give=invited["words"])
    assert (code, error["code"]) == (7, "invite-over")
    assert "expired" in error["message"]
    north.facilitator.do("sync")
    code, error = wren.fails("join", north.relay.url, "--yes", give=invited["words"])
    assert (code, error["code"]) == (9, "invite-unknown")
