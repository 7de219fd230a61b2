"""Files of blocks that somebody carried: where in them blocks are that open.

Several files are one stream, in the order that they were given. What does not open is passed over;
where bytes were lost or added, the place of the next block is searched. All of it is bounded, for
whatever a file holds. Knows no vault.
"""

import os
import stat
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import Final, NamedTuple, Self, final

from backchannel.client.errors import UsageMistake
from backchannel.protocol import courier
from backchannel.protocol.courier import Finder, Found, Key
from backchannel.protocol.limits import BLOCK

PATIENCE: Final = 4_000_000
"""Keys tried in vain: some 20 seconds. Then only some of the blocks are tried; after as many in
search of a place, none is searched any more.
"""
_REGAINED: Final = 5_000
"""Of them for each block that opens: whoever scatters true blocks among noise gains little by it.
"""
_STRIDES: Final = tuple(BLOCK << 4 * times for times in range(12))
"""From one block that is tried to the next: at first, and each time that patience is over. The last
ones are for files with holes, which name any size and take no room.
"""
_BACK: Final = 256 * BLOCK
"""Bytes before a block that opens, which are looked at again."""
_LOST: Final = 4
"""Blocks in a row that do not open, before it is asked whether bytes were lost."""


@final
class Tape:
    """Several files as one, read where one likes; for a `with`."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """`UsageMistake` for what is no file that can be read."""
        self._files: list[int] = []
        try:
            for path in paths:
                self._files.append(_open(path))
        except BaseException:
            self.close()
            raise
        sizes = [os.fstat(each).st_size for each in self._files]
        self.starts = (0, *accumulate(sizes))[:-1]
        """Where in the whole each file begins."""
        self.size = sum(sizes)
        """Bytes of the whole."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files."""
        for each in self._files:
            os.close(each)

    def end(self, at: int) -> int:
        """Where the file ends that holds this place."""
        number = bisect_right(self.starts, at)
        return self.starts[number] if number < len(self.starts) else self.size

    def read(self, at: int, size: int) -> bytes:
        """Fewer bytes only at the end, or where a file shrank meanwhile."""
        parts = []
        while size > 0 and at < self.size:
            number = bisect_right(self.starts, at) - 1
            most = min(size, self.end(at) - at)
            part = os.pread(self._files[number], most, at - self.starts[number])
            parts.append(part)
            at, size = at + most, size - most
        return b"".join(parts)


def _open(path: Path) -> int:
    """Waits for nobody: a pipe that nobody writes to would be read for ever."""
    step = "give the FILE that `backchannel courier pack` wrote, or the parts of it in order"
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}. Nothing was taken."
        raise UsageMistake(msg, step) from None
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        msg = f"{path} is no file. Nothing was taken."
        raise UsageMistake(msg, step)
    return number


class Hit(NamedTuple):
    """A block that opens."""

    at: int
    """Where in the stream."""
    channel: str
    found: Found


@final
class Search:
    """Goes through a stream from block to block. What opened nowhere is not tried a second time
    before there are other keys.
    """

    def __init__(self, tape: Tape, finders: Mapping[str, Finder]) -> None:
        self._tape = tape
        self._finders = dict(finders)
        self._keys = 0
        """How often there were other keys."""
        self._shut: dict[int, int] = {}
        """Places where nothing opens, with which keys."""
        self._places: dict[int, tuple[int, int | None]] = {}
        """Likewise where blocks were searched behind a place, and what was found."""
        self.begin()

    def begin(self) -> None:
        """Go to the start."""
        self.at = 0
        self._before: Hit | None = None
        self._vain = 0
        """Keys that were tried in vain, but for what was regained."""
        self._searched = 0
        """Likewise in search of a place, with nothing regained."""
        self._run: list[int] = []
        """Places that did not open since then."""
        self._stride = BLOCK
        self._closely = 0
        """Up to here one block after another is tried."""

    def know(self, channel: str, finder: Finder) -> None:
        """Other keys."""
        self._finders[channel] = finder
        self._keys += 1

    @property
    def over(self) -> bool:
        """Whether the end is reached."""
        return self.at + BLOCK > self._tape.size

    def here(self) -> Hit | None:
        """The block at this place, if it opens."""
        hit = self._try(self.at)
        if hit is None:
            return None
        self._before, self._run = hit, []
        self._vain = max(0, self._vain - _REGAINED)
        if self._stride > BLOCK:  # those before it were not tried
            back = min(self._stride, _BACK) - BLOCK
            self._closely, self.at = hit.at, max(0, hit.at - back)
            self._stride = BLOCK
            return self.here()
        return hit

    def go_on(self) -> None:
        """To the next block, behind one that opened."""
        self.at += BLOCK

    def pass_over(self) -> None:
        """To where the next block may be, behind something that does not open."""
        self._shut[self.at] = self._keys
        self._run.append(self.at)
        cut = self._cut()
        if cut is not None:
            self.at, self._run = cut, []
            return
        pace = min(self._vain // PATIENCE, len(_STRIDES) - 1) if self.at >= self._closely else 0
        self._stride = _STRIDES[pace]
        last = self.at + (self._tape.size - self.at) // BLOCK * BLOCK - BLOCK
        self.at = min(self.at + self._stride, last) if self.at < last else self.at + BLOCK

    def _cut(self) -> int | None:
        """Where blocks go on, if they go on elsewhere than here."""
        first, ends = self._run[0], self.at + 2 * BLOCK > self._tape.size
        file = self._tape.end(self.at)
        if self.at < file < min(self.at + BLOCK, self._tape.size) and self._try(file):
            return file  # a part is missing before this one
        if len(self._run) != _LOST and not (ends and len(self._run) < _LOST):
            return None
        keys, place = self._places.get(first, (-1, None))
        if keys != self._keys:
            place = self._search(first)
            self._places[first] = self._keys, place
        return place

    def _search(self, first: int) -> int | None:
        """The next place of a block behind one where none is: by the end of the file, which most
        cuts leave as it was, else byte by byte.
        """
        by_end = first + (self._tape.end(first) - first) % BLOCK
        for at in range(by_end, by_end + _LOST * BLOCK, BLOCK):
            if by_end > first and self._try(at):
                return at
        window = self._tape.read(first + BLOCK, 2 * BLOCK - 1)
        for _, key in self._likely():
            for offset in range(1, len(window) - BLOCK + 1):
                self._searched += 1
                if courier.opened(window[offset : offset + BLOCK], key):
                    earlier = first + offset
                    return earlier if self._try(earlier) else earlier + BLOCK
            if self._searched > PATIENCE:
                break
        return None

    def _try(self, at: int) -> Hit | None:
        if self._shut.get(at) == self._keys or at + BLOCK > self._tape.size:
            return None
        block = self._tape.read(at, BLOCK)
        for channel, key in self._likely():
            self._vain += 1
            if (found := courier.opened(block, key)) is not None:
                return Hit(at, channel, found)
        return None

    def _likely(self) -> Iterator[tuple[str, Key]]:
        """The most likely keys first."""
        before = self._before
        names = sorted(self._finders, key=lambda name: before is None or name != before.channel)
        if before is not None:
            with suppress(KeyError):  # the channel was left meanwhile
                for key in self._finders[before.channel].near(before.found.arrival):
                    yield before.channel, key
        for name in names:
            for key in self._finders[name].every():
                yield name, key
