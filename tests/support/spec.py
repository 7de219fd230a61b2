"""Reads SPEC.md, so that the specification is a test of the code and of itself."""

import re
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

SPEC = Path(__file__).parents[2] / "protocol" / "SPEC.md"


def section(number: int) -> str:
    """The text of one section, without its heading."""
    parts = re.split(r"^## (\d+)\. .*$", SPEC.read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[str(number)]


class Row(NamedTuple):
    """One line of a byte drawing."""

    offset: int
    text: str

    @property
    def size(self) -> int | None:
        """The bytes that the line claims; None where it names no size."""
        if product := re.search(r"\b(\d+) x (\d+)\b", self.text):
            return int(product[1]) * int(product[2])
        if repeated := re.fullmatch(r"(\d+) x \((.*)\)", self.text):
            inner = _sum(repeated[2])
            return None if inner is None else int(repeated[1]) * inner
        return _sum(self.text)


class Drawing(NamedTuple):
    """`name size` and its rows; of several at one offset the last is the general one."""

    name: str
    size: int | None
    rows: list[Row]

    def claims(self) -> list[tuple[str, int, int]]:
        """For each row of known size: its text, the size that it claims, and the room it has."""
        general = {row.offset: row for row in self.rows}
        ends = [*sorted(general)[1:], self.size]
        return [
            (row.text, row.size, end - row.offset)
            for row, end in zip(general.values(), ends, strict=True)
            if row.size is not None and end is not None
        ]

    def offsets(self) -> list[int]:
        return [row.offset for row in self.rows]

    def rising(self) -> bool:
        return all(a <= b for a, b in pairwise(self.offsets()))


def drawings() -> dict[str, Drawing]:
    """Every byte drawing of the specification by its name."""
    blocks = re.findall(r"^```\n(.*?)^```$", SPEC.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    found: dict[str, Drawing] = {}
    for block in blocks:
        for drawing in _drawings(block.splitlines()):
            found[drawing.name] = drawing
    return found


def _drawings(lines: list[str]) -> list[Drawing]:
    made: list[Drawing] = []
    for line in lines:
        row = re.match(r"^  +(\d+) +(\S.*)$", line)
        title = re.match(r"^([a-z][a-z ]*?)(?: (\d+))?(?: \(.*\))?$", line)
        if row and made:
            made[-1].rows.append(Row(int(row[1]), re.split(r"\s{2,}", row[2])[0]))
        elif title:
            made.append(Drawing(title[1], int(title[2]) if title[2] else None, []))
    return [drawing for drawing in made if drawing.rows]


def _sum(text: str) -> int | None:
    sizes = [_size(term) for term in text.split("|")]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def _size(term: str) -> int | None:
    if word := re.search(r"\bu(8|16|32|64)\b", term):
        return int(word[1]) // 8
    number = re.search(r"(?<![\w,-])(\d+)(?![\w,-])", term)
    return int(number[1]) if number and "most" not in term else None


def limits_table() -> dict[str, list[int]]:
    """Section 21: each name with the numbers of its value."""
    rows = re.findall(r"^\| (.+?) \| (.+?) \| .+ \|$", section(21), re.MULTILINE)
    return {
        name: [int(found.replace(",", "")) for found in re.findall(r"\d[\d,]*", value)]
        for name, value in rows
        if name != "name"
    }


def labels() -> list[str]:
    """Section 20: the labels in the order written."""
    return re.findall(r"`([^`]+)`", section(20))
