"""What a disk may hold once power was lost: every synced byte, and of the rest any part.

Between a write and the sync that follows it, bytes stand in the machine's memory. The system takes
them to the disk when it likes: in another order, some and not others, a sector of 512 bytes in any
of its versions, and, worse than disks are, torn between two. Sizes and names of files wait for
their sync as bytes do; names change in their order, as journals keep it. Beside what was being
written nothing is harmed: SQLite asks that of a disk, and ours do. Knows no file of ours and no
rule about them.
"""

import hashlib
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import NamedTuple, final

SECTOR = 512
Files = dict[str, bytes]
"""By name."""


class Write(NamedTuple):
    """Bytes put at an offset."""

    file: int
    offset: int
    data: bytes


class Cut(NamedTuple):
    """A file given another size."""

    file: int
    size: int


class Name(NamedTuple):
    """Names given to files, or taken: all at once."""

    names: dict[str, int | None]


class Sync(NamedTuple):
    """What was done to a file before the `upto`-th event is on the disk."""

    file: int
    upto: int


class SyncNames(NamedTuple):
    """Which names there are, as of the `upto`-th event, is on the disk."""

    upto: int


class Mark(NamedTuple):
    """Nothing the disk knows of: what was asked of a program, or what it answered."""

    said: object


Event = Write | Cut | Name | Sync | SyncNames | Mark


class How(Enum):
    """What became of that which was not synced."""

    NOTHING = "none of it is there"
    ALL = "all of it is there"
    BEGINNING = "it was written in order, and broke off in the middle of a write"
    SCATTERED = "each sector, size and name is as it was at some time since"


@final
class Dice:
    """The same numbers on every run."""

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode()
        self._drawn = 0
        self._pool = b""

    def below(self, bound: int) -> int:
        """Evenly, or nearly."""
        if len(self._pool) < 4:
            self._drawn += 1
            block = self._seed + self._drawn.to_bytes(8)
            self._pool = hashlib.shake_256(block).digest(1 << 14)
        number, self._pool = self._pool[:4], self._pool[4:]
        return int.from_bytes(number) % bound


@final
class Inode:
    """One file: what is on the disk, and what was done to it since."""

    def __init__(self, stable: bytes, grain: int) -> None:
        self.stable = stable
        self._grain = grain
        self.pending: list[tuple[int, Write | Cut]] = []

    def sync(self, upto: int) -> None:
        done = [change for number, change in self.pending if number < upto]
        self.stable = _after(self.stable, done)
        self.pending = [each for each in self.pending if each[0] >= upto]

    def until(self, end: int, dice: Dice) -> bytes:
        """With what was done before event `end`, and a part of that, if it was a write."""
        done = [change for number, change in self.pending if number < end]
        done += [self._part(change, dice) for number, change in self.pending if number == end]
        return _after(self.stable, done)

    def scattered(self, dice: Dice) -> bytes:
        """Each sector as it stood at some time since the sync, or torn between two times."""
        sizes, sectors = self._history()
        size = sizes[dice.below(len(sizes))]
        data = bytearray(self.stable[:size].ljust(size, b"\0"))
        for number, versions in sectors.items():
            at = number * SECTOR
            if at < size:
                data[at : at + SECTOR] = self._picked(versions, dice)[: size - at]
        return bytes(data)

    def _part(self, change: Write | Cut, dice: Dice) -> Write | Cut:
        if isinstance(change, Cut):
            return change
        end = change.offset + dice.below(len(change.data) + 1)
        end -= end % self._grain
        return change._replace(data=change.data[: max(0, end - change.offset)])

    def _picked(self, versions: Sequence[bytes], dice: Dice) -> bytes:
        at = dice.below(len(versions))
        if at + 1 < len(versions) and not dice.below(8):
            torn = dice.below(SECTOR)
            torn -= torn % self._grain
            return versions[at + 1][:torn] + versions[at][torn:]
        return versions[at]

    def _history(self) -> tuple[list[int], dict[int, list[bytes]]]:
        """Every size, and of each sector that was written every version.

        To cut a file writes no sector: what stood there is there until the size says otherwise.
        """
        now = bytearray(self.stable)
        sizes, sectors = [len(now)], dict[int, list[bytes]]()
        for _, change in self.pending:
            _apply(now, change)
            sizes.append(len(now))
            for number in _sectors(change):
                versions = sectors.setdefault(number, [_sector(self.stable, number)])
                versions.append(_sector(now, number))
        return sizes, sectors


