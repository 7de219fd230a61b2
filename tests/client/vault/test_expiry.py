"""What expires opens no more: not after a restart, not by another clock, not from old copies."""

import itertools
import shutil
from pathlib import Path

import pytest

from backchannel.client.machine.profile import Profile
from backchannel.client.vault.folder import DATABASE, KEYS
from backchannel.client.vault.head import VaultKey
from backchannel.client.vault.vault import Vault, expire
from backchannel.protocol.errors import AuthenticationError, StaleError
from backchannel.protocol.expiry import PlaceKind, item_key, open_item
from backchannel.protocol.outcome import Keep
from backchannel.protocol.secret import ClockValue, ExpiryKey, StoreKey, ThreadKey
from backchannel.protocol.types import (
    MAIN_THREAD,
    ContentHash,
    Core,
    Hour,
    ThreadId,
    Timestamp,
    hour_of,
)
from tests.support.people import ENTROPY, NOON, NORTH, add_channel, message, stolen

Made = tuple[Profile, VaultKey]
DAY = 24 * 3600
AFTER = Timestamp(NOON + DAY)
SECRET = "the bridge at four"
CONTENT = ContentHash(b"c" * 32)
HOUR = hour_of(NOON)
THREAD = ThreadId(b"t" * 16)


@pytest.fixture
def kept(made: Made, vault: Vault) -> Made:
    """A vault that holds one message and one core for a day, and one message for a week; closed."""
    with vault.exclusive(NOON), vault.transaction():
        vault.messages.add(message(1, text=SECRET), NOON, ENTROPY)
        vault.messages.add(message(2, lifetime=168, text="next week"), NOON, ENTROPY)
        core = Keep(CONTENT, Core(bytes(4056)), HOUR, Hour(500_024))
        vault.cores.add(NORTH, [core], NOON, ENTROPY)
    vault.close()
    return made


def texts(made: Made, now: Timestamp) -> list[bytes]:
    with Vault(*made, now) as vault:
        return [row.plain for row in vault.messages.list(NORTH, now)]


def test_a_message_is_there_until_its_hour_and_not_in_it(kept: Made) -> None:
    assert texts(kept, Timestamp(AFTER - 1)) == [SECRET.encode(), b"next week"]
    assert texts(kept, AFTER) == [b"next week"]


def test_a_message_vanishes_from_an_open_vault_before_any_sweep(kept: Made) -> None:
    with Vault(*kept, NOON) as vault:
        assert len(vault.messages.list(NORTH, NOON)) == 2
        assert len(vault.messages.list(NORTH, AFTER)) == 1
        assert vault.cores.get(NORTH, CONTENT, NOON) is not None
        assert vault.cores.get(NORTH, CONTENT, AFTER) is None


def test_attack_25_27_what_died_while_the_program_was_off_is_erased_before_anything_is_read(
    kept: Made,
) -> None:
    profile, key = kept
    before = (profile.vault / KEYS).read_bytes()
    Vault(profile, key, AFTER).close()
    after = (profile.vault / KEYS).read_bytes()
    changed = [
        at // 512 for at in range(0, len(before), 512) if before[at:][:512] != after[at:][:512]
    ]
    assert len(changed) == 2  # one header's hour, and the key that is gone
    assert changed[0] == 1


def test_attack_28_a_clock_that_is_set_back_opens_nothing_again(kept: Made) -> None:
    assert texts(kept, AFTER) == [b"next week"]
    assert texts(kept, NOON) == [b"next week"]
    with Vault(*kept, NOON) as vault:
        assert vault.hour(NOON) == 500_024
        assert vault.cores.get(NORTH, CONTENT, NOON) is None


def test_attack_28_what_is_stored_after_the_clock_was_set_back_does_not_live_longer(
    kept: Made,
) -> None:
    with Vault(*kept, AFTER) as vault, vault.exclusive(NOON), vault.transaction():
        with pytest.raises(StaleError):
            vault.messages.add(message(3), NOON, ENTROPY)
        assert not vault.messages.list(NORTH, NOON)[1:]


def test_attack_26_storing_late_does_not_restart_the_timer(kept: Made) -> None:
    late = Timestamp(NOON + 23 * 3600)
    with Vault(*kept, late) as vault:
        with vault.exclusive(late), vault.transaction():
            vault.messages.add(message(3), late, ENTROPY)
        assert len(vault.messages.list(NORTH, late)) == 3
        assert len(vault.messages.list(NORTH, AFTER)) == 1


