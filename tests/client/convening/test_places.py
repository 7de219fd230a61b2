"""Where a channel stands: which relay may come, what it costs, whose key is believed."""

import contextlib
import json
from collections.abc import Iterator

import pytest

from backchannel.client.convening import places
from backchannel.client.errors import (
    NotFound,
    NoVoucher,
    Refused,
    RelayKeyChanged,
    UsageMistake,
    caught,
)
from backchannel.client.rounds.relays import refuse_other_key
from backchannel.client.telling import bulletin, overview
from backchannel.client.vault.health import Failing
from backchannel.client.wire.relay import describe
from backchannel.protocol import command
from backchannel.protocol.roster import Relay
from backchannel.protocol.types import hour_of
from tests.support.cast import relay as somewhere
from tests.support.clients import NAME, Client, Party, party
from tests.support.relay import RelayProcess, running_relay


@pytest.fixture(scope="module")
def north() -> Iterator[Party]:
    """Fox and Heron, on one relay; nobody moves it."""
    with party("Heron") as made:
        yield made


@contextlib.contextmanager
def another() -> Iterator[tuple[RelayProcess, Relay]]:
    with running_relay() as other:
        yield other, Relay(other.url, describe(other.url, allow_http=True).key.value)


def texts(client: Client) -> list[str]:
    found = [json.loads(plain) for plain in client.plain()]
    return [each["text"] for each in found if each["kind"] == "text"]


def test_one_more_one_less_and_never_none(north: Party) -> None:
    state = north.clients["Fox"].look().state
    (here,) = state.relays
    new = somewhere("new")
    assert places.beside(state, new) == (here, new)
    with pytest.raises(NotFound):
        places.without(state, new.url)
    with pytest.raises(Refused, match="only relay"):
        places.without(state, f"{here.url}/".upper())
    with pytest.raises(UsageMistake):
        places.without(state, "nonsense")


def test_attack_one_key_under_two_addresses_is_one_relay(north: Party) -> None:
    state = north.clients["Fox"].look().state
    (here,) = state.relays
    with pytest.raises(Refused, match="is there already"):
        places.beside(state, Relay("https://alias.example", here.key))


def test_what_cannot_be_paid_leaves_nothing_behind(north: Party) -> None:
    fox, new = north.clients["Fox"], somewhere("new")
    asked = command.SetRelays((*fox.look().state.relays, new))
    with pytest.raises(NoVoucher, match="Nothing was done"):
        places.prepare(fox.app, fox.vault, NAME, asked, places.Newcomer(new, []))
    spent = [bytes(16)]
    other = places.Newcomer(somewhere("other"), spent)
    with pytest.raises(NoVoucher):  # vouchers of one relay pay for no other
        places.prepare(fox.app, fox.vault, NAME, asked, other)
    assert fox.vault.vouchers.count(other.relay.url) == 0
    assert fox.look().state.relays == asked.relays[:1]
    places.prepare(fox.app, fox.vault, NAME, asked, places.Newcomer(new, spent))
    assert fox.vault.vouchers.count(new.url) == 1


def test_who_does_not_facilitate_prepares_nothing(north: Party) -> None:
    heron, new = north.clients["Heron"], somewhere("hers")
    asked = command.SetRelays((*heron.look().state.relays, new))
    with pytest.raises(Refused, match="does not change"):
        places.prepare(heron.app, heron.vault, NAME, asked, places.Newcomer(new, [bytes(16)]))
    assert heron.vault.vouchers.count(new.url) == 0


