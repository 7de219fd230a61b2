"""What a room asks of its members' clients, over a real relay: epochs that end while somebody is
away, drops that are full, and what nobody said.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from backchannel.client.errors import (
    ClientError,
    DropFull,
    Locked,
    NotFound,
    NoVoucher,
    Refused,
    RelayDown,
)
from backchannel.client.keeping import purging
from backchannel.client.rounds import drafts, session
from backchannel.client.rounds.outbox import LASTING
from backchannel.client.rounds.sync import Sync
from backchannel.client.telling import overview
from backchannel.client.vault.drafts import Draft
from backchannel.client.vault.outbox import Owed
from backchannel.client.vault.vault import Vault
from backchannel.client.wire.lanes import Ask, Lanes, Sending
from backchannel.protocol import command, limits
from backchannel.protocol.drop import NEWEST, Operation
from backchannel.protocol.expiry import PLACE, Place, PlaceKind
from backchannel.protocol.outcome import EVERY_HOUR, NOBODY, Arrival, Invited
from backchannel.protocol.roster import Policy
from backchannel.protocol.types import (
    MAIN_THREAD,
    ContentHash,
    Hour,
    ThreadId,
    Timestamp,
    hour_of,
    start_of,
)
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


@pytest.mark.parametrize("hours", [0, 12])
def test_what_an_epoch_did_not_take_waits_while_two_lists_stand(north: Party, hours: int) -> None:
    """Its author may say nothing then: it was given up, and its author told to say it again. Where
    it expires meanwhile, that is counted.
    """
    fox, heron, osprey = north.clients.values()
    fox.act(command.SetRole("Heron", "facilitator"))
    north.settle()
    osprey.say("Written on the train.")
    fox.act(command.Turn())
    north.settle("Fox", "Heron")
    north.pass_hours(25)
    north.settle("Fox", "Heron")
    for client, lifetime in ((fox, 30), (heron, 28)):
        with Sync(client.app, client.vault) as rounds:  # neither reads what the other did
            policy = replace(client.look().state.policy, lifetime=lifetime)
            rounds.act(NAME, command.SetPolicy(policy), Invited)
            rounds.deliver()
    osprey.sync()
    assert osprey.look().state.rivals
    assert osprey.vault.outbox.count() == 0
    north.pass_hours(hours)
    north.settle()
    assert not osprey.look().state.rivals
    for alias in north.clients:
        assert texts(north, alias) == (["Written on the train."] if not hours else [])
    assert osprey.row.summary["unsent"] == bool(hours)
    assert not osprey.row.summary.get("unsaid")


def test_attack_168_what_comes_after_the_vault_was_locked_is_neither_kept_nor_answered(
    north: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a channel that is long to read, over a slow link, or from a relay that has ever more."""
    fox, heron, _ = north.clients.values()
    fox.say("Too late.")
    fox.sync()
    heron.say("Not sent.")
    heron.tools.opened.clear()
    row, owed = heron.row, heron.vault.outbox.count()

    def awake() -> int:
        if heron.tools.opened:
            msg = "locked"
            raise Locked(msg)
        return 3600

    monkeypatch.setattr(heron.tools, "awake", awake)
    with pytest.raises(Locked):
        heron.sync()
    assert heron.row == row
    assert heron.vault.outbox.count() == owed
    assert texts(north, "Heron") == ["Not sent."]


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


