"""Damage, and what noise looks like."""

from collections.abc import Iterator


def flip(data: bytes, bit: int) -> bytes:
    """`data` with one bit turned over."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def sampled_flips(data: bytes, every: int) -> Iterator[bytes]:
    """`data` with the first, the last and every `every`-th bit turned over, one at a time."""
    last = 8 * len(data) - 1
    for bit in {*range(0, last + 1, every), last}:
        yield flip(data, bit)


def chi_squared(data: bytes) -> float:
    """Of byte values against evenness: for noise 255, give or take 22.6."""
    expected = len(data) / 256
    return sum((data.count(value) - expected) ** 2 for value in range(256)) / expected
