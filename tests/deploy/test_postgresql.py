"""PostgreSQL for a relay: whose database it is, and that its own log keeps quiet."""

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from backchannel.server.postgres import sessions
from tests.deploy.programs import DEPLOY
from tests.server.conftest import use
from tests.support.postgres import Postgres, missing, running_postgres
from tests.support.relay import DropClient, RelayProcess, noise

QUIET = DEPLOY / "postgresql/quiet.conf"
CREATE = DEPLOY / "postgresql/create.sql"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """With these settings after the worst that its operator may have had before."""
    if why := missing():
        pytest.skip(why)
    with running_postgres(QUIET.read_text()) as server:
        yield server


def test_attack_55_postgresql_writes_down_no_value(server: Postgres) -> None:
    """However wrong a statement is."""
    provoke(server.fresh())
    assert b"canary" not in server.log()
    assert b"SELECT" not in server.log()


def provoke(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (a text PRIMARY KEY)")
        connection.execute("INSERT INTO t VALUES (%s)", ["canary"])
        for wrong in ("INSERT INTO t VALUES ('canary')", "SELECT canary", "SELEKT 'canary'"):
            with pytest.raises(psycopg.Error):
                connection.execute(wrong)
        with pytest.raises(psycopg.Error):
            connection.execute("INSERT INTO t VALUES (%s)", ["canary"])
        with pytest.raises(psycopg.Error):
            connection.execute("SELECT %s::int", ["canary"])


def test_the_file_says_what_the_relay_asks_for() -> None:
    said = dict(re.findall(r"^(\w+) = (\S+)$", QUIET.read_text(), re.MULTILINE))
    assert sessions._QUIET.items() <= said.items()


@pytest.mark.slow
def test_the_role_that_is_made_is_enough_for_a_relay(server: Postgres, tmp_path: Path) -> None:
    with server.admin() as admin:
        for statement in CREATE.read_text().split(";"):
            admin.execute(statement.encode())
        admin.execute("CREATE ROLE stranger LOGIN")
    relay = RelayProcess.make(tmp_path / "relay")
    url = f"postgresql://backchannel-relay@/backchannel?host={server.folder}"
    use(relay.data, url, workers=2)
    relay.start()
    client = DropClient.connect(relay.url)
    client.create(relay.voucher())
    client.append(*noise())
    assert len(client.read().rows) == 1
    assert relay.stop() == 0
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(host=str(server.folder), dbname="backchannel", user="stranger")
