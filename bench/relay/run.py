"""The parts of the run by name, one after another."""

import os
import platform
import sys
import time
from collections.abc import Callable, Iterable

from bench.relay import beside, million, parts, place, postgresql, waiting
from bench.relay.findings import Findings

PARTS: dict[str, Callable[[Findings, int], None]] = {
    "append": parts.append,
    "bulk": parts.bulk,
    "wake": parts.wake,
    "waiting": waiting.part,
    "peers": beside.part,
    "million": million.part,
    "postgres": postgresql.part,
}
QUICK = ("append", "bulk", "wake")
"""What needs a minute and no peer."""


def measure(names: Iterable[str], rounds: int) -> Findings:
    """What these parts find."""
    found = Findings()
    began = time.monotonic()
    found.circumstances = _circumstances()
    with place.settled():
        for name in names:
            _tell(f"{name} …")
            started = time.monotonic()
            PARTS[name](found, rounds)
            _tell(f"{name}: {time.monotonic() - started:.0f} s")
    found.circumstances["seconds"] = round(time.monotonic() - began)
    return found


def _circumstances() -> dict[str, object]:
    return {
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "file_system": place.file_system(),
        "python": platform.python_version(),
    }


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
