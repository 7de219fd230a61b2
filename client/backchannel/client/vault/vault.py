"""The vault as the verbs see it: made, opened, locked while it changes, and swept.

Knows neither network nor screen.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self, final

from backchannel.client.errors import ClockAbsurd, NoVault, VaultDamaged
from backchannel.client.profile import Profile
from backchannel.client.vault import head as heads
from backchannel.client.vault.channels import Channels, Joins
from backchannel.client.vault.database import Database
from backchannel.client.vault.drafts import Drafts
from backchannel.client.vault.expiry_file import ExpiryFile, new_file
from backchannel.client.vault.head import Head, VaultKey
from backchannel.client.vault.lock import PATIENCE, Lock
from backchannel.client.vault.migrate import VERSION, migrate, version_of
from backchannel.client.vault.outbox import Cursors, Outbox, Vouchers
from backchannel.client.vault.sealed import Cores, Items, Messages
from backchannel.protocol.errors import StateError
from backchannel.protocol.secret import ClockValue, StoreKey
from backchannel.protocol.types import Hour, Timestamp, hour_of

if TYPE_CHECKING:
    from backchannel.protocol.entropy import Entropy

_WRITTEN = 1_767_225_600  # 1 January 2026: no clock that is set shows an earlier moment
HEAD, DATABASE, KEYS = "vault.head", "vault.db", "expiry.keys"


class Swept(NamedTuple):
    """What a sweep deleted."""

    messages: int
    cores: int
    clean: bool
    """Whether the write-ahead log could be emptied, too."""


@final
class Vault:
    """An open vault. Reading is always possible; change it inside `exclusive` and `transaction`."""

    def __init__(
        self, profile: Profile, key: VaultKey, now: Timestamp, patience: float = PATIENCE
    ) -> None:
        """Open, and erase first what is dead at `now`; `NoVault` when none was made."""
        if not profile.has_vault:
            msg = "There is no vault here yet."
            raise NoVault(msg)
        profile.refuse_unless_private()
        self._lock = Lock(profile.lock, patience)
        self._expiry = _open_expiry(profile.vault / KEYS)
        try:
            self._database = self._prepare(profile.vault / DATABASE, key, now)
        except BaseException:
            self._expiry.close()
            raise
        items = Items(self._store_key(), self._expiry)
        self.channels = Channels(self._database)
        self.joins = Joins(self._database)
        self.cursors = Cursors(self._database)
        self.outbox = Outbox(self._database)
        self.vouchers = Vouchers(self._database)
        self.messages = Messages(self._database, items)
        self.cores = Cores(self._database, items)
        self.drafts = Drafts(self._database, items)

    @staticmethod
    def create(
        profile: Profile,
        passphrase: str,
        now: Timestamp,
        entropy: "Entropy",
        cost: heads.Cost = heads.USUAL,
    ) -> VaultKey:
        """Make a vault and give its key. It appears whole, in one rename, or not at all."""
        profile.make(profile.data)
        with Lock(profile.lock):
            if profile.has_vault:
                msg = "There is a vault here already."
                raise VaultDamaged(msg, "backchannel unlock")
            if now < _WRITTEN:
                msg = "This machine's clock is years behind: no vault was made."
                raise ClockAbsurd(msg)
            head, key = Head.new(passphrase, cost, entropy)
            draft = profile.vault.with_name("vault.new")
            shutil.rmtree(draft, ignore_errors=True)  # of a process that died while making one
            _build(draft, head, key, hour_of(now), entropy)
            draft.rename(profile.vault)
            _sync(profile.data)
        return key

    @staticmethod
    def key(profile: Profile, passphrase: str) -> VaultKey:
        """The key that a passphrase gives; `WrongPassphrase`. Takes most of a second."""
        try:
            data = (profile.vault / HEAD).read_bytes()
        except FileNotFoundError:
            msg = "The vault's header is missing."
            raise VaultDamaged(msg) from None
        return Head.read(data).key(passphrase)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files."""
        self._database.close()
        self._expiry.close()

    @contextmanager
    def exclusive(self, now: Timestamp) -> Iterator[None]:
        """Be the only process that changes the vault, for one read, decision and write.

        Whatever is dead at `now` is erased before the first read. `VaultBusy` after ten seconds.
        """
        entered_before = self._lock.held
        with self._lock:
            if not entered_before:
                self._expiry.forget()
            if self._expiry.behind(hour_of(now)):
                _advance(self._expiry, now)
            yield

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is changed inside is on disk when this ends, or nothing is."""
        if not self._lock.held:
            msg = "a transaction without the vault's lock"
            raise RuntimeError(msg)
        with self._database.transaction():
            yield

    def hour(self, now: Timestamp) -> Hour:
        """The hour to go by: never below one that was seen."""
        return max(hour_of(now), self._expiry.highest)

    def clock(self, name: bytes) -> tuple[Hour, ClockValue]:
        """An epoch's clock: its oldest hour and value. `StaleError` when it is gone."""
        return self._expiry.keys.clock(name)

    def set_clock(self, name: bytes, hour: Hour, value: ClockValue, lifetime: int) -> None:
        """Keep an epoch's clock; it is on disk when this returns."""
        self._expiry.apply(self._expiry.keys.set_clock(name, hour, value, lifetime))

    def forget_keys(self) -> None:
        """Erase every key that no row leans on any more: clocks of epochs that are over, keys of
        drafts that were sent and of items that were given another; and what a change that was not
        finished has left. Never before it is on disk that they are not needed.
        """
        from backchannel.protocol.expiry import PlaceKind

        for kind, needed in (
            (PlaceKind.CLOCK, self.channels.every_epoch()),
            (PlaceKind.THREAD, self.drafts.names()),
            (PlaceKind.EXPIRY, self._expiry_keys()),
        ):
            for name in self._expiry.keys.names(kind) - needed:
                self._expiry.apply(self._expiry.keys.erase(kind, name))

    def sweep(self, now: Timestamp) -> Swept:
        """Delete the rows of what is dead. Housekeeping: erased keys have closed them before."""
        with self.exclusive(now):
            hour = self.hour(now)
            with self.transaction():
                messages = self._database.change("DELETE FROM messages WHERE expires <= ?", hour)
                cores = self._database.change("DELETE FROM cores WHERE expires <= ?", hour)
            self.forget_keys()
            return Swept(messages, cores, clean=self._database.fold())

    def _prepare(self, path: Path, key: VaultKey, now: Timestamp) -> Database:
        """Erase before anything is read; then open the database and bring it up to date."""
        if self._expiry.behind(hour_of(now)):
            with self.exclusive(now):
                pass
        database = _open_database(path, key)
        if version_of(database.connection) < VERSION:
            with self._lock:
                migrate(database.connection)
        return database

    def _expiry_keys(self) -> set[bytes]:
        from backchannel.protocol.expiry import expiry_name

        rows = self._database.all(
            "SELECT DISTINCT stored, expires FROM messages"
            " UNION SELECT DISTINCT stored, expires FROM cores"
            " UNION SELECT stored, expires FROM drafts"
        )
        return {expiry_name(Hour(stored), Hour(expires)) for stored, expires in rows}

    def _store_key(self) -> StoreKey:
        row = self._database.one("SELECT key FROM store")
        if row is None:
            msg = "The vault has lost its store key."
            raise VaultDamaged(msg)
        return StoreKey(row[0])


