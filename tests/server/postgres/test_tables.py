"""What the scripts make in PostgreSQL is what the models say; who comes at once makes it once."""

import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine

from backchannel.server.migrate import migrate, revision
from backchannel.server.models import SCHEMA, StoredBlock
from backchannel.server.postgres import tables
from backchannel.server.postgres.sessions import Remote
from tests.support.postgres import Postgres


@pytest.mark.parametrize("plain", [False, True])
def test_the_migrations_make_exactly_the_models_schema(postgres: Postgres, plain: bool) -> None:
    engine = Remote(postgres.fresh()).writer()
    migrate(engine, plain=plain)
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        found = compare_metadata(
            MigrationContext.configure(connection, opts=options), tables.METADATA
        )
    engine.dispose()
    extra = [each[1].name for each in found if each[0] == "remove_index"]
    assert extra == (["ix_bodies_expires"] if plain else [])
    assert len(found) == len(extra)


def test_where_a_block_stands_is_told_by_the_same_columns_in_both_stores() -> None:
    """Noise apart: but for it the table is that of the models."""
    one, other = StoredBlock.__table__, tables.BLOCKS
    assert [each.name for each in one.columns] == [*(c.name for c in other.columns), "sealed"]
    for column in other.columns:
        assert column.primary_key == one.columns[column.name].primary_key
        assert column.nullable == one.columns[column.name].nullable
    unique = {tuple(i.columns.keys()) for i in one.indexes if i.unique}  # type: ignore[attr-defined]
    assert {tuple(index.columns.keys()) for index in other.indexes if index.unique} == unique


def test_workers_that_start_at_once_migrate_once(postgres: Postgres) -> None:
    url, failed = postgres.fresh(), list[BaseException]()
    start = threading.Barrier(4)

    def work(engine: Engine) -> None:
        start.wait()
        try:
            migrate(engine)
        except BaseException as error:  # noqa: BLE001 - told by the test
            failed.append(error)

    engines = [Remote(url).writer() for _ in range(4)]
    threads = [threading.Thread(target=work, args=(engine,)) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert revision(engines[0]) == SCHEMA
    for engine in engines:
        engine.dispose()
