"""From `say` to `read --follow`: two people with real vaults, a real relay, the ordinary commands.

Beside it its floors: a bare append whose block a waiting read gets, on the same relay, and the
start of a process. Prints one JSON document.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from backchannel.protocol.drop import show_voucher
from tests.support.relay import DropClient, RelayProcess, running_relay

ROUNDS = 9
PROGRAM = (sys.executable, "-c", "from backchannel.client.cli import main; main()")


class Person:
    """One home, unlocked, and its commands."""

    def __init__(self, home: Path) -> None:
        home.mkdir(mode=0o700)
        secret = home.parent / f"{home.name}.passphrase"
        secret.write_text("correct horse battery staple\n")
        secret.chmod(0o600)
        self.options = ("--home", str(home), "--passphrase-file", str(secret))

    def run(self, *words: str, said: str = "") -> str:
        """One command to its end; what it printed."""
        command = [*PROGRAM, *self.options, *words]
        done = subprocess.run(command, input=said, capture_output=True, text=True, check=True)
        return done.stdout

    def follow(self) -> "subprocess.Popen[str]":
        """`read --follow`, as it goes on."""
        command = [*PROGRAM, *self.options, "read", "--follow", "--json"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def meet(folder: Path, relay: RelayProcess) -> tuple[Person, Person]:
    """A facilitator and a guest in one channel, both unlocked."""
    vouchers = folder / "vouchers"
    vouchers.write_text("".join(f"{show_voucher(voucher)}\n" for voucher in relay.mint(2)))
    one, other = Person(folder / "one"), Person(folder / "other")
    one.run("channel", "new", "North", "--relay", relay.url, "--vouchers", str(vouchers))
    invite = json.loads(one.run("invite", "Heron", "--json"))
    other.run("join", relay.url, "--yes", said=invite["words"])
    one.run("lobby")
    one.run("admit", "Heron")
    for person in (one, other):
        person.run("unlock", "--for", "1h")
        person.run("sync")
    return one, other


def delays(one: Person, other: Person) -> list[float]:
    """Seconds from starting `say` until the other's screen has the line."""
    seen: dict[str, float] = {}
    following = other.follow()

    def watch() -> None:
        for line in following.stdout or ():
            seen[json.loads(line)["text"]] = time.perf_counter()

    watcher = threading.Thread(target=watch)
    watcher.start()
    one.run("say", "first")
    _until(lambda: "first" in seen)
    measured = []
    for number in range(ROUNDS):
        began = time.perf_counter()
        one.run("say", str(number))
        _until(lambda text=str(number): text in seen)  # type: ignore[misc]
        measured.append(seen[str(number)] - began)
    following.terminate()
    watcher.join()
    return measured


def _until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not done():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.001)


def floors(relay: RelayProcess) -> list[float]:
    """Seconds from an append until a waiting read has its block."""
    client = DropClient.connect(relay.url)
    client.create(relay.voucher())
    measured = []
    for number in range(1, ROUNDS + 1):
        arrived: list[float] = []

        def wait(position: int = number, into: list[float] = arrived) -> None:
            client.read(position, wait=30)
            into.append(time.perf_counter())

        reader = threading.Thread(target=wait)
        reader.start()
        time.sleep(0.1)  # the read should be waiting; a late one only makes the floor dearer
        began = time.perf_counter()
        client.append(os.urandom(4096))
        reader.join()
        measured.append(arrived[0] - began)
    return measured


def starts() -> list[float]:
    """Seconds of a Python process that imports click and ends: what any command pays."""
    measured = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import click"], check=True)
        measured.append(time.perf_counter() - began)
    return measured


def measure() -> dict[str, object]:
    """Everything, as one document."""
    with tempfile.TemporaryDirectory(prefix="talk-") as name, running_relay() as relay:
        figures = {
            "say_to_follow_ms": delays(*meet(Path(name), relay)),
            "append_to_waiting_read_ms": floors(relay),
            "process_ms": starts(),
        }
    return {name: round(statistics.median(each) * 1000, 1) for name, each in figures.items()}


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
