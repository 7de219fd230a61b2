"""Everything that a machine shows of our programs while they run: arguments, environments, what
lies in their temporary folder. Knows the programs by a mark in their environment, or by a path in
their arguments where the environment of what hardened itself is not shown.
"""

import os
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, final

MARK = "WATCHED_BY_A_TEST"
_PAUSE = 0.01  # seconds


@final
class Watch:
    """Looks at all marked processes a hundred times a second."""

    def __init__(self, folder: Path) -> None:
        self._mark = os.urandom(8).hex()
        self._folder = os.fsencode(folder)
        self._temporary = folder / "tmp"
        self._temporary.mkdir()
        self.seen: dict[str, set[bytes]] = {"arguments": set(), "environment": set()}
        self.temporary: dict[str, bytes] = {}
        """Whatever lay in the temporary folder, even for a moment."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_again, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: object, _where: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def env(self) -> dict[str, str]:
        """For a program that is to be watched, with all its children."""
        return {MARK: self._mark, "TMPDIR": str(self._temporary)}

    @property
    def pids(self) -> list[int]:
        """Of those that run now."""
        return [int(each.name) for each in Path("/proc").glob("[0-9]*") if self._marked(each)]

    def shown(self) -> dict[str, bytes]:
        """All arguments and environments, as places to search."""
        return {name: b"\n".join(sorted(each)) for name, each in self.seen.items()}

    def saw(self, planted: bytes) -> bool:
        """Whether it stood in the temporary folder, in an argument and in an environment."""
        places = ([*self.temporary.values()], *([*each] for each in self.seen.values()))
        return all(any(planted in data for data in place) for place in places)

    def _marked(self, process: Path) -> bool:
        with suppress(OSError):
            if f"{MARK}={self._mark}".encode() in (process / "environ").read_bytes():
                return True
        with suppress(OSError):
            return self._folder in (process / "cmdline").read_bytes()
        return False

    def _look_again(self) -> None:
        while not self._ended.wait(_PAUSE):
            for process in Path("/proc").glob("[0-9]*"):
                if self._marked(process):
                    self._note(process)
            for path in self._temporary.rglob("*"):
                with suppress(OSError):
                    self.temporary[str(path)] = path.read_bytes()

    def _note(self, process: Path) -> None:
        for name, file in (("arguments", "cmdline"), ("environment", "environ")):
            with suppress(OSError):
                self.seen[name].add((process / file).read_bytes())
