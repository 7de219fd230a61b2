"""What `retention` and `legal` say of a relay, held to what it does: rows A115, OP13, OP17."""

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect

from backchannel.protocol.drop import voucher_hash
from backchannel.protocol.limits import CLASSES
from backchannel.protocol.types import Hour
from backchannel.server import sweeper
from backchannel.server.errors import OperatorError
from backchannel.server.home import Home
from backchannel.server.limits import SWEEP_EVERY
from backchannel.server.operate.holdings import holdings, survey
from backchannel.server.operate.legal import letter
from backchannel.server.sqlite.file import open_readers
from tests.server.inside import Inside, Opener
from tests.server.test_cli import invoke
from tests.server.test_retention import openable, sealed_rows
from tests.support.relay import DropClient, noise, running_relay, until

REMAINS = (slice(24), slice(100, 132), slice(2000, 2032), slice(-32, None))
"""Of a sealed block: its nonce, and what no two have in common."""


def said(home: Home, verb: str) -> dict[str, Any]:
    code, out, _ = invoke(verb, "--data", home.path, "--json")
    assert code == 0
    document: dict[str, Any] = json.loads(out)
    return document


def classes(home: Home) -> list[int]:
    """Hours that the list gives for blocks, class by class."""
    listed = said(home, "retention")["holdings"]
    return [each["hours"] for each in listed if each["table"] == "blocks"]


def files(home: Home) -> list[bytes]:
    return [file.read_bytes() for file in home.path.iterdir()]


def at_hour(inside: Inside, hour: int, now: int) -> int:
    """Let the clock go there, as a relay that runs sees it go."""
    for each in (*range(now + 24, hour, 24), hour):
        inside.move_clock(each)
        inside.sweep()
    return hour


