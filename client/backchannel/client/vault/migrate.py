"""Brings a database to the schema that this program knows: numbered SQL files, a counter."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from backchannel.client.errors import VaultTooNew

if TYPE_CHECKING:
    from sqlite3 import Connection

VERSION = 8
"""Number of the last migration; a test holds it to the files."""


def folder() -> Path:
    """Where the files stand: inside the installed package, or in the source tree."""
    here = Path(__file__)
    installed = here.parents[1] / "migrations"
    return installed if installed.is_dir() else here.parents[4] / "migrations" / "vault"


def version_of(connection: "Connection") -> int:
    """How many migrations a database has seen; `VaultTooNew` when this program knows fewer."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        msg = f"This vault's tables are of version {version}; this program knows {VERSION}."
        raise VaultTooNew(msg)
    return int(version)


def migrate(connection: "Connection") -> None:
    """Apply what is missing, each file in one transaction. The caller holds the vault's lock."""
    for number in range(version_of(connection) + 1, VERSION + 1):
        (path,) = folder().glob(f"{number:04}_*.sql")
        connection.execute("BEGIN EXCLUSIVE")
        for statement in statements(path.read_text("utf-8")):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")


def statements(script: str) -> Iterator[str]:
    """The single statements of a file: `executescript` would commit on its own."""
    from sqlcipher3.dbapi2 import complete_statement

    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if complete_statement(pending):
            yield pending
            pending = ""
