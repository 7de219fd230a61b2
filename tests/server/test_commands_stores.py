"""The operator's commands on either store: vouchers, backup, restore, doctor, test, legal."""

import json
import threading
from pathlib import Path

import pytest

from backchannel.protocol.drop import read_voucher
from backchannel.protocol.limits import RESTORED
from backchannel.server import exits
from backchannel.server.home import Home
from backchannel.server.models import SCHEMA
from backchannel.server.operate import backup, restore, vouchers
from backchannel.server.operate.doctor import examine
from backchannel.server.operate.holdings import holdings, survey
from backchannel.server.settings import load
from tests.server.conftest import Furnish
from tests.server.inside import Inside, Opener
from tests.server.test_cli import document, failed, invoke
from tests.support.relay import RefusedError, RelayProcess, noise

pytestmark = pytest.mark.stores


def test_vouchers_are_minted_counted_and_taken_back(inside: Inside) -> None:
    lost, kept = vouchers.mint(inside.home, 2)
    assert vouchers.count(inside.home) == 2
    assert vouchers.revoke(inside.home, [lost]) == (1, 0, 1)
    with pytest.raises(RefusedError, match="voucher-refused"):
        inside.stranger().create(read_voucher(lost))
    inside.stranger().create(read_voucher(kept))
    assert vouchers.revoke_all(inside.home).gone == 0


def test_a_relay_comes_back_into_a_store_of_its_own(
    open_inside: Opener, tmp_path: Path, store: Furnish
) -> None:
    """The settings of the backup name a database: nothing is put into one that is in use."""
    inside = open_inside()
    client = inside.drop()
    client.append(*noise(3))
    vouchers.mint(inside.home, 2)
    file, back = tmp_path / "relay.backup", Home(tmp_path / "back")
    assert backup.take(inside.home, file).drops == 1
    remote = bool(load(inside.home.config)[0].database)
    inside.close()
    if remote:
        code, said = failed("restore", file, "--data", back.path)
        assert code == exits.REFUSED
        assert "in use" in said
        assert not any(back.path.iterdir())
        empty(inside.home)
    restore.restore(file, back, vouchers=True)
    with Inside(back, load(back.config)[0]) as again:
        client.http = again.http
        assert client.read(4).following == 4 + RESTORED
        assert client.append(*noise())[0].position == 4 + RESTORED
        assert vouchers.count(back) == 2


def test_a_backup_is_of_one_moment_while_the_relay_works(inside: Inside, tmp_path: Path) -> None:
    """A voucher becomes a drop in one step: together they are always as many."""
    total = 60
    minted = [read_voucher(each) for each in vouchers.mint(inside.home, total)]
    seen = []

    def create() -> None:
        for voucher in minted:
            inside.stranger().create(voucher)

    thread = threading.Thread(target=create)
    thread.start()
    for number in range(200):
        head = backup.take(inside.home, tmp_path / str(number))
        seen.append((head.drops, head.vouchers))
        assert backup.verify(tmp_path / str(number)) == head
        if not thread.is_alive():
            break
    thread.join()
    assert {drops + left for drops, left in seen} == {total}
    assert any(0 < drops < total for drops, _ in seen), "none was taken meanwhile"


def empty(home: Home) -> None:
    """As after a disaster: the database is there, and new."""
    import psycopg

    url = load(home.config)[0].database
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")


def test_the_plan_of_an_upgrade_is_of_this_store(home: Home) -> None:
    with Inside(home, load(home.config)[0]):
        plan = document("db", "upgrade", "--plan", "--data", home.path)
    assert (plan["current"], plan["steps"], plan["fits"]) == (SCHEMA, [], True)
    assert document("db", "upgrade", "--data", home.path)["steps"] == []


def test_doctor_looks_at_this_store(inside: Inside) -> None:
    found = {each.name: each for each in examine(inside.home)}
    remote = bool(load(inside.home.config)[0].database)
    said = "the database server answers before its disk has it" if remote else "sound"
    assert said in found["database"].detail, "that of the tests is hasty"


def test_every_table_is_in_the_list_and_the_letter(inside: Inside) -> None:
    for keep, count in ((0, 1), (2, 3)):
        inside.drop(keep).append(*noise(count))
    inside.voucher()
    kept = survey(inside.home)
    assert [each.blocks for each in kept.classes] == [1, 0, 3, 0, 0, 0]
    assert {each.table for each in holdings(inside.home)} - {""} == set(kept.rows)
    assert (kept.rows["blocks"], kept.rows["drops"], kept.rows["vouchers"]) == (4, 2, 1)
    assert kept.rows.get("bodies", 4) == 4
    tables = document("legal", "--data", inside.home.path)["tables"]
    assert set(tables) == set(kept.rows)
    said = " ".join(invoke("legal", "--data", inside.home.path)[1].split())
    assert "()" not in said, "each table is explained"


@pytest.mark.slow
def test_the_relay_passes_its_own_test_and_keeps_nothing(home: Home) -> None:
    relay = RelayProcess(home.path).start()
    try:
        assert document("test", "--data", home.path)["ok"]
    finally:
        relay.stop()
    assert {each: n for each, n in survey(home).rows.items() if n} == {"alembic_version": 1}


def test_nothing_that_a_command_says_has_the_password(home: Home, tmp_path: Path) -> None:
    """Of a database that cannot be reached."""
    lines = json.dumps("postgresql://relay:hunter2@127.0.0.1:1/relay")
    home.config.write_text(f"database = {lines}\n")
    for command in (
        ["vouchers", "count"],
        ["legal"],
        ["backup", tmp_path / "b"],
        ["db", "upgrade", "--plan"],
        ["doctor", "--json"],
    ):
        code, out, err = invoke(*command, "--data", home.path)
        assert code != 0
        assert "hunter2" not in out + err
