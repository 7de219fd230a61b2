"""Which store a relay has, and how commands open it, whether or not the relay runs.

The one place that says which it is. Knows no table.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from backchannel.protocol.types import Hour
from backchannel.server import exits
from backchannel.server.errors import OperatorError
from backchannel.server.home import Home
from backchannel.server.migrate import migrate
from backchannel.server.settings import Settings, load
from backchannel.server.sqlite.file import SqliteStore
from backchannel.server.store import Store


def of(home: Home, settings: Settings) -> Store:
    """That of a relay with these settings; `OperatorError` for one that cannot be."""
    if not settings.database:
        return SqliteStore(home.database)
    try:
        from backchannel.server.postgres.sessions import Remote  # noqa: PLC0415 - an extra
    except ImportError:
        message = "for PostgreSQL psycopg is needed, and is not installed"
        next_ = "in the copy of the repository: pip install '.[relay,postgres]'"
        raise OperatorError(message, next_=next_, code=exits.USAGE) from None
    return Remote(settings.database, plain=settings.database_plain)


def of_home(home: Home) -> Store:
    """By the settings as they stand."""
    return of(home, load(home.config)[0])


@contextmanager
def writing(home: Home) -> Iterator[Connection]:
    """One transaction in this program's schema; on the disk when it ends. `OperatorError` where
    there is no relay, or its store cannot be used.
    """
    home.check()
    with changing(of_home(home)) as connection:
        yield connection


@contextmanager
def changing(store: Store) -> Iterator[Connection]:
    """The same of a store that no folder may have yet."""
    with opened(store) as engine:
        migrate(engine, plain=store.plain)
        with engine.begin() as connection:
            yield connection


@contextmanager
def opened(store: Store) -> Iterator[Engine]:
    """To write in several transactions, of whatever schema."""
    with _closed(store, store.writer()) as engine:
        yield engine


@contextmanager
def snapshot(home: Home) -> Iterator[Engine]:
    """To read: each transaction sees the store as it stands at one moment, and nobody waits for it.
    Of whatever schema; `OperatorError` as above.
    """
    home.check()
    store = of_home(home)
    with _closed(store, store.readers()) as engine:
        yield engine


def forget(home: Home) -> bool:
    """Have what was deleted leave the store's log too; false while a reader is in the way."""
    return forget_log(of_home(home))


def forget_log(store: Store) -> bool:
    """The same of a store that no folder may have yet."""
    with opened(store) as engine:
        return store.tidy(engine, Hour(0))


@contextmanager
def _closed(store: Store, engine: Engine) -> Iterator[Engine]:
    try:
        with store.usable():
            yield engine
    finally:
        engine.dispose()
