"""The encrypted database: opening it, and changing it only inside a transaction. Knows no table.

SQLCipher through its own driver: an object mapper would cost every command 0.2 to 0.6 s; the record
`0002-vault-without-sqlalchemy` in protocol/decisions has the figures.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from sqlcipher3 import dbapi2

from backchannel.client.errors import VaultBusy, VaultDamaged
from backchannel.client.vault.head import DatabaseKey

if TYPE_CHECKING:
    from sqlite3 import Connection, Cursor

Row = tuple[Any, ...]
_BUSY = 10_000  # ms
_STATEMENTS = 5
"""How many stay prepared. More would use up what little memory SQLite takes once for a connection;
all else is locked and wiped piece by piece, which costs more than to prepare a statement again. So
what is done often is done in a row.
"""
_BEFORE_ALL = (
    "cipher_log_level = NONE",  # else a wrong key writes to standard error
    "cipher_memory_security = ON",  # freed memory is wiped; a large change takes twice as long
)
_AFTER_KEY = (
    "journal_mode = WAL",
    "synchronous = FULL",  # NORMAL lost acknowledged rows in 132 of 300 power cuts
    "secure_delete = ON",
    "temp_store = MEMORY",
    "foreign_keys = ON",
    "cache_size = -16000",  # a page of a relay changes more than the usual 2 MB
    "trusted_schema = OFF",
    f"busy_timeout = {_BUSY}",
)


@final
class Database:
    """One connection. Reads at any time; changes only inside `transaction`."""

    def __init__(self, path: Path, keys: Callable[[], Iterable[DatabaseKey]]) -> None:
        """Open a file that exists, with the first of `keys` that does; they are asked for again
        when another process has given the file a new key. `VaultDamaged` when none opens it.
        """
        self._path = path
        self._keys = keys
        self._connection, self._key = self._open()
        self._turn = 0

    def _open(self) -> "tuple[Connection, DatabaseKey]":
        _secure()
        problem = dbapi2.DatabaseError("its keys were erased")
        for key in self._keys():
            connection = dbapi2.connect(
                str(self._path), isolation_level=None, cached_statements=_STATEMENTS
            )
            try:
                for pragma in (f"key = {_raw(key)}", *_AFTER_KEY):
                    connection.execute(f"PRAGMA {pragma}")
                connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            except dbapi2.DatabaseError as error:
                connection.close()
                problem = error
            else:
                return connection, key
        raise _explained(problem)

    @property
    def key(self) -> DatabaseKey:
        """That it is under, as far as is known."""
        return self._key

    def follow(self) -> None:
        """Open it again: another process has given it a new key."""
        self._connection.close()
        self._connection, self._key = self._open()

    def renew(self, key: DatabaseKey) -> None:
        """Put every page under another key, whole or not at all; `VaultBusy` beside a writer."""
        self._run(f"PRAGMA rekey = {_raw(key)}", ())
        self._key = key

    @property
    def turn(self) -> int:
        """Which transaction this is: what was read in one need not hold in the next."""
        return self._turn

    @property
    def connection(self) -> "Connection":
        """For migrations."""
        return self._connection

    def close(self) -> None:
        """Close; the last one to close folds the write-ahead log in."""
        self._connection.close()

    def all(self, query: str, *values: object) -> list[Row]:
        """Every row of a query."""
        return self._run(query, values).fetchall()

    def one(self, query: str, *values: object) -> Row | None:
        """The first row of a query, if there is one."""
        row: Row | None = self._run(query, values).fetchone()
        return row

    def change(self, statement: str, *values: object) -> int:
        """Change rows, and say how many; a bug outside a transaction."""
        self._require_transaction()
        return self._run(statement, values).rowcount

    def change_each(self, statement: str, rows: Iterable[Row]) -> int:
        """As `change`, for one row after another: a fraction of the cost."""
        self._require_transaction()
        with _explaining():
            return self._connection.executemany(statement, rows).rowcount

    def _require_transaction(self) -> None:
        if not self._connection.in_transaction:
            msg = "a change of the vault outside a transaction"
            raise RuntimeError(msg)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes inside are on disk when this ends, or none is; inside another, with that."""
        if self._connection.in_transaction:
            yield
            return
        self._run("BEGIN IMMEDIATE", ())
        self._turn += 1
        try:
            yield
            self._run("COMMIT", ())
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        if self._connection.in_transaction:  # a full disk may have ended it already
            self._connection.execute("ROLLBACK")

    def fold(self) -> bool:
        """Fold the write-ahead log in and empty it; false when a reader is in the way."""
        row = self.one("PRAGMA wal_checkpoint(TRUNCATE)")
        return row is not None and row[0] == 0

    def _run(self, statement: str, values: tuple[object, ...]) -> "Cursor":
        with _explaining():
            try:
                return self._connection.execute(statement, values)
            except dbapi2.DatabaseError as error:
                if self._connection.in_transaction or "not a database" not in str(error):
                    raise
                self.follow()
                return self._connection.execute(statement, values)


@cache
def _secure() -> None:
    """For the whole process, before it opens any: also what SQLite takes as it opens one is locked
    and wiped.
    """
    with closing(dbapi2.connect(":memory:")) as connection:
        for pragma in _BEFORE_ALL:
            connection.execute(f"PRAGMA {pragma}")


@contextmanager
def _explaining() -> Iterator[None]:
    try:
        yield
    except dbapi2.IntegrityError:
        raise
    except dbapi2.DatabaseError as error:
        raise _explained(error) from None


def _raw(key: DatabaseKey) -> str:
    return f"\"x'{key.expose().hex()}'\""


def _explained(error: Exception) -> VaultBusy | VaultDamaged:
    text = str(error)
    if "locked" in text:
        msg = "Another process is writing to the vault."
        return VaultBusy(msg)
    if "full" in text or "disk I/O" in text:
        msg = f"The vault could not be written: {text}. Nothing was changed."
        return VaultDamaged(msg, "make room on the disk, then try again")
    if "not a database" in text:
        msg = "The vault's database is damaged, or an older copy, which opens for nobody."
        return VaultDamaged(msg, "backchannel purge --all, then begin anew")
    msg = f"The vault's database cannot be read: {text}."
    return VaultDamaged(msg)
