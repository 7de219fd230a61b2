"""Makes each change of table.toml in a copy of the tree and sees the tests that it names turn red.

Run as `python -m tests.sentinels.run [words]`: with words, only what says one of them. Knows
nothing of what a claim means.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_name("table.toml")
TREES = ("protocol", "server", "client")
COPIED = (*TREES, "migrations", "tests", "pyproject.toml")
_SKIPPED = shutil.ignore_patterns("__pycache__", "corpus", ".*")
_PATIENCE = 300  # seconds for one run of a few fast tests
_BARE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}  # half the time
_LOST = "the copy is not what ran"


class Sentinel(NamedTuple):
    """One change that breaks a claim, and the tests that must see it."""

    claim: str
    breaks: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def sentinels() -> list[Sentinel]:
    """The table."""
    rows = tomllib.loads(TABLE.read_text("utf-8"))["sentinel"]
    return [Sentinel(**{**row, "tests": tuple(row["tests"])}) for row in rows]


def copy(to: Path) -> Path:
    """The tree, without what is only looked at elsewhere."""
    to.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=_SKIPPED)
        else:
            shutil.copy(source, to)
    return to


def change(tree: Path, sentinel: Sentinel) -> None:
    """Put `new` where `old` stands; once, or the table is out of date."""
    path = tree / sentinel.file
    text = path.read_text("utf-8")
    if text.count(sentinel.old) != 1:
        msg = f"{sentinel.file} does not hold this text once: {sentinel.old}"
        raise ValueError(msg)
    path.write_text(text.replace(sentinel.old, sentinel.new.lstrip("\n")), "utf-8")


def outcomes(tree: Path, tests: Iterable[str]) -> dict[str, str]:
    """What became of each test in that tree; `RuntimeError` where other code ran than the tree's.

    The working tree is on the path as well, since it is installed: so the witness looks.
    """
    path = os.pathsep.join(str(tree / each) for each in TREES)
    environment = {**os.environ, "PYTHONPATH": path, **_BARE}
    command = [sys.executable, "-m", "tests.sentinels.witness", *tests]
    run = subprocess.run(
        command,
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    try:
        said = json.loads(run.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise RuntimeError(run.stdout + run.stderr) from None
    if strangers := [file for file in said["files"] if not Path(file).is_relative_to(tree)]:
        msg = f"{_LOST}: {strangers[0]}"
        raise RuntimeError(msg)
    found: dict[str, str] = said["outcomes"]
    return {test: found.get(test, "not run") for test in tests}


def unseen(sentinel: Sentinel) -> list[str]:
    """Tests that did not turn red, with what they did instead."""
    with tempfile.TemporaryDirectory() as folder:
        tree = copy(Path(folder).resolve() / "tree")
        change(tree, sentinel)
        found = outcomes(tree, sentinel.tests)
    return [f"{test}: {what}" for test, what in found.items() if what != "failed"]


def unchanged(chosen: list[Sentinel]) -> list[str]:
    """Tests that are not green as the tree stands."""
    tests = sorted({test for sentinel in chosen for test in sentinel.tests})
    with tempfile.TemporaryDirectory() as folder:
        found = outcomes(copy(Path(folder).resolve() / "tree"), tests)
    return [f"{test}: {what}" for test, what in found.items() if what != "passed"]


def main(words: list[str]) -> int:
    """0 where every change was seen."""
    chosen = [s for s in sentinels() if not words or any(word in str(s) for word in words)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        before = pool.submit(unchanged, chosen)
        after = [(sentinel, pool.submit(unseen, sentinel)) for sentinel in chosen]
        wrong = [("unchanged", "the tree as it is", each) for each in before.result()]
        for sentinel, found in after:
            missed = found.result()
            print(f"{sentinel.claim}  {'MISSED' if missed else 'seen'}  {sentinel.breaks}")
            wrong += [(sentinel.claim, sentinel.breaks, each) for each in missed]
    for claim, breaks, test in wrong:
        print(f"{claim}: {breaks}\n    {test}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
