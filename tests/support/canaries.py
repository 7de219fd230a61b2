"""Bytes that turn up nowhere by chance, in every form in which a program may leave them, and one
search for all of them. Knows nothing of where it looks.
"""

import base64
import json
import urllib.parse
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import NamedTuple, final

_WINDOW = 8  # bytes
SHORTEST = 2 * _WINDOW - 1
"""Bytes: so that one whole window of a form lies on the search's grid wherever the form begins."""


class Found(NamedTuple):
    """Which canary turned up, in what form, where."""

    name: str
    form: str
    place: str


def forms(value: str | bytes) -> Iterator[tuple[str, bytes]]:
    """Each way in which programs write a text or a key, named; some are the same bytes."""
    data = value.encode() if isinstance(value, str) else value
    yield "as it is", data
    if isinstance(value, str):
        yield from _of_text(value)
    yield "backwards", data[::-1]
    yield "hex", data.hex().encode()
    yield "HEX", data.hex().upper().encode()
    yield "url", urllib.parse.quote_from_bytes(data).encode()
    yield "repr", repr(data)[2:-1].encode()
    for shift in range(3):  # base64 looks different at each place modulo three
        inner = base64.b64encode(bytes(shift) + data)[4 if shift else 0 : -4]
        yield f"base64 +{shift}", inner
        yield f"base64url +{shift}", inner.translate(bytes.maketrans(b"+/", b"-_"))


def _of_text(text: str) -> Iterator[tuple[str, bytes]]:
    yield "upper case", text.upper().encode()
    yield "lower case", text.lower().encode()
    yield "JSON", json.dumps(text)[1:-1].encode()
    yield "Latin-1", text.encode("latin-1", "ignore")
    yield "UTF-16", text.encode("utf-16-le")
    yield "UTF-16 big", text.encode("utf-16-be")
    yield "UTF-32", text.encode("utf-32-le")


@final
class Hunt:
    """Looks for all canaries at once: as fast for a thousand as for one.

    The searched bytes are cut into a grid of words of eight bytes. A form that stands there covers
    one of them whole; only forms of which a word is met are looked for byte by byte.
    """

    def __init__(self, wanted: Mapping[str, str | bytes]) -> None:
        """Each canary under its name; `ValueError` for one too short to be found by this."""
        self._needles: dict[bytes, tuple[str, str]] = {}
        for name, value in wanted.items():
            for form, needle in forms(value):
                if form == "as it is" and len(needle) < SHORTEST:
                    msg = f"{name} is shorter than {SHORTEST} bytes"
                    raise ValueError(msg)
                if len(needle) >= SHORTEST:
                    self._needles.setdefault(needle, (name, form))
        self._words: dict[int, list[bytes]] = {}
        for needle in self._needles:
            for word in {needle[at : at + _WINDOW] for at in range(_WINDOW)}:
                self._words.setdefault(_numbers(word)[0], []).append(needle)
        self._wanted = frozenset(self._words)

    @property
    def count(self) -> int:
        """How many byte strings it looks for."""
        return len(self._needles)

    def search(self, places: Mapping[str, bytes]) -> list[Found]:
        """Everything that turns up in some named bytes."""
        return [
            Found(*self._needles[needle], place)
            for place, data in sorted(places.items())
            for needle in sorted(self._met(data))
            if needle in data
        ]

    def count_in(self, data: bytes) -> Counter[str]:
        """How often each canary stands in some bytes, in whatever form."""
        counts = Counter[str]()
        for needle in self._met(data):
            counts[self._needles[needle][0]] += data.count(needle)
        return +counts

    def _met(self, data: bytes) -> set[bytes]:
        grid = _numbers(data[: len(data) - len(data) % _WINDOW])
        met = self._wanted.intersection(grid)
        return set(chain.from_iterable(self._words[word] for word in met))


def _numbers(data: bytes) -> "array[int]":
    grid = array("Q")
    grid.frombytes(data)
    return grid


def slices(name: str, data: bytes, size: int = 16) -> dict[str, bytes]:
    """Every part of a long secret as a canary of its own."""
    return {f"{name} at {at}": data[at : at + size] for at in range(0, len(data) - size + 1, size)}


def told(found: Iterable[Found]) -> list[str]:
    """For an assertion: readable, and without the canary itself."""
    return [f"{each.name} ({each.form}) in {each.place}" for each in found]
