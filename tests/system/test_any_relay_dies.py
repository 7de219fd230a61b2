"""Claim C8: any one of three relays is killed at any moment, and nobody notices: nothing is lost,
nothing doubled, all read the same order. By five clients, and relays that are processes.

`make any-relay` says 1,000 messages; here fewer.
"""

import contextlib
import json
import os
import random  # noqa: TID251 - a run must come again
import sys
import threading
import time
from collections.abc import Iterator
from statistics import median

import pytest

from backchannel.client.rounds.sync import Sync
from backchannel.protocol import command
from backchannel.protocol.outcome import Said
from backchannel.protocol.types import MAIN_THREAD
from tests.support.clients import NAME, Client
from tests.support.several import Several, several

pytestmark = [pytest.mark.system, pytest.mark.slow]

MESSAGES = int(os.environ.get("BACKCHANNEL_MESSAGES", "60"))
SEED = int(os.environ.get("BACKCHANNEL_SEED", "0"))
GUESTS = ("Heron", "Ibis", "Wren", "Owl")


def say(client: Client, text: str) -> None:
    """As the command does; nobody is told to do anything."""
    with Sync(client.app, client.vault) as rounds:
        assert rounds.act(NAME, command.Say(MAIN_THREAD, text), Said) is not None
        problem = rounds.send(NAME)
    assert problem is None, problem


def texts(client: Client) -> list[str]:
    found = map(json.loads, client.plain())
    return [each["text"] for each in found if each["kind"] == "text"]


@contextlib.contextmanager
def dying(three: Several, chance: random.Random) -> Iterator[list[int]]:
    """One relay at a time is killed, in the middle of whatever goes on, and comes back a while
    later. Gives which, so far.
    """
    over, killed = threading.Event(), list[int]()

    def reap() -> None:
        while not over.wait(chance.uniform(0.05, 1.5)):
            number = chance.randrange(len(three.relays))
            three.relays[number].kill()
            killed.append(number)
            over.wait(chance.uniform(0, 3))
            three.come_back(number)

    thread = threading.Thread(target=reap)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def settle(three: Several) -> None:
    for _ in range(3):
        for client in three.party.clients.values():
            client.sync()


def test_any_relay_dies_at_any_moment() -> None:
    chance = random.Random(SEED)  # noqa: S311 - as above
    with several(*GUESTS, vouchers=40) as three:
        clients = list(three.party.clients.values())
        with dying(three, random.Random(SEED + 1)) as killed:  # noqa: S311
            for number in range(MESSAGES):
                say(chance.choice(clients), f"{number}")
                if number % 3 == 0:
                    chance.choice(clients).sync()
        settle(three)
        read = [texts(client) for client in clients]
        assert killed
        assert sorted(read[0], key=int) == [f"{number}" for number in range(MESSAGES)]
        assert all(each == read[0] for each in read)
    sys.stdout.write(f"{MESSAGES} messages, {len(killed)} kills\n")


def test_one_relay_dies_for_good_and_is_waited_for_by_nobody() -> None:
    with several(*GUESTS, vouchers=40) as three:
        three.relays[0].kill()
        clients = list(three.party.clients.values())
        delays = []
        for number in range(min(MESSAGES, 100) // 2):
            began = time.monotonic()
            say(clients[number % 5], f"{number}")
            clients[(number + 1) % 5].sync()
            delays.append(time.monotonic() - began)
            assert f"{number}" in texts(clients[(number + 1) % 5])
        settle(three)
        read = [texts(client) for client in clients]
        assert all(each == read[0] for each in read)
        assert len(read[0]) == len(set(read[0])) == len(delays)
    told = f"median from saying to reading with a dead first relay: {median(delays):.2f} s\n"
    sys.stdout.write(told)
