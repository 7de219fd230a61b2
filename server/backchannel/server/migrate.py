"""Brings the database to the schema of `models`: through Alembic, and only when it is of another
one.

The scripts stand in migrations/relay of a checkout, and beside this file in an installed wheel.
"""

from pathlib import Path

from sqlalchemy import Engine, inspect, text

from backchannel.server.errors import OperatorError
from backchannel.server.models import SCHEMA


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


def migrate(engine: Engine) -> None:
    """Up to this program's schema; `OperatorError` for a database of a newer one."""
    if revision(engine) == SCHEMA:
        return
    from alembic import command  # noqa: PLC0415 - half a second that a start without migration need not pay
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, SCHEMA)
    except CommandError:
        message = "the database was made by a newer version of this program"
        raise OperatorError(message, next_="install that version again") from None
