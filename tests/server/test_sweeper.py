"""The sweeper goes on whatever happens, and says to the operator what he can do."""

import logging
import sqlite3

import pytest

from backchannel.protocol.drop import Read
from backchannel.protocol.types import DropId, Hour
from backchannel.server import logs, service
from backchannel.server.errors import BusyError
from backchannel.server.readers import Readers
from backchannel.server.repository import Repository
from backchannel.server.retention import Retention
from tests.server.inside import Inside
from tests.support.relay import RefusedError, noise, until


@pytest.fixture(autouse=True)
def _every_complaint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs._seldom, "_last", {})


def heard(caplog: pytest.LogCaptureFixture, words: str) -> logging.LogRecord:
    for _ in until(10):
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
    for _ in until(10):
        if inside.relay.retention.highest == highest + 1:
            return


def test_a_complaint_is_made_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        logs.store_trouble(sqlite3.OperationalError("database or disk is full"))
    (record,) = caplog.records
    assert "database or disk is full" in record.getMessage()
    assert "next: " in record.getMessage()


def test_a_store_that_cannot_be_read_is_busy(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = inside.drop()

    def unreadable(*_arguments: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(Repository, "drop", unreadable)
    with pytest.raises(RefusedError, match="503 busy"):
        client.read()


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
    page = readers._ask(lambda store: service.page(store, retention, drop, asked, hour))
    return [row.position for row in page.rows]
