"""An operator knows before what an upgrade takes; several processes may begin it: row OP11."""

import fcntl
import multiprocessing
import os
import secrets
import sqlite3
import threading
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

from backchannel.server import exits, limits
from backchannel.server.home import Home
from backchannel.server.migrate import migrate, revision, scripts
from backchannel.server.models import SCHEMA
from backchannel.server.operate import upgrade
from backchannel.server.settings import Settings
from backchannel.server.sqlite import file as sqlite_file
from backchannel.server.sqlite.file import open_readers, open_writer
from tests.server.inside import Inside
from tests.server.test_cli import document, failed, invoke

BLOCKS = 50


def make_old(home: Home, blocks: int = BLOCKS) -> bytes:
    """The store of the first version, with a drop and blocks; the drop's id."""
    home.database.unlink()
    home.write(home.database, b"")
    engine = open_writer(home.database)
    config = Config()
    config.set_main_option("script_location", str(scripts()))
    drop = secrets.token_bytes(16)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        key = bytes(31) + b"\1"
        row = f"INSERT INTO drops VALUES (?, ?, ?, 2, 0, {blocks + 1})"  # noqa: S608
        connection.exec_driver_sql(row, (drop, key, key))
        for position in range(1, blocks + 1):
            noise = secrets.token_bytes(16), secrets.token_bytes(4136)
            row = "INSERT INTO blocks VALUES (?, ?, 1, 999999, ?, ?)"
            connection.exec_driver_sql(row, (drop, position, *noise))
    engine.dispose()
    return drop


def version(home: Home) -> str | None:
    engine = open_readers(home.database)
    try:
        return revision(engine)
    finally:
        engine.dispose()


def test_the_plan_says_what_would_be_done_and_changes_nothing(home: Home) -> None:
    make_old(home)
    before = home.database.read_bytes()
    plan = document("db", "upgrade", "--plan", "--data", home.path)
    assert (plan["current"], plan["target"], plan["done"]) == ("0001", SCHEMA, False)
    assert [step["revision"] for step in plan["steps"]][-1] == SCHEMA
    assert not any(step["back"] for step in plan["steps"])
    assert plan["fits"]
    assert home.database.read_bytes() == before
    _, said, next_ = invoke("db", "upgrade", "--plan", "--data", home.path)
    assert "no way back in place" in said
    assert "backup" in next_


def test_an_upgrade_brings_everything_along(home: Home) -> None:
    drop = make_old(home)
    said = document("db", "upgrade", "--data", home.path)
    assert said["done"]
    assert version(home) == SCHEMA
    with sqlite3.connect(home.database) as connection:
        assert connection.execute("SELECT count(*) FROM blocks").fetchone() == (BLOCKS,)
        assert connection.execute("SELECT id, following FROM drops").fetchall() == [
            (drop, BLOCKS + 1)
        ]
    connection.close()
    assert document("db", "upgrade", "--plan", "--data", home.path)["steps"] == []
    assert "nothing to do" in invoke("db", "upgrade", "--data", home.path)[1]


def test_it_is_refused_while_the_relay_runs(home: Home) -> None:
    with Inside(home, Settings()):
        code, said = failed("db", "upgrade", "--data", home.path)
        assert code == exits.REFUSED
        assert "running" in said
        assert invoke("db", "upgrade", "--plan", "--data", home.path)[0] == 0


def test_a_disk_that_is_too_small_is_found_before(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_old(home)
    monkeypatch.setattr(limits, "RESERVED", 1 << 60)
    assert "TOO LITTLE" in invoke("db", "upgrade", "--plan", "--data", home.path)[1]
    code, said = failed("db", "upgrade", "--data", home.path)
    assert code == exits.REFUSED
    assert "make room" in said
    assert version(home) == "0001"


def test_the_room_that_is_asked_for_is_enough(home: Home) -> None:
    make_old(home, 3000)
    plan = upgrade.plan(home)
    before = sum(file.stat().st_size for file in home.path.glob("relay.db*"))
    engine = open_writer(home.database)
    migrate(engine)  # nobody empties the log meanwhile: it is as large as it gets
    peak = sum(file.stat().st_size for file in home.path.glob("relay.db*"))
    engine.dispose()
    assert plan.needed - limits.RESERVED >= peak - before


def test_a_store_of_a_newer_program_says_what_to_install(home: Home) -> None:
    with sqlite3.connect(home.database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    for arguments in (["--plan"], []):
        code, said = failed("db", "upgrade", *arguments, "--data", home.path)
        assert code == exits.REFUSED
        assert "newer" in said
        assert "next: install" in said


def _migrate(file: Path, begin: "multiprocessing.synchronize.Barrier") -> None:
    engine = open_writer(file)
    begin.wait()
    migrate(engine)
    assert revision(engine) == SCHEMA
    engine.dispose()


def test_processes_that_upgrade_at_once_do_it_once(home: Home) -> None:
    make_old(home, 2000)
    context = multiprocessing.get_context("spawn")
    begin = context.Barrier(4)
    processes = [context.Process(target=_migrate, args=(home.database, begin)) for _ in range(4)]
    for each in processes:
        each.start()
    for each in processes:
        each.join(60)
    assert [each.exitcode for each in processes] == [0, 0, 0, 0]
    with sqlite3.connect(home.database) as connection:
        assert connection.execute("SELECT count(*) FROM blocks").fetchone() == (2000,)
    connection.close()


def test_who_comes_while_another_upgrades_waits_longer_than_for_a_lock_of_sqlite(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other holds the folder; without that wait, SQLite's would be over at once."""
    make_old(home)
    monkeypatch.setattr(sqlite_file, "_WAIT", 0.0)
    descriptor = os.open(home.path, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    engine, other = open_writer(home.database), open_writer(home.database)
    waiting = threading.Thread(target=migrate, args=(engine,))
    with other.begin() as connection:
        waiting.start()
        connection.exec_driver_sql("SELECT 1")
        waiting.join(2)
        assert waiting.is_alive()
    os.close(descriptor)
    waiting.join(60)
    assert revision(engine) == SCHEMA
    engine.dispose()
    other.dispose()
