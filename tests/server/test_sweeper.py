"""The sweeper goes on whatever happens, and says to the operator what he can do."""

import logging
import sqlite3
from contextlib import closing

import pytest

from backchannel.protocol.drop import Page, Read, voucher_hash
from backchannel.protocol.types import DropId, Hour
from backchannel.server import logs, service, sweeper
from backchannel.server.errors import BusyError, OperatorError
from backchannel.server.limits import SWEPT_WHEN_FULL
from backchannel.server.readers import Readers
from backchannel.server.repository import Repository, Swept
from backchannel.server.retention import Retention
from backchannel.server.sqlite import file as sqlite_file
from backchannel.server.sqlite.repository import SqliteRepository
from tests.server.inside import Inside, Opener
from tests.support.relay import RefusedError, door_of, noise, until

pytestmark = pytest.mark.stores


@pytest.fixture(autouse=True)
def _every_complaint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs._seldom, "_last", {})


def heard(caplog: pytest.LogCaptureFixture, words: str) -> logging.LogRecord:
    for _ in until(60):
        for record in caplog.records:
            if words in record.getMessage():
                return record
    raise AssertionError


def test_a_leap_is_told_with_what_to_do(inside: Inside, caplog: pytest.LogCaptureFixture) -> None:
    inside.move_clock(25)
    inside.poke()
    record = heard(caplog, "more than a day ahead")
    assert record.levelname == "WARNING"
    assert "next: " in record.getMessage()
    assert "--accept-clock" in record.getMessage()


