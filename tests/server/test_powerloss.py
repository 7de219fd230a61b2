"""Attack classes 30 and 56: power goes at any moment, and what was answered holds.

The real relay works over real files while everything that it writes is recorded; then losses of
power are made from the recording (tests/support/powerloss) and the real relay starts on what each
leaves. `BACKCHANNEL_CRASHES` says how many; `make crashes` tries 10,000 over relay and vault.
"""

import _sqlite3
import os
from collections import Counter

import pytest

from backchannel.protocol.expiry import Write
from backchannel.server.home import Home
from backchannel.server.places import PlacesFile
from backchannel.server.sqlite import file as sqlite_file
from tests.support.powerloss.disk import Crash, Dice, crashes
from tests.support.powerloss.recorder import put, recording
from tests.support.powerloss.relay import (
    Ledger,
    append,
    busy_days,
    found,
    recorded,
    restarted,
    start,
)

COUNT = int(os.environ.get("BACKCHANNEL_CRASHES", "400"))
CONTROL = 200


def faults(count: int) -> Counter[str]:
    """What `count` losses of power break, and how often."""
    broken = Counter[str]()
    with recorded(busy_days) as (home, made):
        for number, crash in enumerate(crashes(made.before, made.events, count, Dice("relay"))):
            ledger = Ledger(crash.said)
            hour = 0 if number % 2 else ledger.hour  # who has the disk sets its clock back
            broken.update(set(start(home, crash.files, ledger, hour)))
    return broken


@pytest.mark.slow
def test_attack_30_56_after_a_loss_of_power_nothing_is_lost_or_back() -> None:
    assert faults(COUNT) == {}


@pytest.mark.slow
def test_attack_30_56_nor_after_a_second_loss_during_the_restart() -> None:
    broken = Counter[str]()
    with recorded(busy_days) as (home, made):
        for first in crashes(made.before, made.events, COUNT // 20, Dice("first")):
            broken.update(second(home, first, 10))
    assert broken == {}


def second(home: Home, first: Crash, count: int) -> Counter[str]:
    """A relay starts on what one loss left and takes a block; then power goes again, at any
    moment of that.
    """
    ledger, broken = Ledger(first.said), Counter[str]()
    put(first.files, home.path)
    with recording(home.path, _sqlite3) as made, restarted(home, ledger.hour) as relay:
        append(relay, ledger, found(relay, ledger.drops), made)
    for crash in crashes(made.before, made.events, count, Dice(f"second {first.at}")):
        told = Ledger([*first.said, *crash.said])
        broken.update(start(home, crash.files, told, told.hour))
    return broken


def test_control_a_lazy_log_loses_blocks_and_brings_deleted_ones_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lazy = tuple(each.replace("= FULL", "= NORMAL") for each in sqlite_file._PRAGMAS)
    assert lazy != sqlite_file._PRAGMAS
    monkeypatch.setattr(sqlite_file, "_PRAGMAS", lazy)
    broken = faults(CONTROL)
    assert broken["an acknowledged block is lost"]
    assert broken["a deleted drop is back"]


def test_control_keys_that_are_not_synced_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def lazy(self: PlacesFile, writes: list[Write]) -> None:
        for write in writes:
            self._put(write)

    monkeypatch.setattr(PlacesFile, "put", lazy)
    broken = faults(CONTROL)
    assert any(fault.startswith("an erased key is in expiry.keys") for fault in broken)
    assert broken["an acknowledged block is lost"]
