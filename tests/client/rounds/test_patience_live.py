"""A relay that takes so much in a minute and no more, and clients that get along with it."""

import json
import os
from contextlib import suppress
from io import StringIO
from typing import cast

import pytest

from backchannel.client.errors import NotYet, RateLimited, TooFast
from backchannel.client.keeping import files
from backchannel.client.rounds.sync import Sync
from backchannel.client.telling.shown import opened
from backchannel.protocol import command
from backchannel.protocol.outcome import Offered, Said
from backchannel.protocol.types import MAIN_THREAD
from tests.support.clients import NAME, Client, Party, party
from tests.support.relay import noise, until

_FILE = 10 << 20  # bytes: about 2,660 blocks, half as many again as the drop takes in a minute
_SOME = 12  # blocks: more than a drop of 64 a minute takes again while a busy machine gets on


def spend(north: Party, alias: str) -> None:
    """One member puts noise into the drop until it takes no more for now."""
    client = north.clients[alias]
    (poll,) = client.look().channel.polls()
    relay = client.tools.relay(poll.relay, poll.drop.relay)
    with relay, suppress(TooFast):
        while relay.append(poll.drop, noise(64)):
            pass
    with relay, suppress(TooFast):
        while relay.append(poll.drop, noise()):
            pass


def said(client: Client) -> str:
    """All that its person was told."""
    return cast(StringIO, client.tools.ui._err).getvalue()


def patiently(client: Client) -> None:
    """A round, as soon as the relay lets it."""
    for _ in until(60):
        with suppress(RateLimited):
            client.sync()
            return


@pytest.mark.slow
def test_the_largest_file_goes_whole_to_a_relay_that_takes_less_at_a_time() -> None:
    """It waits as it is told to, says so, and goes on by itself."""
    with party("Heron", rate=1800) as north:
        fox, heron = north.clients.values()
        data = os.urandom(_FILE)
        with Sync(fox.app, fox.vault) as sync:
            sync.act(NAME, command.SendFile(MAIN_THREAD, "report.bin", data), Offered)
            assert sync.send(NAME) is None
        assert "The relay asks to wait" in said(fox)
        assert fox.vault.outbox.count() == 0
        heron.sync()
        (found,) = opened(heron.vault.messages.list(heron.row.id, heron.tools.now()))
        assert files.whole(heron.app, heron.vault, heron.row, found, None) == data


def test_what_is_said_waits_a_moment_and_is_there() -> None:
    with party("Heron", rate=64) as north:
        fox, heron = north.clients.values()
        with Sync(fox.app, fox.vault) as sync:
            for number in range(_SOME):
                sync.act(NAME, command.Say(MAIN_THREAD, f"{number}, a little later."), Said)
            spend(north, "Heron")
            assert sync.send(NAME) is None
        assert "it goes on by itself then" in said(fox)
        heron.sync()
        said_by_fox = [json.loads(plain)["text"] for plain in heron.plain()]
        assert said_by_fox == [f"{number}, a little later." for number in range(_SOME)]


def test_a_round_waits_a_moment_too_and_counts_all_that_it_brought() -> None:
    with party("Heron", rate=64) as north:
        fox, heron = north.clients.values()
        heron.say("First.")
        heron.sync()
        for number in range(_SOME):
            fox.say(f"{number}, a little later.")
        spend(north, "Heron")
        with Sync(fox.app, fox.vault) as sync:
            done = sync.whole(NAME)
        assert (done.new, fox.vault.outbox.count()) == (1, 0)
        assert done.sent >= _SOME
        assert "asks to wait" in said(fox)


def test_a_command_that_comes_too_soon_asks_the_relay_nothing() -> None:
    with party("Heron", rate=64) as north:
        fox, _ = north.clients.values()
        for number in range(_SOME):
            fox.say(f"{number}, later.")
        spend(north, "Heron")
        north.hours.still = north.hours.now()
        with pytest.raises(RateLimited):
            fox.sync()
        owed = fox.vault.outbox.pending()
        with pytest.raises(NotYet):
            fox.sync()
        assert fox.vault.outbox.pending() == owed, "it was not even tried"
        north.hours.still = None
        patiently(fox)
        assert fox.vault.outbox.count() == 0


def test_attack_71_who_keeps_the_drop_busy_does_not_hold_up_its_own_removal() -> None:
    with party("Heron", "Osprey", rate=64) as north:
        fox, heron, osprey = north.clients.values()
        spend(north, "Osprey")
        fox.act(command.Remove("Osprey"))
        fox.sync()
        assert fox.vault.outbox.count() == 0, "the change went with the seal of the drop"
        for one in (heron, fox, osprey) * 3:
            patiently(one)
        for one in (fox, heron):
            entries = one.look().state.current().entries
            assert [entry.alias for entry in entries] == ["Fox", "Heron"]
        assert osprey.look().state.ended == "removed"


def test_attack_71_nor_where_the_person_waits_for_it() -> None:
    """By the verb itself, which would else wait for the relay in vain."""
    with party("Heron", "Osprey", rate=64) as north:
        fox = next(iter(north.clients.values()))
        spend(north, "Osprey")
        with Sync(fox.app, fox.vault) as sync:
            sync.act(NAME, command.Remove("Osprey"), Said)
            assert sync.send(NAME) is None
        assert "asks to wait" not in said(fox)
        assert fox.vault.outbox.count() == 0
