"""The two halves of a vault: one is the vault, the other shows nobody what it is. And its base key:
without it, nothing of a database opens.
"""

import os
import shutil
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from unittest.mock import patch

import pytest

from backchannel.client.errors import VaultDamaged, WrongPassphrase
from backchannel.client.machine.profile import Profile
from backchannel.client.vault import folder as folders
from backchannel.client.vault.database import Database
from backchannel.client.vault.folder import (
    DATABASE,
    HEAD,
    KEYS,
    SPARE_DATABASE,
    SPARE_KEYS,
    Folder,
)
from backchannel.client.vault.head import VaultKey
from backchannel.client.vault.lock import Lock
from backchannel.client.vault.vault import Vault, expire
from backchannel.client.wire.route import mark
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.expiry import ExpiryKeys, PlaceKind
from backchannel.protocol.secret import ClockValue
from backchannel.protocol.types import Hour, Timestamp, hour_of
from tests.support.people import (
    ENTROPY,
    NOON,
    NORTH,
    PASSPHRASE,
    add_channel,
    make_vault,
    message,
    stolen,
)

Made = tuple[Profile, VaultKey]
DURESS = "summer holidays in the mountains"
TOMORROW = Timestamp(NOON + 24 * 3600)
HOUR = hour_of(NOON)


def plant(profile: Profile) -> None:
    """What `duress set` does."""
    folder = Folder(profile.vault)
    head, key = folder.head().with_duress(DURESS)
    folder.plant(key, HOUR, ENTROPY)
    folder.put_head(head)


def enter(profile: Profile, passphrase: str) -> list[str]:
    """The channels that a passphrase shows."""
    with Vault(profile, Vault.key(profile, passphrase, NOON, ENTROPY), NOON) as vault:
        return [row.name for row in vault.channels.list()]


def in_haste() -> AbstractContextManager[object]:
    """A surrender waits for no command that is at work."""
    return patch.multiple("backchannel.client.vault.vault", _HASTE=0.0, _SLOWEST=0.0)


@pytest.fixture
def home(made: Made) -> Made:
    """A vault that holds a channel and a message; closed."""
    with Vault(*made, NOON) as vault:
        add_channel(vault)
        with vault.exclusive(NOON), vault.transaction():
            vault.messages.add(message(1, text="the bridge at four"), NOON, ENTROPY)
    return made


def test_the_duress_passphrase_opens_an_innocent_vault_and_the_real_one_is_gone(home: Made) -> None:
    profile, key = home
    plant(profile)
    assert enter(profile, PASSPHRASE) == ["north"]
    copy = (profile.vault / DATABASE).read_bytes()
    assert enter(profile, DURESS) == []
    with pytest.raises(WrongPassphrase):
        enter(profile, PASSPHRASE)
    kept = profile.data / "copy.db"  # by whoever had the device before
    kept.write_bytes(copy)
    with pytest.raises(VaultDamaged):
        stolen(kept, key, (profile.vault / KEYS).read_bytes())
    assert enter(profile, DURESS) == []


def test_the_keys_of_the_real_one_are_overwritten_where_they_stood(home: Made) -> None:
    profile, _ = home
    plant(profile)
    with (profile.vault / KEYS).open("rb") as held:  # the very file, whatever it is named later
        real = secrets(held.read())
        assert len(real) == 3  # of the database, the message and its thread
        enter(profile, DURESS)
        held.seek(0)
        assert not real & secrets(held.read())
    assert not any(real & secrets(path.read_bytes()) for path in profile.vault.iterdir())


def secrets(keys: bytes) -> set[bytes]:
    """The values of all places but headers and empty ones."""
    places = (keys[at : at + 512] for at in range(1024, len(keys), 512))
    return {place[33:65] for place in places if any(place[33:65])}


