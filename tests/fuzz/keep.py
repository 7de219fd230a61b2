"""Chooses what tests/corpus keeps of a fuzzer's inputs: `python -m tests.fuzz.keep FOLDER`.

For each target the fewest inputs, small ones first, that still reach every line which any of them
reaches; each under a limit, so that all of them can be tried in every run of the tests.
"""

import sys
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from tests.fuzz.run import CORPUS, folder, kept, named, sow
from tests.fuzz.target import Target
from tests.fuzz.targets import ALL

_LARGEST = 6000
_MOST = 120  # of one target
Lines = set[tuple[CodeType, int, int]]


def reached(target: Target, data: bytes) -> Lines:
    """Steps from line to line in the project's own code."""
    lines: Lines = set()
    last: dict[int, int] = {}

    def local(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            lines.add((frame.f_code, last.get(id(frame), 0), frame.f_lineno))
            last[id(frame)] = frame.f_lineno
        return local

    def entered(frame: FrameType, _event: str, _: Any) -> Any:
        return local if "/backchannel/" in frame.f_code.co_filename else None

    sys.settrace(entered)
    try:
        target.attempt(data)
    finally:
        sys.settrace(None)
    return lines


def chosen(target: Target, inputs: set[bytes]) -> list[bytes]:
    """Greedy, from the smallest: what reaches something new stays."""
    if inputs:
        reached(target, min(inputs))  # what is made once is not counted
    seen: Lines = set()
    found = []
    for data in sorted(inputs, key=lambda each: (len(each), each)):
        if len(data) <= _LARGEST and not (lines := reached(target, data)) <= seen:
            seen |= lines
            found.append(data)
    return found[:_MOST]


def main(work: Path) -> None:
    """Replace what is kept of each target that was fuzzed there."""
    for name, target in ALL.items():
        fresh = {path.read_bytes() for path in folder(name, work).glob("*")}
        if not fresh:
            continue
        keep = chosen(target, fresh | set(kept(name)))
        for path in folder(name).glob("*"):
            path.unlink()
        sow(folder(name), keep)
        size = sum(map(len, keep))
        print(f"{name:20} {len(keep):>4} of {len(fresh):>6}, {size:>8,} bytes")
        assert {named(data) for data in keep} == {path.name for path in folder(name).iterdir()}
    total = sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file())
    print(f"{total:,} bytes in all")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
