"""Attack class 30: power goes at any moment, and what a vault kept is kept, what it erased is gone.

A real vault is used over real files while everything that it writes is recorded; then losses of
power are made from the recording (tests/support/powerloss) and the vault is opened on what each
leaves. `BACKCHANNEL_CRASHES` says how many; `make crashes` tries 10,000 over relay and vault.
"""

import os
from collections import Counter
from itertools import cycle
from pathlib import Path

import pytest
import sqlcipher3._sqlite3 as library

from backchannel.client.errors import VaultDamaged
from backchannel.client.vault import database
from backchannel.client.vault.expiry_file import ExpiryFile
from backchannel.client.vault.vault import Vault
from backchannel.protocol.expiry import Write
from tests.support.people import ENTROPY, NOON, stolen
from tests.support.powerloss.disk import Crash, Dice, Files, How, crashes
from tests.support.powerloss.recorder import put, recording
from tests.support.powerloss.vault import Ledger, Made, busy_days, look, recorded, start

COUNT = int(os.environ.get("BACKCHANNEL_CRASHES", "300"))
CONTROL = 250


def faults(count: int) -> Counter[str]:
    """What `count` losses of power break, and how often."""
    broken = Counter[str]()
    with recorded(busy_days) as made:
        for crash, now in zip(losses(made, count, "vault"), cycle((None, NOON)), strict=False):
            ledger = Ledger(crash.said, made.marks)
            broken.update(set(start(made, crash.files, ledger, now)))  # who has it sets it back
    return broken


def losses(made: Made, count: int, seed: str) -> list[Crash]:
    return list(crashes(made.recording.before, made.recording.events, count, Dice(seed)))


@pytest.mark.slow
def test_attack_30_after_a_loss_of_power_nothing_is_lost_or_back() -> None:
    assert faults(COUNT) == {}


@pytest.mark.slow
def test_attack_30_nor_after_a_second_loss_during_the_next_command() -> None:
    broken = Counter[str]()
    with recorded(busy_days) as made:
        for first in losses(made, COUNT // 20, "first"):
            broken.update(second(made, first, 10))
    assert broken == {}


def second(made: Made, first: Crash, count: int) -> Counter[str]:
    """A vault is opened and swept on what one loss left; then power goes again, at any moment of
    that.
    """
    ledger, broken = Ledger(first.said, made.marks), Counter[str]()
    put(first.files, made.found.data)
    with (
        recording(made.found.data, library) as again,
        Vault(made.found, made.key, ledger.now) as vault,
    ):
        vault.sweep(ledger.now, ENTROPY)
        ledger.before = ledger.after = look(vault, ledger.now)
    for crash in crashes(again.before, again.events, count, Dice(f"second {first.at}")):
        broken.update(start(made, crash.files, ledger))
    return broken


def test_attack_58_no_older_copy_of_the_database_opens_after_its_day(tmp_path: Path) -> None:
    """Whoever has the passphrase, every older copy, and all that a loss of power left."""
    with recorded(busy_days) as made:
        whole = losses(made, len(made.recording.events), "whole")
        copies = [each for each in whole if each.how is How.ALL][::20]
        assert all(opens(made, copy.files, copy.files, tmp_path) for copy in copies)
        later = Ledger(whole[-1].said, made.marks)
        days = {(Ledger(copy.said, made.marks).now - NOON) // 86400 for copy in copies}
        assert len(days) > 2
        for copy in copies:
            if later.now - Ledger(copy.said, made.marks).now > 86400:
                assert not opens(made, copy.files, whole[-1].files, tmp_path)


def opens(made: Made, database: Files, keys: Files, folder: Path) -> bool:
    """Whether the database of one time opens with the keys of another."""
    put({name.split("/")[-1]: data for name, data in database.items()}, folder / "stolen")
    try:
        stolen(folder / "stolen" / "vault.db", made.key, keys["vault/expiry.keys"]).close()
    except VaultDamaged:
        return False
    return True


def test_control_a_lazy_log_loses_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    lazy = tuple(each.replace("= FULL", "= NORMAL") for each in database._AFTER_KEY)
    assert lazy != database._AFTER_KEY
    monkeypatch.setattr(database, "_AFTER_KEY", lazy)
    broken = faults(CONTROL)
    assert broken["a change is lost, or is there in part"]
    assert broken["the vault does not open"]


def test_control_keys_that_are_not_synced_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def lazy(self: ExpiryFile, writes: list[Write]) -> None:
        for write in writes:
            os.pwrite(self._descriptor, write.data, write.offset)

    monkeypatch.setattr(ExpiryFile, "_put", lazy)
    broken = faults(CONTROL)
    assert broken["an erased key is in vault/expiry.keys"]
    assert broken["a change is lost, or is there in part"]
