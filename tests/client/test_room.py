"""What a room asks of its members' clients, over a real relay: epochs that end while somebody is
away, drops that are full, and what nobody said.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from backchannel.client import purging, session, standing
from backchannel.client.errors import DropFull, NotFound, NoVoucher, Refused
from backchannel.client.sync import Sync
from backchannel.client.vault.drafts import Draft
from backchannel.client.vault.vault import Vault
from backchannel.protocol import command, limits
from backchannel.protocol.expiry import PlaceKind
from backchannel.protocol.outcome import EVERY_HOUR, NOBODY, Arrival
from backchannel.protocol.roster import Policy
from backchannel.protocol.types import MAIN_THREAD, ContentHash, Hour, ThreadId, hour_of, start_of
from tests.support.clients import NAME, Client, Party, party
from tests.support.people import ENTROPY
from tests.support.relay import noise

pytestmark = pytest.mark.slow


@pytest.fixture
def north() -> Iterator[Party]:
    with party("Heron", "Osprey") as made:
        yield made


def texts(north: Party, alias: str) -> list[str]:
    documents = [json.loads(plain) for plain in north.clients[alias].plain()]
    return [each["text"] for each in documents if each["kind"] == "text"]


def test_what_was_written_while_the_epoch_ended_arrives_once(north: Party) -> None:
    fox, heron, _ = north.clients.values()
    heron.say("Written on the train.")
    fox.act(command.Turn())
    north.settle("Fox", "Osprey")
    north.pass_hours(25)
    north.settle("Fox", "Osprey")
    (over, _) = fox.look().state.epochs
    assert over.ending is not None
    assert over.ending.sealed
    north.settle("Heron", "Fox", "Osprey")
    for alias in north.clients:
        assert texts(north, alias) == ["Written on the train."]
        assert north.clients[alias].vault.outbox.count() == 0
    assert heron.look().state.epoch.number == fox.look().state.epoch.number == 1


def test_what_was_said_to_one_alone_is_said_again_too(north: Party) -> None:
    fox, heron, osprey = north.clients.values()
    heron.act(command.Whisper("Osprey", "Between us."))
    fox.act(command.Turn())
    north.settle("Fox", "Osprey")
    north.pass_hours(25)
    north.settle("Fox", "Osprey")
    north.settle("Heron", "Osprey", "Fox")
    for one in (heron, osprey):
        (note,) = [json.loads(plain) for plain in one.plain() if b"Between" in plain]
        assert (note["kind"], note["from"], note["to"]) == ("note", "Heron", "Osprey")
    assert not any(b"Between" in plain for plain in fox.plain())


def fill(north: Party, alias: str) -> None:
    """One member puts noise into the drop until it takes no more."""
    client = north.clients[alias]
    (poll,) = client.look().channel.polls()
    relay = client.tools.relay(poll.relay, poll.drop.relay)
    with relay, suppress(DropFull):
        while relay.append(poll.drop, noise()):
            pass


def test_attack_71_who_fills_the_drop_does_not_prevent_its_own_removal() -> None:
    with party("Heron", "Osprey", quota=120) as north:
        fox, heron, osprey = north.clients.values()
        fill(north, "Osprey")
        fox.act(command.Remove("Osprey"))
        north.settle()
        for one in (fox, heron):
            entries = one.look().state.current().entries
            assert [entry.alias for entry in entries] == ["Fox", "Heron"]
            assert one.vault.outbox.count() == 0
        assert osprey.look().state.ended == "removed"
        heron.say("At last.")
        north.settle("Heron", "Fox")
        assert texts(north, "Fox") == ["At last."]
        assert texts(north, "Osprey") == []


def test_attack_71_nor_where_several_facilitate() -> None:
    with party("Heron", "Osprey", quota=140) as north:
        fox, heron, osprey = north.clients.values()
        fox.act(command.SetRole("Heron", "facilitator"))
        north.settle()
        fill(north, "Osprey")
        fox.act(command.Remove("Osprey"))
        assert fox.look().state.draft is not None
        north.settle()
        for one in (fox, heron):
            entries = one.look().state.current().entries
            assert [entry.alias for entry in entries] == ["Fox", "Heron"]
            assert one.vault.outbox.count() == 0
        assert osprey.look().state.ended == "removed"


def test_what_was_not_taken_any_more_is_said_where_the_epoch_goes_on() -> None:
    with party("Heron", "Osprey", quota=120) as north:
        fox, heron, _ = north.clients.values()
        fill(north, "Osprey")
        heron.say("No room.")
        with pytest.raises(DropFull):
            heron.sync()
        fox.act(command.Remove("Osprey"))
        north.settle("Fox", "Heron")
        assert texts(north, "Fox") == ["No room."]
        assert heron.vault.outbox.count() == 0


@pytest.mark.parametrize("asked", [command.Turn(), command.Remove("Heron")])
def test_without_a_voucher_no_epoch_begins_and_nothing_is_changed(
    asked: command.Command,
) -> None:
    with party("Heron", vouchers=2) as north:
        fox = north.clients["Fox"]
        before, owed = fox.row, fox.vault.outbox.count()
        clocks = fox.vault._expiry.keys.names(PlaceKind.CLOCK)
        with pytest.raises(NoVoucher, match="Nothing was done"):
            fox.act(asked)
        assert fox.row == before
        assert fox.vault.outbox.count() == owed
        assert fox.vault._expiry.keys.names(PlaceKind.CLOCK) == clocks


def test_an_epoch_turns_weekly_by_itself_or_status_says_what_is_in_the_way() -> None:
    with party("Heron", vouchers=2) as north:
        fox = north.clients["Fox"]
        north.pass_hours(limits.EPOCH_HOURS)
        north.settle()
        assert fox.look().state.epoch.number == 0
        stands = standing.of_channel(fox.row, hour_of(north.hours.now()))["epoch"]
        assert (stands["due"], stands["vouchers_needed"]) == ("weekly", [north.relay.url])
        assert stands["age_hours"] >= limits.EPOCH_HOURS
        north.pay("Fox", 1)
        north.settle()
        for one in north.clients.values():
            assert one.look().state.epoch.number == 1
            stands = standing.of_channel(one.row, hour_of(north.hours.now()))["epoch"]
            assert (stands["due"], stands["vouchers_needed"]) == ("", [])


def test_the_clock_of_an_epoch_that_is_gone_is_erased() -> None:
    with party("Heron", lifetime=24) as north:
        fox = north.clients["Fox"]
        (first,) = fox.look().channel.clocks
        fox.act(command.Turn())
        north.settle()
        assert len(fox.vault._expiry.keys.names(PlaceKind.CLOCK)) == 2
        north.pass_hours(24 + 24 + 3)
        north.settle()
        (name,) = fox.vault._expiry.keys.names(PlaceKind.CLOCK)
        assert name != first
        assert fox.vault.channels.epochs(fox.row.id) == {name}


def test_attack_a_shorter_life_ends_what_is_kept_already(north: Party) -> None:
    fox, heron, _ = north.clients.values()
    for one in (fox, heron):
        one.say(f"Of {one.alias}.")
    north.settle()
    north.pass_hours(10)
    fox.say("Later.")
    fox.act(command.SetPolicy(Policy(12)))
    north.settle()
    for one in north.clients.values():
        assert set(texts(north, one.alias)) == {"Of Fox.", "Of Heron.", "Later."}
        kept = fox.vault.messages.list(fox.row.id, north.hours.now())
        assert max(each.expires for each in kept) <= hour_of(north.hours.now()) + 12
    north.pass_hours(4)
    copies = {name: expire_alone(client) for name, client in north.clients.items()}
    assert copies == {name: ["Later."] for name in north.clients}


def expire_alone(client: Client) -> list[str]:
    """What opens once the timer has run, and nobody has synced."""
    with client.vault.exclusive(client.tools.now()):
        documents = [json.loads(plain) for plain in client.plain()]
    return [each["text"] for each in documents if each["kind"] == "text"]


def test_reading_a_drop_again_changes_no_cursor_and_counts_nothing_twice(north: Party) -> None:
    fox, heron, _ = north.clients.values()
    fox.say("Once.")
    north.settle()
    with Sync(heron.app, heron.vault) as rounds:
        assert rounds.again(NAME) == 0
    before = heron.row
    with heron.vault.exclusive(north.hours.now()), heron.vault.transaction():
        heron.vault._database.change("DELETE FROM cores")
    with Sync(heron.app, heron.vault) as rounds:
        rounds.again(NAME)
    assert heron.row.summary == before.summary
    assert texts(north, "Heron") == ["Once."]


@pytest.fixture
def many() -> Iterator[Party]:
    """Four who have shown life, where what nobody said is welcome."""
    with party("Heron", "Osprey", "Tern") as made:
        made.clients["Fox"].act(command.SetPolicy(Policy(168, unattributed=4)))
        made.settle()
        for client in made.clients.values():
            client.say("Here.")
        made.settle()
        yield made


SECRET = "We could live with twelve."


def wait(client: Client, text: str = SECRET) -> Draft:
    now = client.tools.now()
    return session.wait_unattributed(client.vault, NAME, MAIN_THREAD, text, now, ENTROPY)


def nobodys(client: Client) -> list[str]:
    kept = client.vault.messages.list(client.row.id, client.tools.now())
    documents = [json.loads(each.plain) for each in kept if each.author == NOBODY]
    return [each["text"] for each in documents if each["kind"] == "text"]


def test_what_nobody_said_waits_for_its_hour_goes_alone_and_leaves_nothing(many: Party) -> None:
    heron = many.clients["Heron"]
    now = many.hours.now()
    draft = wait(heron)
    assert start_of(Hour(hour_of(now) + 1)) <= draft.start <= draft.due < draft.end
    assert draft.end == draft.start + 3600 <= start_of(Hour(hour_of(now) + 4))
    heron.sync()
    assert heron.vault.outbox.count() == 0
    assert [each["refused"] for each in stands(heron)["drafts"]] == [""]
    (key,) = draft_keys(heron.vault)
    many.pass_hours(4)
    before = len(heron.tools.opened)
    heron.sync()
    assert len(heron.tools.opened) == before + 2  # one for all else, one for this alone
    many.settle()
    for client in many.clients.values():
        assert nobodys(client) == [SECRET]
    assert heron.vault.drafts.list(heron.row.id) == stands(heron)["drafts"] == []
    assert key not in draft_keys(heron.vault)


def test_attack_what_nobody_said_comes_back_when_its_block_is_sent_again(many: Party) -> None:
    """It stands in no record; so whoever kept its block could undo a purge, or a read timer."""
    fox, heron, osprey, _ = many.clients.values()
    wait(heron)
    many.pass_hours(4)
    many.settle()
    assert nobodys(fox) == [SECRET]
    purging.purge_thread(fox.vault, NAME, MAIN_THREAD, many.hours.now(), ENTROPY)
    assert nobodys(fox) == []
    (poll,) = osprey.look().channel.polls()
    with osprey.tools.relay(poll.relay, poll.drop.relay) as relay:
        rows = relay.read(poll.drop, 0, EVERY_HOUR).rows
    with session.change(fox.vault, NAME, many.hours.now(), ENTROPY) as opened:
        for row in rows:  # as of a relay that counts anew
            opened.receive(Arrival(poll.drop.id, row.hour, row.block))
    assert nobodys(fox) == []
    assert fox.row.summary["unread"] == {}


def test_attack_what_waits_to_be_said_in_a_thread_outlives_its_purge(many: Party) -> None:
    heron = many.clients["Heron"]
    wait(heron)
    purging.purge_thread(heron.vault, NAME, ThreadId(bytes([7] * 16)), heron.tools.now(), ENTROPY)
    assert len(stands(heron)["drafts"]) == 1, "another thread's"
    purging.purge_thread(heron.vault, NAME, MAIN_THREAD, heron.tools.now(), ENTROPY)
    assert heron.vault.drafts.list(heron.row.id) == stands(heron)["drafts"] == []
    assert draft_keys(heron.vault) == set()


def draft_keys(vault: Vault) -> set[bytes]:
    """Of the keys with a name, those that no thread has."""
    return vault._expiry.keys.names(PlaceKind.THREAD) - vault.messages.names()


def stands(client: Client) -> dict[str, Any]:
    return standing.of_channel(client.row, hour_of(client.tools.now()))


def test_what_nobody_may_say_any_more_is_told_and_kept_until_somebody_looks(many: Party) -> None:
    fox, heron, *_ = many.clients.values()
    wait(heron)
    fox.act(command.SetPolicy(Policy(168)))
    many.settle()
    many.pass_hours(4)
    many.settle()
    (refused,) = stands(heron)["drafts"]
    assert "unattributed" in refused["refused"]
    assert nobodys(fox) == []
    session.drop_draft(heron.vault, NAME, refused["number"], many.hours.now())
    assert stands(heron)["drafts"] == []
    assert draft_keys(heron.vault) == set()
    with pytest.raises(NotFound):
        session.drop_draft(heron.vault, NAME, refused["number"], many.hours.now())


def test_what_nobody_may_say_is_refused_before_it_waits(north: Party) -> None:
    heron = north.clients["Heron"]
    before = heron.look().channel.snapshot()
    with pytest.raises(Refused, match="Nothing was done"):
        wait(heron)
    assert heron.vault.drafts.list(heron.row.id) == []
    assert draft_keys(heron.vault) == set()
    assert heron.look().channel.snapshot() == before


def test_a_draft_whose_life_ended_is_counted(many: Party) -> None:
    heron = many.clients["Heron"]
    wait(heron)
    many.hours.ahead += 168 + 5
    heron.vault.trust(many.hours.now())
    with session.change(heron.vault, NAME, many.hours.now(), ENTROPY) as opened:
        opened.tick()
    assert heron.row.summary["unsent"] == 1
    assert stands(heron)["drafts"] == []


def test_a_file_is_whole_for_everybody_and_its_chunks_are_there(north: Party) -> None:
    heron, osprey = north.clients["Heron"], north.clients["Osprey"]
    heron.act(command.SendFile(MAIN_THREAD, "minutes.txt", bytes(9000)))
    north.settle()
    for one in (heron, osprey):
        (file,) = [json.loads(plain) for plain in one.plain() if b'"file"' in plain]
        assert (file["name"], file["size"], file["from"]) == ("minutes.txt", 9000, "Heron")
        index = [ContentHash(bytes.fromhex(name)) for name in file["index"]]
        held = one.vault.cores.many(one.row.id, index, north.hours.now())
        assert list(held) == index
