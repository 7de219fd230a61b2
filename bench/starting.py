"""What it costs to look: processor time of whole commands, beside `python -c 'import click'`.

`backchannel --help` should stay within 2.5 times of it, `status --offline` on an unlocked vault
within 4. Prints one JSON document.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.talk import PROGRAM, meet
from tests.support.relay import running_relay

ROUNDS = 9
CLICK = (sys.executable, "-c", "import click")


def milliseconds(command: tuple[str, ...]) -> float:
    """Median processor time of one command, its own and its children's."""
    return round(statistics.median(_once(command) for _ in range(ROUNDS)) * 1000, 1)


def _once(command: tuple[str, ...]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure() -> dict[str, object]:
    """Everything, as one document."""
    with tempfile.TemporaryDirectory(prefix="starting-") as name, running_relay() as relay:
        one, _ = meet(Path(name), relay)
        click = milliseconds(CLICK)
        commands = {
            "help": milliseconds((*PROGRAM, "--help")),
            "status_offline": milliseconds((*PROGRAM, *one.options, "status", "--offline")),
        }
    figures: dict[str, object] = {"import_click_ms": click}
    for command, cost in commands.items():
        figures[command] = {"ms": cost, "floor_ms": click, "ratio": round(cost / click, 2)}
    return figures


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
