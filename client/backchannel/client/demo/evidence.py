"""Whether anything that people said or were called can be found in files. Guesses at no cipher: it
looks for the bytes.
"""

import re
from typing import NamedTuple

_SHORTEST = 5  # letters: shorter words turn up in noise by chance
_ENCODINGS = ("utf-8", "utf-16-le")


class Search(NamedTuple):
    """What was looked for, where, and what turned up."""

    wanted: int
    files: int
    size: int
    found: list[str]


def words_of(*texts: str) -> set[str]:
    """Every text as a whole, and every longer word of it."""
    words = {word for text in texts for word in re.findall(r"\w+", text) if len(word) >= _SHORTEST}
    return words | set(texts)


def search(wanted: set[str], files: dict[str, bytes]) -> Search:
    """Look for each in every file, whatever its case."""
    folded = {name: data.lower() for name, data in files.items()}
    found = [
        f"{word} in {name}"
        for word in sorted(wanted)
        for name, data in folded.items()
        if any(word.lower().encode(encoding) in data for encoding in _ENCODINGS)
    ]
    return Search(len(wanted), len(files), sum(map(len, files.values())), found)


def hexdump(data: bytes, width: int = 16) -> list[str]:
    """`offset  bytes  characters`, as every operator knows it."""
    lines = []
    for at in range(0, len(data), width):
        row = data[at : at + width]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{at:04x}  {row.hex(' '):<{3 * width - 1}}  {shown}")
    return lines
