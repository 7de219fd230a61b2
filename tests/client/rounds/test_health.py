"""How long a relay is left alone that failed: longer each time, and never all of them."""

from hypothesis import given
from hypothesis import strategies as st

from backchannel.client.rounds.health import (
    LONGEST,
    PATIENT,
    SHORTEST,
    failed,
    grace,
    left_alone,
    pause,
)
from backchannel.client.vault.health import Failing
from backchannel.client.vault.vault import Vault
from backchannel.protocol.types import Timestamp
from tests.support.people import ENTROPY, NOON

ONE, TWO, THREE = "https://one", "https://two", "https://three"


@given(st.integers(1, 2**31))
def test_each_time_twice_as_long_and_up_to_a_quarter_more(failures: int) -> None:
    least = min(SHORTEST * 2 ** min(failures - 1, 60), LONGEST)
    assert least <= pause(failures, ENTROPY) <= least * 5 // 4


def test_not_everybody_comes_back_in_one_moment() -> None:
    assert len({pause(6, ENTROPY) for _ in range(200)}) > 5


@given(st.lists(st.integers(0, 4000), min_size=1, max_size=40))
def test_asked_as_soon_as_it_may_be_a_dead_relay_is_asked_less_and_less(
    late: list[int],
) -> None:
    """Whatever else happens in between; and what is known of it stays true."""
    row, now = None, Timestamp(NOON)
    for count, seconds in enumerate(late, 1):
        row = failed(row, ONE, "relay-down", now, ENTROPY)
        assert (row.failures, row.first, row.latest) == (count, NOON, now)
        assert SHORTEST <= row.until - now <= LONGEST * 5 // 4
        assert left_alone({ONE: row}, [ONE, TWO], now) == {ONE: row.until - now}
        assert left_alone({ONE: row}, [ONE, TWO], row.until) == {}
        now = Timestamp(row.until + seconds)


def at(relay: str, until: int) -> Failing:
    return Failing(relay, 1, NOON, NOON, Timestamp(until), "relay-down")


def test_never_all_of_a_channel() -> None:
    known = {url: at(url, NOON + 60) for url in (ONE, TWO)}
    assert left_alone(known, [ONE, TWO, THREE], NOON) == {ONE: 60, TWO: 60}
    assert left_alone(known, [ONE, TWO], NOON) == {}
    assert left_alone(known, [ONE], NOON) == {TWO: 60}, "one that the channel has left"


def test_who_was_left_behind_often_is_given_time() -> None:
    row, given = None, list[float]()
    for _ in range(5):
        row = failed(row, ONE, "relay-slow", NOON, ENTROPY)
        assert grace({ONE: row}, [ONE, TWO], NOON, usual=0.5) == 0.5, "it is not asked yet"
        given.append(grace({ONE: row}, [ONE, TWO], row.until, usual=0.5))
        assert grace({ONE: row}, [TWO, THREE], row.until, usual=0.5) == 0.5
        down = row._replace(why="relay-down")
        assert grace({ONE: down}, [ONE, TWO], row.until, usual=0.5) == 0.5
    assert given == [0.5, 0.5, PATIENT, PATIENT, PATIENT]


def test_attack_28_a_clock_that_was_set_back_leaves_no_relay_alone_for_days() -> None:
    assert left_alone({ONE: at(ONE, NOON + 86_400)}, [ONE, TWO], NOON) == {}


def test_the_vault_remembers_until_it_is_well(vault: Vault) -> None:
    with vault.exclusive(NOON), vault.transaction():
        vault.health.put(at(ONE, NOON + 5))
        vault.health.put(at(TWO, NOON + 6))
        vault.health.put(at(ONE, NOON + 7))
        assert vault.health.all() == {ONE: at(ONE, NOON + 7), TWO: at(TWO, NOON + 6)}
        vault.health.forget([ONE])
    assert vault.health.all() == {TWO: at(TWO, NOON + 6)}