def test_attack_a_thief_cannot_tell_whether_a_duress_passphrase_is_set(tmp_path: Path) -> None:
    """The same names, sizes, kinds of places and times, whether it is set or not."""
    shapes = []
    for name in ("with", "without"):
        profile, key = make_vault(tmp_path / name)
        if name == "with":
            plant(profile)
        for now in (NOON, TOMORROW):
            with Vault(profile, key, now) as vault:
                vault.sweep(now, ENTROPY)
        files = sorted(profile.vault.iterdir())
        spare = (profile.vault / SPARE_KEYS).read_bytes()
        places = [(spare[at], spare[at + 25 : at + 33]) for at in range(0, len(spare), 512)]
        stats = [path.stat() for path in files]
        latest = max(each.st_mtime for each in stats)
        assert latest - (profile.vault / SPARE_DATABASE).stat().st_mtime < 5
        shapes.append(([path.name for path in files], [s.st_size for s in stats], places))
        head = (profile.vault / folders.HEAD).read_bytes()
        assert len(set(head[84:])) > 16  # noise in both
    assert shapes[0] == shapes[1]


def seen(path: Path) -> tuple[int, int]:
    """The hours in the two headers of a file of keys, in their order."""
    data = path.read_bytes()
    return int.from_bytes(data[25:29]), int.from_bytes(data[537:541])


@pytest.mark.parametrize("hours", [0, 1, 2])
def test_attack_the_headers_of_the_spare_keys_tell_when_it_was_planted(
    made: Made, hours: int
) -> None:
    """A younger file would have seen fewer hours, or the same in another order."""
    profile, key = made
    for hour in range(hours + 1):
        with Vault(profile, key, Timestamp(NOON + hour * 3600)):
            pass
    plant(profile)
    assert seen(profile.vault / SPARE_KEYS) == seen(profile.vault / KEYS)


def numbers(profile: Profile) -> set[int]:
    """Of the files themselves: a file that was made anew has another, and another birth."""
    return {path.stat().st_ino for path in profile.vault.iterdir()}


def test_attack_no_file_is_younger_after_planting_or_after_a_surrender(home: Made) -> None:
    profile, _ = home
    before = numbers(profile)
    plant(profile)
    assert numbers(profile) == before
    enter(profile, DURESS)
    assert numbers(profile) == before


def test_attack_which_half_is_older_says_nothing_of_a_surrender(tmp_path: Path) -> None:
    """A surrender exchanges them; so they are made in either order from the start."""
    older = set()
    for number in range(30):
        profile, _ = make_vault(tmp_path / str(number))
        first, spare = (
            path.stat().st_ino for path in map(profile.vault.joinpath, (KEYS, SPARE_KEYS))
        )
        older.add(first < spare)
    assert older == {True, False}


def test_attack_a_base_key_of_no_hour_shows_a_surrender(home: Made) -> None:
    profile, _ = home
    plant(profile)
    key = Vault.key(profile, DURESS, NOON, ENTROPY)
    with Vault(profile, key, NOON) as vault:
        assert [base.hour for base in vault._expiry.bases] == [HOUR]


def test_attack_a_command_at_work_writes_keys_back_while_it_is_surrendered(home: Made) -> None:
    """It has them in memory still; when it has stopped they are overwritten once more."""
    profile, key = home
    plant(profile)
    with Vault(profile, key, NOON) as vault, vault.exclusive(NOON):
        real = secrets((profile.vault / KEYS).read_bytes())
        with in_haste():
            assert enter(profile, DURESS) == []
        vault._database.fold()
    assert enter(profile, DURESS) == []
    assert not any(real & secrets(path.read_bytes()) for path in profile.vault.iterdir())


def test_attack_167_what_a_command_at_work_writes_shows_the_size_of_what_was_there(
    home: Made,
) -> None:
    """Its files are the spare half by then, and it has them open."""
    profile, key = home
    plant(profile)
    usual = (profile.vault / SPARE_DATABASE).stat().st_size
    with Vault(profile, key, NOON) as vault, vault.exclusive(NOON):
        with ExitStack() as changing:
            changing.enter_context(vault.transaction())
            vault.channels.put_state(NORTH, bytes(50 * usual), {})
            with in_haste():
                assert enter(profile, DURESS) == []
            with pytest.raises(VaultDamaged):
                changing.close()
        with pytest.raises(VaultDamaged):
            vault.fold()
    assert (profile.vault / SPARE_DATABASE).stat().st_size == usual


