"""Brings the database to the schema of `models`: through Alembic, and only when it is of another
one.

The scripts stand in migrations/relay of a checkout, and beside this file in an installed wheel.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Engine, inspect, text

from backchannel.server import exits
from backchannel.server.errors import OperatorError
from backchannel.server.models import SCHEMA

_PATIENT = (
    "SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true)"
)
_ALONE = "SELECT pg_advisory_xact_lock(hashtext('backchannel ' || current_schema()), 3)"


def scripts() -> Path:
    """The folder that holds env.py."""
    here = Path(__file__).parent
    installed, checkout = here / "migrations", here.parents[2] / "migrations" / "relay"
    return installed if installed.is_dir() else checkout


def revision(engine: Engine) -> str | None:
    """Of the database as it is; `None` for an empty one."""
    if not inspect(engine).has_table("alembic_version"):
        return None
    with engine.connect() as connection:
        number = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return None if number is None else str(number)


class Migration(NamedTuple):
    """One script."""

    revision: str
    what: str
    back: bool
    """Whether it can be undone in place."""


def pending(current: str | None) -> list[Migration]:
    """The scripts from there to this program's schema, in their order; `OperatorError` for a
    revision that this program does not know.
    """
    if current == SCHEMA:
        return []
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - as below
    from alembic.script.revision import RevisionError  # noqa: PLC0415

    try:
        found = list(ScriptDirectory(str(scripts())).iterate_revisions(SCHEMA, current))
    except RevisionError:
        raise _newer() from None
    return [
        Migration(each.revision, " ".join(each.doc.split()), hasattr(each.module, "downgrade"))
        for each in reversed(found)
    ]


def migrate(engine: Engine, *, plain: bool = False) -> None:
    """Up to this program's schema, all of it or nothing, `plain` where the engine has no
    partitions; who comes meanwhile waits, and finds it done. `OperatorError` for a database of a
    newer program.
    """
    with _alone(engine):  # looking at a store of SQLite takes its lock, too
        if revision(engine) != SCHEMA:
            _upgrade(engine, plain=plain)


def _upgrade(engine: Engine, *, plain: bool) -> None:
    from alembic import command  # noqa: PLC0415 - half a second that a start without migration need not pay
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    try:
        with engine.begin() as connection:
            config.attributes.update(connection=connection, plain=plain)
            if connection.dialect.name != "sqlite" and not plain:
                for statement in (_PATIENT, _ALONE):
                    connection.execute(text(statement))
            command.upgrade(config, SCHEMA)
    except CommandError:
        raise _newer() from None


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    """SQLite's own lock is waited for some seconds only: a large store takes longer."""
    if engine.url.database is None:  # PostgreSQL's lock is taken inside the transaction
        yield
        return
    descriptor = os.open(Path(engine.url.database).parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _newer() -> OperatorError:
    message = "the database was made by a newer version of this program"
    next_ = "install that version, or a newer one: backchannel-relay --version"
    return OperatorError(message, next_=next_, code=exits.REFUSED)