def expire(profile: Profile, now: Timestamp) -> None:
    """What a timer does, without the passphrase: erase every key that is dead at `now`.

    `ClockAbsurd` where the clock leapt: nobody is there who could say whether it is right.
    """
    with _open_expiry(profile.vault / KEYS) as file, Lock(profile.lock):
        if file.keys.leaps(hour_of(now)):
            msg = "This machine's clock is more than a day ahead of when the vault was last used."
            raise ClockAbsurd(msg, "if it is right, use the vault: backchannel status --offline")
        _advance(file, now)


def _advance(file: ExpiryFile, now: Timestamp) -> None:
    try:
        file.advance(hour_of(now))
    except StateError:
        msg = "This machine's clock is decades ahead of when the vault was last used."
        raise ClockAbsurd(msg) from None


def _open_expiry(path: Path) -> ExpiryFile:
    try:
        return ExpiryFile(path)
    except FileNotFoundError:
        msg = "The file of expiry keys is missing: what the vault kept cannot be opened any more."
        raise VaultDamaged(msg) from None


def _open_database(path: Path, key: VaultKey) -> Database:
    if not path.is_file():
        msg = "The vault's database is missing."
        raise VaultDamaged(msg)
    return Database(path, key)


def _build(folder: Path, head: Head, key: VaultKey, hour: Hour, entropy: "Entropy") -> None:
    folder.mkdir(mode=0o700)
    _write(folder / HEAD, head.pack())
    _write(folder / KEYS, new_file(hour, entropy))
    _write(folder / DATABASE, b"")
    database = Database(folder / DATABASE, key)
    migrate(database.connection)
    with database.transaction():
        database.change("INSERT INTO store (key) VALUES (?)", entropy.draw(StoreKey.LENGTH))
    database.close()
    _sync(folder)


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
