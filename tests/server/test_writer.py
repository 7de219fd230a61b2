"""One thread writes for all: in groups, durably, and one that fails takes no other with it."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from backchannel.protocol.types import Hour
from backchannel.server.errors import BusyError, ClockLeapError, VoucherRefusedError
from backchannel.server.migrate import migrate
from backchannel.server.repository import Repository
from backchannel.server.sqlite.file import open_writer
from backchannel.server.writer import Job, Order, commit
from tests.server.inside import Inside

HOUR = Hour(500_000)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    engine = open_writer(tmp_path / "store.db")
    migrate(engine)
    with engine.connect() as opened:
        yield opened
    engine.dispose()


def adding(digest: bytes) -> Job[bytes]:
    def job(store: Repository, _hour: Hour) -> bytes:
        store.add_vouchers([digest])
        return digest

    return job


def orders(*jobs: Job[Any]) -> list[Order]:
    return [Order(job) for job in jobs]


def kept(connection: Connection) -> set[bytes]:
    with connection.begin():
        rows = connection.exec_driver_sql("SELECT digest FROM vouchers").all()
    return {row[0] for row in rows}


def test_a_group_is_one_commit(connection: Connection) -> None:
    commits: list[object] = []
    event.listen(connection, "commit", commits.append)
    done = commit(connection, lambda: HOUR, orders(adding(b"a"), adding(b"b"), adding(b"c")))
    assert [outcome.value for outcome in done] == [b"a", b"b", b"c"]
    assert len(commits) == 1


def test_a_refusal_spoils_no_other_and_no_commit(connection: Connection) -> None:
    def refuse(_store: Repository, _hour: Hour) -> None:
        raise VoucherRefusedError

    commits: list[object] = []
    event.listen(connection, "commit", commits.append)
    done = commit(connection, lambda: HOUR, orders(adding(b"a"), refuse, adding(b"c")))
    assert isinstance(done[1].error, VoucherRefusedError)
    assert kept(connection) == {b"a", b"c"}
    assert len(commits) == 2  # one of the group, one of `kept`


@pytest.mark.parametrize(
    ("raised", "told"),
    [(sqlite3.OperationalError("database or disk is full"), BusyError), (KeyError(), KeyError)],
)
def test_a_failure_spoils_no_other(
    connection: Connection, raised: Exception, told: type[Exception]
) -> None:
    def fail(store: Repository, _hour: Hour) -> None:
        store.add_vouchers([b"half"])
        raise raised

    done = commit(connection, lambda: HOUR, orders(adding(b"a"), fail, adding(b"c")))
    assert [type(outcome.error) for outcome in done] == [type(None), told, type(None)]
    assert kept(connection) == {b"a", b"c"}


def test_an_hour_that_does_not_turn_stops_all(connection: Connection) -> None:
    def leap() -> Hour:
        raise ClockLeapError

    done = commit(connection, leap, orders(adding(b"a"), adding(b"b")))
    assert [type(outcome.error) for outcome in done] == [ClockLeapError] * 2
    assert kept(connection) == set()


def test_a_store_that_another_holds_is_busy(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.exec_driver_sql("SELECT 1")
    connection.rollback()
    other = sqlite3.connect(connection.engine.url.database or "", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.execute("PRAGMA busy_timeout = 0")
    (done,) = commit(connection, lambda: HOUR, orders(adding(b"a")))
    assert isinstance(done.error, BusyError)
    other.close()


def test_a_long_queue_is_busy(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    from backchannel.server import writer

    monkeypatch.setattr(writer, "QUEUED", 0)
    with pytest.raises(BusyError):
        inside.write(adding(b"a"))
