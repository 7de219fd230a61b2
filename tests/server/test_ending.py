"""A relay is ended so that nothing of it opens any more: row OP16."""

import shutil
from pathlib import Path

import pytest

from backchannel.server import erasing, exits
from backchannel.server.home import Home
from backchannel.server.operate import ending
from backchannel.server.settings import load
from tests.server.conftest import Furnish
from tests.server.inside import Inside, Opener
from tests.server.test_cli import document, failed, invoke
from tests.server.test_retention import openable, sealed_rows
from tests.support.relay import noise


def test_nothing_is_left_and_a_copy_of_the_store_opens_for_nobody(
    open_inside: Opener, tmp_path: Path
) -> None:
    inside = open_inside()
    inside.drop().append(*noise(3))
    rows = sealed_rows(inside.home)
    assert openable(inside.home, rows) == 3, "a control"
    inside.close()
    said = document("decommission", "--yes", "--data", inside.home.path)
    assert [each.split()[0] for each in said["steps"][:3]] == [
        "expiry.keys", "store.key", "relay.key",
    ]  # fmt: skip
    assert list(inside.home.path.iterdir()) == []


def test_what_opens_blocks_is_overwritten_where_it_stands_and_first(
    open_inside: Opener, tmp_path: Path
) -> None:
    """Another name of the same files shows what became of their bytes."""
    inside = open_inside()
    inside.drop().append(*noise(3))
    inside.close()
    home, names = inside.home, ("expiry.keys", "store.key", "relay.key", "relay.db")
    for name in names:
        (tmp_path / name).hardlink_to(home.path / name)
    steps = ending.decommission(home)
    next(steps)
    assert not any((tmp_path / "expiry.keys").read_bytes())
    assert any((tmp_path / "relay.db").read_bytes())
    assert len(list(steps)) >= 4
    assert not any(any((tmp_path / name).read_bytes()) for name in names)


@pytest.mark.parametrize("steps", range(1, 6))
def test_an_interruption_is_made_good_by_a_second_time(open_inside: Opener, steps: int) -> None:
    inside = open_inside()
    inside.drop().append(*noise())
    inside.close()
    begun = ending.decommission(inside.home)
    for _ in range(steps):
        next(begun)
    begun.close()
    assert document("decommission", "--yes", "--data", inside.home.path)["steps"]
    assert list(inside.home.path.iterdir()) == []


def test_what_a_move_began_to_write_goes_too(home: Home) -> None:
    """It may hold the name of a database, and stood there when all was said to be gone."""
    home.config.with_name("relay.toml.new").write_text('database = "postgresql://h/d"')
    invoke("decommission", "--yes", "--data", home.path)
    assert list(home.path.iterdir()) == []


def test_a_relay_that_runs_is_not_ended(inside: Inside) -> None:
    client = inside.drop()
    code, said = failed("decommission", "--yes", "--data", inside.home.path)
    assert code == exits.REFUSED
    assert "running" in said
    assert client.append(*noise())


def test_unasked_it_says_what_would_go_and_does_nothing(home: Home) -> None:
    before = {each.name: each.read_bytes() for each in home.path.iterdir()}
    code, said = failed("decommission", "--data", home.path)
    assert code == exits.REFUSED
    assert "0 drops, 0 vouchers and 0 blocks" in said
    assert "--yes" in said
    after = {each.name: each.read_bytes() for each in home.path.iterdir()}
    assert {name: after[name] for name in before} == before


def test_where_there_is_no_relay_nothing_is_taken_away(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    assert failed("decommission", "--yes", "--data", tmp_path)[0] == exits.NOT_FOUND
    assert (tmp_path / "mine").read_text() == "mine"


def test_attack_a_link_in_the_folder_leads_to_nothing_that_is_overwritten(
    home: Home, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    home.store_key.unlink()
    home.store_key.symlink_to(victim)
    with pytest.raises(OSError, match="symbolic"):
        list(ending.decommission(home))
    assert victim.read_text() == "mine"


def test_what_is_not_there_is_not_missed(tmp_path: Path) -> None:
    erasing.erase(tmp_path / "nothing")


def test_a_copied_folder_goes_on_as_the_same_relay(open_inside: Opener, tmp_path: Path) -> None:
    """As the guide says: stop, copy, begin there, end the old one."""
    inside = open_inside()
    client = inside.drop()
    stored = client.append(*noise(3))
    inside.close()
    there = Home(Path(shutil.copytree(inside.home.path, tmp_path / "there")))
    invoke("decommission", "--yes", "--data", inside.home.path)
    with Inside(there, load(there.config)[0]) as again:
        client.http = again.http
        assert [row.position for row in client.read().rows] == [row.position for row in stored]
        assert client.append(*noise())[0].position == 4


@pytest.mark.stores
def test_on_either_store_no_row_is_left(open_inside: Opener, store: Furnish) -> None:
    inside = open_inside()
    for keep in (0, 5):
        inside.drop(keep).append(*noise(2))
    inside.close()
    url = load(inside.home.config)[0].database
    invoke("decommission", "--yes", "--data", inside.home.path)
    assert list(inside.home.path.iterdir()) == []
    if url:
        import psycopg

        with psycopg.connect(url) as connection:
            query = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            assert connection.execute(query).fetchone() == (0,)