def test_attack_167_what_a_command_at_work_writes_puts_a_real_key_into_the_spare_half(
    home: Made,
) -> None:
    profile, key = home
    plant(profile)
    clock = ClockValue(b"of what was said".ljust(32))
    with Vault(profile, key, NOON) as vault, vault.exclusive(NOON):
        with in_haste():
            assert enter(profile, DURESS) == []
        with pytest.raises(VaultDamaged):
            vault.set_clock(NORTH, HOUR, clock, 24)
    assert clock.expose() not in (profile.vault / SPARE_KEYS).read_bytes()


def test_attack_167_what_was_under_way_is_written_over_once_that_command_has_stopped(
    home: Made,
) -> None:
    """It looked before the keys went, and its disk was slow."""
    profile, _ = home
    plant(profile)
    usual = (profile.vault / SPARE_DATABASE).stat().st_size
    surrender, other = Folder.surrender, Lock(profile.lock)

    def overtaken(folder: Folder, hour: Hour, entropy: Entropy) -> None:
        surrender(folder, hour, entropy)
        folder.spare.database.write_bytes(bytes(50 * usual))
        other.__exit__()

    other.__enter__()
    with in_haste(), patch.object(Folder, "surrender", overtaken):
        Vault.key(profile, DURESS, NOON, ENTROPY)
    assert (profile.vault / SPARE_DATABASE).stat().st_size == usual


def test_attack_167_the_mark_of_a_proxy_tells_when_a_relay_was_last_asked(home: Made) -> None:
    """It is as old as all the rest, in whichever half."""
    profile, _ = home
    plant(profile)
    mark(profile)
    os.utime(profile.proxied, (1, 1))
    enter(profile, DURESS)
    assert profile.proxied.stat().st_mtime_ns >= (profile.vault / HEAD).stat().st_mtime_ns


def test_after_a_surrender_it_looks_like_any_vault(home: Made, tmp_path: Path) -> None:
    profile, _ = home
    plant(profile)
    enter(profile, DURESS)
    other, _ = make_vault(tmp_path / "other")
    assert [path.name for path in sorted(profile.vault.iterdir())] == [
        path.name for path in sorted(other.vault.iterdir())
    ]
    spare = ExpiryKeys((profile.vault / SPARE_KEYS).read_bytes())
    assert len(spare.names(PlaceKind.BASE)) == 1