def test_what_was_said_before_one_ended_the_epoch_oneself_comes_before_that(
    north: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else knows that it ended: it is not too late, and keys may rest on it."""
    fox, heron, _ = north.clients.values()
    fox.act(command.Whisper("Heron", "Before it ended."))
    fox.act(command.Turn())
    north.clients = dict(reversed(north.clients.items()))  # Fox's newest drop is nowhere yet
    reached = fox.tools.relay
    for _ in range(2):
        north.pass_hours(13)
        with monkeypatch.context() as away:
            away.setattr(fox.tools, "relay", lambda _, key: reached("http://127.0.0.1:1", key))
            with pytest.raises(RelayDown):
                fox.sync()
    north.settle("Fox", "Heron")
    (note,) = [json.loads(plain) for plain in heron.plain() if b"Before" in plain]
    assert (note["kind"], note["from"]) == ("note", "Fox")
    assert heron.look().state.epoch.number == 1


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
        stands = overview.of_channel(fox.row, hour_of(north.hours.now()))["epoch"]
        assert (stands["due"], stands["vouchers_needed"]) == ("weekly", [north.relay.url])
        assert stands["age_hours"] >= limits.EPOCH_HOURS
        north.pay("Fox", 1)
        north.settle()
        for one in north.clients.values():
            assert one.look().state.epoch.number == 1
            stands = overview.of_channel(one.row, hour_of(north.hours.now()))["epoch"]
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
    return drafts.wait(client.vault, NAME, MAIN_THREAD, text, now, ENTROPY)


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
    assert len(heron.tools.opened) == before + 3  # to read, for all else, for this alone
    many.settle()
    for client in many.clients.values():
        assert nobodys(client) == [SECRET]
    assert heron.vault.drafts.list(heron.row.id) == stands(heron)["drafts"] == []
    assert key not in draft_keys(heron.vault)


def blocks(client: Client) -> int:
    (poll,) = client.look().channel.polls()
    with client.tools.relay(poll.relay, poll.drop.relay) as relay:
        return relay.read(poll.drop, NEWEST, EVERY_HOUR).following


def test_attack_170_locked_machines_of_one_channel_hold_one_clock(north: Party) -> None:
    """How far it goes: anybody who can show that clock, as each member can, names the others."""
    north.settle()
    clocks = [
        {(each.name, each.value) for each in places(north, alias) if each.kind is PlaceKind.CLOCK}
        for alias in north.clients
    ]
    assert len(clocks[0]) == 1
    assert clocks[0] == clocks[1] == clocks[2]


def places(north: Party, alias: str) -> list[Place]:
    """What the file of keys shows to whoever has no passphrase."""
    data = (north.folder / alias.lower() / "vault" / "expiry.keys").read_bytes()
    return [Place.read(data[at : at + PLACE]) for at in range(0, len(data), PLACE)]


def beside(north: Party, alias: str) -> set[tuple[PlaceKind, int, int]]:
    """Of what sorts of keys there are, and when they die."""
    return {(each.kind, each.hour, each.extra) for each in places(north, alias)}


def test_attack_169_keys_beside_a_locked_vault_tell_that_something_unattributed_waits(
    many: Party,
) -> None:
    """And when it goes: whoever copied them at a border would know later who said it."""
    fox, heron, *_ = many.clients.values()
    fox.say("Said.")
    for _ in range(8):
        wait(heron)
    fox.sync()
    assert beside(many, "Heron") <= beside(many, "Fox")


def test_attack_165_what_nobody_said_stands_beside_what_its_author_says_by_itself(
    many: Party,
) -> None:
    fox, heron, *_ = many.clients.values()
    fox.act(command.SetPolicy(msgspec.structs.replace(fox.look().state.policy, pulse=1)))
    many.settle()
    wait(heron)
    many.pass_hours(4)
    before = blocks(fox)
    heron.sync()
    assert blocks(fox) == before + 1
    fox.sync()
    assert nobodys(fox) == [SECRET]
    before = blocks(fox)
    heron.sync()
    assert blocks(fox) > before, "its heartbeat comes with the next round"


def test_attack_165_what_nobody_said_stands_beside_as_much_as_was_let_go_of(many: Party) -> None:
    """A member asks for something again while a request of before has become too old."""
    heron = many.clients["Heron"]
    wait(heron)
    many.pass_hours(4)
    now = heron.tools.now()
    with session.change(heron.vault, NAME, now, ENTROPY) as changed:
        owner, state = changed.row.id, changed.state
        held = heron.vault.cores.many(owner, list(state.epoch.seen), now)
        state.owed[next(iter(held))] = Timestamp(1)
        ((relay, drop),) = state.epoch.drops()
        where = (owner, relay.url, relay.key, drop.id, drop.access)
        old = Owed(*where, Operation.APPEND, b"".join(noise()), LASTING, Hour(1))
        heron.vault.outbox.tried(heron.vault.outbox.add(old), now + 600)
    with suppress(ClientError):
        heron.sync()
    assert len(stands(heron)["drafts"]) == 1
    heron.sync()
    assert stands(heron)["drafts"] == []


def test_attack_165_what_nobody_said_falls_between_two_questions_of_its_author(
    many: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a program that stays: a relay sees whose question does not stand just then."""
    heron = many.clients["Heron"]
    wait(heron)
    many.pass_hours(4)
    asked, stood = Lanes.ask, list[bool]()

    def ask(lanes: Lanes, each: Ask) -> None:
        if isinstance(each, Sending) and each.alone:
            stood.append(bool(rounds._net.relays.reads.busy))
        asked(lanes, each)

    monkeypatch.setattr(Lanes, "ask", ask)
    with Sync(heron.app, heron.vault) as rounds:
        while not stood:
            rounds.channel(NAME, 4)
    assert stood == [True]


def test_attack_175_where_no_question_stands_what_nobody_said_waits_for_who_does_not_stay(
    many: Party,
) -> None:
    """Between two of its author's questions the relay could see whose it is."""
    heron = many.clients["Heron"]
    wait(heron)
    many.pass_hours(4)
    with (many.relay.data / "relay.toml").open("a") as settings:
        settings.write("most_waiting = 0\n")
    many.relay.begin_anew()
    with Sync(heron.app, heron.vault) as rounds:
        for _ in range(2):
            rounds.channel(NAME, 4)
    assert len(stands(heron)["drafts"]) == 1
    heron.sync()
    assert stands(heron)["drafts"] == []


def test_attack_165_what_nobody_said_follows_what_its_author_has_just_said(many: Party) -> None:
    heron = many.clients["Heron"]
    wait(heron)
    many.pass_hours(4)
    heron.act(command.Say(MAIN_THREAD, "By the way."))
    heron.sync()
    assert len(stands(heron)["drafts"]) == 1
    heron.sync()
    assert stands(heron)["drafts"] == []


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
    return overview.of_channel(client.row, hour_of(client.tools.now()))


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
    drafts.drop(heron.vault, NAME, refused["number"], many.hours.now())
    assert stands(heron)["drafts"] == []
    assert draft_keys(heron.vault) == set()
    with pytest.raises(NotFound):
        drafts.drop(heron.vault, NAME, refused["number"], many.hours.now())


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
