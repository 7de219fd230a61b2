"""An engine that speaks PostgreSQL's language without its partitions, notices and advisory locks:
one table, small steps, a look now and then.
"""

import pytest

from backchannel.server.home import Home
from backchannel.server.postgres import partitions
from backchannel.server.postgres.sessions import Remote
from backchannel.server.settings import load
from tests.server.conftest import use
from tests.server.inside import Inside, Opener
from tests.support.postgres import Postgres
from tests.support.relay import RefusedError, noise

pytestmark = pytest.mark.stores("postgres")
DAY = 0  # index of the class of 24 hours


@pytest.fixture
def plain(home: Home, postgres: Postgres, open_inside: Opener) -> Inside:
    home.config.write_text("")
    use(home.path, postgres.fresh(), database_plain=True)
    return open_inside()


def counts(inside: Inside) -> list[int]:
    url = load(inside.home.config)[0].database
    with Remote(url).connect() as driver:
        assert not partitions.partitioned(driver)
        found = [driver.execute(f"SELECT count(*) FROM {t}") for t in ("blocks", "bodies")]  # noqa: S608
        return [row[0] for each in found if (row := each.fetchone())]


def test_blocks_are_appended_read_known_and_deleted(plain: Inside) -> None:
    client, other, blocks = plain.drop(), plain.drop(DAY), noise(5)
    first = client.append(*blocks)
    other.append(*noise(2))
    assert client.append(*blocks) == first
    assert [row.block for row in client.read().rows] == blocks
    client.delete()
    assert counts(plain) == [2, 2]
    with pytest.raises(RefusedError, match="404"):
        client.read()


def test_what_is_over_goes_in_small_steps(plain: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "STEP", 2)
    brief, long = plain.drop(DAY), plain.drop(DAY + 1)
    blocks = noise(5)
    brief.append(*blocks)
    long.append(*noise(3))
    plain.move_clock(24)
    plain.sweep()
    assert counts(plain) == [3, 3]
    assert brief.read().rows == ()
    brief.append(*blocks)
    assert len(brief.read().rows) == 5


def test_a_block_that_comes_again_after_its_end_stands_once(plain: Inside) -> None:
    """Before a sweep has come by."""
    client, blocks = plain.drop(DAY), noise(2)
    client.append(*blocks)
    plain.relay.sweeper.poke = lambda: None  # type: ignore[method-assign]
    plain.move_clock(24)
    client.append(*blocks)
    assert [row.block for row in client.read().rows] == blocks


def test_nothing_is_asked_that_such_an_engine_has_not(plain: Inside, postgres: Postgres) -> None:
    database = load(plain.home.config)[0].database.rpartition("/")[0]
    assert database
    before = len(postgres.log())
    client = plain.drop(DAY)
    client.append(*noise(2))
    client.read()
    plain.move_clock(24)
    plain.sweep()
    client.delete()
    said = postgres.log()[before:]
    assert b"INSERT INTO bodies" in said
    for word in (b"advisory", b"LISTEN", b"pg_notify", b"PARTITION", b"hashtext"):
        assert word not in said
