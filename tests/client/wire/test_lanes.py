"""Lanes: none waits for another, nothing that goes wrong in one is lost, nothing stays there."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event
from types import SimpleNamespace
from typing import cast

import pytest

from backchannel.client.app import App
from backchannel.client.errors import RelayDown
from backchannel.client.rounds.relays import Relays
from backchannel.client.wire.lanes import Lanes, Reading, Sending
from backchannel.client.wire.relay import Relay
from backchannel.protocol.drop import Drop, Operation
from backchannel.protocol.primitives import X25519Public
from backchannel.protocol.secret import X25519Private
from backchannel.protocol.types import DropId
from tests.client.rounds.test_outbox import KEY, drop

FAST, EVEN, HELD = "https://fast", "https://even", "https://held"
DOWN, ODD = "https://down", "https://odd"


class OddError(Exception):
    """A fault of the program."""


@dataclass
class Network:
    """Relays that answer at once, when they are let, or not at all."""

    let: Event = field(default_factory=Event)
    opened: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)

    @contextmanager
    def connect(self, url: str, key: X25519Public) -> Iterator[Relay]:
        assert key == KEY
        self.opened.append(url)
        if url == DOWN:
            msg = "It is down."
            raise RelayDown(msg)
        yield cast("Relay", Answering(self, url))
        self.closed.append(url)


@dataclass
class Answering:
    network: Network
    url: str

    def exchange(
        self, operation: Operation, drop: DropId, private: X25519Private, payload: bytes
    ) -> bytes:
        if self.url == ODD:
            raise OddError
        if self.url == HELD:
            assert self.network.let.wait(60)
        return payload

    def read(self, drop: Drop, position: int, hour: int, wait: int) -> bytes:
        return self.exchange(Operation.READ, drop.id, drop.access, b"%d" % position)


def sending(url: str, payload: bytes = b"", *, alone: bool = False) -> Sending:
    return Sending(url, KEY, Operation.APPEND, drop(1).id, drop(1).access, payload, alone)


@pytest.fixture
def network() -> Iterator[Network]:
    made = Network()
    yield made
    made.let.set()


@pytest.fixture
def lanes(network: Network) -> Iterator[Lanes]:
    made = Lanes(network.connect)
    yield made
    made.close()


def never() -> bool:
    return False


def test_each_lane_answers_in_order_and_over_one_connection(network: Network, lanes: Lanes) -> None:
    for number in range(5):
        lanes.ask(sending(FAST, b"%d" % number))
        lanes.ask(sending(EVEN, b"%d" % number))
    heard = [(each.ask.url, each.said) for each in lanes.answers(never)]
    for url in (FAST, EVEN):
        assert [said for at, said in heard if at == url] == [b"0", b"1", b"2", b"3", b"4"]
    assert sorted(network.opened) == [EVEN, FAST]
    assert lanes.busy == set()


def test_what_is_asked_meanwhile_is_answered_too(lanes: Lanes) -> None:
    lanes.ask(sending(FAST, b"first"))
    said = []
    for heard in lanes.answers(never):
        said.append(heard.said)
        if len(said) < 3:
            lanes.ask(Reading(FAST, KEY, drop(1), len(said)))
    assert said == [b"first", b"1", b"2"]


def test_the_slow_is_left_behind_when_it_is_enough_and_heard_later(
    network: Network, lanes: Lanes
) -> None:
    lanes.ask(sending(HELD, b"slow"))
    lanes.ask(sending(FAST, b"fast"))
    heard = list[object]()
    for each in lanes.answers(lambda: bool(heard), grace=0.01):
        heard.append(each.said)
    assert (heard, lanes.slow, lanes.busy) == ([b"fast"], {HELD}, {HELD})
    lanes.ask(sending(FAST, b"again"))
    heard = []
    for each in lanes.answers(lambda: bool(heard), grace=30):
        heard.append(each.said)
    assert heard == [b"again"], "who is slow already is given no grace"
    network.let.set()
    assert [each.said for each in lanes.answers(never)] == [b"slow"]
    assert (lanes.slow, lanes.busy) == (set(), set())


def test_without_grace_it_ends_at_once_and_blames_nobody(lanes: Lanes) -> None:
    lanes.ask(sending(HELD))
    assert list(lanes.answers(lambda: True, grace=0)) == []
    assert (lanes.slow, lanes.busy) == (set(), {HELD})


def test_while_it_is_not_enough_even_the_slow_are_waited_for(
    network: Network, lanes: Lanes
) -> None:
    lanes.ask(sending(HELD, b"slow"))
    assert list(lanes.answers(lambda: True, grace=0.01)) == []
    network.let.set()
    assert [each.said for each in lanes.answers(never)] == [b"slow"]


def test_a_relay_that_is_down_is_an_answer(lanes: Lanes) -> None:
    lanes.ask(sending(DOWN))
    lanes.ask(sending(FAST, b"up"))
    heard = {each.ask.url: each.said for each in lanes.answers(never)}
    assert isinstance(heard[DOWN], RelayDown)
    assert heard[FAST] == b"up"


def test_a_fault_of_the_program_is_not_hidden_in_a_thread(lanes: Lanes) -> None:
    lanes.ask(sending(ODD))
    with pytest.raises(OddError):
        list(lanes.answers(never))
    lanes.ask(sending(FAST, b"on"))
    assert [each.said for each in lanes.answers(never)] == [b"on"]


def test_what_goes_alone_has_a_connection_of_its_own(network: Network, lanes: Lanes) -> None:
    for alone in (False, True, False):
        lanes.ask(sending(FAST, b"", alone=alone))
    assert len(list(lanes.answers(never))) == 3
    assert (network.opened, network.closed) == ([FAST, FAST], [FAST])


def test_who_hangs_up_waits_for_no_relay(network: Network) -> None:
    lanes = Lanes(network.connect)
    lanes.ask(sending(HELD))
    lanes.ask(sending(FAST))
    heard = list[object]()
    for each in lanes.answers(lambda: bool(heard), grace=0.01):
        heard.append(each)
    lanes.close()
    assert network.closed == [FAST]
    threads = {url: thread for (url, _), (_, thread) in lanes._lanes.items()}
    assert not threads[FAST].is_alive()
    assert threads[HELD].is_alive()
    assert threads[HELD].daemon, "a process ends without it"


def test_attack_a_lane_keeps_no_key_of_a_request_that_was_answered(
    network: Network, lanes: Lanes
) -> None:
    """While it waits for the next one, for as long as `read --follow` runs."""
    for url in (FAST, DOWN):
        key = X25519Private(bytes(range(32)))
        lanes.ask(sending(url)._replace(access=key))
        for heard in lanes.answers(never):
            del heard
        gc.collect()
        holders = [each for each in gc.get_referrers(key) if isinstance(each, Sending)]
        assert holders == []


def test_attack_two_channels_of_one_person_share_no_connection(network: Network) -> None:
    """Nor does one hear what the other asked for, however late that is answered."""
    relays = Relays(cast("App", SimpleNamespace(relay=network.connect, awake=int)))
    for owner, url in ((b"north", HELD), (b"south", FAST), (b"north", FAST)):
        relays.speak_for(owner)
        relays.reads.ask(Reading(url, KEY, drop(1), 7))
        relays.writes.ask(sending(url, owner))
        if url == FAST:
            assert [each.said for each in relays.hear(relays.reads, never)] == [b"7"]
            assert [each.said for each in relays.hear(relays.writes, never)] == [owner]
        network.let.set()
    relays.close()
    assert network.opened.count(FAST) == 4
    assert network.closed.count(FAST) == 4