def _sector(data: bytes | bytearray, number: int) -> bytes:
    return bytes(data[number * SECTOR : (number + 1) * SECTOR]).ljust(SECTOR, b"\0")


def _sectors(change: Write | Cut) -> range:
    if isinstance(change, Cut):
        return range(0)
    end = change.offset + len(change.data)
    return range(change.offset // SECTOR, -(-end // SECTOR))


def _apply(data: bytearray, change: Write | Cut) -> None:
    if isinstance(change, Cut):
        del data[change.size :]
        data.extend(bytes(change.size - len(data)))
        return
    data.extend(bytes(max(0, change.offset - len(data))))
    data[change.offset : change.offset + len(change.data)] = change.data


def _after(stable: bytes, changes: Sequence[Write | Cut]) -> bytes:
    if not changes:
        return stable
    data = bytearray(stable)
    for change in changes:
        _apply(data, change)
    return bytes(data)


@final
class Disk:
    """The files of one folder, as event after event happens to them."""

    def __init__(self, files: Files, grain: int = 1) -> None:
        """What was there before, all of it on the disk; files are numbered in this order. A write
        breaks off at a multiple of `grain` bytes.
        """
        self._grain = grain
        self._inodes = {at: Inode(data, grain) for at, data in enumerate(files.values())}
        self._names: dict[str, int] = {name: number for number, name in enumerate(files)}
        self._renamed: list[tuple[int, Name]] = []
        self._happened = 0

    def happens(self, event: Event) -> None:
        """One event more."""
        match event:
            case Write() | Cut():
                inode = self._inodes.setdefault(event.file, Inode(b"", self._grain))
                inode.pending.append((self._happened, event))
            case Sync():
                self._inodes.setdefault(event.file, Inode(b"", self._grain)).sync(event.upto)
            case Name():
                self._renamed.append((self._happened, event))
            case SyncNames():
                self._names = self._named(event.upto)
                self._renamed = [each for each in self._renamed if each[0] >= event.upto]
            case Mark():
                pass
        self._happened += 1

    def lose(self, how: How, dice: Dice) -> Files:
        """Power goes now: one of the many states that the disk may be found in."""
        names = self._named(self._names_until(how, dice))
        inodes = self._inodes
        if how is How.SCATTERED:
            return {name: inodes[at].scattered(dice) for name, at in names.items() if at in inodes}
        end = self._end(how, dice)
        return {name: inodes[at].until(end, dice) for name, at in names.items() if at in inodes}

    def _end(self, how: How, dice: Dice) -> int:
        if how is How.NOTHING:
            return -1
        if how is How.ALL:
            return self._happened
        waiting = [number for inode in self._inodes.values() for number, _ in inode.pending]
        return waiting[dice.below(len(waiting))] if waiting else -1

    def _names_until(self, how: How, dice: Dice) -> int:
        """A journal keeps the order of names."""
        if how is How.NOTHING or not self._renamed:
            return -1
        if how is How.ALL:
            return self._happened
        numbers = [number for number, _ in self._renamed]
        return [-1, *(number + 1 for number in numbers)][dice.below(len(numbers) + 1)]

    def _named(self, upto: int) -> dict[str, int]:
        names: dict[str, int | None] = dict(self._names)
        for number, event in self._renamed:
            if number < upto:
                names.update(event.names)
        return {name: number for name, number in names.items() if number is not None}


class Crash(NamedTuple):
    """One loss of power: what is found, and what was said before."""

    files: Files
    said: list[object]
    at: int
    """Behind which event."""
    how: How


def crashes(
    before: Files, events: Sequence[Event], count: int, dice: Dice, *, torn: bool = True
) -> Iterator[Crash]:
    """`count` losses of power, spread evenly over what happened; without `torn`, by a disk that
    writes a sector whole or not at all, as disks say they do.
    """
    grain = 1 if torn else SECTOR
    disk, said = Disk(before, grain), list[object]()
    shares = _shares(len(events), count, dice)
    for at, (event, share) in enumerate(zip(events, shares, strict=True)):
        disk.happens(event)
        if isinstance(event, Mark):
            said.append(event.said)
        for _ in range(share):
            how = _USUAL[dice.below(len(_USUAL))]
            yield Crash(disk.lose(how, dice), list(said), at, how)


_USUAL = (How.SCATTERED,) * 4 + (How.BEGINNING,) * 2 + (How.NOTHING, How.ALL)


def _shares(moments: int, count: int, dice: Dice) -> list[int]:
    """Equal, with what is left over to moments by lot."""
    shares = [count // moments] * moments
    for _ in range(count % moments):
        shares[dice.below(moments)] += 1
    return shares