STEPS = ["overwrite", "_remove_beside", "_sync", "put_head", "mend"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("after", [False, True])
def test_attack_power_is_cut_while_a_vault_is_surrendered(
    home: Made, step: str, after: bool
) -> None:
    """The next try goes on, and at no moment does the real one open again once a key is gone."""
    profile, _ = home
    plant(profile)
    owner = Folder if hasattr(Folder, step) else folders
    real = getattr(owner, step)

    def cut(*arguments: object) -> None:
        if after:
            real(*arguments)
        raise KeyboardInterrupt

    with patch.object(owner, step, cut), pytest.raises(KeyboardInterrupt):
        Vault.key(profile, DURESS, NOON, ENTROPY)
    if (step, after) != ("overwrite", False):
        with pytest.raises((VaultDamaged, WrongPassphrase)):
            enter(profile, PASSPHRASE)
    assert enter(profile, DURESS) == []
    assert enter(profile, DURESS) == []
    assert all(path.exists() for half in Folder(profile.vault).halves for path in half)


def test_a_timer_looks_after_both_halves(home: Made) -> None:
    profile, _ = home
    plant(profile)
    expire(profile, Timestamp(NOON + 3600))
    for name in (KEYS, SPARE_KEYS):
        assert ExpiryKeys((profile.vault / name).read_bytes()).highest == HOUR + 1


def test_attack_34_a_days_old_copy_of_the_database_opens_for_nobody(home: Made) -> None:
    """Neither with the passphrase nor with the keys as they are: topics, names and states too."""
    profile, key = home
    copy = profile.vault / "copy.db"
    shutil.copy(profile.vault / DATABASE, copy)
    then = (profile.vault / KEYS).read_bytes()
    stolen(copy, key).close()
    with Vault(profile, key, TOMORROW) as vault:
        vault.sweep(TOMORROW, ENTROPY)
        assert [row.name for row in vault.channels.list()] == ["north"]
    with pytest.raises(VaultDamaged):
        stolen(copy, key)
    stolen(copy, key, then).close()  # which shows that the old base key is what is missing
    assert len(ExpiryKeys((profile.vault / KEYS).read_bytes()).names(PlaceKind.BASE)) == 1


def test_attack_29_an_older_database_put_back_opens_no_more(home: Made) -> None:
    profile, key = home
    copy = (profile.vault / DATABASE).read_bytes()
    with Vault(profile, key, TOMORROW) as vault:
        vault.sweep(TOMORROW, ENTROPY)
    (profile.vault / DATABASE).write_bytes(copy)
    with pytest.raises(VaultDamaged):
        Vault(profile, key, TOMORROW)


def test_within_a_day_the_key_stays(home: Made) -> None:
    profile, key = home
    with Vault(profile, key, NOON) as vault:
        vault.sweep(NOON, ENTROPY)
        first = vault._expiry.bases
        vault.sweep(Timestamp(NOON + 60), ENTROPY)
        assert vault._expiry.bases == first


def test_another_process_follows_a_renewal(home: Made) -> None:
    with Vault(*home, NOON) as reader, Vault(*home, NOON) as writer:
        assert reader.channels.get(name="north").id == NORTH
        writer.sweep(TOMORROW, ENTROPY)
        assert reader.channels.get(name="north").id == NORTH
        with reader.exclusive(TOMORROW), reader.transaction():
            reader.channels.put_state(NORTH, b"later", {})
        assert writer.channels.get("north").state == b"later"


@pytest.mark.parametrize("where", ["renew", "erase"])
def test_a_renewal_that_was_cut_short_is_finished_at_the_next_sweep(home: Made, where: str) -> None:
    profile, key = home
    owner = {"renew": Database, "erase": ExpiryKeys}[where]
    real = getattr(owner, where)

    def cut(this: object, *arguments: object) -> object:
        if where == "renew" or arguments[0] is PlaceKind.BASE:
            raise KeyboardInterrupt
        return real(this, *arguments)

    patched = patch.object(owner, where, cut)
    with Vault(profile, key, TOMORROW) as vault, pytest.raises(KeyboardInterrupt), patched:
        vault.sweep(TOMORROW, ENTROPY)
    with Vault(profile, key, TOMORROW) as vault:
        assert len(vault._expiry.bases) == 2
        vault.sweep(TOMORROW, ENTROPY)
        assert len(vault._expiry.bases) == 1
        assert [row.name for row in vault.channels.list()] == ["north"]
    with Vault(profile, key, TOMORROW) as vault:
        assert [row.name for row in vault.channels.list()] == ["north"]


def test_attack_files_that_come_and_go_do_not_stop_a_destruction(home: Made) -> None:
    """Another command folds its log meanwhile, or begins one."""
    profile, _ = home
    real, tries = shutil.rmtree, list[Path]()

    def beside(path: Path, *, ignore_errors: bool) -> None:
        tries.append(path)
        real(path, ignore_errors=ignore_errors)
        if len(tries) < 3:
            path.mkdir()
            (path / f"{DATABASE}-wal").touch()

    with patch.object(shutil, "rmtree", beside):
        Folder(profile.vault).destroy()
    assert not profile.has_vault


def test_destroying_overwrites_keys_and_needs_no_passphrase(home: Made) -> None:
    profile, key = home
    kept = profile.data / "kept.db"
    shutil.copy(profile.vault / DATABASE, kept)
    held = [(profile.vault / name).open("rb") for name in (KEYS, SPARE_KEYS, folders.HEAD)]
    Folder(profile.vault).destroy()
    assert not any(any(file.read()) for file in held)
    for file in held:
        file.close()
    assert not profile.has_vault
    with pytest.raises(VaultDamaged):
        stolen(kept, key, bytes(4096))
