"""The vault as the verbs see it: made, opened, locked while it changes, and swept.

Knows neither network nor screen.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple, Self, final

from backchannel.client.errors import (
    ClientError,
    ClockAbsurd,
    ClockLeapt,
    NoVault,
    VaultBusy,
    VaultDamaged,
)
from backchannel.client.machine.profile import Profile
from backchannel.client.vault import head as heads
from backchannel.client.vault.channels import Channels, Joins
from backchannel.client.vault.cores import Cores
from backchannel.client.vault.cursors import Cursors
from backchannel.client.vault.database import Database
from backchannel.client.vault.drafts import Drafts
from backchannel.client.vault.expiry_file import ExpiryFile
from backchannel.client.vault.folder import Folder, Half
from backchannel.client.vault.head import DatabaseKey, Head, VaultKey, Way, database_key
from backchannel.client.vault.health import Health
from backchannel.client.vault.items import Items
from backchannel.client.vault.lock import PATIENCE, Lock
from backchannel.client.vault.lost import Lost
from backchannel.client.vault.messages import Messages
from backchannel.client.vault.migrate import VERSION, migrate, version_of
from backchannel.client.vault.outbox import Outbox
from backchannel.client.vault.volatile import Volatile
from backchannel.client.vault.vouchers import Vouchers
from backchannel.protocol.errors import StateError
from backchannel.protocol.secret import ClockValue, StoreKey
from backchannel.protocol.types import Hour, Timestamp, hour_of

if TYPE_CHECKING:
    from backchannel.protocol.entropy import Entropy

_WRITTEN = 1_767_225_600  # 1 January 2026: no clock that is set shows an earlier moment
_HASTE = 1.0  # seconds that a surrender waits for another command
_SLOWEST = 10.0  # and then for its end
_DAY = 24  # hours: for so long an older copy of the database can be opened


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
        self,
        profile: Profile,
        key: VaultKey,
        now: Timestamp,
        patience: float = PATIENCE,
        volatile: Volatile | None = None,
    ) -> None:
        """Open, and erase first what is dead at `now`, unless the clock leapt; `NoVault` when none
        was made. Under `volatile` stands what is off the record.
        """
        if not profile.has_vault:
            msg = "There is no vault here yet."
            raise NoVault(msg)
        profile.refuse_unless_private()
        self._folder = Folder(profile.vault)
        self._lock = Lock(profile.lock, patience)
        self._key = key
        self._expiry = _open_expiry(self._folder.first)
        try:
            self._database = self._prepare(now)
        except BaseException:
            self._expiry.close()
            raise
        items = Items(self._store_key(), self._expiry)
        self.channels = Channels(self._database)
        self.joins = Joins(self._database)
        self.lost = Lost(self._database)
        self.cursors = Cursors(self._database)
        self.outbox = Outbox(self._database)
        self.health = Health(self._database)
        self.vouchers = Vouchers(self._database)
        self.messages = Messages(self._database, items, volatile)
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
            Folder(profile.vault).build(head, key, hour_of(now), entropy)
        return key

    @staticmethod
    def key(profile: Profile, passphrase: str, now: Timestamp, entropy: "Entropy") -> VaultKey:
        """The key that a passphrase gives; `WrongPassphrase`. Takes most of a second.

        The duress passphrase destroys the vault first, and gives the key of the other, which is the
        only one from then on.
        """
        folder = Folder(profile.vault)
        key, way = folder.head().key(passphrase)
        if way is Way.DURESS:
            _surrender(profile, key, now, entropy)
        return key

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files."""
        self._database.close()
        self._expiry.close()
        self._folder.blend()

    @contextmanager
    def exclusive(self, now: Timestamp) -> Iterator[None]:
        """Be the only process that changes the vault, for one read, decision and write.

        Whatever is dead at `now` is erased before the first read. `VaultBusy` after ten seconds,
        `ClockLeapt` while nobody has said that `now` is right.
        """
        entered_before = self._lock.held
        with self._lock:
            if not entered_before:
                self._expiry.forget()
                if self._database.key not in self._database_keys():
                    self._database.follow()
            if self._expiry.behind(hour_of(now)):
                _refuse_leap(self._expiry, now)
                _advance_all(self._folder, self._expiry, now)
            yield

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is changed inside is on disk when this ends, or nothing is."""
        if not self._lock.held:
            msg = "a transaction without the vault's lock"
            raise RuntimeError(msg)
        with self._database.transaction():
            yield
            self._expiry.refuse_gone()

    def leapt(self, now: Timestamp) -> int:
        """By how many hours the clock is ahead of the last hour that was seen, where that is more
        than it may say alone; else 0. Then nothing opens whose hour has passed by either, nothing
        is sealed, and nothing is erased yet.
        """
        return self._expiry.leapt(hour_of(now))

    def trust(self, now: Timestamp) -> None:
        """Go by this clock: a relay or a person says that it is right."""
        with self._lock:
            self._expiry.forget()
            _advance_all(self._folder, self._expiry, now)

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
            (PlaceKind.THREAD, self.drafts.names() | self.messages.names()),
            (PlaceKind.EXPIRY, self._expiry_keys()),
        ):
            for name in self._expiry.keys.names(kind) - needed:
                self._expiry.apply(self._expiry.keys.erase(kind, name))

    def sweep(self, now: Timestamp, entropy: "Entropy") -> Swept:
        """Delete the rows of what is dead: erased keys have closed them before. Once a day, close
        every older copy of the database, too.
        """
        with self.exclusive(now):
            hour = self.hour(now)
            with self.transaction():
                messages = self._database.change("DELETE FROM messages WHERE expires <= ?", hour)
                cores = self._database.change("DELETE FROM cores WHERE expires <= ?", hour)
                self.messages.tidy()
            self.forget_keys()
            self._renew(now, entropy)
            return Swept(messages, cores, clean=self.fold())

    def close_copies(self, now: Timestamp, entropy: "Entropy") -> None:
        """Let no copy of the database that was made before open any more; `VaultBusy` beside
        another that is using it.
        """
        with self.exclusive(now):
            self._renew(now, entropy, at_once=True)
            self.fold()

    def fold(self) -> bool:
        """Empty the write-ahead log of what was deleted; false when a reader is in the way."""
        self._expiry.refuse_gone()
        return self._database.fold()

    def _prepare(self, now: Timestamp) -> Database:
        """Erase before anything is read; then open the database and bring it up to date."""
        path = self._folder.first.database
        if not path.is_file():
            msg = "The vault's database is missing."
            raise VaultDamaged(msg)
        leapt = self.leapt(now)
        if self._expiry.behind(hour_of(now)) and not leapt:
            with self._lock:
                _advance_all(self._folder, self._expiry, now)
        database = Database(path, self._database_keys)
        if version_of(database.connection) < VERSION:
            with self._lock:
                migrate(database.connection)
        # Only now: where a surrender was cut short, it goes on first.
        if not self._folder.is_whole and not leapt:
            from backchannel.client.machine.entropy import SystemEntropy

            with self._lock:
                self._folder.mend(hour_of(now), SystemEntropy())
        return database

    def _database_keys(self) -> list[DatabaseKey]:
        """Those that the database may be under: one, or two where a renewal was cut short."""
        return [database_key(self._key, base.key) for base in self._expiry.bases]

    def _renew(self, now: Timestamp, entropy: "Entropy", *, at_once: bool = False) -> None:
        """Give the database a new key each day, or now, and erase the one before."""
        from backchannel.protocol.expiry import PlaceKind

        keys, hour = self._expiry.keys, self.hour(now)
        bases, current = self._expiry.bases, self._database.key
        under = next(each for each in bases if database_key(self._key, each.key) == current)
        for each in bases:  # where a renewal was cut short
            if each is not under:
                self._expiry.apply(keys.erase(PlaceKind.BASE, each.name))
        if under.hour // _DAY == hour // _DAY and not at_once:
            return
        base, writes = keys.add_base(hour, entropy)
        self._expiry.apply(writes)
        self._database.renew(database_key(self._key, base))
        self._expiry.apply(keys.erase(PlaceKind.BASE, under.name))

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


def _surrender(profile: Profile, key: VaultKey, now: Timestamp, entropy: "Entropy") -> None:
    """At once, and once more when whoever was at work here has stopped, or is too slow."""
    folder, lock = Folder(profile.vault), Lock(profile.lock, _HASTE)
    folder.erase_first()
    with ExitStack() as held:
        with suppress(VaultBusy):
            held.enter_context(lock)
        folder.surrender(hour_of(now), entropy)
        alone = lock.held
    if not alone:  # its files are the spare half now: what it still wrote must not show
        with suppress(VaultBusy), Lock(profile.lock, _SLOWEST):
            folder.plant(VaultKey(entropy.draw(VaultKey.LENGTH)), hour_of(now), entropy)
    # A base key of no hour stands in a spare half alone.
    with suppress(ClientError), Vault(profile, key, now, _HASTE) as vault:
        vault.close_copies(now, entropy)


def expire(profile: Profile, now: Timestamp, *, sure: bool = False) -> None:
    """What a timer does, without the passphrase: erase every key that is dead at `now`.

    `ClockLeapt` where the clock leapt, unless somebody is `sure` that it is right.
    """
    folder = Folder(profile.vault)
    with _open_expiry(folder.first) as file, Lock(profile.lock):
        if not sure:
            _refuse_leap(file, now)
        _advance_all(folder, file, now)


def _refuse_leap(file: ExpiryFile, now: Timestamp) -> None:
    hours = file.leapt(hour_of(now))
    if hours:
        raise ClockLeapt.by(hours)


def _advance_all(folder: Folder, first: ExpiryFile, now: Timestamp) -> None:
    """Both halves alike, whichever is in use."""
    _advance(first, now)
    if folder.spare.keys.exists():
        with _open_expiry(folder.spare) as spare:
            _advance(spare, now)


def _advance(file: ExpiryFile, now: Timestamp) -> None:
    try:
        file.advance(hour_of(now))
    except StateError:
        msg = "This machine's clock is decades ahead of when the vault was last used."
        raise ClockAbsurd(msg) from None


def _open_expiry(half: Half) -> ExpiryFile:
    try:
        return ExpiryFile(half.keys)
    except FileNotFoundError:
        msg = "The file of expiry keys is missing: what the vault kept cannot be opened any more."
        raise VaultDamaged(msg) from None
