"""Several relays: one that is dead, silent or slow holds up nobody, and nothing is lost by it."""

import hashlib
import json
import time
from collections.abc import Iterator
from io import StringIO
from typing import cast

import pytest

from backchannel.client.errors import ClientError, RelayDown, RelayKeyChanged
from backchannel.client.keeping.leaving import leave
from backchannel.client.rounds import fetching
from backchannel.client.rounds.session import change
from backchannel.client.rounds.sync import Sync
from backchannel.client.telling import presence
from backchannel.client.telling.reached import Ways
from backchannel.client.vault.health import Failing
from backchannel.protocol import command
from backchannel.protocol.outcome import Said
from backchannel.protocol.roster import Relay as Named
from backchannel.protocol.types import MAIN_THREAD, Timestamp
from tests.support.clients import NAME, Client, party
from tests.support.relay import RelayProcess, noise, running_relay
from tests.support.several import Several, frozen, several

HOUR = 3600


@pytest.fixture
def north() -> Iterator[Several]:
    with several("Heron") as made:
        yield made


def texts(client: Client) -> list[str]:
    found = [json.loads(plain) for plain in client.plain()]
    return [each["text"] for each in found if each["kind"] == "text"]


def say(client: Client, text: str) -> ClientError | None:
    """As the verb does; why no relay has it, if so."""
    with Sync(client.app, client.vault) as sync:
        sync.fresh(NAME)
        sync.act(NAME, command.Say(MAIN_THREAD, text), Said)
        return sync.send(NAME)


def whole(client: Client) -> None:
    """A round that a person asks for."""
    with Sync(client.app, client.vault) as sync:
        sync.whole(NAME)


def owing(client: Client) -> set[str]:
    """The relays to which something is owed."""
    return set(client.vault.outbox.relays(client.row.id))


def states(client: Client) -> dict[str, str]:
    """How far each text has come."""
    ways, now = Ways(client.vault, client.look().state), client.tools.now()
    rows = client.vault.messages.list(client.row.id, now)
    opened = [(each, json.loads(each.plain)) for each in rows]
    return {plain["text"]: ways.of(each) for each, plain in opened if plain["kind"] == "text"}


def fail(client: Client, url: str, seconds: int) -> None:
    """It is known to have failed, and left alone for so long."""
    now = client.tools.now()
    row = Failing(url, 3, now, now, Timestamp(now + seconds), "relay-down")
    with client.vault.exclusive(now), client.vault.transaction():
        client.vault.health.put(row)


# Each relay has what is said, and any one is enough.


def test_what_is_said_goes_to_all(north: Several) -> None:
    assert say(north.fox, "To all.") is None
    whole(north.fox)
    assert owing(north.fox) == set()
    for relay in north.relays[:2]:
        relay.stop()
    north.heron.sync()
    assert texts(north.heron) == ["To all."]


def test_a_dead_relay_is_told_to_nobody_and_gets_later_what_it_lacks(north: Several) -> None:
    north.relays[0].stop()
    assert say(north.fox, "Without the first.") is None
    assert owing(north.fox) == {north.urls[0]}
    north.heron.sync()
    assert texts(north.heron) == ["Without the first."]
    north.come_back(0)
    whole(north.fox)
    assert owing(north.fox) == set()
    north.heron.sync()
    assert texts(north.heron) == ["Without the first."], "once, though it came from three"


def test_a_silent_relay_is_waited_for_by_nobody(north: Several) -> None:
    """Nor is its silence known for sure: it still has its time when all is said and read."""
    with frozen(north.relays[0]) as silent:
        assert say(north.fox, "Past the silent one.") is None
        north.heron.sync()
        assert texts(north.heron) == ["Past the silent one."]
        assert not silent.waited
    (row,) = north.fox.vault.health.all().values()
    assert (row.relay, row.failures, row.why) == (north.urls[0], 1, "relay-slow")
    whole(north.fox)
    assert owing(north.fox) == set()


def test_where_none_can_be_reached_it_is_kept_and_told_and_sent_once(north: Several) -> None:
    for relay in north.relays:
        relay.stop()
    problem = say(north.fox, "Kept.")
    assert isinstance(problem, RelayDown)
    assert owing(north.fox) == set(north.urls)
    assert states(north.fox) == {"Kept.": "queued"}
    with pytest.raises(RelayDown):
        north.fox.sync()
    for number in range(3):
        north.come_back(number)
    north.fox.sync()
    north.heron.sync()
    assert texts(north.heron) == ["Kept."]


def test_one_that_is_back_is_enough_though_all_had_failed(north: Several) -> None:
    for relay in north.relays:
        relay.stop()
    assert say(north.fox, "One is enough.") is not None
    north.come_back(2)
    north.fox.sync()
    assert states(north.fox) == {"One is enough.": "at-relay"}
    assert owing(north.fox) == set(north.urls[:2])


