"""Fuzzes targets with atheris, one after another: `python -m tests.fuzz.run [NAME …] [--runs N]`.

New inputs stand in a folder of work, beginning with tests/corpus and the target's own seeds; what
is worth keeping is chosen from there by `keep`. Ends with 1 where a target found something.
"""

import argparse
import hashlib
import importlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.mutate import structured

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "tests" / "corpus"
_COUNT = re.compile(rb"stat::number_of_executed_units:\s*(\d+)")
_PATIENCE = 30  # seconds for one input: none here takes a tenth of one


def folder(name: str, within: Path = CORPUS) -> Path:
    """Where a target's inputs stand."""
    return within / name.replace(" ", "-")


def named(data: bytes) -> str:
    """What an input is called: equal ones stand once."""
    return hashlib.sha256(data).hexdigest()[:16]


def sow(into: Path, inputs: Iterable[bytes]) -> None:
    """Put inputs into a folder."""
    into.mkdir(parents=True, exist_ok=True)
    for data in inputs:
        (into / named(data)).write_bytes(data)


def kept(name: str) -> list[bytes]:
    """The target's inputs in tests/corpus."""
    return [path.read_bytes() for path in sorted(folder(name).glob("*"))]


class Result(NamedTuple):
    """What came of fuzzing one target."""

    name: str
    runs: int
    found: bytes
    """What the fuzzer said, where something was found."""


def fuzz(name: str, runs: int, seconds: int, work: Path) -> Result:
    """In a process of its own, which libFuzzer ends."""
    command = [sys.executable, "-m", "tests.fuzz.run", "--one", name, "--work", str(work)]
    command += ["--runs", str(runs), "--seconds", str(seconds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    counted = _COUNT.search(done.stderr)
    bad = done.returncode or counted is None
    found = done.stdout[-4000:] + done.stderr[-1000:] if bad else b""
    return Result(name, int(counted[1]) if counted else 0, found)


def _one(name: str, runs: int, seconds: int, work: Path) -> None:
    """Does not return: libFuzzer ends the process."""
    atheris = importlib.import_module("atheris")  # an extra, and without types
    with atheris.instrument_imports(include=["backchannel"]):
        target = importlib.import_module("tests.fuzz.targets").ALL[name]
    inputs = folder(name, work)
    sow(inputs, [*target.seeds(), *kept(name)])
    flags = [f"-runs={runs}", f"-max_total_time={seconds}", f"-max_len={target.longest}"]
    flags += [f"-timeout={_PATIENCE}", "-print_final_stats=1", f"-artifact_prefix={work}/found-"]
    more = {"custom_mutator": structured} if target.packed else {}
    atheris.Setup(["fuzz", *flags, str(inputs)], target.attempt, **more)
    atheris.Fuzz()


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--seconds", type=int, default=0, help="0: as long as it takes")
    parser.add_argument("--work", type=Path, help="where new inputs stand")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """0 where nothing was found."""
    asked = _asked()
    work = asked.work or Path(tempfile.mkdtemp(prefix="fuzz-"))
    if asked.one:
        _one(asked.one, asked.runs, asked.seconds, work)
    from tests.fuzz.targets import ALL

    if unknown := set(asked.names) - set(ALL):
        print(f"no such target: {', '.join(unknown)}; there are: {', '.join(ALL)}")
        return 2
    bad = 0
    for name in asked.names or ALL:
        result = fuzz(name, asked.runs, asked.seconds, work)
        print(f"{name:20} {result.runs:>10,} {'FOUND' if result.found else ''}", flush=True)
        if result.found:
            bad += 1
            print(result.found.decode(errors="replace"), flush=True)
    print(f"inputs: {work}; what to keep: python -m tests.fuzz.keep {work}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
