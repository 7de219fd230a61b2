"""Noise by the hour: made ahead, gone with its hour, and nobody waits for either."""

import threading
from collections.abc import Iterator

import psycopg
import pytest

from backchannel.protocol.limits import CLASSES
from backchannel.protocol.types import Hour
from backchannel.server.errors import StoreFailedError
from backchannel.server.home import Home
from backchannel.server.postgres import partitions
from backchannel.server.postgres.partitions import Driver, Standing
from backchannel.server.postgres.sessions import Remote
from backchannel.server.settings import load
from tests.server.inside import Inside
from tests.server.postgres.brothers import at, brothers
from tests.support.relay import noise

pytestmark = pytest.mark.stores("postgres")

NOW = Hour(480_000)
DAY = 0  # index of the class of 24 hours


def remote(home: Home) -> Remote:
    return Remote(load(home.config)[0].database)


@pytest.fixture
def driver(home: Home) -> Iterator[Driver]:
    with remote(home).connect() as connection:
        yield connection


def hours(driver: Driver) -> list[Hour]:
    return [each.hour for each in partitions.standing(driver)]


def count(driver: Driver, table: str) -> int:
    row = driver.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - a constant
    assert row is not None
    return int(row[0])


def test_they_stand_ready_for_the_next_hours(driver: Driver) -> None:
    assert partitions.upkeep(driver, NOW)
    expected = {NOW + wait + keep for wait in (0, 1) for keep in CLASSES}
    assert set(hours(driver)) == expected
    assert partitions.upkeep(driver, NOW)
    assert set(hours(driver)) == expected


def test_with_its_hour_all_of_it_goes_and_nothing_else(driver: Driver) -> None:
    partitions.upkeep(driver, NOW)
    for place, expires in enumerate([NOW + 24] * 3 + [NOW + 25] * 2):
        bound = (place, expires, bytes([place]) * 16, bytes(4136))
        driver.execute("INSERT INTO blocks VALUES (%s, 1, %s, %s)", bound[:3])
        insert = f"INSERT INTO bodies_{expires} VALUES (%s, %s, %s)"  # noqa: S608 - a number
        driver.execute(insert, (place, expires, bound[3]))
    assert partitions.upkeep(driver, Hour(NOW + 24))
    assert (count(driver, "blocks"), count(driver, "bodies")) == (2, 2)
    assert NOW + 24 not in hours(driver)
    assert NOW + 25 in hours(driver)


def test_one_sweeps_at_a_time(home: Home, driver: Driver) -> None:
    with remote(home).connect() as other, partitions.sweeping(other) as alone:
        assert alone
        assert not partitions.upkeep(driver, NOW)
        assert hours(driver) == []
    assert partitions.upkeep(driver, NOW)


def test_many_who_need_one_at_once_make_it_once(home: Home, driver: Driver) -> None:
    start = threading.Barrier(6)
    failed: list[Exception] = []

    def make() -> None:
        with remote(home).connect() as own:
            start.wait()
            for hour in range(NOW, NOW + 10):
                try:
                    with own.transaction():
                        partitions.ensure(own, Hour(hour))
                except psycopg.Error as error:
                    failed.append(error)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert hours(driver) == list(range(NOW, NOW + 10))


def test_a_block_that_finds_no_partition_makes_it(inside: Inside, driver: Driver) -> None:
    """Also where somebody reads the whole table meanwhile, as a backup does."""
    client = inside.drop(DAY)
    for hour, attached, _ in partitions.standing(driver):
        assert attached
        driver.execute(f"DROP TABLE bodies_{hour}")
    with remote(inside.home).connect() as backup, backup.transaction():
        backup.execute("SELECT count(*) FROM bodies")
        client.append(*noise(2))
        assert len(client.read().rows) == 2
    assert len(hours(driver)) == 1


def test_what_somebody_reads_is_dropped_later_and_nobody_waits(
    inside: Inside, driver: Driver
) -> None:
    """The detachment that began is finished by the next look."""
    client, later = inside.drop(DAY), inside.drop(DAY + 1)
    client.append(*noise(2))
    later.append(*noise(2))
    (hour,) = {Hour(row[0]) for row in driver.execute("SELECT min(expires) FROM blocks")}
    with remote(inside.home).connect() as analyst, analyst.transaction():
        analyst.execute("SELECT count(*) FROM bodies")
        assert not partitions.upkeep(driver, hour)
        assert count(driver, "blocks") == 2
        later.append(*noise())
        assert len(later.read().rows) == 3
    assert [each for each in partitions.standing(driver) if each.hour == hour] in (
        [Standing(hour, attached=True, leaving=True)],
        [Standing(hour, attached=True)],
    )
    assert partitions.upkeep(driver, hour)
    assert hour not in hours(driver)


def test_one_that_was_detached_and_not_dropped_is_found(driver: Driver) -> None:
    partitions.upkeep(driver, NOW)
    driver.execute(f"ALTER TABLE bodies DETACH PARTITION bodies_{NOW + 24}")
    assert Standing(Hour(NOW + 24), attached=False) in partitions.standing(driver)
    assert partitions.upkeep(driver, Hour(NOW + 24))
    assert NOW + 24 not in hours(driver)


def test_keys_go_before_rows(inside: Inside, driver: Driver) -> None:
    """A key whose end is in doubt keeps its rows."""
    client = inside.drop(DAY)
    client.append(*noise(2))
    inside.sweep()
    inside.move_clock(24)
    inside.relay.retention._failed = True
    with pytest.raises(StoreFailedError):
        inside.sweep()
    assert count(driver, "blocks") == count(driver, "bodies") == 2
    inside.relay.retention._failed = False
    inside.sweep()
    assert count(driver, "blocks") == count(driver, "bodies") == 0


def test_a_page_whose_partition_is_gone_by_another_clock_is_read_without_it(
    inside: Inside, driver: Driver
) -> None:
    client = inside.drop(DAY)
    client.append(*noise(2))
    (hour,) = {Hour(row[0]) for row in driver.execute("SELECT min(expires) FROM blocks")}
    driver.execute(f"DROP TABLE bodies_{hour}")
    page = client.read()
    assert (page.rows, page.following) == ((), 3)


def test_a_deleted_drop_leaves_no_noise(inside: Inside, driver: Driver) -> None:
    """In any of its partitions."""
    client, other = inside.drop(DAY), inside.drop(DAY)
    for hour in range(3):
        inside.move_clock(hour)
        client.append(*noise(2))
        other.append(*noise())
    client.delete()
    assert count(driver, "blocks") == count(driver, "bodies") == 3
    assert len(other.read().rows) == 3


def test_what_one_worker_took_the_other_ends(home: Home, driver: Driver) -> None:
    with brothers(home) as (one, other):
        client = one.drop(DAY)
        client.append(*noise(2))
        assert len(at(client, other).read().rows) == 2
        one.move_clock(24)
        other.sweep()
        assert count(driver, "blocks") == count(driver, "bodies") == 0
        assert client.read().rows == ()
        client.append(*noise())
        assert len(at(client, other).read().rows) == 1
