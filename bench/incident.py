"""From `incident open` typed to the alarm on the other side's screen: two sides with real vaults, a
real relay on this machine, the ordinary commands. Beside it the time until the acknowledgement is
back. Prints one JSON document.
"""

import json
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backchannel.protocol.drop import show_voucher
from bench.talk import Person
from tests.support.relay import RelayProcess, running_relay

ROUNDS = 9


def meet(folder: Path, relay: RelayProcess) -> tuple[Person, Person]:
    """A hotline of a facilitator, Heron of the North and Wren of the South; the two sides."""
    vouchers = folder / "vouchers"
    vouchers.write_text("".join(f"{show_voucher(voucher)}\n" for voucher in relay.mint(4)))
    fox = Person(folder / "fox")
    more = ("--kind", "hotline", "--party", "Bridge", "--vouchers", str(vouchers))
    fox.run("channel", "new", "Line", "--relay", relay.url, *more)
    sides = []
    for alias, party in (("Heron", "North"), ("Wren", "South")):
        guest = Person(folder / alias)
        words = json.loads(fox.run("invite", alias, "--party", party, "--json"))["words"]
        guest.run("join", relay.url, "--yes", said=words)
        fox.run("lobby")
        fox.run("admit", alias)
        sides.append(guest)
    for person in (*sides, fox, *sides):
        person.run("sync")
    for person in sides:
        person.run("unlock", "--for", "1h")
    return sides[0], sides[1]


@contextmanager
def screen(person: Person) -> Iterator[dict[tuple[str, str], float]]:
    """What somebody's `read --follow` shows: when each incident came to each state."""
    seen: dict[tuple[str, str], float] = {}
    following = person.follow()

    def watch() -> None:
        for line in following.stdout or ():
            told = json.loads(line)
            if told["kind"] == "incident":
                seen.setdefault((told["text"], told["state"]), time.perf_counter())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        following.terminate()
        watcher.join()


def _until(seen: dict[tuple[str, str], float], what: tuple[str, str]) -> float:
    end = time.monotonic() + 60
    while what not in seen:
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.001)
    return seen[what]


def delays(one: Person, other: Person) -> tuple[list[float], list[float]]:
    """Seconds from starting `incident open` until the other side's screen has it, and from starting
    `incident ack` there until the screen of who opened it has that.
    """
    alarms, acks = [], []
    with screen(other) as there, screen(one) as here:
        for number in range(-1, ROUNDS):  # the first warms both up
            text = f"Incident {number}."
            began = time.perf_counter()
            name = json.loads(one.run("incident", "open", text, "--json"))["id"]
            alarm = _until(there, (text, "open")) - began
            began = time.perf_counter()
            other.run("incident", "ack", name)
            ack = _until(here, (text, "acknowledged")) - began
            for person in (one, other):
                person.run("incident", "close", name)
            if number >= 0:
                alarms.append(alarm)
                acks.append(ack)
    return alarms, acks


def measure() -> dict[str, object]:
    """Everything, as one document."""
    with tempfile.TemporaryDirectory(prefix="incident-") as name, running_relay() as relay:
        alarms, acks = delays(*meet(Path(name), relay))
    figures: dict[str, object] = {}
    for what, each in (("open_to_alarm_ms", alarms), ("ack_to_screen_ms", acks)):
        figures[what] = {
            "median": round(statistics.median(each) * 1000),
            "worst": round(max(each) * 1000),
        }
    return figures


if __name__ == "__main__":
    try:
        print(json.dumps(measure(), indent=2))
    except subprocess.CalledProcessError as error:
        raise SystemExit(error.stderr) from None
