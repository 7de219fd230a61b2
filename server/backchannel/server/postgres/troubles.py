"""What PostgreSQL's errors mean: a bug of ours, an operator's affair, or something that passes.

An error is named by its SQLSTATE and psycopg's word for it. The server's own words may hold values,
and are never repeated.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from sqlalchemy import Connection

from backchannel.server.errors import OperatorError

_PASSING: Final = {
    "40001",  # another transaction came first
    "40P01",  # two waited for each other
    "42P01",  # a partition that was there when we looked
}
_ENDED: Final = {"57P01", "57P02", "57P03", "57P05", "25P03"}
"""The server ends the session."""
_OUTSIDE: Final = {
    "25006",  # a server that only reads: another one took over
    "42501",  # the role may not
    "42P01",  # no such table
    "55000",  # not in a state for it
}
"""Troubles that are an operator's, beside those of psycopg.OperationalError."""


def is_trouble(error: BaseException) -> bool:
    """Whether the server says that it cannot, or does not answer. All else is a bug of ours."""
    cause = getattr(error, "orig", error)
    if not isinstance(cause, psycopg.Error):
        return False
    return isinstance(cause, psycopg.OperationalError) or cause.sqlstate in _OUTSIDE


def words(error: BaseException) -> str:
    """Of an error, without the server's words: they may hold values."""
    cause = getattr(error, "orig", error)
    code = getattr(cause, "sqlstate", None)
    return f"{type(cause).__name__} ({code})" if code else "the database does not answer"


def recover(connection: Connection, error: BaseException) -> bool:
    """Whether the same may be tried again at once: what stood in its way is passing, or the session
    was lost and there is a new one.

    Then a commit that got no answer may have happened: who tries again must look first.
    """
    cause = getattr(error, "orig", error)
    if not isinstance(cause, psycopg.Error):
        return False
    driver = _driver(connection)
    if driver is not None and not driver.closed and cause.sqlstate not in _ENDED:
        connection.info.clear()  # what was remembered of tables may be what was wrong
        return cause.sqlstate in _PASSING
    connection.invalidate()
    connection.engine.dispose()  # the others in the pool went the same way
    return _back(connection)


@contextmanager
def usable(name: object) -> Iterator[None]:
    """Around the first use of a database of that name; `OperatorError` where it cannot be used."""
    try:
        yield
    except Exception as error:
        cause = getattr(error, "orig", error)
        if not is_trouble(cause):
            raise
        why, next_ = _REASONS.get(_class(cause), _AWAY)
        code = f" ({words(cause)})" if getattr(cause, "sqlstate", None) else ""
        message = f"{name} cannot be used: {why}{code}"
        raise OperatorError(message, next_=next_) from None


def _class(error: BaseException) -> str:
    """Of SQLSTATE; of who is not let in, by the server's words, which are not repeated: libpq tells
    no more.
    """
    if state := getattr(error, "sqlstate", None):
        return str(state)[:2]
    said = str(error)
    return next((state for words, state in _NOT_LET_IN if words in said), "")


_NOT_LET_IN: Final = (
    ("password", "28"),
    ("pg_hba.conf", "28"),
    ("authentication failed", "28"),
    ('role "', "28"),
    ('database "', "3D"),
    ("too many", "53"),
    ("remaining connection slots", "53"),
)
_AWAY = (
    "it does not answer",
    "start it, or correct host, port and database in the setting `database`",
)
_REASONS: Final = {
    "28": (
        "it refuses the role",
        "check role, pg_hba.conf and the password (~/.pgpass, or PGPASSFILE of the relay)",
    ),
    "3D": ("there is no such database", "createdb --owner ROLE DATABASE"),
    "42": (
        "the role may not do what it must",
        "make the role the owner of the database: ALTER DATABASE … OWNER TO …",
    ),
    "53": (
        "it has no room left",
        "make room on its disk, or raise max_connections: a worker takes up to eight",
    ),
    "25": ("it is a standby that only reads", "name the primary, or target_session_attrs"),
}
"""By class of SQLSTATE."""


def _driver(connection: Connection) -> psycopg.Connection | None:
    if connection.invalidated:
        return None
    found = connection.connection.driver_connection
    return found if isinstance(found, psycopg.Connection) else None


def _back(connection: Connection) -> bool:
    """Whether there is a new session."""
    try:
        with connection.begin():
            connection.exec_driver_sql("SELECT 1")
    except Exception as error:
        if is_trouble(error):
            return False
        raise
    return True
