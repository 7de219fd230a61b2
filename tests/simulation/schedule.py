"""A schedule: what happens to a few people in one run, drawn from a seed and from nothing else.

A step names nobody and nothing by itself: its numbers count on from wherever the run is, so a step
can be left out and the rest still means something. Knows no protocol.
"""

import random  # noqa: TID251 - a run must come again
from typing import NamedTuple

Numbers = tuple[int, int, int]


class Step(NamedTuple):
    """One thing that happens."""

    verb: str
    numbers: Numbers

    def __str__(self) -> str:
        return f"{self.verb}{self.numbers}"


class Shape(NamedTuple):
    """What a run begins with."""

    members: int
    facilitators: int
    relays: int
    lifetime: int
    """Hours."""


class Schedule(NamedTuple):
    """All of one run."""

    seed: int
    shape: Shape
    skews: tuple[int, ...]
    """Seconds by which clocks are ahead, member by member."""
    steps: tuple[Step, ...]

    def without(self, start: int, count: int) -> "Schedule":
        """Some steps left out."""
        return self._replace(steps=self.steps[:start] + self.steps[start + count :])

    def __str__(self) -> str:
        steps = "\n".join(f"  {number:3} {step}" for number, step in enumerate(self.steps))
        return f"seed {self.seed}, {self.shape}, clocks {self.skews}\n{steps}"


SKEW = 1800  # seconds, either way
STEPS = 40
WEIGHTS = {
    "say": 12,
    "say_much": 1,
    "whisper": 2,
    "begin": 1,
    "sync": 16,
    "everybody": 4,
    "wait": 9,
    "hours": 4,
    "days": 1,
    "cut": 4,
    "mend": 2,
    "away": 2,
    "undone": 2,
    "unsent": 3,
    "courier": 3,
    "garbage": 1,
    "skew": 1,
    "relays": 2,
    "dies": 1,
    "turn": 1,
    "remove": 1,
    "admit": 3,
    "role": 1,
    "tighten": 1,
    "race": 1,
    "leave": 1,
    "digest": 1,
}
"""How often each verb is drawn; what they do is in `run`."""


def draw(seed: int, steps: int = STEPS) -> Schedule:
    """The schedule of a seed."""
    chance = random.Random(seed)  # noqa: S311 - as above
    members = chance.randint(3, 6)
    shape = Shape(
        members,
        chance.choice((1, 1, 2, 3)),
        chance.randint(1, 3),
        chance.choice((168, 336)),
    )
    verbs = chance.choices(list(WEIGHTS), list(WEIGHTS.values()), k=steps)
    return Schedule(
        seed,
        shape,
        tuple(chance.randint(-SKEW, SKEW) for _ in range(members + 3)),
        tuple(Step(verb, (_number(chance), _number(chance), _number(chance))) for verb in verbs),
    )


def _number(chance: random.Random) -> int:
    return chance.randrange(1 << 16)