def test_whoever_leaves_tells_those_relays_that_listen_and_waits_for_no_other(
    north: Several,
) -> None:
    fox, heron = north.fox, north.heron
    with frozen(north.relays[0]) as silent:
        with Sync(heron.app, heron.vault) as sync:
            assert leave(heron.app, heron.vault, sync, heron.row).problem is None
        assert heron.vault.outbox.owners() == []
        assert not silent.waited
        fox.sync()
        assert [entry.alias for entry in fox.look().state.current().entries] == ["Fox"]
    assert heron.vault.health.all() == {}


# A relay that failed is left alone for a while.


def test_a_relay_that_failed_is_left_alone_unless_a_person_asks(north: Several) -> None:
    url = north.urls[1]
    fail(north.fox, url, 600)
    assert say(north.fox, "Not to the second.") is None
    assert owing(north.fox) == {url}
    north.fox.sync()
    assert owing(north.fox) == {url}, "it was not tried"
    whole(north.fox)
    assert owing(north.fox) == set()
    assert north.fox.vault.health.all() == {}, "it is well again"


def test_a_relay_is_asked_again_when_its_time_is_over(north: Several) -> None:
    fail(north.fox, north.urls[1], 0)
    assert say(north.fox, "To all.") is None
    north.fox.sync()
    assert (owing(north.fox), north.fox.vault.health.all()) == (set(), {})


def test_where_all_are_left_alone_all_are_asked(north: Several) -> None:
    for url in north.urls:
        fail(north.fox, url, 600)
    assert say(north.fox, "To whom it may reach.") is None


def test_one_that_is_left_alone_is_asked_when_the_others_turn_out_dead(north: Several) -> None:
    fail(north.fox, north.urls[2], 600)
    for relay in north.relays[:2]:
        relay.stop()
    assert say(north.fox, "To the last.") is None
    assert owing(north.fox) == set(north.urls[:2])


def test_each_failure_in_a_row_counts_and_an_answer_forgets_them(north: Several) -> None:
    north.relays[0].stop()
    for failures in (1, 2, 3):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("backchannel.client.rounds.network.left_alone", lambda *_: {})
            north.fox.sync()
        (row,) = north.fox.vault.health.all().values()
        assert (row.failures, row.why) == (failures, "relay-down")
        assert row.until >= row.latest + 2**failures
    north.come_back(0)
    whole(north.fox)
    assert north.fox.vault.health.all() == {}


# What is told all the same.


def test_a_relay_that_holds_another_key_is_told_though_others_work(north: Several) -> None:
    old, fox = north.relays[1], north.fox
    old.stop()
    with running_relay(start=False) as other:
        other.start("--port", old.url.rpartition(":")[2])
        with pytest.raises(RelayKeyChanged):
            fox.sync()
        assert say(fox, "At the others.") is None
        assert "another key than the one you trusted" in said_to(fox)
    assert owing(fox) == {old.url}


def said_to(client: Client) -> str:
    """All that its person was told."""
    return cast("StringIO", client.tools.ui._err).getvalue()


# Relays that the channel has left, or that moved.


def test_a_relay_that_was_left_concerns_nobody_and_its_share_is_let_go(north: Several) -> None:
    fox, heron = north.fox, north.heron
    north.relays[2].stop()
    assert say(fox, "Before.") is None
    with Sync(fox.app, fox.vault) as sync:
        sync.act(NAME, command.SetRelays(fox.look().state.relays[:2]), Said)
        assert sync.send(NAME) is None
    assert owing(fox) == {north.urls[2]}
    for client in (fox, heron, fox):
        client.sync()
    assert [relay.url for relay in heron.look().state.relays] == north.urls[:2]
    north.relays[1].stop()  # whose clock nobody moves
    for hours, owed in ((23, True), (2, False)):
        north.party.pass_hours(hours)
        fox.sync()
        assert (north.urls[2] in owing(fox)) == owed
    assert texts(heron) == ["Before."]


def test_what_is_owed_follows_a_relay_to_its_new_address(north: Several) -> None:
    fox, moved = north.fox, north.relays[2]
    moved.stop()
    assert say(fox, "To where you are now.") is None
    old = moved.url
    moved.start()
    assert moved.url != old
    relays = fox.look().state.relays
    fox.act(command.SetRelays((*relays[:2], Named(moved.url, relays[2].key))))
    for client in (fox, north.heron, fox):
        whole(client)
    assert owing(fox) == set()
    for relay in north.relays[:2]:
        relay.stop()
    say(north.heron, "I hear you.")
    assert texts(north.heron) == ["To where you are now.", "I hear you."]


def test_a_member_brings_to_a_relay_what_its_author_could_not() -> None:
    """Fox reaches the first alone, Osprey the last alone; Heron reaches both."""
    with several("Heron", "Osprey", count=2) as north:
        first, last = north.relays
        osprey = north.party.clients["Osprey"]
        last.stop()
        assert say(north.fox, "From one shore to the other.") is None
        north.heron.sync()
        north.come_back(1)
        north.party.pass_hours(1)
        last.move_clock(1)
        whole(north.heron)
        first.stop()
        whole(osprey)
        assert texts(osprey) == ["From one shore to the other."]


