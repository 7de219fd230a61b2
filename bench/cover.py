"""What cover takes of a member's machine in a day: processor, bytes and saved state, of five
members at one block a minute, beside what `policy set --cover` reckons.

Real clients and a real relay; a turn and a block are measured, and a day is so many of them.
Prints one JSON document.
"""

import json
import time
from typing import NamedTuple

from backchannel.client.telling.traffic import of_cover
from backchannel.protocol import cover
from backchannel.protocol.roster import Policy
from tests.support.clients import Client
from tests.support.turns import Turns, covered

RATE = 60  # seconds
_GUESTS = ("Heron", "Ibis", "Wren", "Crane")
_WATCH = 300  # seconds of the test's time, with a block in two of them


class Spent(NamedTuple):
    """Of one thing."""

    seconds: float
    """Of this process's processor time, without the relay's."""
    octets: float
    """Both ways, HTTP included, TLS not."""


def measure() -> dict[str, float]:
    """A day's, and what it was to be."""
    members = len(_GUESTS) + 1
    with covered(*_GUESTS) as turns:
        turn = _turns(turns)
        block, grown = _read(turns.clients[1], len(turns.came))
    budget = cover.budget(members, RATE)
    reckoned = of_cover(Policy(168, cover=RATE), members, 1).document
    octets = budget.own * turn.octets + budget.blocks * block.octets
    return {
        "members": members,
        "cover_seconds": RATE,
        "ms_of_a_turn": 1000 * turn.seconds,
        "ms_of_a_block_read": 1000 * block.seconds,
        "cpu_seconds_a_day": budget.own * turn.seconds + budget.blocks * block.seconds,
        "bytes_a_day": round(octets),
        "bytes_a_day_reckoned_for_blocks": budget.up + budget.down,
        "bytes_a_day_said": reckoned["up"] + reckoned["down"],
        "state_grown_by": grown,
    }


def _turns(turns: Turns) -> Spent:
    turns.begin("bench")
    began = time.process_time()
    turns.go_on(_WATCH)
    spent, count = time.process_time() - began, len(turns.came)
    return Spent(spent / count, sum(each.there + each.back for each in turns.came) / count)


def _read(reader: Client, count: int) -> tuple[Spent, int]:
    """For each block; and the bytes by which its saved state is larger then."""
    held, moved, began = len(reader.row.state), reader.tools.budget.spent, time.process_time()
    reader.sync()
    seconds = time.process_time() - began
    spent = Spent(seconds / count, (reader.tools.budget.spent - moved) / count)
    return spent, len(reader.row.state) - held


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
