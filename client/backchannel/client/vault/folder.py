"""The folder of a vault: a header and two halves alike, each a database with its file of keys.

Owns how it is made whole, mended, surrendered and destroyed. The first half is the vault. The spare
is made under a key that nobody knows, unless a duress passphrase is set, which opens it; without a
passphrase nobody can tell which. Knows no table.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, final

from backchannel.client.errors import VaultDamaged
from backchannel.client.vault.database import Database
from backchannel.client.vault.expiry_file import new_file
from backchannel.client.vault.head import Head, VaultKey, database_key
from backchannel.client.vault.migrate import migrate
from backchannel.protocol.secret import StoreKey
from backchannel.protocol.types import Hour

if TYPE_CHECKING:
    from backchannel.protocol.entropy import Entropy

HEAD, DATABASE, KEYS = "vault.head", "vault.db", "expiry.keys"
SPARE_DATABASE, SPARE_KEYS = "spare.db", "spare.keys"
_BESIDE = ("-wal", "-shm")  # what a database may have beside it


class Half(NamedTuple):
    """A database, and the keys without which it is noise."""

    database: Path
    keys: Path


@final
class Folder:
    """The files of one vault, by their names."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.header = path / HEAD
        self.first = Half(path / DATABASE, path / KEYS)
        self.spare = Half(path / SPARE_DATABASE, path / SPARE_KEYS)

    @property
    def halves(self) -> tuple[Half, Half]:
        """The vault, and what stands beside it."""
        return self.first, self.spare

    def head(self) -> Head:
        """The header; `VaultDamaged` when there is none."""
        try:
            return Head.read(self.header.read_bytes())
        except FileNotFoundError:
            msg = "The vault's header is missing."
            raise VaultDamaged(msg) from None

    def build(self, head: Head, key: VaultKey, hour: Hour, entropy: "Entropy") -> None:
        """Make the folder, whole or not at all."""
        draft = Folder(self.path.with_name(f"{self.path.name}.new"))
        shutil.rmtree(draft.path, ignore_errors=True)  # of a process that died while making one
        draft.path.mkdir(mode=0o700)
        _write(draft.header, head.pack())
        _build(draft.first, key, hour, hour, entropy)
        draft.mend(hour, entropy)
        _sync(draft.path)
        draft.path.rename(self.path)
        _sync(self.path.parent)

    def mend(self, hour: Hour, entropy: "Entropy") -> None:
        """Make a spare half where there is none, and leave no draft of one."""
        for path in self._draft():
            path.unlink(missing_ok=True)
        if not all(path.exists() for path in self.spare):
            self.plant(VaultKey(entropy.draw(VaultKey.LENGTH)), hour, entropy)

    @property
    def is_whole(self) -> bool:
        """Whether nothing was cut short."""
        left = any(path.exists() for path in self._draft())
        return not left and all(path.exists() for path in self.spare)

    def plant(self, key: VaultKey, hour: Hour, entropy: "Entropy") -> None:
        """Put an empty vault under `key` in the place of the spare half."""
        draft = self._draft()
        for path in draft:
            path.unlink(missing_ok=True)
        _build(draft, key, Hour(0), hour, entropy)
        for made, path in zip(draft, self.spare, strict=True):
            made.rename(path)
        _sync(self.path)

    def _draft(self) -> Half:
        return Half(*(path.with_name(f"draft{path.suffix}") for path in self.spare))

    def surrender(self, hour: Hour, entropy: "Entropy") -> None:
        """Destroy the first half and put the spare in its place, under the duress passphrase alone.

        The keys go first. Where power fails, doing it again goes on.
        """
        if self.spare.keys.exists() and self.first.keys.exists():
            overwrite(self.first.keys)
        if self.spare.database.exists():
            _remove(self.first.database)
            self.spare.database.rename(self.first.database)
        with suppress(FileNotFoundError):
            self.spare.keys.rename(self.first.keys)
        _sync(self.path)
        self.put_head(self.head().surrendered(entropy))
        self.mend(hour, entropy)

    def put_head(self, head: Head) -> None:
        """Another header, over the one that stands there: it fits in one sector."""
        overwrite(self.header, head.pack())

    def destroy(self) -> None:
        """Overwrite every key, then let go of the files. Asks nobody and waits for nobody."""
        for path in (self.first.keys, self.spare.keys, self.header):
            with suppress(FileNotFoundError):
                overwrite(path)
        shutil.rmtree(self.path)
        _sync(self.path.parent)

    def blend(self) -> None:
        """Let all files be of the same time: when a spare was planted is nobody's business."""
        for path in (self.header, *self.spare):
            with suppress(OSError):
                os.utime(path)


def overwrite(path: Path, data: bytes | None = None) -> None:
    """Put `data`, or zeros, over a file's bytes, on the disk when this returns."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(descriptor, bytes(os.fstat(descriptor).st_size) if data is None else data, 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _build(half: Half, key: VaultKey, since: Hour, hour: Hour, entropy: "Entropy") -> None:
    """A half at `hour`, with a base key that counts as made at `since`."""
    data, base = new_file(hour, since, entropy)
    _write(half.keys, data)
    _write(half.database, b"")
    database = Database(half.database, lambda: [database_key(key, base)])
    migrate(database.connection)
    with database.transaction():
        database.change("INSERT INTO store (key) VALUES (?)", entropy.draw(StoreKey.LENGTH))
    database.fold()
    database.close()


def _remove(database: Path) -> None:
    for path in (database, *(database.with_name(database.name + end) for end in _BESIDE)):
        path.unlink(missing_ok=True)


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