def opened_by(key: VaultKey, database: Path, keys: bytes) -> list[bytes]:
    """Every item that a thief opens who has the database, its key and a file of expiry keys."""
    thief = stolen(database, key, keys)
    rows = thief.all("SELECT content, item FROM messages")
    (store,) = thief.all("SELECT key FROM store")
    thief.close()
    found = []
    values = [keys[at + 33 : at + 65] for at in range(0, len(keys), 512)]
    some = [value for value in values if any(value)]
    for content, item in rows:
        for expiry, thread in itertools.product(some, some):
            opener = item_key(StoreKey(store[0]), ExpiryKey(expiry), ThreadKey(thread))
            try:
                found.append(open_item(opener, item, NORTH + content))
            except AuthenticationError:
                continue
    return found


def test_attack_31_34_an_expired_item_opens_for_nobody_who_has_vault_and_passphrase(
    kept: Made, tmp_path: Path
) -> None:
    profile, key = kept
    old = tmp_path / "old-copy.db"
    shutil.copy(profile.vault / DATABASE, old)
    keys = (profile.vault / KEYS).read_bytes()
    assert sorted(opened_by(key, old, keys)) == [b"next week", SECRET.encode()]
    Vault(profile, key, AFTER).close()
    assert opened_by(key, old, (profile.vault / KEYS).read_bytes()) == [b"next week"]


def test_attack_34_the_keys_are_overwritten_where_they_stood(kept: Made) -> None:
    profile, key = kept
    path = profile.vault / KEYS
    before, inode = path.read_bytes(), path.stat().st_ino
    Vault(profile, key, AFTER).close()
    after = path.read_bytes()
    assert path.stat().st_ino == inode
    assert len(after) == len(before)
    gone = [
        before[at + 33 : at + 65]
        for at in range(512, len(before), 512)
        if before[at] and not after[at]
    ]
    assert len(gone) == 1
    assert gone[0] not in b"".join(file.read_bytes() for file in profile.vault.iterdir())


def test_a_timer_without_the_passphrase_destroys_and_opens_nothing(kept: Made) -> None:
    profile, key = kept
    expire(profile, AFTER)
    assert opened_by(key, profile.vault / DATABASE, (profile.vault / KEYS).read_bytes()) == [
        b"next week"
    ]
    assert texts(kept, NOON) == [b"next week"]


def test_a_timer_moves_epoch_clocks(kept: Made) -> None:
    profile, key = kept
    name = b"clock".ljust(16)
    with Vault(profile, key, NOON) as vault, vault.exclusive(NOON):
        vault.set_clock(name, Hour(500_000), ClockValue(bytes(32)), 24)
    expire(profile, AFTER)
    expire(profile, Timestamp(AFTER + DAY))
    with Vault(profile, key, NOON) as vault:
        hour, value = vault.clock(name)
    assert hour == 500_000 + 48 - 24 - 2
    assert value != ClockValue(bytes(32))
    assert bytes(32) + b"clock" not in (profile.vault / KEYS).read_bytes()


def test_a_laptop_that_was_closed_for_a_weekend_just_works(kept: Made) -> None:
    assert texts(kept, Timestamp(NOON + 3 * DAY)) == [b"next week"]


def test_a_sweep_deletes_rows_and_empties_the_log(kept: Made) -> None:
    profile, key = kept
    with Vault(profile, key, AFTER) as vault:
        assert vault.sweep(AFTER, ENTROPY) == (1, 1, True)
        assert vault.sweep(AFTER, ENTROPY) == (0, 0, True)
        assert (profile.vault / f"{DATABASE}-wal").stat().st_size == 0
        assert not vault.cores.has(NORTH, CONTENT)


def test_a_torn_last_place_is_not_taken_for_damage(kept: Made) -> None:
    profile, _ = kept
    with (profile.vault / KEYS).open("ab") as file:
        file.write(b"\2" * 100)
    assert len(texts(kept, NOON)) == 2


def test_a_key_that_moved_to_another_row_opens_nothing(kept: Made) -> None:
    """An item is bound to its channel and content hash."""
    profile, key = kept
    database = stolen(profile.vault / DATABASE, key)
    with database.transaction():
        database.change("UPDATE messages SET content = ? WHERE author = 1 AND rank = 1", b"x" * 32)
    database.close()
    with Vault(profile, key, NOON) as vault, pytest.raises(AuthenticationError):
        vault.messages.list(NORTH, NOON)


