"""The SQLite file: how it is opened so that what was acknowledged stays and what was deleted goes.

WAL with synchronous=FULL lost nothing in 300 simulated power losses; with NORMAL it lost
acknowledged rows and brought deleted ones back. Knows no table.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, cast, final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from backchannel.protocol.types import Hour
from backchannel.server.erasing import erase
from backchannel.server.errors import OperatorError
from backchannel.server.limits import LOG_PAGES, READERS
from backchannel.server.store import Store

_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "secure_delete = ON",
    f"wal_autocheckpoint = {LOG_PAGES}",
    "temp_store = MEMORY",
    "trusted_schema = OFF",
)
_MEND = "make room on the disk; a damaged file: backchannel-relay restore FILE --data NEWDIR"
_RESTORE = "stop the relay, and: backchannel-relay restore FILE --data NEWDIR"
_WAIT = 5.0  # seconds for the lock that `vouchers mint` or a checkpoint may hold


def open_writer(file: Path) -> Engine:
    """For the one thread that writes, and for commands."""
    return _open(file, "BEGIN IMMEDIATE", _PRAGMAS)


def open_readers(file: Path) -> Engine:
    """For the threads that read."""
    return _open(file, "BEGIN", (*_PRAGMAS, "query_only = ON"))


@final
class SqliteStore(Store):
    """A relay's own file."""

    shared = False

    def __init__(self, file: Path) -> None:
        self._file = file

    def writer(self) -> Engine:
        return open_writer(self._file)

    def readers(self) -> Engine:
        return open_readers(self._file)

    def usable(self) -> AbstractContextManager[None]:
        return usable(self._file)

    def tidy(self, engine: Engine, now: Hour) -> bool:
        """What was deleted leaves the log too."""
        del now
        return checkpoint(engine)

    def check(self) -> str:
        with self.usable(), closing(sqlite3.connect(self._file)) as driver:
            sound = driver.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
        if not sound:
            raise OperatorError("the database is damaged", next_=_RESTORE)
        return "sound"

    def destroy(self) -> None:
        for end in ("-wal", "-shm", ""):
            erase(self._file.with_name(self._file.name + end))


def is_trouble(error: BaseException) -> bool:
    """Whether the file cannot be used: full, locked, damaged. All else is a bug of ours."""
    cause = getattr(error, "orig", error)
    return isinstance(cause, sqlite3.OperationalError) or type(cause) is sqlite3.DatabaseError


@contextmanager
def usable(file: Path) -> Iterator[None]:
    """Around the first use of a database; `OperatorError` where it cannot be used."""
    try:
        yield
    except Exception as error:
        if not is_trouble(error):
            raise
        message = f"{file} cannot be used: {getattr(error, 'orig', error)}"
        raise OperatorError(message, next_=_MEND) from None


def checkpoint(engine: Engine) -> bool:
    """Empty the write-ahead log, so that deleted rows leave it too; false while a reader is in the
    way.
    """
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        busy, _, _ = cursor.fetchone() or (1, 0, 0)
        return not busy
    finally:
        raw.close()


def _open(file: Path, begin: str, pragmas: tuple[str, ...]) -> Engine:
    engine = create_engine(
        f"sqlite:///{file}",
        connect_args={"timeout": _WAIT, "check_same_thread": False},
        hide_parameters=True,  # a parameter in a log would be an id
        poolclass=QueuePool,
        pool_size=READERS,
    )
    event.listen(engine, "connect", _prepare(pragmas))
    event.listen(engine, "begin", _begin(begin))
    return engine


def _prepare(pragmas: tuple[str, ...]) -> Callable[[sqlite3.Connection, Any], None]:
    def prepare(driver: sqlite3.Connection, _record: object) -> None:
        driver.isolation_level = (
            None  # the driver's own BEGIN comes too late and is never IMMEDIATE
        )
        for pragma in pragmas:
            driver.execute(f"PRAGMA {pragma}")

    return prepare


def _begin(statement: str) -> Callable[[Connection], None]:
    """By the driver itself: by SQLAlchemy it takes as long as the rest of a short transaction."""

    def begin(connection: Connection) -> None:
        cast(sqlite3.Connection, connection.connection.driver_connection).execute(statement)

    return begin
