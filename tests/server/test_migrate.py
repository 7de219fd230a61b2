"""The scripts of migrations/relay and the models are two tellings of one schema."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from backchannel.server.errors import OperatorError
from backchannel.server.migrate import migrate, revision, scripts
from backchannel.server.models import SCHEMA, Base
from backchannel.server.sqlite.file import open_writer


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Engine]:
    engine = open_writer(tmp_path / "a.db")
    yield engine
    engine.dispose()


def schema(engine: Engine) -> dict[str, str]:
    """Name and text of everything in a database, without the migrations' own table."""
    with engine.begin() as connection:
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master WHERE sql NOT NULL"))
        return {name: " ".join(sql.split()) for name, sql in rows if "alembic" not in name}


def test_the_migrations_make_exactly_the_models_schema(empty: Engine, tmp_path: Path) -> None:
    migrate(empty)
    other = open_writer(tmp_path / "b.db")
    Base.metadata.create_all(other)
    assert schema(empty) == schema(other)
    other.dispose()


def test_the_last_script_is_the_schema_of_this_program() -> None:
    config = Config()
    config.set_main_option("script_location", str(scripts()))
    assert ScriptDirectory.from_config(config).get_current_head() == SCHEMA


def test_a_migrated_database_is_left_alone(empty: Engine) -> None:
    assert revision(empty) is None
    migrate(empty)
    assert revision(empty) == SCHEMA
    migrate(empty)


def test_a_database_of_a_newer_program_is_refused(empty: Engine) -> None:
    migrate(empty)
    with empty.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(OperatorError, match="newer"):
        migrate(empty)
