"""What doctor asks the operating system: who keeps the clock, what the data lies on, where memory
may end up.

Says 'not known' where the system does not tell.
"""

import ctypes
import re
import sys
from pathlib import Path
from typing import Final, NamedTuple

from backchannel.server.errors import Doubt

_TIMEX = 512  # bytes: `struct timex` is 208 where longs have eight
_STATUS_AT = 5 * ctypes.sizeof(ctypes.c_long)  # behind modes and four longs
_UNSYNC = 0x0040
_MOUNTS = Path("/proc/self/mountinfo")
_SWAPS = Path("/proc/swaps")
_BLOCK_DEVICES = Path("/sys/block")

_COPIES = "writes anew what a program overwrites, so that keys of expired blocks stay on the disk"
_KINDS: Final = {
    "bcachefs": _COPIES,
    "btrfs": _COPIES,
    "f2fs": _COPIES,
    "nilfs2": _COPIES,
    "zfs": _COPIES,
    "overlay": "is a container's own layer, which ends with the container",
    "ramfs": "is memory: a restart of the machine loses every channel",
    "tmpfs": "is memory: a restart of the machine loses every channel, and swap may keep the keys",
}
_MOVE = "move the data directory to ext4 or XFS; in a container, mount a volume of the host there"


class Mount(NamedTuple):
    """One line of mountinfo."""

    point: Path
    kind: str
    options: frozenset[str]


def time_service() -> str:
    """That something keeps the clock; `Doubt` where nothing does."""
    status = _clock_status()
    if status is None:
        return "not known on this system"
    if status & _UNSYNC:
        message = "nothing keeps this machine's clock: a wrong hour destroys too early or too late"
        raise Doubt(message, next_="start a time service: timedatectl set-ntp true, or chrony")
    return "keeps the clock"


def file_system(path: Path, mounts: Path = _MOUNTS) -> str:
    """On what `path` lies; `Doubt` where overwriting does not erase."""
    mount = _mount_of(path.resolve(), mounts)
    if mount is None:
        return "not known on this system"
    if mount.kind in _KINDS:
        raise Doubt(f"{mount.kind} {_KINDS[mount.kind]}", next_=_MOVE)
    if "data=journal" in mount.options:
        message = f"{mount.kind} with data=journal keeps copies of keys in its journal"
        raise Doubt(message, next_=f"mount {mount.point} with data=ordered")
    return mount.kind


def swap(swaps: Path = _SWAPS, devices: Path = _BLOCK_DEVICES) -> str:
    """That no memory is written out in the clear; `Doubt` where it may be."""
    try:
        areas = [line.split()[0] for line in swaps.read_text().splitlines()[1:]]
    except OSError:
        return "not known on this system"
    plain = [area for area in areas if not _covered(Path(area).name, devices)]
    if plain:
        message = f"{', '.join(plain)} may keep keys long after their hour"
        raise Doubt(message, next_="swapoff -a, or encrypt swap under a key drawn at each boot")
    return "encrypted, or in memory" if areas else "none"


def _clock_status() -> int | None:
    """Of the kernel's clock, by adjtimex, which only looks where it is given zeros."""
    if sys.platform != "linux":
        return None
    timex = ctypes.create_string_buffer(_TIMEX)
    if ctypes.CDLL(None).adjtimex(timex) < 0:
        return None
    return ctypes.c_int.from_buffer(timex, _STATUS_AT).value


def _mount_of(path: Path, mounts: Path) -> Mount | None:
    """The innermost mount that holds `path`; of two at one point the later."""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return None
    found = [mount for mount in map(_mount, lines) if path.is_relative_to(mount.point)]
    return max(reversed(found), key=lambda mount: len(mount.point.parts), default=None)


def _mount(line: str) -> Mount:
    """`id parent device root point options [more] - kind source options`."""
    ours, _, theirs = line.partition(" - ")
    point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), ours.split(" ")[4])
    kind, _, options = theirs.split(" ", 2)
    return Mount(Path(point), kind, frozenset(options.split(",")))


def _covered(name: str, devices: Path) -> bool:
    """Whether a swap area is compressed memory or an encrypted device."""
    if name.startswith("zram"):
        return True
    try:
        return (devices / name / "dm" / "uuid").read_text("ascii").startswith("CRYPT-")
    except OSError:
        return False
