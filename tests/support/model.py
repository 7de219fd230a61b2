"""The symbolic models of `protocol/model`: what is to be proved, the verdicts, and their table.

`python -m tests.support.model` proves all of it anew where `proverif` is installed, and writes the
table. What the models say, and leave out, stands in `protocol/model/README.md`.
"""

import hashlib
import re
import resource
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parents[2] / "protocol" / "model"
RESULTS = FOLDER / "results.md"
_PATIENCE = 1800
_HEAD = """# What ProVerif says

Written by `make model`; never by hand. A row is one model as designed, or with something swapped
for a file of `broken/`. `holds` is proved for any number of sessions, `attack` was found, and a row
that expects one is a negative control. The digest is over the model and the libraries read with it.
Seconds are of the processor.

ProVerif {version}

| model | swapped | queries | expected | found | seconds | SHA-256 |
|---|---|---|---|---|---|---|
"""
_ROW = "| {model} | {swapped} | {queries} | {expected} | {found} | {seconds} | {digest} |\n"


class Check(NamedTuple):
    """One model with one choice of libraries."""

    model: str
    swapped: str
    libraries: tuple[Path, ...]
    expected: str

    @property
    def main(self) -> Path:
        """The file with the queries."""
        return FOLDER / f"{self.model}.pv"

    @property
    def queries(self) -> int:
        """How many it asks; one that asks none is an equivalence."""
        return len(re.findall(r"(?m)^query ", self.main.read_text())) or 1

    @property
    def digest(self) -> str:
        """Of everything that ProVerif reads, in its order."""
        read = [path.read_bytes() for path in (*self.libraries, self.main)]
        return hashlib.sha256(b"".join(hashlib.sha256(each).digest() for each in read)).hexdigest()


class Row(NamedTuple):
    """One line of the table."""

    model: str
    swapped: str
    queries: str
    expected: str
    found: str
    seconds: str
    digest: str


def checks() -> list[Check]:
    """All that is to be proved, as `models.toml` says."""
    tables = tomllib.loads((FOLDER / "models.toml").read_text())
    return [
        _check(model, table["libraries"], run["swap"], run["expect"])
        for model, table in tables.items()
        for run in table["runs"]
    ]


def _check(model: str, libraries: list[str], swap: dict[str, str], expected: str) -> Check:
    unknown = swap.keys() - set(libraries)
    assert not unknown, f"{model} swaps what it does not read: {unknown}"
    paths = tuple(
        FOLDER / (f"broken/{swap[name]}.pvl" if name in swap else f"library/{name}.pvl")
        for name in libraries
    )
    return Check(model, ", ".join(sorted(swap.values())) or "nothing", paths, expected)


def verdict(output: str, queries: int) -> str:
    """`holds`, `attack`, or `undecided` of what ProVerif printed; all queries must agree.

    An equivalence that fails counts only with its trace: without one it may be true.
    """
    said = re.findall(r"(?m)^RESULT .*?(is true|is false|cannot be proved)", output)
    if "cannot be proved" in said:
        told_apart = "Observational equivalence" in output and "A trace has been found." in output
        return "attack" if told_apart else "undecided"
    if len(said) == queries and len(set(said)) == 1:
        return "holds" if said[0] == "is true" else "attack"
    return "undecided"


def rows() -> tuple[str, list[Row]]:
    """ProVerif's version and the lines of the table as it stands."""
    text = RESULTS.read_text()
    version = text.partition("\nProVerif ")[2].partition("\n")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")][1:]
    return version, [Row(*line.strip("| ").split(" | ")) for line in lines]


def _prove(program: str, check: Check) -> Row:
    given = [part for path in check.libraries for part in ("-lib", str(path))]
    before = _spent()
    found = verdict(_said([program, *given, str(check.main)]), check.queries)
    seconds, asked = f"{_spent() - before:.1f}", str(check.queries)
    row = Row(check.model, check.swapped, asked, check.expected, found, seconds, check.digest)
    print(*row[:6], sep="\t", flush=True)  # noqa: T201 - whoever waits sees what is done
    return row


def _said(command: list[str]) -> str:
    """What ProVerif printed; nothing where it did not end in time."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    """Prove everything; 0 where every verdict is the expected one."""
    program = shutil.which("proverif")
    if program is None:
        sys.stderr.write(
            "The models need ProVerif 2.05, and 'proverif' was not found.\n"
            "next: install it, put it on PATH, and run make model again; "
            "tests/protocol/test_model.py checks the kept results without it\n"
        )
        return 1
    shown = subprocess.run([program, "-help"], capture_output=True, text=True, check=False).stdout
    version = shown.split()[1].rstrip(".")
    found = [_prove(program, check) for check in checks()]
    lines = [_ROW.format(**row._asdict()) for row in found]
    RESULTS.write_text(_HEAD.format(version=version) + "".join(lines))
    wrong = [f"{row.model} ({row.swapped})" for row in found if row.found != row.expected]
    if wrong:
        sys.stderr.write(f"Not as expected: {', '.join(wrong)}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
