"""A large file holds up nothing that is said after it, and is whole in the end."""

from collections.abc import Iterator
from contextlib import closing
from typing import cast

import pytest

from backchannel.client.app import App
from backchannel.client.keeping import files
from backchannel.client.rounds import network
from backchannel.client.rounds.outbox import LASTING, Delivery, Request, owe
from backchannel.client.rounds.relays import Relays
from backchannel.client.rounds.sync import Sync
from backchannel.client.telling.shown import opened
from backchannel.client.vault.vault import Vault
from backchannel.client.wire.pace import Pace, Paces
from backchannel.protocol import command
from backchannel.protocol import files as rules
from backchannel.protocol.drop import Operation
from backchannel.protocol.outcome import Said, SealDrop
from backchannel.protocol.types import MAIN_THREAD
from tests.client.rounds.test_outbox import CLOSE, HERE, URL, FakeRelay, block, drop
from tests.client.wire.test_silence import texts
from tests.support.clients import NAME, Client, Party, party
from tests.support.people import NOON, NORTH

PIECES = 30


def put(vault: Vault, *effects: Request, bulk: bool = False) -> None:
    with vault.exclusive(NOON), vault.transaction():
        for effect in effects:
            owe(vault, NORTH, effect, LASTING, HERE, bulk=bulk)


def deliver(vault: Vault, relay: FakeRelay, *, rest: bool = True) -> list[int]:
    """The numbers of the blocks that went, in order; 0 for what ends a drop."""
    with closing(Relays(cast("App", relay))) as relays:
        Delivery(vault, relays, lambda: NOON).run(rest=lambda: rest)
    sent = [payload if kind == Operation.APPEND else b"" for kind, _, payload in relay.asked]
    starts = [each[at : at + 2] for each in sent for at in range(0, max(1, len(each)), 4096)]
    return [int.from_bytes(start) for start in starts]


def test_what_is_said_later_goes_before_the_rest_of_a_file(vault: Vault) -> None:
    one = drop(1)
    put(vault, block(1, one))
    put(vault, *(block(n, one) for n in (11, 12, 13)), bulk=True)
    put(vault, block(2, one), block(3, drop(2)))
    assert deliver(vault, FakeRelay()) == [1, 2, 3, 11, 12, 13]


def test_what_ends_a_drop_waits_for_the_pieces_that_it_is_to_take(vault: Vault) -> None:
    put(vault, block(11, drop(1)), bulk=True)
    put(vault, SealDrop(URL, drop(1), CLOSE, ()), block(2, drop(2)))
    assert deliver(vault, FakeRelay()) == [2, 11, 0]


def test_where_there_is_no_time_for_the_rest_no_request_begins_with_it(vault: Vault) -> None:
    """But one that is not full takes some: else its size would tell that this is talk."""
    relay = FakeRelay(paces=Paces(first=2))
    put(vault, *(block(n, drop(1)) for n in (11, 12, 13)), bulk=True)
    put(vault, *(block(n, drop(1)) for n in (1, 2, 3)))
    assert deliver(vault, relay, rest=False) == [1, 2, 3, 11]
    assert [len(payload) // 4096 for _, _, payload in relay.asked] == [2, 2]
    assert deliver(vault, FakeRelay(), rest=False) == []
    assert vault.outbox.count() == 2


def test_turns_of_cover_are_taken_by_what_is_said_first(vault: Vault) -> None:
    put(vault, *(block(n, drop(1)) for n in (11, 12, 13)), bulk=True)
    assert vault.outbox.ahead(NORTH) == 3
    put(vault, block(1, drop(1)))
    assert vault.outbox.ahead(NORTH) == 1
    assert vault.outbox.waiting(NORTH)[URL].payload[:2] == (1).to_bytes(2)


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Iterator[Party]:
    """Over links that carry little, and where nobody has time for the rest of a file, unless they
    ask for it.
    """
    monkeypatch.setattr(network, "_SPARE", 0)
    monkeypatch.setattr(Pace, "took", lambda *_: None)
    with party("Heron") as made:
        fox = made.clients["Fox"]
        fox.tools.paces = Paces()
        fox.act(command.SendFile(MAIN_THREAD, "map.bin", bytes(range(250)) * 16 * PIECES))
        yield made


def say(client: Client, text: str) -> None:
    with Sync(client.app, client.vault) as sync:
        sync.fresh(NAME)
        sync.act(NAME, command.Say(MAIN_THREAD, text), Said)
        assert sync.send(NAME) is None


def whole(client: Client) -> None:
    with Sync(client.app, client.vault) as sync:
        sync.whole(NAME)


def progress(client: Client) -> rules.Progress:
    """Of the file that came."""
    now = client.tools.now()
    rows = client.vault.messages.list(client.row.id, now)
    (found,) = [each for each in opened(rows) if each.plain["kind"] == "file"]
    return files.progress(client.app, client.vault, client.row, found)


def test_a_file_that_waits_lets_talk_go_ahead_and_comes_whole(room: Party) -> None:
    fox, heron = room.clients["Fox"], room.clients["Heron"]
    say(fox, "Before the map.")
    heron.sync()
    assert texts(heron) == ["Before the map."]
    here, total = progress(heron)
    assert here < total
    whole(fox)
    heron.sync()
    assert progress(heron) == (total, total)


def test_a_file_that_waits_comes_whole_though_an_epoch_begins(room: Party) -> None:
    fox, heron = room.clients["Fox"], room.clients["Heron"]
    fox.sync()
    fox.act(command.Turn())
    for client in (fox, heron, fox):
        client.sync()
    say(fox, "In a new epoch.")
    heron.sync()
    assert [each.look().state.epoch.number for each in (fox, heron)] == [1, 1]
    here, total = progress(heron)
    assert here < total
    whole(fox)
    heron.sync()
    assert (progress(heron).here, texts(heron)) == (total, ["In a new epoch."])
