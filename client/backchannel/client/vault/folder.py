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
from backchannel.client.vault.expiry_file import new_file, twins
from backchannel.client.vault.head import Head, VaultKey, database_key
from backchannel.client.vault.migrate import migrate
from backchannel.protocol.secret import StoreKey
from backchannel.protocol.types import Hour

if TYPE_CHECKING:
    from backchannel.protocol.entropy import Entropy

HEAD, DATABASE, KEYS = "vault.head", "vault.db", "expiry.keys"
SPARE_DATABASE, SPARE_KEYS = "spare.db", "spare.keys"
PROXIED = "proxied"  # if it is there, the vault was used through a proxy
_BESIDE = ("-wal", "-shm")  # what a database may have beside it
_TRIES = 20  # at a folder in which another process still makes and removes files


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
        self.proxied = path / PROXIED

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
        nobodys = VaultKey(entropy.draw(VaultKey.LENGTH))
        halves = [(draft.first, key, hour), (draft.spare, nobodys, Hour(0))]
        if entropy.draw(1)[0] & 1:  # a surrender exchanges them: which is older must say nothing
            halves.reverse()
        for half, its, since in halves:
            _build(half, its, since, (hour, hour), entropy)
        _sync(draft.path)
        draft.path.rename(self.path)
        _sync(self.path.parent)

    def mend(self, hour: Hour, entropy: "Entropy") -> None:
        """Make the spare half anew where there is none, or where its making was cut short."""
        if not self.is_whole:
            self.plant(VaultKey(entropy.draw(VaultKey.LENGTH)), hour, entropy)

    @property
    def is_whole(self) -> bool:
        """Whether nothing was cut short."""
        left = any(path.exists() for half in (self._draft, self._away) for path in half)
        return not left and all(path.exists() for path in self.spare)

    def plant(self, key: VaultKey, hour: Hour, entropy: "Entropy") -> None:
        """Put an empty vault under `key` in the place of the spare half.

        Over the bytes of its very files, and with the hours that the first half's keys have seen:
        files that are younger, or have seen less, would show when it was planted.
        """
        draft = self._draft
        for path in draft:
            path.unlink(missing_ok=True)
        _build(draft, key, Hour(0), twins(self.first.keys) or (hour, hour), entropy)
        _sync(self.path)  # from now on it is seen that this was begun
        for made, away, path in zip(draft, self._away, self.spare, strict=True):
            if away.exists():
                away.rename(path)
            path.touch(0o600)
            overwrite(path, made.read_bytes())
        _sync(self.path)
        for made in draft:
            made.unlink()
        _sync(self.path)

    @property
    def _draft(self) -> Half:
        """A spare half that is being made."""
        return Half(*(path.with_name(f"draft{path.suffix}") for path in self.spare))

    @property
    def _away(self) -> Half:
        """What was the first half, while a surrender goes on."""
        return Half(*(path.with_name(f"away{path.suffix}") for path in self.spare))

    def surrender(self, hour: Hour, entropy: "Entropy") -> None:
        """Destroy the first half and exchange it for the spare, under the duress passphrase alone.

        The keys go first. Where power fails, doing it again goes on.
        """
        self.erase_first()
        for first, spare, away in zip(self.first, self.spare, self._away, strict=True):
            if spare.exists() and first.exists():
                first.rename(away)
            if spare.exists():
                _remove_beside(first)
                spare.rename(first)
        _sync(self.path)
        self.put_head(self.head().surrendered(entropy))
        self.mend(hour, entropy)

    def erase_first(self) -> None:
        """Overwrite the keys of the first half, unless the spare has taken its place already."""
        if self.spare.keys.exists() and self.first.keys.exists():
            overwrite(self.first.keys)

    def put_head(self, head: Head) -> None:
        """Another header, over the one that stands there: it fits in one sector."""
        overwrite(self.header, head.pack())

    def destroy(self) -> None:
        """Overwrite every key, then let go of the files. Asks nobody and waits for nobody."""
        for path in (self.first.keys, self.spare.keys, self.header):
            with suppress(FileNotFoundError):
                overwrite(path)
        for _ in range(_TRIES):
            shutil.rmtree(self.path, ignore_errors=True)
            if not self.path.exists():
                break
        else:
            shutil.rmtree(self.path)  # says what is in the way
        _sync(self.path.parent)

    def blend(self) -> None:
        """Let all files be of the same time: when a spare was planted, or a relay last asked, is
        nobody's business.
        """
        for path in (self.header, *self.spare, self.proxied):
            with suppress(OSError):
                os.utime(path)


def overwrite(path: Path, data: bytes | None = None) -> None:
    """Put `data`, or zeros, over a file's bytes, on the disk when this returns."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        data = bytes(os.fstat(descriptor).st_size) if data is None else data
        os.pwrite(descriptor, data, 0)
        os.ftruncate(descriptor, len(data))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _build(
    half: Half, key: VaultKey, since: Hour, hours: tuple[Hour, Hour], entropy: "Entropy"
) -> None:
    """A half that has seen `hours`, with a base key that counts as made at `since`."""
    data, base = new_file(hours, since, entropy)
    _write(half.keys, data)
    _write(half.database, b"")
    database = Database(half.database, lambda: [database_key(key, base)])
    migrate(database.connection)
    with database.transaction():
        database.change("INSERT INTO store (key) VALUES (?)", entropy.draw(StoreKey.LENGTH))
    database.fold()
    database.close()


def _remove_beside(database: Path) -> None:
    for end in _BESIDE:
        database.with_name(database.name + end).unlink(missing_ok=True)


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
