"""What a room of 64 costs: blocks that the relay sees, seconds of one core, bytes of state.

The counts are asserted in tests/protocol/test_counts.py; here they stand beside the time.
"""

import json
import time
from collections.abc import Callable
from typing import TypedDict

from backchannel.protocol import command as commands
from tests.support.crowd import crowd
from tests.support.world import World

SIZE = 64


class Cost(TypedDict):
    """Of one part: by whoever acts, and by all in what follows."""

    blocks: int
    blocks_of_others: int
    seconds: float
    seconds_of_others: float


def _cost(world: World, act: Callable[[], None]) -> Cost:
    before, began = world.drops.count(), time.process_time()
    act()
    acted, middle = world.drops.count(), time.process_time()
    world.settle(rounds=3)
    return {
        "blocks": acted - before,
        "blocks_of_others": world.drops.count() - acted,
        "seconds": round(middle - began, 3),
        "seconds_of_others": round(time.process_time() - middle, 3),
    }


def measure() -> dict[str, object]:
    """A post, an admission and a removal among 64."""
    world = crowd(SIZE - 1)
    founder = world.founder

    def post() -> None:
        world[5].say("A sentence.")
        world[5].flush()

    def admit() -> None:
        founder.act(commands.Admit("Newcomer"))
        founder.flush()
        guest.listen()

    def remove() -> None:
        founder.act(commands.Remove("Guest 3"))
        founder.flush()

    said = _cost(world, post)
    guest = world.knock("Newcomer")
    return {
        "members": SIZE,
        "post": said,
        "admission": _cost(world, admit),
        "removal": _cost(world, remove),
        "largest_state_bytes": max(len(member.snapshot()) for member in world.members),
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