@pytest.mark.parametrize("twin", [0, 512])
def test_attack_30_a_torn_header_does_not_pass_for_a_later_hour(kept: Made, twin: int) -> None:
    """Power was lost while the hour was raised: what is dead is erased at the next start."""
    profile, key = kept
    path = profile.vault / KEYS
    data = bytearray(path.read_bytes())
    data[twin + 25 : twin + 29] = b"\xff" * 4
    path.write_bytes(data)
    assert texts(kept, AFTER) == [b"next week"]
    assert opened_by(key, profile.vault / DATABASE, path.read_bytes()) == [b"next week"]


LATER = Timestamp(NOON + 6 * 3600)


def keep_two(vault: Vault) -> None:
    """A message of ten hours in each of two threads, and a core beside each."""
    with vault.exclusive(NOON), vault.transaction():
        for number, thread in ((1, MAIN_THREAD), (2, THREAD)):
            each = message(number, lifetime=10)._replace(thread=thread)
            vault.messages.add(each, NOON, ENTROPY)
            core = Core((b"\1" + HOUR.to_bytes(4)).ljust(4056, b"\0"))
            kept = Keep(each.content, core, HOUR, each.expires)
            vault.cores.add(NORTH, [kept], NOON, ENTROPY)


def shorten(vault: Vault, thread: ThreadId | None, lifetime: int, now: Timestamp) -> None:
    with vault.exclusive(now), vault.transaction():
        ends = vault.messages.shorten(NORTH, thread, lifetime, now, ENTROPY)
        vault.cores.shorten(NORTH, ends if thread else None, lifetime, now, ENTROPY)
    vault.sweep(now, ENTROPY)


def orders(vault: Vault, now: Timestamp) -> list[int]:
    found = [each.order for each in vault.messages.list(NORTH, now)]
    cores = vault.cores.many(NORTH, [message(number).content for number in (1, 2)], now)
    assert [int.from_bytes(content) for content in cores] == found
    return found


def test_what_lives_shorter_from_now_on_is_under_keys_that_die_sooner(vault: Vault) -> None:
    keep_two(vault)
    shorten(vault, None, 8, NOON)
    (name,) = vault._expiry.keys.names(PlaceKind.EXPIRY)
    assert int.from_bytes(name[4:8]) == HOUR + 8
    assert orders(vault, Timestamp(NOON + 7 * 3600)) == [1, 2]
    assert orders(vault, Timestamp(NOON + 8 * 3600)) == []


def test_a_thread_that_is_shortened_leaves_the_others(vault: Vault) -> None:
    keep_two(vault)
    shorten(vault, THREAD, 3, NOON)
    assert orders(vault, Timestamp(NOON + 2 * 3600)) == [1, 2]
    assert orders(vault, Timestamp(NOON + 3 * 3600)) == [1]


def test_what_would_be_over_by_now_is_gone_at_once(vault: Vault) -> None:
    keep_two(vault)
    shorten(vault, None, 6, LATER)
    assert orders(vault, LATER) == []
    assert vault._expiry.keys.names(PlaceKind.EXPIRY) == set()


def test_nothing_lives_longer_by_being_shortened(vault: Vault) -> None:
    keep_two(vault)
    shorten(vault, None, 20, NOON)
    shorten(vault, None, 10, NOON)
    assert orders(vault, Timestamp(NOON + 10 * 3600)) == []
    assert {each.expires for each in vault.messages.list(NORTH, NOON)} == {HOUR + 10}


def test_attack_58_an_old_copy_dies_sooner_too(made: Made) -> None:
    profile, key = made
    with Vault(profile, key, NOON) as vault:
        add_channel(vault)
        keep_two(vault)
        vault.sweep(NOON, ENTROPY)
        copy = (profile.vault / DATABASE).read_bytes()
        shorten(vault, None, 3, NOON)
        assert orders(vault, NOON) == [1, 2]
    (profile.vault / DATABASE).write_bytes(copy)
    with Vault(profile, key, NOON) as old:
        assert orders(old, NOON) == []


def test_a_clock_dies_sooner_where_its_channel_lives_shorter(vault: Vault) -> None:
    name = b"1" * 16
    with vault.exclusive(NOON):
        vault.set_clock(name, HOUR, ClockValue(bytes(32)), 24)
        vault.set_clock(name, HOUR, ClockValue(bytes(32)), 6)
        vault.set_clock(name, HOUR, ClockValue(bytes(32)), 12)
    with vault.exclusive(Timestamp(NOON + 10 * 3600)):
        assert vault.clock(name)[0] == HOUR + 10 - 6 - 2
