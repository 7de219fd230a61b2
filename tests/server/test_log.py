"""Attack class 55: the log of a relay holds no address, no id, no size, no foreign words."""

import configparser
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.server.inside import Inside
from tests.server.session import Session
from tests.support.cited import ROOT
from tests.support.relay import RefusedError, running_relay

LEAKS = re.compile(rb"127\.0\.0\.1|\b4096\b|\b4164\b|Traceback|/v1/")
SAYS = re.compile(
    "a bug in answering a request"
    "|a stored block is damaged; next: backchannel-relay doctor"
    "|the store refuses: no such table: blocks; next: backchannel-relay doctor"
    "|a sweep found the store busy and is tried again within a minute"
    "|the clock is more than a day ahead of the last hour seen, so nothing is served; next: set "
    "the clock right, or restart with --accept-clock if it is right"
)
"""All that this session has a relay say. What is new here is looked at by a person."""
PLACES = re.compile(r"KeyError at (<string>:\d+|[a-z]+\.py:\d+)( < [a-z]+\.py:\d+)*")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["text", "json"])
def test_attack_55_the_log_of_a_whole_session_says_nothing(form: str) -> None:
    with running_relay(start=False) as relay:
        session = Session.begin(relay, f'log_format = "{form}"\n')
        session.play()
        names = session.names()
        relay.kill()
        said = relay.log.read_bytes()
    log = b"\n".join(each for each in said.splitlines() if not each.startswith(b"listening on "))
    assert not LEAKS.search(log)
    assert [name for name in names if name in log] == []
    messages, bugs = (documents if form == "json" else lines)(log.decode("ascii"))
    assert [each for each in messages if not SAYS.fullmatch(each)] == []
    assert {each.partition(":")[0].partition(";")[0] for each in messages} >= {
        "a bug in answering a request",
        "a stored block is damaged",
        "the store refuses",
    }
    assert len(bugs) == 1
    assert PLACES.fullmatch(bugs[0])


def documents(log: str) -> tuple[list[str], list[str]]:
    """Messages, and places of bugs."""
    said = [json.loads(line) for line in log.splitlines()]
    assert all(set(each) <= {"level", "message", "bug"} for each in said)
    return [each["message"] for each in said], [each["bug"] for each in said if "bug" in each]


def lines(log: str) -> tuple[list[str], list[str]]:
    """The same of text."""
    said = log.splitlines()
    messages = [each.partition(" ")[2] for each in said if not each.startswith("  ")]
    return messages, [each.strip() for each in said if each.startswith("  ")]


def test_attack_55_a_bug_is_logged_by_its_place_only(
    inside: Inside, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from backchannel.server import logs

    def broken(*_arguments: object, **_named: object) -> None:
        msg = f"secret {client.drop.hex()}"
        raise KeyError(msg)

    client = inside.drop()
    with logs_of_a_relay(logs):
        monkeypatch.setattr(inside.relay.authorizer, "known", broken)
        with pytest.raises(RefusedError, match="503 busy"):
            client.read()
    said = capsys.readouterr().err
    assert said.startswith("ERROR a bug in answering a request")
    assert "KeyError at test_log.py" in said
    assert "secret" not in said
    assert client.drop.hex() not in said


def test_attack_55_as_documents_too_a_bug_is_its_place_only(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from backchannel.server import logs

    with logs_of_a_relay(logs, "json"):
        try:
            _ = dict[str, str]()["secret"]
        except KeyError as error:
            logs.LOG.error("a bug", exc_info=error)
        logs.LOG.info("all is well")
    bug, well = map(json.loads, capsys.readouterr().err.splitlines())
    assert bug["message"] == "a bug"
    assert bug["bug"].startswith("KeyError at test_log.py")
    assert "secret" not in str(bug)
    assert well == {"level": "info", "message": "all is well"}


@contextmanager
def logs_of_a_relay(logs: object, form: str = "text") -> Iterator[None]:
    import logging

    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    root.handlers = []
    logs.configure("debug", form)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        root.handlers, root.level = before
        logging.captureWarnings(capture=False)


class ServerError(Exception):
    """As psycopg's, which quote rows."""

    sqlstate = "23505"


def test_attack_55_of_a_database_server_only_the_kind_of_error_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from backchannel.server import logs

    with logs_of_a_relay(logs):
        logs._seldom._last.clear()  # what another test said is not said again for a minute
        logs.store_trouble(ServerError("DETAIL: Key (drop_id)=(0f1e2d3c) already exists."))
        logs.store_trouble(sqlite3.OperationalError("database or disk is full"))
    server, sqlite = capsys.readouterr().err.splitlines()
    assert server == (
        "WARNING the store refuses: ServerError (23505); next: backchannel-relay doctor"
    )
    assert "database or disk is full" in sqlite


def test_op07_the_journal_that_we_recommend_is_in_memory_and_short() -> None:
    folder = ROOT / "server" / "deploy" / "journald"
    journal, unit = configparser.ConfigParser(), configparser.ConfigParser()
    for parser in (journal, unit):
        parser.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(folder / "backchannel-relay.service.d-journal.conf")
    journal.read(folder / f"journald@{unit['Service']['LogNamespace']}.conf")
    kept = journal["Journal"]
    assert (kept["Storage"], kept["MaxRetentionSec"]) == ("volatile", "1day")
    assert {kept[f"ForwardTo{each}"] for each in ("Syslog", "KMsg", "Console", "Wall")} == {"no"}
