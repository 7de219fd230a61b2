"""A hundred messages over links of all kinds: minutes of the link's time, and bytes on the wire for
each byte of a block, for who writes and for who reads.

The link is the model of `tests.support.poor_link`, and its time is only counted. Prints one JSON
document.
"""

import json
import sys

import pytest

from backchannel.client.errors import RelayError, caught
from backchannel.client.wire.pace import Paces
from backchannel.protocol import limits
from tests.support.clients import Client, party
from tests.support.poor_link import Link
from tests.support.virtual_link import VirtualNetwork

MESSAGES = 100
LINKS = {
    "2 kB/s, 2 s, 30 % lost": Link(),
    "2 kB/s, 2 s, 10 % lost": Link(loss=0.1),
    "2 kB/s, 2 s": Link(loss=0.0),
    "2 kB/s, 0.1 s": Link(delay=0.1, loss=0.0),
    "20 kB/s, 0.5 s, 5 % lost": Link(delay=0.5, rate=20_000, loss=0.05),
}


def one(link: Link, seed: int) -> dict[str, float]:
    """Fox says a hundred things, Heron reads them; each until a command has worked."""
    with party("Heron") as room, pytest.MonkeyPatch.context() as patch:
        fox, heron = room.clients["Fox"], room.clients["Heron"]
        for number in range(MESSAGES):
            fox.say(f"message {number}")
        network = VirtualNetwork(link, seed).install(patch)
        found = {}
        for name, client, blocks in (("write", fox, 2 * MESSAGES), ("read", heron, MESSAGES)):
            began, moved = network.now, sum(network.moved)
            _persist(client)
            found[f"{name}_minutes"] = round((network.now - began) / 60, 1)
            bytes_each = (sum(network.moved) - moved) / (blocks * limits.BLOCK)
            found[f"{name}_ratio"] = round(bytes_each, 3)
        return found | {"broken": network.broken}


def _persist(client: Client) -> None:
    client.tools.paces = Paces()
    while isinstance(caught(client.sync), RelayError):
        pass


def measure(seeds: int = 3) -> dict[str, object]:
    """Everything, as one document."""
    return {name: [one(link, seed) for seed in range(seeds)] for name, link in LINKS.items()}


if __name__ == "__main__":
    print(json.dumps(measure(*map(int, sys.argv[1:2])), indent=2))
