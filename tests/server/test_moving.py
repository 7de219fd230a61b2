"""A relay that is outgrown moves into PostgreSQL without a word to its users: row OP12."""

import json
import sqlite3
from collections.abc import Iterator

import pytest

from backchannel.protocol.drop import read_voucher
from backchannel.server import exits, stores
from backchannel.server.errors import OperatorError
from backchannel.server.home import Home
from backchannel.server.operate import moving, vouchers
from backchannel.server.operate.holdings import survey
from backchannel.server.settings import load
from tests.server.inside import Inside, Opener
from tests.server.test_cli import document, failed
from tests.server.test_retention import sealed_rows
from tests.support.postgres import Postgres
from tests.support.relay import RefusedError, noise


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    made = postgres.fresh()
    yield made
    postgres.drop(made)


def test_clients_see_no_difference(
    open_inside: Opener, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "_BLOCKS", 2)
    inside = open_inside()
    brief, long, sealed, bare = (inside.drop(keep) for keep in (0, 5, 2, 2))
    brief.append(*noise(3))
    for hour in (10, 20, 25):
        inside.move_clock(hour)
        inside.sweep()
    blocks = noise(5)
    places = long.append(*blocks)
    brief.append(*noise(2))
    sealed.append(*noise())
    sealed.seal()
    used, unused = vouchers.mint(inside.home, 2)
    vouchers.revoke(inside.home, [used])
    before = [each.read() for each in (brief, long, sealed, bare)]
    old = sealed_rows(inside.home)
    inside.close()
    said = document("move", "--to", url, "--data", inside.home.path)
    assert (said["drops"], said["vouchers"], said["blocks"]) == (4, 1, 8)
    settings = load(inside.home.config)[0]
    assert settings.database == url
    files = [file.read_bytes() for file in inside.home.path.iterdir()]
    assert not any(row[2] in file for row in old for file in files), "the old store is gone"
    with Inside(inside.home, settings) as there:
        for client in (brief, long, sealed, bare):
            client.http = there.http
        assert [each.read() for each in (brief, long, sealed, bare)] == before
        assert long.append(*blocks) == places, "a repeated append is known"
        assert long.append(*noise())[0].position == 6
        with pytest.raises(RefusedError, match="sealed"):
            sealed.append(*noise())
        there.stranger().create(read_voucher(unused))
        with pytest.raises(RefusedError, match="voucher-refused"):
            there.stranger().create(read_voucher(used))


def test_a_relay_that_runs_is_not_moved(inside: Inside, url: str) -> None:
    assert failed("move", "--to", url, "--data", inside.home.path)[0] == exits.REFUSED
    inside.drop().append(*noise())


def test_a_database_that_is_in_use_is_not_moved_into(
    open_inside: Opener, home: Home, url: str
) -> None:
    inside = open_inside()
    client = inside.drop()
    client.append(*noise())
    inside.close()
    copy = home.database.read_bytes()
    moving.move(home, url)
    home.config.write_text("")
    home.database.write_bytes(copy)
    code, said = failed("move", "--to", url, "--data", home.path)
    assert code == exits.REFUSED
    assert "name an empty database" in said