def test_a_busy_store_is_tried_again(
    inside: Inside, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy() -> None:
        raise BusyError

    with monkeypatch.context() as patch:
        patch.setattr(inside.relay.sweeper, "sweep", busy)
        inside.poke()
        heard(caplog, "found the store busy")
    still_sweeps(inside)


def test_a_bug_does_not_end_the_sweeping(
    inside: Inside, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken() -> None:
        raise KeyError

    with monkeypatch.context() as patch:
        patch.setattr(inside.relay.sweeper, "sweep", broken)
        inside.poke()
        assert heard(caplog, "a sweep failed").levelname == "ERROR"
    still_sweeps(inside)


def still_sweeps(inside: Inside) -> None:
    highest = inside.relay.retention.highest
    inside.move_clock(1)
    inside.poke()
    for _ in until(60):
        if inside.relay.retention.highest == highest + 1:
            return


def test_a_complaint_is_made_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        logs.store_trouble(sqlite3.OperationalError("database or disk is full"))
    (record,) = caplog.records
    assert "database or disk is full" in record.getMessage()
    assert "next: " in record.getMessage()


@pytest.mark.sqlite
def test_a_store_that_cannot_be_read_is_busy(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = inside.drop()

    def unreadable(*_arguments: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(Repository, "drop", unreadable)
    with pytest.raises(RefusedError, match="503 busy"):
        client.read()


@pytest.mark.sqlite
def test_attack_179_a_row_whose_end_is_no_number_stops_the_start_with_a_word(
    open_inside: Opener,
) -> None:
    """A torn page may pass for a row, and SQLite notice nothing."""
    inside = open_inside()
    inside.drop().append(*noise())
    with closing(sqlite3.connect(inside.home.database)) as driver, driver:
        driver.execute("UPDATE blocks SET expires = 'soon'")
    with pytest.raises(OperatorError, match="a row of the blocks is damaged") as caught:
        open_inside()
    assert "restore FILE" in caught.value.next


def test_a_block_that_dies_while_it_is_read_is_left_out(inside: Inside) -> None:
    """The page was looked up before the hour turned, and is opened after."""
    client = inside.drop(keep=0)
    client.append(*noise())
    before = client.hour()
    inside.move_clock(24)
    inside.relay.retention.advance(inside.relay.clock.now())
    client.append(*noise())
    rows = _page(inside.relay.readers, inside.relay.retention, client.drop, before)
    assert rows == [2]


def _page(readers: Readers, retention: Retention, drop: DropId, hour: Hour) -> list[int]:
    asked = Read(1, Hour(0), 64, 0)

    def question(store: Repository) -> Page:
        return service.page(store, retention, door_of(store, drop), asked, hour)

    page = readers._ask(question)
    return [row.position for row in page.rows]


@pytest.mark.sqlite
def test_attack_31_rows_deleted_before_a_failure_leave_the_log_later(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look that empties the log fails: the next one knows of it, though it deletes nothing."""
    client = inside.drop(keep=0)
    client.append(*noise())
    inside.move_clock(24)

    def full(_engine: object) -> bool:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(sqlite_file, "checkpoint", full)
        with pytest.raises(sqlite3.OperationalError):
            inside.sweep()
    assert log_size(inside) > 0
    inside.sweep()
    assert log_size(inside) == 0


@pytest.mark.sqlite
@pytest.mark.parametrize("count", [2, 3])
def test_attack_31_the_log_is_emptied_whoever_turned_the_hour(
    inside: Inside, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """An append came first, and the rows filled the last batch exactly."""
    monkeypatch.setattr(sweeper, "SWEPT", 2)
    inside.relay.sweeper.poke = lambda: None  # type: ignore[method-assign]
    client, other = inside.drop(keep=0), inside.drop()
    client.append(*noise(count))
    inside.sweep()
    inside.move_clock(24)
    other.append(*noise())
    inside.sweep()
    assert log_size(inside) == 0


@pytest.mark.sqlite
def test_attack_31_the_log_does_not_keep_voucher_and_drop_side_by_side(inside: Inside) -> None:
    inside.sweep()
    voucher = inside.voucher()
    client = inside.stranger()
    client.create(voucher)
    inside.sweep()
    assert log_size(inside) == 0
    files = [file.read_bytes() for file in inside.home.path.iterdir()]
    assert not any(voucher_hash(voucher) in file for file in files)
    assert any(file.count(client.drop) for file in files)


def log_size(inside: Inside) -> int:
    return inside.home.database.with_name("relay.db-wal").stat().st_size


@pytest.mark.sqlite
def test_attack_53_a_full_disk_is_swept_in_small_steps(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = inside.drop(keep=0)
    client.append(*noise(64))
    inside.move_clock(24)
    sweep = SqliteRepository.sweep

    def little_room(self: SqliteRepository, now: Hour, most: int, after: int) -> Swept:
        if most > SWEPT_WHEN_FULL:
            raise sqlite3.OperationalError("database or disk is full")
        return sweep(self, now, most, after)

    monkeypatch.setattr(SqliteRepository, "sweep", little_room)
    inside.sweep()
    with closing(sqlite3.connect(inside.home.database)) as store:
        assert store.execute("SELECT count(*) FROM blocks").fetchone() == (0,)


@pytest.mark.sqlite
def test_a_damaged_store_is_told_and_is_no_bug(
    inside: Inside, caplog: pytest.LogCaptureFixture
) -> None:
    client = inside.drop()
    client.append(*noise(20))
    inside.sweep()
    inside.forget(client)
    inside.relay.readers._engine.dispose()
    with inside.home.database.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(range(256)) * 200)
    with pytest.raises(RefusedError, match="503 busy"):
        client.read()
    assert heard(caplog, "the store refuses").levelname == "WARNING"
    inside.poke()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.sqlite
def test_a_page_of_damaged_rows_only_is_answered_at_once(inside: Inside) -> None:
    client = inside.drop()
    client.append(*noise(3))

    def damage(store: Repository, _hour: Hour) -> None:
        store._connection.exec_driver_sql(
            "UPDATE blocks SET sealed = zeroblob(4124) WHERE place & 0xFFFFFFFF < 3"
        )

    inside.write(damage)
    inside.forget(client)
    page = client.read(most=2, wait=60)
    assert (page.rows, page.following, page.more) == ((), 3, True)
