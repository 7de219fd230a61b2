"""The encrypted database: opening it, and changing it only inside a transaction. Knows no table.

SQLCipher through its own driver: an object mapper would cost every command 0.2 to 0.6 s; the record
`0002-vault-without-sqlalchemy` in protocol/decisions has the figures.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, final

from sqlcipher3 import dbapi2

from backchannel.client.errors import VaultBusy, VaultDamaged
from backchannel.client.vault.head import VaultKey

if TYPE_CHECKING:
    from sqlite3 import Connection, Cursor

Row = tuple[Any, ...]
_BUSY = 10_000  # ms
_BEFORE_KEY = (
    "cipher_log_level = NONE",  # else a wrong key writes to standard error
    "cipher_memory_security = ON",  # freed pages are wiped; a large change takes twice as long
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

    def __init__(self, path: Path, key: VaultKey) -> None:
        """Open a file that exists; `VaultDamaged` when `key` does not open it."""
        self._connection: Connection = dbapi2.connect(str(path), isolation_level=None)
        try:
            for pragma in (*_BEFORE_KEY, f"key = \"x'{key.expose().hex()}'\"", *_AFTER_KEY):
                self._connection.execute(f"PRAGMA {pragma}")
            self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except dbapi2.DatabaseError as error:
            self._connection.close()
            _explain(error)

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
        if not self._connection.in_transaction:
            msg = "a change of the vault outside a transaction"
            raise RuntimeError(msg)
        return self._run(statement, values).rowcount

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes inside are on disk when this ends, or none is; inside another, with that."""
        if self._connection.in_transaction:
            yield
            return
        self._run("BEGIN IMMEDIATE", ())
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
        try:
            return self._connection.execute(statement, values)
        except dbapi2.IntegrityError:
            raise
        except dbapi2.DatabaseError as error:
            _explain(error)


def _explain(error: Exception) -> NoReturn:
    text = str(error)
    if "locked" in text:
        msg = "Another process is writing to the vault."
        raise VaultBusy(msg) from None
    if "full" in text or "disk I/O" in text:
        msg = f"The vault could not be written: {text}. Nothing was changed."
        raise VaultDamaged(msg, "make room on the disk, then try again") from None
    msg = f"The vault's database cannot be read: {text}."
    raise VaultDamaged(msg) from None
