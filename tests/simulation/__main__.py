"""`make schedules`: many runs on every core, each from its own seed; a seed that breaks a claim is
printed with the least schedule that still does. The last line is JSON.
"""

import argparse
import gc
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from itertools import pairwise

from tests.simulation.schedule import draw
from tests.simulation.shrink import broken, shrunk
from tests.simulation.starts import by_script, founded

CHUNK = 25
MANY = 1000  # as many schedules have every shape among them


def tried(seeds: tuple[int, int]) -> list[tuple[int, str]]:
    """Seeds of a range that break something, and what."""
    found = [(seed, broken(draw(seed))) for seed in range(*seeds)]
    gc.collect()  # while they run nothing is collected: a sixth of the time goes into it
    return [(seed, claim) for seed, claim in found if claim]


def begin(first: int, count: int) -> None:
    """Found here what runs begin from: each process is a copy of this one."""
    with by_script():
        for shape in {draw(seed).shape for seed in range(first, first + min(count, MANY))}:
            founded(shape)
    gc.disable()
    gc.freeze()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--count", type=int, default=100_000, help="how many schedules")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, help="try this one alone, and shrink it")
    given = parser.parse_args()
    if given.seed is not None:
        return _one(given.seed)
    ends = [*range(given.first, given.first + given.count, CHUNK), given.first + given.count]
    begin(given.first, given.count)
    claims, done, began = Counter[str](), 0, time.monotonic()
    with multiprocessing.get_context("fork").Pool(given.cores, maxtasksperchild=40) as pool:
        for found in pool.imap_unordered(tried, pairwise(ends)):
            done += CHUNK
            for seed, claim in found:
                claims[claim] += 1
                print(f"seed {seed}: {claim}", flush=True)
            if done % 1000 == 0:
                took = time.monotonic() - began
                print(f"{done} schedules, {done / took:.1f} a second", flush=True)
    took = time.monotonic() - began
    print(
        json.dumps(
            {
                "schedules": given.count,
                "first": given.first,
                "seconds": round(took),
                "a_second_and_core": round(given.count / took / given.cores, 2),
                "broken": dict(claims),
            }
        )
    )
    return bool(claims)


def _one(seed: int) -> int:
    least = shrunk(draw(seed))
    claim = broken(least)
    print(f"{claim or 'every claim holds'}\n{least}")
    return bool(claim)


if __name__ == "__main__":
    sys.exit(main())
