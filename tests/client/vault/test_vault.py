"""The vault: made whole, opened by its key alone, changed only in transactions, by one process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from backchannel.client.errors import (
    NotFound,
    NoVault,
    UsageMistake,
    VaultBusy,
    VaultDamaged,
    VaultTooNew,
)
from backchannel.client.machine.profile import Profile
from backchannel.client.vault import migrate
from backchannel.client.vault.channels import ChannelRow
from backchannel.client.vault.cursors import Cursor
from backchannel.client.vault.database import Database
from backchannel.client.vault.folder import DATABASE, HEAD, KEYS
from backchannel.client.vault.head import DatabaseKey, VaultKey, database_key
from backchannel.client.vault.outbox import Owed
from backchannel.client.vault.vault import Vault
from backchannel.protocol.errors import StaleError
from backchannel.protocol.expiry import PlaceKind
from backchannel.protocol.outcome import Keep
from backchannel.protocol.secret import BaseKey, ClockValue, X25519Private
from backchannel.protocol.types import (
    ChannelId,
    ContentHash,
    Core,
    DropId,
    EpochId,
    Hour,
    ThreadId,
    Timestamp,
    hour_of,
)
from tests.support.people import ENTROPY, NOON, NORTH, PASSPHRASE, make_vault, message, stolen

Made = tuple[Profile, VaultKey]
DROP = DropId(b"drop".ljust(16))
HOUR = hour_of(NOON)


def owed(label: str = "a post", owner: bytes = NORTH) -> Owed:
    key = X25519Private(bytes(range(32)))
    return Owed(owner, "https://relay", b"r" * 32, DROP, key, 2, b"block", label, Hour(500_000))


class StopError(Exception):
    """Ends a transaction half-way."""


@contextmanager
def abandoned(vault: Vault) -> Iterator[None]:
    """A transaction that fails after all that is done in it."""
    with vault.exclusive(NOON), suppress(StopError), vault.transaction():
        yield
        raise StopError


def test_there_is_no_vault_before_one_is_made(tmp_path: Path) -> None:
    with pytest.raises(NoVault):
        Vault(Profile.at(tmp_path), VaultKey(bytes(32)), NOON)


def test_a_vault_is_not_made_over_another(made: Made) -> None:
    with pytest.raises(VaultDamaged, match="a vault here already"):
        Vault.create(made[0], "another", NOON, ENTROPY)


def test_the_passphrase_gives_the_key_that_opens(made: Made) -> None:
    assert Vault.key(made[0], PASSPHRASE, NOON, ENTROPY) == made[1]


def test_another_key_does_not_open_it_and_changes_nothing(made: Made) -> None:
    profile, _ = made
    before = {path: path.read_bytes() for path in profile.vault.iterdir()}
    with pytest.raises(VaultDamaged):
        Vault(profile, VaultKey(bytes(32)), NOON)
    assert {path: path.read_bytes() for path in profile.vault.iterdir()} == before


@pytest.mark.parametrize("name", [HEAD, DATABASE, KEYS])
def test_a_missing_file_is_said_to_be_damage(made: Made, name: str) -> None:
    profile, key = made
    (profile.vault / name).unlink()
    action = Vault.key if name == HEAD else Vault
    arguments = (profile, PASSPHRASE, NOON, ENTROPY) if name == HEAD else (profile, key, NOON)
    with pytest.raises(VaultDamaged):
        action(*arguments)


def test_attack_37_nothing_beside_the_vault_opens_it(made: Made) -> None:
    """Every 32 bytes that stand in any file of the home are tried as the key of its database."""
    profile, key = made
    beside = [path for path in profile.data.rglob("*") if path.is_file()]
    assert {path.name for path in beside} >= {HEAD, DATABASE, KEYS}
    content = b"".join(path.read_bytes() for path in beside)
    assert key.expose() not in content
    assert key.expose().hex().encode() not in content
    assert PASSPHRASE.encode() not in content


def test_attack_37_expiry_keys_do_not_open_the_database(made: Made) -> None:
    profile, _ = made
    values = (profile.vault / KEYS).read_bytes()
    for place in range(0, 4 * 512, 512):
        found = values[place + 33 : place + 65]
        keys = [DatabaseKey(found), database_key(VaultKey(found), BaseKey(found))]
        with pytest.raises(VaultDamaged):
            Database(profile.vault / DATABASE, lambda keys=keys: keys)  # type: ignore[misc]


def test_the_database_is_as_durable_and_as_discreet_as_was_measured(made: Made) -> None:
    database = stolen(made[0].vault / DATABASE, made[1])
    pragmas = ("journal_mode", "synchronous", "secure_delete", "temp_store", "foreign_keys")
    found = [database.one(f"PRAGMA {name}") for name in pragmas]
    security = database.one("PRAGMA cipher_memory_security")
    database.close()
    assert found == [("wal",), (2,), (1,), (2,), (1,)]
    assert security == ("1",)


def test_a_later_version_is_refused_and_left_alone(made: Made) -> None:
    profile, key = made
    database = stolen(profile.vault / DATABASE, key)
    database.connection.execute("PRAGMA user_version = 99")
    database.close()
    before = (profile.vault / DATABASE).read_bytes()
    with pytest.raises(VaultTooNew) as caught:
        Vault(profile, key, NOON)
    assert "upgrade" in caught.value.next_step
    assert (profile.vault / DATABASE).read_bytes() == before


def test_the_migrations_are_numbered_without_a_gap() -> None:
    numbers = sorted(int(path.name[:4]) for path in migrate.folder().glob("*.sql"))
    assert numbers == list(range(1, migrate.VERSION + 1))


def test_a_change_needs_the_lock_and_a_transaction(vault: Vault) -> None:
    with pytest.raises(RuntimeError), vault.transaction():
        pass
    with vault.exclusive(NOON), pytest.raises(RuntimeError):
        vault.channels.put_state(NORTH, b"", {})


def test_a_transaction_that_fails_changes_nothing(vault: Vault) -> None:
    with abandoned(vault):
        vault.channels.put_state(NORTH, b"state 1", {"count": 1})
        vault.outbox.add(owed())
        vault.messages.add(message(1), NOON, ENTROPY)
    assert vault.channels.get("north").state == b"state 0"
    assert vault.outbox.count() == 0
    assert vault.messages.list(NORTH, NOON) == []


def test_a_transaction_inside_another_is_part_of_it(vault: Vault) -> None:
    with abandoned(vault), vault.transaction():
        vault.outbox.add(owed())
    assert vault.outbox.count() == 0


def test_what_was_saved_is_there_when_the_vault_is_opened_again(made: Made, vault: Vault) -> None:
    with vault.exclusive(NOON), vault.transaction():
        vault.channels.put_state(NORTH, b"state 1", {"count": 1})
    vault.close()
    with Vault(*made, NOON) as again:
        assert again.channels.get("north") == ChannelRow(NORTH, "north", b"state 1", {"count": 1})
        assert again.channels.list() == [ChannelRow(NORTH, "north", b"", {"count": 1})]


def test_channels_are_told_apart_by_name(vault: Vault) -> None:
    with vault.exclusive(NOON), vault.transaction():
        with pytest.raises(UsageMistake):
            vault.channels.add(ChannelId(bytes(16)), "north", b"", {})
        with pytest.raises(NotFound):
            vault.channels.put_state(ChannelId(bytes(16)), b"", {})
    with pytest.raises(NotFound):
        vault.channels.get("south")


def test_a_channel_goes_with_its_messages_and_cores(vault: Vault) -> None:
    core, content = Core(bytes(4056)), ContentHash(bytes(32))
    with vault.exclusive(NOON), vault.transaction():
        vault.messages.add(message(1), NOON, ENTROPY)
        vault.cores.add(NORTH, [Keep(content, core, HOUR, Hour(500_024))], NOON, ENTROPY)
        vault.channels.remove(NORTH)
    assert vault.messages.list(NORTH, NOON) == []
    assert not vault.cores.has(NORTH, content)


def test_the_outbox_gives_requests_back_whole_and_in_order(vault: Vault) -> None:
    with vault.exclusive(NOON), vault.transaction():
        first, second = vault.outbox.add(owed("first")), vault.outbox.add(owed("second"))
        other = vault.outbox.add(owed("other", b"j" * 16))
        vault.outbox.tried(second)
    pending = vault.outbox.pending()
    assert pending[0] == owed("first")._replace(id=first)
    assert [(row.id, row.attempts) for row in pending] == [(first, 0), (second, 1), (other, 0)]
    assert [row.label for row in vault.outbox.pending(b"j" * 16)] == ["other"]
    with vault.exclusive(NOON), vault.transaction():
        vault.outbox.done(first, other)
    assert [row.id for row in vault.outbox.pending()] == [second]
    assert vault.outbox.count() == 1


def test_numbers_of_the_outbox_are_never_used_again(vault: Vault) -> None:
    with vault.exclusive(NOON), vault.transaction():
        first = vault.outbox.add(owed())
        vault.outbox.done(first)
        assert vault.outbox.add(owed()) > first


def test_a_drop_is_read_on_from_where_it_was_left(vault: Vault) -> None:
    assert vault.cursors.get("https://relay", DROP) == Cursor(0, Hour(0))
    with vault.exclusive(NOON), vault.transaction():
        vault.cursors.put("https://relay", DROP, Cursor(7, Hour(500_000)))
        vault.cursors.put("https://relay", DROP, Cursor(9, Hour(500_001)))
    assert vault.cursors.get("https://relay", DROP) == Cursor(9, Hour(500_001))
    assert vault.cursors.get("https://other", DROP) == Cursor(0, Hour(0))
    with vault.exclusive(NOON), vault.transaction():
        vault.cursors.remove("https://relay", DROP)
    assert vault.cursors.get("https://relay", DROP) == Cursor(0, Hour(0))


def test_a_spent_voucher_does_not_come_back_with_its_file(vault: Vault) -> None:
    with vault.exclusive(NOON), vault.transaction():
        assert vault.vouchers.add_many("http://relay", [b"1" * 16, b"2" * 16]) == 2
        assert vault.vouchers.take("http://relay") == b"1" * 16
        assert vault.vouchers.add_many("http://relay", [b"1" * 16, b"2" * 16]) == 0
    assert vault.vouchers.count("http://relay") == 1


def test_a_voucher_is_taken_once_and_comes_back_if_the_transaction_fails(vault: Vault) -> None:
    with vault.exclusive(NOON), vault.transaction():
        assert vault.vouchers.add_many("https://relay", [b"a" * 16, b"b" * 16, b"a" * 16]) == 2
    with abandoned(vault):
        assert vault.vouchers.take("https://relay") == b"a" * 16
    with vault.exclusive(NOON), vault.transaction():
        taken = [vault.vouchers.take("https://relay") for _ in range(3)]
    assert taken == [b"a" * 16, b"b" * 16, None]
    assert vault.vouchers.count("https://relay") == 0


def test_a_join_waits_until_it_is_answered(vault: Vault) -> None:
    with vault.exclusive(NOON), vault.transaction():
        vault.joins.add(b"j" * 16, "https://relay", "Ana", b"state 0", {})
        vault.joins.put_state(b"j" * 16, b"state 1", {"at": "relay"})
    (row,) = vault.joins.list()
    assert (row.alias, row.state, row.summary) == ("Ana", b"state 1", {"at": "relay"})
    with vault.exclusive(NOON), vault.transaction():
        vault.joins.remove(b"j" * 16)
    assert vault.joins.list() == []


def test_messages_come_in_the_order_of_the_specification(vault: Vault) -> None:
    numbers = (3, 1, 2)
    with vault.exclusive(NOON), vault.transaction():
        for number in numbers:
            vault.messages.add(message(number)._replace(order=number % 2), NOON, ENTROPY)
    found = vault.messages.list(NORTH, NOON)
    assert [(row.order, row.content[-1]) for row in found] == [(0, 2), (1, 1), (1, 3)]
    assert found[1] == message(1)._replace(order=1)


def test_an_authors_message_is_kept_once(vault: Vault) -> None:
    with vault.exclusive(NOON), vault.transaction():
        assert vault.messages.add(message(1), NOON, ENTROPY)
        assert not vault.messages.add(message(1), NOON, ENTROPY)
        again = message(2)._replace(id=message(1).id)
        assert not vault.messages.add(again, NOON, ENTROPY)
    assert vault.messages.list(NORTH, NOON) == [message(1)]


def test_a_thread_is_listed_alone(vault: Vault) -> None:
    thread = ThreadId(b"t" * 16)
    with vault.exclusive(NOON), vault.transaction():
        vault.messages.add(message(1), NOON, ENTROPY)
        vault.messages.add(message(2)._replace(thread=thread), NOON, ENTROPY)
    assert [row.order for row in vault.messages.list(NORTH, NOON, thread)] == [2]


def test_a_thread_has_another_key_after_it_was_purged_or_its_beginning_undone(
    vault: Vault,
) -> None:
    """Also in the same transaction, or in the next: the name of a key is read once in each."""
    said = [message(number)._replace(thread=ThreadId(b"t" * 16)) for number in (1, 2, 3)]

    def fail() -> None:
        with vault.exclusive(NOON), vault.transaction():
            vault.messages.add(said[0], NOON, ENTROPY)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with vault.exclusive(NOON), vault.transaction():
        vault.messages.add(said[1], NOON, ENTROPY)
        before = vault.messages.names()
        vault.messages.purge(NORTH, said[1].thread)
        vault.messages.add(said[2], NOON, ENTROPY)
        assert len(before) == 1
        assert vault.messages.names().isdisjoint(before)
    assert vault.messages.list(NORTH, NOON) == [said[2]]


def test_a_core_comes_back_whole(vault: Vault) -> None:
    core, content = Core(os.urandom(4056)), ContentHash(b"c" * 32)
    kept = Keep(content, core, HOUR, Hour(500_024))
    with vault.exclusive(NOON), vault.transaction():
        assert vault.cores.add(NORTH, [kept], NOON, ENTROPY) == 1
        assert vault.cores.add(NORTH, [kept], NOON, ENTROPY) == 0
    assert vault.cores.get(NORTH, content, NOON) == core
    assert vault.cores.get(NORTH, ContentHash(b"d" * 32), NOON) is None


def test_an_epoch_clock_stands_beside_the_database_and_moves_only_forward(vault: Vault) -> None:
    name, first, second = b"clock".ljust(16), ClockValue(b"1" * 32), ClockValue(b"2" * 32)
    with vault.exclusive(NOON):
        vault.set_clock(name, Hour(500_000), first, 24)
        vault.set_clock(name, Hour(500_001), second, 24)
        vault.set_clock(name, Hour(500_000), first, 24)
    assert vault.clock(name) == (500_001, second)
    with pytest.raises(StaleError):
        vault.clock(bytes(16))


def test_two_processes_do_not_change_one_vault_at_once(made: Made, vault: Vault) -> None:
    with Vault(*made, NOON, patience=0) as other, vault.exclusive(NOON):
        with pytest.raises(VaultBusy) as caught, other.exclusive(NOON):
            pass
        assert other.channels.get("north").state == b"state 0"  # reading needs no lock
    assert "try again" in caught.value.next_step


def test_a_process_sees_messages_that_another_stored_after_it_opened(
    made: Made, vault: Vault
) -> None:
    with Vault(*made, NOON) as other:
        assert other.messages.list(NORTH, NOON) == []
        assert other.hour(NOON) == 500_000
        with vault.exclusive(NOON), vault.transaction():
            vault.messages.add(message(1), NOON, ENTROPY)
        assert other.messages.list(NORTH, NOON) == [message(1)]


def test_a_draft_that_a_dead_process_left_is_cleared_away(tmp_path: Path) -> None:
    draft = tmp_path / "home" / "vault.new"
    draft.mkdir(mode=0o700, parents=True)
    draft.parent.chmod(0o700)
    (draft / HEAD).write_bytes(b"half")
    profile, key = make_vault(tmp_path / "home")
    with Vault(profile, key, NOON) as vault:
        assert vault.channels.list() == []
    assert not draft.exists()


def clocks(vault: Vault) -> set[bytes]:
    return vault._expiry.keys.names(PlaceKind.CLOCK)


def keep_clock(vault: Vault, name: bytes) -> None:
    with vault.exclusive(NOON):
        vault.set_clock(name, Hour(500_000), ClockValue(name * 2), 24)


def test_a_clock_that_no_channel_names_is_erased_and_no_other(made: Made, vault: Vault) -> None:
    one, two = EpochId(b"1" * 16), EpochId(b"2" * 16)
    keep_clock(vault, one)
    keep_clock(vault, two)
    with vault.exclusive(NOON), vault.transaction():
        vault.channels.put_epochs(NORTH, [one, two])
    vault.sweep(NOON, ENTROPY)
    assert clocks(vault) == {one, two}
    with vault.exclusive(NOON), vault.transaction():
        vault.channels.put_epochs(NORTH, [two])
    assert clocks(vault) == {one, two}
    vault.sweep(NOON, ENTROPY)
    assert clocks(vault) == {two}
    data = (made[0].vault / KEYS).read_bytes()
    assert one * 2 not in data
    assert two * 2 in data


def test_a_clock_of_a_change_that_failed_is_erased(vault: Vault) -> None:
    with abandoned(vault):
        vault.set_clock(b"1" * 16, Hour(500_000), ClockValue(b"1" * 32), 24)
        vault.channels.put_epochs(NORTH, [EpochId(b"1" * 16)])
    assert vault.channels.epochs(NORTH) == set()
    vault.sweep(NOON, ENTROPY)
    assert clocks(vault) == set()


def test_a_channel_that_is_removed_takes_its_clocks_along(vault: Vault) -> None:
    keep_clock(vault, b"1" * 16)
    with vault.exclusive(NOON), vault.transaction():
        vault.channels.put_epochs(NORTH, [EpochId(b"1" * 16)])
        vault.channels.remove(NORTH)
    vault.sweep(NOON, ENTROPY)
    assert clocks(vault) == set()


DUE = Timestamp(NOON + 7000)


def keep_draft(vault: Vault, text: bytes = b"a draft that nobody said") -> int:
    with vault.exclusive(NOON), vault.transaction():
        vault.drafts.add(NORTH, text, DUE, Hour(500_030), NOON, ENTROPY)
    return vault.drafts.list(NORTH)[-1].number


def test_a_draft_opens_until_its_hour_and_not_without_its_own_key(vault: Vault) -> None:
    number, other = keep_draft(vault), keep_draft(vault, b"another")
    assert vault.drafts.open(number, NOON) == b"a draft that nobody said"
    with vault.exclusive(NOON), vault.transaction():
        assert vault.drafts.remove(NORTH, number) == 1
        assert vault.drafts.remove(NORTH, number) == 0
    vault.sweep(NOON, ENTROPY)
    assert vault.drafts.open(number, NOON) is None
    assert vault.drafts.open(other, NOON) == b"another"
    assert vault.drafts.open(other, Timestamp(NOON + 30 * 3600)) is None


def test_attack_58_an_old_copy_of_the_database_does_not_open_a_draft_that_was_sent(
    made: Made, vault: Vault, tmp_path: Path
) -> None:
    number = keep_draft(vault)
    vault.sweep(NOON, ENTROPY)
    copy = (made[0].vault / DATABASE).read_bytes()
    with vault.exclusive(NOON), vault.transaction():
        vault.drafts.remove(NORTH, number)
    vault.sweep(NOON, ENTROPY)
    vault.close()
    (made[0].vault / DATABASE).write_bytes(copy)
    with Vault(*made, NOON) as old:
        assert [each.number for each in old.drafts.list(NORTH)] == [number]
        assert old.drafts.open(number, NOON) is None


def test_the_text_of_a_draft_stands_in_no_file(made: Made, vault: Vault) -> None:
    keep_draft(vault)
    for path in made[0].vault.iterdir():
        assert b"nobody said" not in path.read_bytes()


def test_a_draft_is_refused_or_lapses(vault: Vault) -> None:
    number = keep_draft(vault)
    with vault.exclusive(NOON), vault.transaction():
        vault.drafts.refuse(number, "too few")
        assert vault.drafts.lapse(NORTH, Hour(500_029)) == 0
    (draft,) = vault.drafts.list(NORTH)
    assert (draft.refused, draft.due) == ("too few", DUE)
    assert (draft.start, draft.end) == (NOON + 3600, NOON + 7200)
    with vault.exclusive(NOON), vault.transaction():
        assert vault.drafts.lapse(NORTH, Hour(500_030)) == 1


def test_messages_are_found_by_id_and_cores_by_name(vault: Vault) -> None:
    with vault.exclusive(NOON), vault.transaction():
        for number in (1, 2):
            vault.messages.add(message(number), NOON, ENTROPY)
        name = ContentHash(bytes([9] * 32))
        kept = Keep(name, Core(b"core"), HOUR, Hour(500_020))
        dead = Keep(ContentHash(bytes(32)), Core(b"dead"), HOUR, HOUR)
        assert vault.cores.add(NORTH, [dead, kept], NOON, ENTROPY) == 1
    assert vault.messages.find(NORTH, message(2).id, NOON) == [message(2)]
    assert vault.messages.find(NORTH, message(3).id, NOON) == []
    assert vault.cores.many(NORTH, [name, ContentHash(bytes(32))], NOON) == {name: b"core"}
    assert vault.cores.count(NORTH) == 1
    with vault.exclusive(NOON), vault.transaction():
        vault.messages.remove(NORTH, message(2).author, message(2).id)
    assert vault.messages.list(NORTH, NOON) == [message(1)]
