"""Attack class 30: power goes while a vault is surrendered, armed for that, or destroyed.

As test_powerloss; only that here files come, go and change their names.
"""

import functools
import os
from collections.abc import Callable, Iterator

import pytest
import sqlcipher3._sqlite3 as library

from backchannel.client.errors import NoVault, VaultDamaged, WrongPassphrase
from backchannel.client.keeping import duress
from backchannel.client.keeping.purging import purge_all
from backchannel.client.machine.profile import Profile
from backchannel.client.vault import expiry_file, head
from backchannel.client.vault.vault import Vault
from tests.support.people import ENTROPY, NOON, PASSPHRASE, add_channel, make_vault
from tests.support.powerloss.disk import Crash, Dice, Files, How, crashes
from tests.support.powerloss.recorder import files_of, put, quick_folder, recording
from tests.support.powerloss.vault import keys_in

pytestmark = pytest.mark.slow

COUNT = int(os.environ.get("BACKCHANNEL_CRASHES", "300")) // 6
DURESS, OTHER = "summer holidays in the mountains", "the tide table of last winter"


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same guess costs its half second once; the files are small."""
    monkeypatch.setattr(head, "_derive", functools.cache(head._derive))
    monkeypatch.setattr(expiry_file, "PLACES", 8)


def losses(work: Callable[[Profile], None]) -> Iterator[tuple[Profile, Crash, bytes]]:
    """A home on what each loss leaves while that is done to an armed vault; and the key of the
    vault's database.
    """
    with quick_folder() as folder:
        profile, key = make_vault(folder / "home")
        with Vault(profile, key, NOON) as vault:
            add_channel(vault)
        duress.put(profile, DURESS, NOON, ENTROPY)
        (base,) = keys_in((profile.vault / "expiry.keys").read_bytes())
        with recording(profile.data, library) as made:
            work(profile)
            made.mark("done")
        found = Profile.at(folder / "found")
        dice = Dice(work.__name__)  # the header leans on its one sector
        before = Crash(made.before, [], 0, How.NOTHING)
        for crash in (before, *crashes(made.before, made.events, COUNT, dice, torn=False)):
            put(crash.files, found.data)
            yield found, crash, base


def enter(profile: Profile, passphrase: str) -> list[str] | None:
    """The channels that it shows; none where it is any wrong passphrase."""
    try:
        key = Vault.key(profile, passphrase, NOON, ENTROPY)
    except WrongPassphrase:
        return None
    with Vault(profile, key, NOON) as vault:
        return [row.name for row in vault.channels.list()]


def holds(key: bytes, files: Files) -> bool:
    return any(key in data for data in files.values())


def surrender(profile: Profile) -> None:
    assert enter(profile, DURESS) == []


def test_attack_30_a_surrender_that_is_cut_short_goes_on_and_the_real_one_never_returns() -> None:
    seen = set[object]()
    for profile, crash, base in losses(surrender):
        if "done" in crash.said:
            assert not holds(base, crash.files)
            assert enter(profile, PASSPHRASE) is None
        else:
            try:
                shown = enter(profile, PASSPHRASE)
            except VaultDamaged:
                shown = None
            assert shown in (None, ["north"])
            assert shown is None or holds(base, crash.files)
            seen.add(None if shown is None else "north")
        assert enter(profile, DURESS) == []
        assert enter(profile, DURESS) == []
        assert not holds(base, files_of(profile.data))
    assert seen == {None, "north"}


def set_another(profile: Profile) -> None:
    duress.put(profile, OTHER, NOON, ENTROPY)


def test_attack_30_a_duress_passphrase_half_set_harms_nothing() -> None:
    for profile, crash, _ in losses(set_another):
        assert enter(profile, PASSPHRASE) == ["north"]
        if "done" in crash.said:
            assert enter(profile, DURESS) is None
            assert enter(profile, OTHER) == []
        else:
            shown = enter(profile, OTHER)
            assert shown == [] or (shown is None and enter(profile, DURESS) in (None, []))


def destroy(profile: Profile) -> None:
    purge_all(profile)


def test_attack_30_what_purge_all_destroyed_stays_destroyed() -> None:
    for profile, crash, base in losses(destroy):
        if "done" in crash.said:
            assert not holds(base, crash.files)
        try:
            shown = enter(profile, PASSPHRASE)
        except (NoVault, VaultDamaged):
            shown = None
        assert shown is None or "done" not in crash.said
        assert shown in (None, ["north"])
