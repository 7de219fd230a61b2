"""One process at a time changes a vault. The system drops the lock when its holder dies."""

import fcntl
import os
import time
from pathlib import Path
from typing import Self, final

from backchannel.client.errors import NoVault, VaultBusy
from backchannel.client.machine.clock import elapsed

PATIENCE = 10.0  # seconds: longer than any honest change of a vault takes
_PAUSE = 0.05


@final
class Lock:
    """A lock file. May be entered again by its holder."""

    def __init__(self, path: Path, patience: float = PATIENCE) -> None:
        self._path = path
        self._patience = patience
        self._descriptor: int | None = None
        self._depth = 0

    @property
    def held(self) -> bool:
        """Whether this object holds it."""
        return self._depth > 0

    def __enter__(self) -> Self:
        if not self.held:
            self._descriptor = self._wait()
        self._depth += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self.held and self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _wait(self) -> int:
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:  # its folder: in memory only, all of it ends with `lock`
            msg = "The vault has gone meanwhile: nothing was changed."
            raise NoVault(msg) from None
        deadline = elapsed() + self._patience
        while not _try(descriptor):
            if elapsed() >= deadline:
                os.close(descriptor)
                msg = f"Another process has been using the vault for {self._patience:.0f} s."
                raise VaultBusy(msg)
            time.sleep(_PAUSE)
        return descriptor


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
