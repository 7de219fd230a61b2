"""What a relay that lies tries against the client: one among several, or one that is slow on
purpose. Real clients over real HTTP.
"""

from collections.abc import Iterator
from time import sleep
from typing import Any

import pytest

from backchannel.client.errors import RelayDown, RelaySlow
from backchannel.client.rounds import cover, network
from backchannel.client.rounds.session import change
from backchannel.client.rounds.sync import Sync
from backchannel.client.wire.relay import Relay, describe
from backchannel.protocol import command
from backchannel.protocol.drop import Drop, Operation, Page
from backchannel.protocol.outcome import Said
from backchannel.protocol.roster import Relay as Named
from backchannel.protocol.types import MAIN_THREAD, Hour
from tests.support.clients import NAME, party
from tests.support.people import ENTROPY
from tests.support.poor_link import Link, PoorLink
from tests.support.relay import running_relay
from tests.support.turns import Turns, covered, put_turn

pytestmark = [pytest.mark.system, pytest.mark.slow]


@pytest.fixture(scope="module")
def turns() -> Iterator[Turns]:
    with covered("Heron") as made:
        yield made


@pytest.mark.parametrize("said", ["something", ""])
def test_attack_152_a_block_that_was_refused_comes_again_whatever_it_says(
    turns: Turns, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns.begin("refused")
    client, real, seen = turns.clients[1], Relay.exchange, list[bytes]()
    if said:
        client.say(said)

    def refuse(relay: Relay, operation: Operation, *given: Any) -> bytes:
        seen.append(given[-1])
        if len(seen) == 1:
            msg = "The line is cut."
            raise RelayDown(msg)
        return real(relay, operation, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Relay, "exchange", refuse)
        for _ in range(3):
            put_turn(client, turns.party.hours.now())
            turns.take(client)
    turns.drain()
    assert seen[0] == seen[1] != seen[2]


def test_what_says_nothing_and_came_too_late_is_told_to_nobody(turns: Turns) -> None:
    turns.begin("too late")
    client, now = turns.clients[1], turns.party.hours.now()
    put_turn(client, now)
    with change(client.vault, NAME, now, ENTROPY) as session:
        assert cover.claim(client.vault, session, ENTROPY)
        assert client.vault.outbox.count(client.row.id) == len(turns.taps)
        late = client.vault.outbox.let_go(client.row.id, Operation.APPEND, Hour(2**31))
        assert late == client.vault.outbox.count(client.row.id) == 0


FAR = Link(delay=0.4, rate=1e6, loss=0)
"""As by Tor: whoever is quick is done long before."""


def test_attack_162_a_quick_relay_does_not_have_all_to_itself_for_ever() -> None:
    """It says that it has everything, and may keep it to itself; the other one is far and honest.
    Nobody types `sync`.
    """
    with party(vouchers=4) as made, running_relay() as honest, PoorLink(honest.url, FAR, 1) as far:
        fox, left = made.clients["Fox"], list[int]()
        with fox.vault.exclusive(fox.tools.now()), fox.vault.transaction():
            fox.vault.vouchers.add_many(far.url, honest.mint(4))
        urls = (made.relay.url, far.url)
        keys = [describe(url, allow_http=True).key.value for url in urls]
        fox.act(command.SetRelays(tuple(map(Named, urls, keys))))
        with Sync(fox.app, fox.vault) as rounds:
            rounds.whole(NAME)
        for number in range(8):
            made.hours.still = fox.tools.now() + 20
            with Sync(fox.app, fox.vault) as rounds:  # a command
                rounds.fresh(NAME)
                rounds.act(NAME, command.Say(MAIN_THREAD, f"word {number}"), Said)
                assert rounds.send(NAME) is None
            left.append(fox.vault.outbox.relays(fox.row.id).get(far.url, 0))
        with Sync(fox.app, fox.vault) as rounds:
            rounds.whole(NAME)  # all connections of before are over by then, too
        assert fox.vault.outbox.count() == 0
    assert left[:3] == [1, 2, 3]
    assert min(left[3:]) < 3


def test_attack_163_a_relay_that_always_has_more_holds_up_no_round_that_nobody_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each page comes as slowly as is allowed: 4,096 of them would take a week, in which a timer
    erases nothing and no other channel has its turn.
    """
    asked = list[int]()

    def read(_: Relay, _drop: Drop, position: int, *_more: int, wait: int = 0) -> Page:
        asked.append(wait)
        sleep(0.2)
        return Page(position + 1, more=len(asked) < 100, rows=())

    with party() as made:
        fox = made.clients["Fox"]
        monkeypatch.setattr(Relay, "read", read)
        monkeypatch.setattr(network, "_LONG", 1.0)
        with pytest.raises(RelaySlow, match="there is more to fetch"):
            fox.sync()
    assert len(asked) < 100
