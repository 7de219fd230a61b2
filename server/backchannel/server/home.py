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
        if any(file.exists() for file in (self.config, *self.secrets)):
            message = f"there is a relay in {self.path} already"
            raise OperatorError(
                message, next_=f"backchannel-relay serve --data {self.path}", code=exits.REFUSED
            )
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
        except OSError as error:
            message = f"{self.path} cannot be made: {error.strerror}"
            raise OperatorError(message, next_="choose a directory that you may write to") from None

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
        for file in (self.config, *self.secrets):
            if not file.exists():
                message = f"there is no relay in {self.path}: {file.name} is missing"
                raise OperatorError(
                    message,
                    next_=f"backchannel-relay init --data {self.path}",
                    code=exits.NOT_FOUND,
                )
        for file in self.exposed():
            message = f"others on this machine may read {file}"
            raise OperatorError(message, next_=f"chmod go= {file}", code=exits.REFUSED)

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

    def take_lock(self) -> int:
        """Be the only relay in this directory, until the descriptor is closed."""
        descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            message = f"a relay is running in {self.path} already"
            raise OperatorError(
                message, next_=f"backchannel-relay health --data {self.path}", code=exits.REFUSED
            ) from None
        return descriptor

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
