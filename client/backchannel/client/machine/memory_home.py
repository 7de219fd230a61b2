"""The home of `--memory-only`: one private folder of each user on a file system in memory.

Owns where it is, that nobody else made it or looks into it, and how it goes, whole. What stands in
it is a vault like any other, under a passphrase that nobody knows; its key is in the agent alone,
and the folder goes with the agent. Knows neither.
"""

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from backchannel.client.errors import Refused, UnsafeFile
from backchannel.client.machine.profile import Profile, refuse_unless_private

_SHARED = Path("/dev/shm")  # noqa: S108 - a folder of our own below it, and no link is followed
_MOUNTS: Final = Path("/proc/self/mountinfo")
_IN_MEMORY = {"tmpfs", "ramfs"}
_GONE = "gone-"
_DEVICE, _SOURCE = 2, "-"  # in a line of mountinfo: which field, and what stands before the type


def profile(own: Profile) -> Profile:
    """The folders of a run that keeps nothing: settings are read where they are, and all else is in
    memory. `Refused` where there is no such memory, `UnsafeFile` where somebody sits in its place.
    """
    home = _home()
    refuse_unless_ours(home)
    return Profile.at(home)._replace(config=own.config)


def _home() -> Path:
    """The one that is there already, else the first that can be made."""
    places = [path for path in _places() if in_memory(path.parent)]
    if not places:
        msg = "This system has no folder in memory: nothing was begun, and nothing was kept."
        raise Refused(msg, "use --home DIR, with DIR on an encrypted disk or stick")
    return next((path for path in places if os.path.lexists(path)), places[0])


def _places() -> Iterator[Path]:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_absolute():
        refuse_unless_private(Path(runtime))
        yield Path(runtime) / "backchannel-memory"
    yield _SHARED / f"backchannel-{os.geteuid()}"


def in_memory(folder: Path, mounts: Path = _MOUNTS) -> bool:
    """Whether a folder's file system stands in memory, by the kernel's own list of them."""
    try:
        device = folder.stat().st_dev
        rows = [line.split() for line in mounts.read_text("utf-8", "surrogateescape").splitlines()]
    except OSError:
        return False
    number = f"{os.major(device)}:{os.minor(device)}"
    kinds = {row[row.index(_SOURCE) + 1] for row in rows if row[_DEVICE] == number}
    return bool(kinds) and kinds <= _IN_MEMORY


def refuse_unless_ours(home: Path) -> None:
    """`UnsafeFile` for what another has put there, or left open, or for a link."""
    try:
        found = home.lstat()
    except FileNotFoundError:
        return
    private = stat.S_IMODE(found.st_mode) == stat.S_IRWXU
    if not (stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and private):
        msg = f"{home} is not a private folder of yours: somebody may have made it first."
        raise UnsafeFile(msg, "remove it, or set XDG_RUNTIME_DIR to a private folder in memory")


@contextmanager
def made(home: Path) -> Iterator[None]:
    """Have the folder, fresh or as it is, for as long as nobody removes it."""
    while True:
        with suppress(FileExistsError):
            home.mkdir(mode=stat.S_IRWXU)
        with _held(home) as held:
            if held:
                yield
                return


def remove(home: Path, only_if: Callable[[], bool]) -> bool:
    """Take the folder away at once, then what is in it; whether it went. Asked when nobody else can
    make or remove it. Whoever still has a file of it open makes no new one.
    """
    import shutil

    with _held(home) as held:
        going = held and only_if()
        if going:
            home.rename(home.with_name(f"{home.name}.{_GONE}{os.urandom(8).hex()}"))
    for each in home.parent.glob(f"{home.name}.{_GONE}*"):  # also what somebody could not finish
        shutil.rmtree(each, ignore_errors=True)
    return going


@contextmanager
def _held(home: Path) -> Iterator[bool]:
    """Alone with the folder; false when it went meanwhile."""
    try:
        folder = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield _is(home, folder)
    finally:
        os.close(folder)


def _is(home: Path, folder: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(home.lstat(), os.fstat(folder))
    return False