@pytest.mark.slow
@pytest.mark.parametrize("keep", range(len(CLASSES)))
def test_a_block_is_kept_for_the_hours_that_the_list_says_and_no_longer(
    inside: Inside, keep: int
) -> None:
    """Readable and openable until then; then in no file: database, log, free pages, keys."""
    hours = classes(inside.home)[keep]
    client, neighbour = inside.drop(keep), inside.drop(len(CLASSES) - 1)
    client.append(*noise(3))
    before = sealed_rows(inside.home)
    now = 0
    for _ in range(4):  # others come and go meanwhile
        now = at_hour(inside, now + (hours - 2) // 4, now)
        neighbour.append(*noise(2))
    now = at_hour(inside, hours - 2, now)
    assert len(client.read().rows) == 3
    assert openable(inside.home, before) == 3
    at_hour(inside, hours, now)
    assert client.read().rows == ()
    assert openable(inside.home, before) == 0
    left = files(inside.home)
    for _, _, digest, sealed in before:
        assert not any(digest in file for file in left)
        assert not any(sealed[part] in file for part in REMAINS for file in left)


def test_the_control_finds_a_block_that_is_kept(inside: Inside) -> None:
    inside.drop(0).append(*noise())
    ((_, _, digest, sealed),) = sealed_rows(inside.home)
    left = files(inside.home)
    assert any(digest in file for file in left)
    assert any(sealed[REMAINS[1]] in file for file in left)


def test_a_deleted_drop_is_in_the_log_for_one_look_and_then_nowhere(inside: Inside) -> None:
    client = inside.drop()
    client.append(*noise(2))
    before = sealed_rows(inside.home)
    client.delete()
    inside.sweep()  # what is done each SWEEP_EVERY seconds
    left = files(inside.home)
    assert not any(
        sealed[part] in file for *_, sealed in before for part in REMAINS for file in left
    )
    assert not any(bytes(client.drop) in file for file in left)
    log = next(each for each in holdings(inside.home) if each.where == "relay.db-wal")
    assert f"{SWEEP_EVERY} seconds" in log.kept


def test_the_log_is_emptied_each_time_the_relay_looks(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unasked: the row of a voucher that was used, and a drop that was deleted, leave it."""
    monkeypatch.setattr(sweeper, "SWEEP_EVERY", 0.02)
    inside.poke()
    voucher = inside.voucher()
    client = inside.stranger()
    client.create(voucher)
    client.append(*noise())
    ((_, _, digest, _),) = sealed_rows(inside.home)
    client.delete()
    for _ in until(60):
        left = files(inside.home)
        if not any(each in file for file in left for each in (digest, voucher_hash(voucher))):
            break


def test_every_table_is_in_the_list_and_nothing_else(inside: Inside) -> None:
    engine = open_readers(inside.home.database)
    tables = set(inspect(engine).get_table_names())
    engine.dispose()
    assert {each.table for each in holdings(inside.home)} - {""} == tables


def test_every_file_is_in_the_list(tmp_path: Path) -> None:
    with running_relay() as relay:
        client = DropClient.connect(relay.url)
        client.create(relay.voucher())
        client.append(*noise())
        relay.move_clock(1)
        client.read()
        there = {file.name for file in relay.data.iterdir()}
        listed = {each.where for each in holdings(Home(relay.data))}
        relay.stop()
        left = {file.name for file in relay.data.iterdir()}
    assert {"relay.db-wal", "relay.address", "demo-hours"} <= there
    assert there <= listed
    assert there - left == {"relay.db-wal", "relay.db-shm", "relay.address"}


def test_a_list_without_a_row_for_a_table_would_be_seen(home: Home) -> None:
    with sqlite3.connect(home.database) as connection:
        connection.execute("CREATE TABLE visitors (address TEXT)")
    connection.close()
    tables = set(survey(home).rows)
    assert "visitors" in tables
    assert "visitors" not in {each.table for each in holdings(home)}


def test_figures_are_those_of_the_store(inside: Inside) -> None:
    for keep, count in ((0, 1), (2, 3), (2, 2)):
        inside.drop(keep).append(*noise(count))
    inside.voucher()
    store = survey(inside.home)
    assert [each.blocks for each in store.classes] == [1, 0, 5, 0, 0, 0]
    assert store.rows == {"alembic_version": 1, "blocks": 6, "drops": 3, "vouchers": 1}
    assert store.keys == 2
    assert store.first == store.now
    assert store.last == Hour(store.now + CLASSES[2])
    assert store.log == inside.home.database.with_name("relay.db-wal").stat().st_size > 0
    listed = {each.name: each.now for each in holdings(inside.home)}
    assert listed["blocks of drops that keep 7 days"] == "5 blocks"
    assert listed["vouchers"] == "1 vouchers"
    assert listed["expiry keys"] == "2 keys"


def test_a_relay_that_is_off_says_what_is_overdue(open_inside: Opener) -> None:
    inside = open_inside()
    inside.drop(0).append(*noise(2))
    inside.close()
    inside.move_clock(24)
    listed = {each.name: each.now for each in holdings(inside.home)}
    assert listed["blocks of drops that keep 24 hours"].endswith(
        "2 are over and go when the relay next runs"
    )
    text = "\n".join(letter(survey(inside.home)))
    assert "2 of the blocks are past their hour" in text
    assert "a block whose hour has passed" not in text
    open_inside().close()
    text = "\n".join(letter(survey(inside.home)))
    assert "a block whose hour has passed" in text
    assert "blocks: 0" in text


def test_legal_counts_what_is_there_and_names_every_column(inside: Inside) -> None:
    inside.drop(1).append(*noise(4))
    document = said(inside.home, "legal")
    connection = sqlite3.connect(inside.home.database)
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    assert set(document["tables"]) == {name for (name,) in tables}
    _, text, _ = invoke("legal", "--data", inside.home.path)
    flat = " ".join(text.split())
    for (name,) in tables:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
        (rows,) = connection.execute(f"SELECT count(*) FROM {name}").fetchone()  # noqa: S608
        assert document["tables"][name] == {"rows": rows, "columns": columns}
        assert f"{name}: {rows}; of each {', '.join(columns)} (" in flat
    connection.close()


@pytest.mark.slow
def test_nothing_that_legal_says_is_absent_is_there() -> None:
    """A session by somebody with a name and an address; then every byte of the folder."""
    marks = {
        "user-agent": "Heron-of-the-North/1",
        "cookie": "who=Ibis",
        "x-forwarded-for": "203.0.113.9",
    }
    with running_relay() as relay:
        client = DropClient.connect(relay.url)
        client.http.headers.update(marks)
        try:
            voucher = relay.voucher()
            client.create(voucher)
            blocks = noise(3)
            client.append(*blocks)
            client.read()
        finally:
            for name in marks:
                del client.http.headers[name]
        relay.stop()
        held = {file.name: file.read_bytes() for file in relay.data.iterdir()}
        log = relay.log.read_bytes().replace(relay.url.encode(), b"")
    for name, data in {**held, "log": log}.items():
        found = [
            each
            for each in (*map(str.encode, marks.values()), b"127.0.0.1", voucher, blocks[0][:32])
            if each in data and name != "relay.toml"
        ]
        assert found == [], name


def test_no_number_in_the_store_is_a_time_finer_than_an_hour(inside: Inside) -> None:
    inside.drop(1).append(*noise(4))
    connection = sqlite3.connect(inside.home.database)
    connection.row_factory = sqlite3.Row
    for name, random in (("blocks", "place"), ("drops", "number")):
        for row in connection.execute(f"SELECT * FROM {name}"):  # noqa: S608
            told = [row[key] for key in row.keys() if key != random]  # noqa: SIM118 - not a dict
            assert all(each < 1_000_000 for each in told if isinstance(each, int)), name
            assert isinstance(row[random], int)
    connection.close()


def test_where_there_is_no_relay_both_say_so(tmp_path: Path) -> None:
    for verb in ("retention", "legal"):
        code, _, error = invoke(verb, "--data", tmp_path)
        assert code == 9
        assert "next: backchannel-relay init" in error
    with pytest.raises(OperatorError, match="no relay"):
        survey(Home(tmp_path))


def test_the_lines_are_of_one_width_and_say_all_that_the_document_does(inside: Inside) -> None:
    _, text, _ = invoke("retention", "--data", inside.home.path)
    assert max(map(len, text.splitlines())) <= 100
    flat = " ".join(text.split())
    for each in said(inside.home, "retention")["holdings"]:
        assert each["name"] in flat
        assert each["what"] in flat
        assert each["kept"] in flat
    assert re.search(r"blocks of drops that keep 90 days, in relay.db \(0 blocks\)", flat)
