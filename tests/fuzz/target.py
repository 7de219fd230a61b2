"""What is fuzzed: a name, what to try with any bytes, and bytes to begin from.

An attempt ends quietly or in a finding: an exception that nobody declared, or a value that is not
written as it was read. Knows no decoder.
"""

import struct
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

T = TypeVar("T")
C = TypeVar("C")
Attempt = Callable[[bytes], object]


class Target(NamedTuple):
    """One decoder or door."""

    name: str
    attempt: Attempt
    seeds: Callable[[], Iterable[bytes]]
    longest: int = 4096
    """Bytes; what is longer is refused before anything looks at it."""
    packed: bool = False
    """Whether the bytes are a structure of the codec."""


def decoder(
    name: str,
    read: Callable[[bytes], T],
    seeds: Callable[[], Iterable[bytes]],
    *declared: type[Exception],
    write: Callable[[T], bytes] | None = None,
    longest: int = 4096,
    packed: bool = False,
) -> Target:
    """Reads bytes, or refuses by a declared exception; `write` undoes it to the very byte."""

    def attempt(data: bytes) -> None:
        try:
            value = read(data)
        except declared:
            return
        if write is not None and write(value) != data:
            msg = f"{name}: not written as it was read"
            raise AssertionError(msg)

    return Target(name, attempt, seeds, longest, packed)


def as_text(data: bytes) -> str:
    """What Python makes of bytes from a command line: halves of characters among them."""
    return data.decode("utf-8", "surrogateescape")


def texts(*words: str) -> Callable[[], list[bytes]]:
    """Seeds that are texts."""
    return lambda: [word.encode() for word in words]


class Bytes:
    """Choices taken from bytes, front to back; zeros when they are used up."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def over(self) -> bool:
        """Whether all is used up."""
        return self._at >= len(self._data)

    def take(self, count: int) -> bytes:
        """The next bytes, as many as are asked for."""
        found = self._data[self._at : self._at + count]
        self._at += count
        return found.ljust(count, b"\0")

    def byte(self) -> int:
        """0 to 255."""
        return self.take(1)[0]

    def number(self) -> int:
        """Any of 32 bits, signed."""
        return int(struct.unpack(">i", self.take(4))[0])

    def choose(self, choices: list[C]) -> C:
        """One of a list."""
        return choices[self.byte() % len(choices)]

    def some(self) -> bytes:
        """Bytes whose number is chosen too, at most 255."""
        return self.take(self.byte())

    def rest(self) -> bytes:
        """All that is left."""
        left = self._data[self._at :]
        self._at = len(self._data)
        return left
