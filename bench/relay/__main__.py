"""How good a relay is, beside floors and peers, in one run: see `bench/relay/README.md`."""

import argparse
import json

from bench.relay.findings import GOALS, Findings
from bench.relay.place import TooSmallError
from bench.relay.run import PARTS, measure


def main() -> None:
    """Run all parts, or those that were named; the last line is one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m bench.relay", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all where none is named")
    parser.add_argument("--rounds", type=int, default=5, help="that take turns (5)")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    try:
        found = measure(chosen.parts or PARTS, chosen.rounds)
    except TooSmallError as error:
        parser.exit(1, f"this machine cannot measure: {error}\n")
    _table(found)
    print(json.dumps(found.document()))


def _table(found: Findings) -> None:
    for name, value in found.all_figures().items():
        print(f"{name:>36}  {value:,.1f}")
    for name, ratio in found.ratios.items():
        how, goal = GOALS.get(name, ("", ""))
        told = {True: "reached", False: "NOT REACHED", None: ""}[found.reached(name)]
        print(f"{name:>36}  {'missing' if ratio is None else ratio}  {how} {goal}  {told}".rstrip())
    for name, why in found.missing.items():
        print(f"{name:>36}  missing: {why}")


if __name__ == "__main__":
    main()
