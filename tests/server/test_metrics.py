"""What a relay tells a monitoring: rows T09, OP06, OP23. Attack class 47: when people talk, read
from the sums that somebody else keeps for months.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from backchannel.protocol.drop import Operation
from backchannel.protocol.types import Hour
from backchannel.server.errors import OUTCOMES
from backchannel.server.exposition import DISK_STEP, Machine, page
from backchannel.server.metrics import Metrics, Sums

NOON = Hour(12)
WELL = Machine(clock_ahead=0, disk_free=10 * DISK_STEP, certificate_days=80)
LABELS = {
    "operation": {"create", "append", "read", "seal", "delete"},
    "outcome": set(OUTCOMES),
}


def samples(said: bytes) -> list[Sample]:
    families = text_string_to_metric_families(said.decode("ascii"))
    return [sample for family in families for sample in family.samples]


def seen(sums: Sums, machine: Machine = WELL) -> list[Sample]:
    return samples(page(sums, lambda: machine))


def values(sums: Sums, machine: Machine = WELL) -> dict[str, float]:
    """Of those without labels, by name without its beginning."""
    return {
        each.name.removeprefix("backchannel_relay_"): each.value
        for each in seen(sums, machine)
        if not each.labels
    }


def requests(sums: Sums, operation: str, outcome: str) -> float:
    labels = {"operation": operation, "outcome": outcome}
    (found,) = (each for each in seen(sums) if each.labels == labels)
    return found.value


def of_people(sums: Sums) -> list[Sample]:
    """All that is not about the machine."""
    machine = ("sweep", "clock_ahead_hours", "disk_free_bytes", "certificate_days_left")
    return [each for each in seen(sums) if not each.name.endswith(machine)]


@pytest.fixture
def sums() -> Sums:
    """Of a relay that has swept once."""
    sums = Sums()
    sums.swept(NOON)
    return sums


@contextmanager
def waiting(sums: Metrics, reads: int) -> Iterator[None]:
    with ExitStack() as all_of_them:
        for _ in range(reads):
            all_of_them.enter_context(sums.waiting())
        yield


def busy_hour(sums: Metrics, times: int) -> None:
    for operation in Operation:
        for outcome in OUTCOMES:
            for _ in range(times):
                sums.answered(operation, outcome)
    with waiting(sums, times):
        for _ in range(times):
            sums.committed()
            sums.expired(3)


def test_every_label_is_there_from_the_start_and_none_is_added(sums: Sums) -> None:
    """A sum that appears with its first event would tell when that was."""
    before = [(each.name, each.labels) for each in seen(sums)]
    busy_hour(sums, 5)
    sums.bug()
    sums.swept(Hour(NOON + 1))
    assert [(each.name, each.labels) for each in seen(sums)] == before
    for _name, labels in before:
        assert all(value in LABELS[label] for label, value in labels.items())
    assert len([labels for _, labels in before if labels]) == 5 * len(OUTCOMES)


def test_it_says_nothing_of_the_process_and_of_no_beginning(sums: Sums) -> None:
    said = page(sums, lambda: WELL).decode("ascii")
    assert set(re.findall(r"^([a-z_]+?)(?:_total)?[ {]", said, re.MULTILINE)) == {
        "backchannel_relay_requests",
        "backchannel_relay_commits",
        "backchannel_relay_expired_rows",
        "backchannel_relay_bugs",
        "backchannel_relay_most_waiting_reads",
        "backchannel_relay_seconds_since_last_sweep",
        "backchannel_relay_clock_ahead_hours",
        "backchannel_relay_disk_free_bytes",
        "backchannel_relay_certificate_days_left",
    }
    assert "_created" not in said
    assert all(each.timestamp is None for each in seen(sums))


def test_attack_47_nothing_that_people_do_shows_before_the_hour_turns(sums: Sums) -> None:
    before = of_people(sums)
    for _ in range(3):
        busy_hour(sums, 200)
        sums.bug()
        sums.swept(NOON)
        assert of_people(sums) == before
    sums.swept(Hour(NOON + 1))
    assert of_people(sums) != before


def test_what_happened_before_a_turn_is_told_after_it_and_stands_for_an_hour(sums: Sums) -> None:
    busy_hour(sums, 250)
    sums.bug()
    sums.swept(Hour(NOON + 1))
    assert requests(sums, "append", "done") == 200
    assert requests(sums, "read", "unknown-drop") == 200
    assert values(sums)["commits_total"] == 200
    assert values(sums)["expired_rows_total"] == 700
    assert values(sums)["most_waiting_reads"] == 200
    assert values(sums)["bugs_total"] == 1
    busy_hour(sums, 250)
    assert requests(sums, "append", "done") == 200
    sums.swept(Hour(NOON + 2))
    assert requests(sums, "append", "done") == 500


def test_the_most_that_waited_is_that_of_one_hour(sums: Sums) -> None:
    with waiting(sums, 300):
        with waiting(sums, 400):
            pass
        sums.swept(Hour(NOON + 1))
        assert values(sums)["most_waiting_reads"] == 700
        sums.swept(Hour(NOON + 2))
        assert values(sums)["most_waiting_reads"] == 300
    sums.swept(Hour(NOON + 3))
    assert values(sums)["most_waiting_reads"] == 300
    sums.swept(Hour(NOON + 4))
    assert values(sums)["most_waiting_reads"] == 0


def test_attack_47_a_dialogue_of_fewer_than_a_hundred_deeds_leaves_no_mark(sums: Sums) -> None:
    """Nor does an epoch, a removal or an admission, which few know of: each is one drop."""
    before = of_people(sums)
    busy_hour(sums, 33)  # ninety-nine rows
    sums.swept(Hour(NOON + 1))
    assert of_people(sums) == before


@given(st.lists(st.integers(0, 400), max_size=6))
def test_each_sum_is_the_true_one_to_the_hundred_below(hours: list[int]) -> None:
    sums = Sums()
    sums.swept(NOON)
    total = 0
    for turn, count in enumerate(hours, 1):
        for _ in range(count):
            sums.answered(Operation.READ, "done")
        total += count
        sums.swept(Hour(NOON + turn))
        assert requests(sums, "read", "done") == total // 100 * 100


def test_an_outcome_that_is_in_no_table_is_a_bug_and_no_label(sums: Sums) -> None:
    before = [each.labels for each in seen(sums)]
    with pytest.raises(KeyError):
        sums.answered(Operation.READ, "0123456789abcdef")
    assert [each.labels for each in seen(sums)] == before


def test_how_the_machine_stands_is_told_at_once(sums: Sums) -> None:
    told = values(sums, Machine(clock_ahead=3, disk_free=5 * DISK_STEP + 4097, certificate_days=2))
    assert told["clock_ahead_hours"] == 3
    assert told["disk_free_bytes"] == 5 * DISK_STEP
    assert told["certificate_days_left"] == 2


def test_attack_47_free_disk_does_not_move_with_each_block(sums: Sums) -> None:
    free = range(9 * DISK_STEP, 9 * DISK_STEP + 1000 * 4096, 4096)
    assert len({values(sums, Machine(0, each))["disk_free_bytes"] for each in free}) == 1


def test_a_relay_that_shows_no_certificate_says_nothing_of_one(sums: Sums) -> None:
    assert "certificate_days_left" not in values(sums, Machine(0, 0))


def test_op23_a_sweep_that_does_not_come_is_seen() -> None:
    moments = iter([100.0, 100.0, 160.9, 171.0, 171.0])
    sums = Sums(lambda: next(moments))
    sums.swept(NOON)
    assert values(sums)["seconds_since_last_sweep"] == 60
    sums.swept(NOON)
    assert values(sums)["seconds_since_last_sweep"] == 0


def test_where_nobody_monitors_nobody_counts() -> None:
    metrics = Metrics()
    busy_hour(metrics, 1)
    metrics.bug()
    metrics.swept(NOON)
    assert vars(metrics) == {}
