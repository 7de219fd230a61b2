"""Makes text that others wrote harmless for a terminal. Knows neither who wrote it nor the screen.

Kept: what Python calls printable, and line feeds. Everything else (escapes, C0 and C1 controls,
overrides of the direction, invisible characters) becomes U+FFFD, so that a reader sees that
something stood there. Three courtesies: all kinds of spaces become spaces, line ends become line
feeds, and the two joiners that Persian, Urdu and the scripts of India are written with stay where
they stand between letters of those scripts.
"""

import unicodedata

REPLACEMENT = "\ufffd"
_TAB = "    "
_JOINERS = "\u200c\u200d"
_JOINED_SCRIPTS = range(0x0600, 0x0E00)  # Arabic to Sinhala: a joiner changes how a word is written


def clean(text: str) -> str:
    """`text` without anything that a terminal would obey."""
    if text.isascii() and text.isprintable():
        return text
    unix = text.replace("\r\n", "\n").replace("\t", _TAB)
    return "".join(_harmless(unix, at) for at in range(len(unix)))


def one_line(text: str) -> str:
    """The same for a name or a topic: line feeds become spaces."""
    return " ".join(clean(text).split("\n"))


def _harmless(text: str, at: int) -> str:
    char = text[at]
    if char == "\n" or char.isprintable():
        return char
    if unicodedata.category(char) == "Zs":
        return " "
    if char in _JOINERS and _joins(text[at - 1 : at]) and _joins(text[at + 1 : at + 2]):
        return char
    return REPLACEMENT


def _joins(neighbour: str) -> bool:
    return neighbour.isprintable() and bool(neighbour) and ord(neighbour) in _JOINED_SCRIPTS
