"""Which database a session leads to: it says so itself, and so do its errors. What then speaks to
it, and what the errors mean, stands in `sqlite` and `postgres`.
"""

import sys

from sqlalchemy import Connection

from backchannel.server.repository import Repository
from backchannel.server.sqlite import file
from backchannel.server.sqlite.repository import SqliteRepository


def repository(connection: Connection) -> Repository:
    """The store as this connection's transaction sees it."""
    if connection.dialect.name == "sqlite":
        return SqliteRepository(connection)
    from backchannel.server.postgres.repository import PostgresRepository  # noqa: PLC0415 - an extra

    return PostgresRepository(connection)


def is_trouble(error: Exception) -> bool:
    """Whether the store says that it cannot: full, locked, damaged, not readable for now. All else
    is a bug of ours.
    """
    troubles = sys.modules.get("backchannel.server.postgres.troubles")
    return file.is_trouble(error) or (troubles is not None and bool(troubles.is_trouble(error)))


def recover(connection: Connection, error: Exception) -> bool:
    """Whether the same may be tried again at once, after a failure that is none of its own."""
    if connection.dialect.name == "sqlite":
        return False
    from backchannel.server.postgres import troubles  # noqa: PLC0415

    return troubles.recover(connection, error)
