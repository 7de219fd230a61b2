"""What the machine can still give: new drops are refused first, then blocks; sealing, deleting and
reading never are.

So those who are here go on while nobody new comes, and there is always room to forget: a row goes
by being written to the log first. Looks at most once in a while, however many ask. Knows no store
but the three numbers that it is told, and sends nothing.
"""

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NamedTuple, final

from backchannel.server.errors import BusyError
from backchannel.server.limits import (
    FREE_DISK,
    FREE_MEMORY,
    LOG_ROOM,
    LOOK_EVERY,
    NO_BLOCKS_AFTER,
    NO_DROPS_AFTER,
    RESERVED,
)
from backchannel.server.logs import warn_seldom

_MEMORY = Path("/proc/meminfo")
_OURS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")
_ENDLESS: Final = 2**63
_DROPS_SHARE: Final = 0.9  # of `most_bytes`: past it blocks are taken, and no new drops


class Space(NamedTuple):
    """Bytes."""

    disk: int
    """Free, for this program, where the store lies; with the log's own, which it writes over."""
    spare: int
    """Free inside the store's own file, which never gets smaller."""
    used: int
    """Of the store, without what is spare."""
    memory: int
    """That programs may still have."""


class Short(NamedTuple):
    """What there is not enough of, for whoever runs the relay; empty is enough."""

    drops: str = ""
    blocks: str = ""


def judge(space: Space, most: int) -> Short:
    """What is refused, and why; `most` is the operator's own bound, 0 for none."""
    return Short(_against_drops(space, most), _against_blocks(space, most))


def _against_drops(space: Space, most: int) -> str:
    if space.memory < FREE_MEMORY:
        return "memory is low"
    if space.disk + space.spare < FREE_DISK:
        return "the disk is nearly full"
    if most and space.used >= most * _DROPS_SHARE:
        return "the store has nearly all of most_bytes"
    return ""


def _against_blocks(space: Space, most: int) -> str:
    """Where the store itself has room, the disk need only hold what the log takes meanwhile."""
    if space.disk < LOG_ROOM or space.disk + space.spare < RESERVED:
        return "the disk is full but for what forgetting needs"
    if most and space.used >= most:
        return "the store has all of most_bytes"
    return ""


@final
class Room:
    """Remembers what was last seen. On the loop only."""

    def __init__(
        self, most: int, look: Callable[[], Awaitable[Space]], monotonic: Callable[[], float]
    ) -> None:
        self._most = most
        self._look = look
        self._monotonic = monotonic
        self._short = Short()
        self._next = monotonic()

    async def for_drop(self) -> None:
        """`BusyError` where nobody new is taken."""
        await self._see()
        if why := self._short.drops or self._short.blocks:
            warn_seldom(f"{why}, so no new drop is taken; next: make room, or raise the bound")
            raise BusyError(NO_DROPS_AFTER)

    async def for_blocks(self) -> None:
        """`BusyError` where no block is taken."""
        await self._see()
        if why := self._short.blocks:
            warn_seldom(f"{why}, so no block is taken; next: make room, or raise the bound")
            raise BusyError(NO_BLOCKS_AFTER)

    async def _see(self) -> None:
        """One looks, and the others go by what was seen before."""
        now = self._monotonic()
        if now >= self._next:
            self._next = now + LOOK_EVERY
            self._short = judge(await self._look(), self._most)


def free_disk(folder: Path, log: Path | None = None) -> int:
    """Bytes that this program may still write where `folder` lies; those of its `log` are written
    over again and again.
    """
    held = log.stat().st_size if log and log.exists() else 0
    return shutil.disk_usage(folder).free + held


def free_memory(file: Path = _MEMORY, ours: Path = _OURS, groups: Path = _GROUPS) -> int:
    """Bytes that the machine, and the control group that this program runs in, can still give; as
    if endless where the system does not tell.
    """
    return min(_of_machine(file), _of_group(ours, groups))


def _of_machine(file: Path) -> int:
    try:
        lines = (line.split() for line in file.read_text("ascii").splitlines())
        return next(int(line[1]) * 1024 for line in lines if line[0] == "MemAvailable:")
    except (OSError, ValueError, IndexError, StopIteration):
        return _ENDLESS


def _of_group(ours: Path, groups: Path) -> int:
    """Of version 2, where a unit's or a container's bound stands; what files take is given back."""
    try:
        lines = ours.read_text("ascii").splitlines()
        name = next(line.removeprefix("0::/") for line in lines if line.startswith("0::/"))
        group = groups / name
        most = int((group / "memory.max").read_text("ascii"))
        taken = int((group / "memory.current").read_text("ascii"))
        parts = (line.split() for line in (group / "memory.stat").read_text("ascii").splitlines())
        return max(0, most - taken + int(dict(parts)["inactive_file"]))
    except (OSError, ValueError, KeyError, StopIteration):  # also the word `max`
        return _ENDLESS
