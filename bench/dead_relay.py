"""What a dead first relay costs who speaks: whole `say` processes on three relays, of which the
first is alive, refuses connections, takes them and is silent, or swallows them.

Each time once as it is met for the first time, and once as it is known: then it is left alone. And
what it costs where all three are like that, until the prompt is back: what was said is queued then.
Prints one JSON document, in seconds; issue 6 asks for less than 3, where one answers.
"""

import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from tests.support.people import PASSPHRASE, passphrase_file
from tests.support.relay import RelayProcess
from tests.support.several import Several, frozen, several, swallowed

ROUNDS = 9
FEW = 3
PROGRAM = (sys.executable, "-c", "from backchannel.client.cli import main; main()")


def say(home: Path, number: int, state: str = "at-relay") -> float:
    """One whole process."""
    options = ("--home", str(home), "--passphrase-file", str(home / "passphrase"))
    began = time.perf_counter()
    done = subprocess.run(
        [*PROGRAM, *options, "say", f"{number}", "--json"],
        capture_output=True,
        text=True,
        check=state == "at-relay",
    )
    took = time.perf_counter() - began
    assert json.loads(done.stdout)["state"] == state  # noqa: S101 - else nothing was measured
    return took


def home_of(north: Several) -> Path:
    """Where Fox's vault is."""
    return north.fox.vault._folder.path.parent  # noqa: SLF001 - of a test's home


def measured(north: Several, *, forget: bool) -> dict[str, float]:
    """Median and worst; with `forget` nothing is known of the relay each time."""
    vault, times = north.fox.vault, []
    home, now = home_of(north), north.fox.tools.now()
    for number in range(ROUNDS):
        if forget:
            with vault.exclusive(now), vault.transaction():
                vault.health.forget(north.urls)
        times.append(say(home, number))
    return _figures(times)


def unanswered(north: Several, way: "Way") -> dict[str, float]:
    """The same where no relay answers, one after another."""
    with contextlib.ExitStack() as stack:
        for relay in north.relays:
            stack.enter_context(way(relay))
        return _figures([say(home_of(north), number, "queued") for number in range(FEW)])


def _figures(times: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(times), 2), "worst": round(max(times), 2)}


@contextlib.contextmanager
def stopped(relay: RelayProcess) -> Iterator[None]:
    """Nobody listens."""
    relay.stop()
    yield
    relay.start("--port", relay.url.rpartition(":")[2])


Way = Callable[[RelayProcess], AbstractContextManager[object]]
WAYS: dict[str, Way] = {
    "alive": lambda _: contextlib.nullcontext(),
    "refused": stopped,
    "silent": frozen,
    "swallowed": swallowed,
}


def measure() -> dict[str, dict[str, dict[str, float]]]:
    """All of it, beside each other."""
    with several("Heron") as north:
        passphrase_file(home_of(north), PASSPHRASE)
        found = {}
        for name, way in WAYS.items():
            with way(north.relays[0]):
                new, known = measured(north, forget=True), measured(north, forget=False)
            found[name] = {"met_first": new, "known": known}
            north.fox.sync()
        for name in ("refused", "silent", "swallowed"):
            found[f"all {name}"] = {"met_first": unanswered(north, WAYS[name])}
        return found


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