def test_an_invite_is_held_where_somebody_answers_and_is_paid() -> None:
    with party() as north, another() as (process, new):
        fox, now = north.clients["Fox"], north.hours.now()
        (here,) = fox.look().state.relays
        with fox.vault.exclusive(now), fox.vault.transaction():
            fox.vault.vouchers.add_many(new.url, process.mint(1))
        fox.act(command.SetRelays((here, new)))
        state = fox.look().state
        assert places.for_invite(fox.vault, state, None) == here.url
        assert places.for_invite(fox.vault, state, f"{new.url}/") == new.url
        with fox.vault.exclusive(now), fox.vault.transaction():
            fox.vault.health.put(Failing(here.url, 1, now, now, now, "relay-down"))
        assert places.for_invite(fox.vault, state, None) == here.url, "the other is not paid"
        with fox.vault.exclusive(now), fox.vault.transaction():
            fox.vault.vouchers.add_many(new.url, process.mint(1))
        assert places.for_invite(fox.vault, state, None) == new.url
        with pytest.raises(NotFound):
            places.for_invite(fox.vault, state, "https://elsewhere.example")


def test_status_says_of_a_relay_that_it_does_not_answer(north: Party) -> None:
    fox, now = north.clients["Fox"], north.hours.now()
    (own,) = fox.look().state.relays
    row = fox.row
    row.summary["relays"].append(["https://other.example", own.key.hex()])
    down = {own.url: Failing(own.url, 1, now, now, now, "relay-down")}
    said = [list(bulletin._relays({"relays": overview.relays(row, each)})) for each in ({}, down)]
    assert said == [[], [f"No answer from {own.url}. Others will do: backchannel relay list"]]
    row.summary["relays"].pop()
    (line,) = bulletin._relays({"relays": overview.relays(row, down)})
    assert "backchannel courier pack FILE" in line


def test_status_says_to_who_facilitates_alone_that_nobody_can_be_removed(north: Party) -> None:
    fox, heron = north.clients["Fox"].row, north.clients["Heron"].row
    url = fox.summary["relays"][0][0]
    assert overview.unpaid(fox, lambda _: 1) == []
    assert overview.unpaid(fox, lambda _: 0) == [url]
    assert overview.unpaid(heron, lambda _: 0) == []
    told = overview.of_channel(fox, hour_of(north.hours.now())) | {"unpaid": [url]}
    said = "\n".join(bulletin.lines(told))
    assert f"No voucher is left for {url}: nobody can be removed." in said
    assert "backchannel channel vouchers FILE" in said


def test_attack_a_facilitator_names_a_relay_that_this_machine_knows_by_another_key() -> None:
    """The other relays go on; it is told, and no key that was trusted elsewhere gives way."""
    with party("Heron") as north, another() as (process, real):
        fox, heron, now = north.clients["Fox"], north.clients["Heron"], north.hours.now()
        false = Relay(real.url, somewhere("false").key)
        with fox.vault.exclusive(now), fox.vault.transaction():
            fox.vault.vouchers.add_many(real.url, process.mint(1))
        fox.act(command.SetRelays((*fox.look().state.relays, false)))
        fox.say("all the same")
        for client in (fox, heron, fox):
            problem = caught(client.sync)
        assert isinstance(problem, RelayKeyChanged)
        assert isinstance(caught(heron.sync), RelayKeyChanged)
        assert heron.look().state.relays[1] == false
        assert texts(heron) == ["all the same"]
        with pytest.raises(RelayKeyChanged):
            refuse_other_key(heron.vault, real.url, real.key)
        (own,) = fox.look().state.relays[:1]
        refuse_other_key(heron.vault, own.url, own.key)


def test_attack_a_later_channels_list_makes_no_other_key_trusted(north: Party) -> None:
    heron, now = north.clients["Heron"], north.hours.now()
    (own,) = heron.look().state.relays
    false = somewhere("false").key
    about = heron.row.summary | {"relays": [[own.url, false.hex()]]}
    with heron.vault.exclusive(now), heron.vault.transaction():
        heron.vault.joins.add(b"j" * 16, own.url, "Heron", b"", about)
    for key in (own.key, false):
        with pytest.raises(RelayKeyChanged):
            refuse_other_key(heron.vault, own.url, key)
    with heron.vault.exclusive(now), heron.vault.transaction():
        heron.vault.joins.remove(b"j" * 16)
