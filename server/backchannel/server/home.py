"""The data directory: which files a relay has there, who may read them, and how they come to be.

```
relay.toml     settings
relay.key      the static key, hex
relay.db       vouchers, drops, sealed blocks
expiry.keys    what dies hour by hour
store.key      useless without the former
```
Knows nothing of what the files mean.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import final

from backchannel.protocol.secret import StoreKey, X25519Private
from backchannel.server import exits
from backchannel.server.errors import OperatorError


@final
class Home:
    """One relay's data directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "relay.toml"
        self.key = path / "relay.key"
        self.store_key = path / "store.key"
        self.places = path / "expiry.keys"
        self.database = path / "relay.db"
        self.lock = path / "relay.lock"
        self.address = path / "relay.address"
        """Where the running relay listens; `health` asks there."""
        self.demo_hours = path / "demo-hours"

    @property
    def secrets(self) -> tuple[Path, ...]:
        """The files that nobody else may read."""
        return (self.key, self.store_key, self.places, self.database)

    def make(self) -> None:
        """Make the directory, 0700; refused where any part of a relay is already."""
        try:
            if any(file.exists() for file in (self.config, *self.secrets)):
                message = f"there is a relay in {self.path} already"
                next_ = f"name another folder, or go on: backchannel-relay serve --data {self.path}"
                raise OperatorError(message, next_=next_, code=exits.REFUSED)
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._check_owner()
            self.path.chmod(0o700)
        except OSError as error:
            message = f"{self.path} cannot be made: {error.strerror}"
            raise OperatorError(message, next_="choose a directory that you may write to") from None

    def _check_owner(self) -> None:
        """Root may write to a directory of anybody, who can then put other files in their place."""
        me = os.geteuid()
        if self.path.stat().st_uid != me or self.path.lstat().st_uid not in {me, 0}:
            message = f"{self.path} belongs to somebody else"
            next_ = "run this as that user (runuser -u USER -- …), or name a new directory"
            raise OperatorError(message, next_=next_, code=exits.REFUSED)

    def clear(self) -> None:
        """Take away what making a relay began; the directory stays."""
        beside = (self.database.with_name(f"{self.database.name}-{end}") for end in ("wal", "shm"))
        for file in (self.config, *self.secrets, *beside):
            file.unlink(missing_ok=True)

    def write(self, file: Path, data: bytes) -> None:
        """A new file, 0600, on the disk before this returns."""
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(descriptor)
        self._sync()

    def check(self) -> None:
        """`OperatorError` unless a relay was made here and its secrets are secret."""
        self.check_made()
        for file in self.secrets:
            if not file.exists():
                raise self._without(file)
        for file in self.exposed():
            message = f"others on this machine may read {file}"
            raise OperatorError(message, next_=f"chmod go= {file}", code=exits.REFUSED)

    def check_made(self) -> None:
        """`OperatorError` where there is no relay at all, or it is another user's."""
        try:
            self.config.stat()
        except PermissionError:
            message = f"{self.path} belongs to another user of this machine"
            next_ = "the same as that user: runuser -u USER -- backchannel-relay …"
            raise OperatorError(message, next_=next_, code=exits.REFUSED) from None
        except OSError:
            raise self._without(self.config) from None

    def _without(self, missing: Path) -> OperatorError:
        """One of its files is not there, or none."""
        if any(file.exists() for file in (self.config, *self.secrets)):
            message = f"half a relay is in {self.path}: {missing.name} is missing"
            next_ = "put the file back, or: backchannel-relay restore FILE --data NEWDIR"
        else:
            message = f"there is no relay in {self.path}: {missing.name} is missing"
            next_ = f"backchannel-relay init --data {self.path}"
        return OperatorError(message, next_=next_, code=exits.NOT_FOUND)

    def exposed(self) -> list[Path]:
        """What others on this machine could read."""
        files = (self.path, *self.secrets)
        return [file for file in files if stat.S_IMODE(file.stat().st_mode) & 0o077]

    def static_key(self) -> X25519Private:
        """The relay's identity towards its clients."""
        return X25519Private(self._hex(self.key))

    def store_secret(self) -> StoreKey:
        """One half of what seals the blocks at rest."""
        return StoreKey(self._hex(self.store_key))

    def take_lock(self, *, shared: bool = False) -> int:
        """Be the only relay in this directory, until the descriptor is closed; `shared` with other
        workers of it, which keeps out who must be alone.
        """
        descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            message = f"a relay is running in {self.path} already"
            raise OperatorError(
                message, next_=f"backchannel-relay health --data {self.path}", code=exits.REFUSED
            ) from None
        return descriptor

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """While no relay runs here, for a command that must be alone; `OperatorError` while one
        does.
        """
        try:
            lock = self.take_lock()
        except OperatorError as error:
            error.next = "stop it (systemctl stop, or Ctrl-C where it was begun), then try again"
            raise
        try:
            yield
        finally:
            os.close(lock)

    def _hex(self, file: Path) -> bytes:
        try:
            value = bytes.fromhex(file.read_text("ascii"))
        except (OSError, ValueError):
            value = b""
        if len(value) != 32:
            message = f"{file} is not a key"
            raise OperatorError(message, next_="put it back from where you keep a copy of it")
        return value

    def _sync(self) -> None:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