# How far one's own messages have come.


def test_queued_then_at_a_relay_then_seen(north: Several) -> None:
    fox, heron = north.fox, north.heron
    fox.say("Yes?")
    assert states(fox) == {"Yes?": "queued"}
    fox.sync()
    assert states(fox) == {"Yes?": "at-relay"}
    heron.sync()
    assert states(fox) == {"Yes?": "at-relay"}, "to read is not to show"
    assert states(heron) == {"Yes?": ""}
    assert say(heron, "Yes.") is None
    fox.sync()
    assert states(fox) == {"Yes?": "seen", "Yes.": ""}


def test_a_message_of_several_blocks_is_at_a_relay_when_one_has_all(north: Several) -> None:
    for relay in north.relays[:2]:
        relay.stop()
    long = "x" * 9000
    assert say(north.fox, long) is None
    assert len(north.fox.vault.outbox.pending()) >= 6
    assert states(north.fox) == {long: "at-relay"}


def test_attack_164_an_address_that_is_refused_stops_nobody(north: Several) -> None:
    """A facilitator names none at all: other relays do, and nobody's rounds end in an error."""
    key = hashlib.sha256(b"nobody's").digest()[:31] + b"\1"
    named = (*north.fox.look().state.relays[:2], Named("gopher://relay.example", key))
    with change(north.fox.vault, NAME, north.fox.tools.now(), north.fox.tools.entropy) as session:
        north.fox.vault.vouchers.add_many("gopher://relay.example", [bytes(16)])
        session.act(command.SetRelays(named))
    for member in (north.fox, north.heron):
        whole(member)
        assert [each.url for each in member.look().state.relays] == [each.url for each in named]
    assert say(north.heron, "All the same.") is None
    whole(north.fox)
    assert texts(north.fox) == ["All the same."]


# A relay that answers at once where it was asked to wait: it has too many who do, or wants to be
# asked all the time.


def waits_for_nobody(relay: RelayProcess) -> None:
    with (relay.data / "relay.toml").open("a") as settings:
        settings.write("most_waiting = 0\n")
    relay.begin_anew()


def test_attack_175_a_relay_that_lets_nobody_wait_is_not_asked_all_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where each round takes no time at all, there are two seconds between two."""
    with party("Heron") as north:
        heron = north.clients["Heron"]
        heron.sync()
        waits_for_nobody(north.relay)
        clock, rested = [0.0], list[float]()

        def rest(seconds: float) -> None:
            rested.append(seconds)
            clock[0] += seconds

        monkeypatch.setattr(fetching, "elapsed", lambda: clock[0])
        monkeypatch.setattr(time, "sleep", rest)
        with Sync(heron.app, heron.vault) as sync:
            for _ in range(3):
                sync.channel(NAME, 20)
        assert clock[0] >= 6


def test_attack_175_a_relay_that_always_has_something_is_not_asked_all_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Noise is enough."""
    with party("Heron") as north:
        heron = north.clients["Heron"]
        heron.sync()
        clock = [0.0]

        def rest(seconds: float) -> None:
            clock[0] += seconds

        monkeypatch.setattr(fetching, "elapsed", lambda: clock[0])
        monkeypatch.setattr(time, "sleep", rest)
        (poll,) = heron.look().channel.polls()
        with (
            Sync(heron.app, heron.vault) as sync,
            heron.tools.relay(poll.relay, poll.drop.relay) as relay,
        ):
            for _ in range(4):
                relay.append(poll.drop, noise())
                sync.channel(NAME, 20)
        assert clock[0] >= 0.75


def test_attack_175_one_that_lets_nobody_wait_ends_no_waiting_at_the_others(north: Several) -> None:
    whole(north.heron)
    hasty, *others = north.relays
    waits_for_nobody(hasty)
    with Sync(north.heron.app, north.heron.vault) as sync:
        sync.channel(NAME, 3)
        assert not sync._net.relays.reads.busy >= {relay.url for relay in others}


def test_attack_141_a_question_that_nobody_answers_is_no_reading() -> None:
    """Else everybody would look silent to who stays while a relay says nothing."""
    with party("Heron") as north:
        heron = north.clients["Heron"]
        heron.sync()
        before = presence.read_at(heron.row.summary)
        north.hours.still = heron.tools.now() + HOUR
        with frozen(north.relay), Sync(heron.app, heron.vault) as sync:
            sync.channel(NAME, 1)
            assert presence.read_at(heron.row.summary) == before
        with Sync(heron.app, heron.vault) as sync:
            sync.channel(NAME, 1)
        assert presence.read_at(heron.row.summary) == before + 1