def test_what_was_interrupted_is_finished_by_a_second_time(
    open_inside: Opener, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = open_inside()
    client = inside.drop()
    client.append(*noise(2))
    inside.close()

    def killed(_home: Home) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(moving, "_leave", killed)
        with pytest.raises(KeyboardInterrupt):
            moving.move(inside.home, url)
    old = sealed_rows_of_file(inside.home)
    assert len(old) == 2
    assert moving.move(inside.home, url) == (1, 0, 2)
    assert sealed_rows_of_file(inside.home) == []
    assert moving.move(inside.home, url) == (1, 0, 2), "a third time does no harm"
    client.http = open_inside().http
    assert len(client.read().rows) == 2


def sealed_rows_of_file(home: Home) -> list[bytes]:
    with sqlite3.connect(home.database) as connection:
        rows = [row for (row,) in connection.execute("SELECT sealed FROM blocks")]
    connection.close()
    return rows


def test_attack_a_setting_written_by_hand_loses_no_store(
    open_inside: Opener, home: Home, url: str
) -> None:
    """Who names the database first and moves then is told, and nothing is overwritten."""
    inside = open_inside()
    inside.drop().append(*noise(2))
    inside.close()
    moving._choose(home, url)
    with stores.changing(stores.of_home(home)):
        pass
    code, said = failed("move", "--to", url, "--data", home.path)
    assert code == exits.REFUSED
    assert "take `database` out" in said
    assert len(sealed_rows_of_file(home)) == 2


@pytest.mark.parametrize("where", ["postgresql://relay@127.0.0.1:1/none", "mysql://relay@h/d"])
def test_where_it_cannot_go_the_relay_is_as_it_was(open_inside: Opener, where: str) -> None:
    inside = open_inside()
    client = inside.drop()
    client.append(*noise(2))
    inside.close()
    before = inside.home.config.read_bytes()
    failed("move", "--to", where, "--data", inside.home.path)
    assert inside.home.config.read_bytes() == before
    assert survey(inside.home).rows["blocks"] == 2
    client.http = open_inside().http
    assert len(client.read().rows) == 2


def test_a_fault_halfway_leaves_the_relay_as_it_was(
    open_inside: Opener, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = open_inside()
    client = inside.drop()
    client.append(*noise(2))
    inside.close()

    def counts_less(*_arguments: object) -> moving.Moved:
        counted.append(1)
        return moving.Moved(0, 0, len(counted))

    counted: list[int] = []
    monkeypatch.setattr(moving, "_count", counts_less)
    with pytest.raises(OperatorError, match="not what was copied"):
        moving.move(inside.home, url)
    client.http = open_inside().http
    assert len(client.read().rows) == 2


@pytest.mark.parametrize(
    "text",
    ["", "port = 1", '# database = ""\nport = 1\n', 'database = ""\n', "quota = 5\n\n# end"],
)
def test_the_setting_is_written_once_and_the_others_stay(home: Home, text: str) -> None:
    home.config.write_text(text)
    before = load(home.config)[0]
    moving._choose(home, 'postgresql://a:"quoted"\\@h/d')
    after, unknown = load(home.config)
    assert after.database == 'postgresql://a:"quoted"\\@h/d'
    assert after.model_dump() == {**before.model_dump(), "database": after.database}
    assert unknown == []
    assert home.config.stat().st_mode & 0o077 == 0
    assert json.dumps(after.database) in home.config.read_text()


@pytest.mark.parametrize(
    "text",
    ['# database = ""\nport = 1\ndatabase = ""\n', "[section]\nport = 1\n"],
    ids=["a line that stands below its comment", "a table at the end"],
)
def test_attack_the_old_store_stays_where_the_setting_cannot_be_written(
    open_inside: Opener, home: Home, url: str, text: str
) -> None:
    """All was overwritten, and the relay began with an empty store, or not at all."""
    inside = open_inside()
    inside.drop().append(*noise(2))
    inside.close()
    home.config.write_text(text)
    code, said = failed("move", "--to", url, "--data", home.path)
    assert code == exits.REFUSED
    assert "and move again: database = " in said
    assert home.config.read_text() == text
    assert len(sealed_rows_of_file(home)) == 2
    home.config.write_text(f"database = {json.dumps(url)}\n")
    assert moving.move(home, url).blocks == 2


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://relay:hunter2@127.0.0.1:1/d",
        "postgresql://relay@127.0.0.1:1/d?password=hunter2",
        "host=127.0.0.1 port=1 dbname=d password = hunter2",
        "postgresql://relay@127.0.0.1:1/d?sslpassword=hunter2",
    ],
)
def test_attack_43_a_password_is_no_argument(home: Home, url: str) -> None:
    command = ("move", "--to", url, "--data", home.path)
    code, said = failed(*command)
    assert code == exits.USAGE
    assert "hunter2" not in said
    assert ".pgpass" in said
