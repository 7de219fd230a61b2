"""Whether blocks look like noise: the same questions that a relay's operator could ask of them."""

import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import sqrt

_SIZE = 4096
_VALUES = 256
_WORD = 8
_ODDS = 9.0
"""Standard deviations: noise is blamed less than once in 10^12 runs, even of 4,096 questions."""


def doubts(blocks: Sequence[bytes]) -> list[str]:
    """What tells these blocks from noise; nothing, where nothing does."""
    return [*_shapes(blocks), *_repeated(blocks), *_whole(blocks), *_by_position(blocks)]


def _shapes(blocks: Sequence[bytes]) -> Iterator[str]:
    sizes = {len(block) for block in blocks}
    if sizes != {_SIZE}:
        yield f"sizes {sorted(sizes)}"


def _repeated(blocks: Sequence[bytes]) -> Iterator[str]:
    """Words of eight bytes: among a million of noise there are not two alike."""
    words = Counter(
        block[at : at + _WORD] for block in blocks for at in range(0, _SIZE - _WORD + 1, _WORD)
    )
    ((word, times),) = words.most_common(1)
    if times > 1:
        yield f"the word {word.hex()} {times} times"


def _whole(blocks: Sequence[bytes]) -> Iterator[str]:
    everything = b"".join(blocks)
    between = b"".join(
        (int.from_bytes(a) ^ int.from_bytes(b)).to_bytes(_SIZE) for a, b in pairwise(blocks)
    )
    for name, data in (("all bytes", everything), ("differences of neighbours", between)):
        if data and _surprise(data) > _ODDS:
            yield f"{name}: not even, by {_surprise(data):.0f} standard deviations"
    if len(zlib.compress(everything, 9)) < len(everything):
        yield "it can be compressed"


def _by_position(blocks: Sequence[bytes]) -> Iterator[str]:
    """Each place of the blocks by itself, once there are enough to ask; each of its bits before."""
    everything = b"".join(blocks)
    for at in range(_SIZE):
        column = everything[at::_SIZE]
        if len(blocks) >= 5 * _VALUES and _surprise(column) > _ODDS:
            yield f"byte {at}: not even"
        for bit in range(8):
            ones = sum(count for value, count in Counter(column).items() if value >> bit & 1)
            if abs(2 * ones - len(blocks)) > _ODDS * sqrt(len(blocks)):
                yield f"byte {at}, bit {bit}: {ones} of {len(blocks)}"


def _surprise(data: bytes) -> float:
    """Chi square of the 256 values, in standard deviations above what is expected."""
    expected = len(data) / _VALUES
    counts = Counter(data)
    chi = sum((counts[value] - expected) ** 2 / expected for value in range(_VALUES))
    return (chi - (_VALUES - 1)) / sqrt(2 * (_VALUES - 1))
