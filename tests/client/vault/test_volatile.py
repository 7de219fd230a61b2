"""Off the record: kept under a key that is in memory alone, and closed for good without it."""

from pathlib import Path

import pytest

from backchannel.client.errors import ClientError
from backchannel.client.machine.profile import Profile
from backchannel.client.rounds import refusals
from backchannel.client.telling import shown
from backchannel.client.vault.head import VaultKey, VolatileKey
from backchannel.client.vault.vault import Vault
from backchannel.client.vault.volatile import CLOSED, Volatile
from backchannel.protocol.types import Hour, Timestamp, hour_of
from tests.support.people import ENTROPY, NOON, NORTH, add_channel, make_vault, message

TEXT = "quite off the record, my friend"
KEY = VolatileKey(b"k" * 32)
ABOUT = b"where it stands"
Home = tuple[Path, VaultKey]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    profile, key = make_vault(tmp_path / "home")
    with Vault(profile, key, NOON) as vault:
        add_channel(vault)
    return profile.data, key


def opened(home: Home, volatile: Volatile, now: Timestamp = NOON) -> Vault:
    return Vault(Profile.at(home[0]), home[1], now, volatile=volatile)


def held(key: VolatileKey | None) -> Volatile:
    return Volatile(lambda: key)


def kept(vault: Vault, now: Timestamp = NOON) -> list[bytes]:
    return [each.plain for each in vault.messages.list(NORTH, now)]


@pytest.fixture
def spoken(home: Home) -> Home:
    """A vault that holds one text on the record and one off it, under `KEY`."""
    with opened(home, held(KEY)) as vault, vault.exclusive(NOON), vault.transaction():
        off = message(2, text=TEXT)._replace(off=True)
        assert vault.messages.add(off, NOON, ENTROPY)
        vault.messages.add(message(1), NOON, ENTROPY)
    return home


def test_it_opens_with_the_key_and_in_no_other_place() -> None:
    item = held(KEY).seal(b"plain", ABOUT, ENTROPY)
    assert held(KEY).open(item, ABOUT) == b"plain"
    assert held(KEY).open(item, b"elsewhere") == CLOSED
    assert held(VolatileKey(b"o" * 32)).open(item, ABOUT) == CLOSED
    assert held(None).open(item, ABOUT) == CLOSED


def test_what_is_on_the_record_asks_for_no_key() -> None:
    def never() -> None:
        raise AssertionError

    assert Volatile(never).open(b'{"kind":"text"}', ABOUT) == b'{"kind":"text"}'


def test_where_no_agent_runs_a_process_has_a_key_of_its_own() -> None:
    alone = Volatile()
    item = alone.seal(b"plain", ABOUT, ENTROPY)
    assert alone.open(item, ABOUT) == b"plain"
    assert Volatile().open(item, ABOUT) == CLOSED


def test_it_is_read_like_any_other_while_the_key_is_there(
    spoken: Home,
) -> None:
    with opened(spoken, held(KEY)) as vault:
        assert kept(vault) == [b"hello", TEXT.encode()]
        on, off = vault.messages.list(NORTH, NOON)
        assert (on.off, off.off) == (False, True)
        (found,) = vault.messages.find(NORTH, off.id, NOON)
        assert found == off


@pytest.mark.parametrize("key", [None, VolatileKey(b"o" * 32)])
def test_attack_with_the_passphrase_and_every_file_but_without_the_key_it_is_closed(
    spoken: Home, key: VolatileKey | None
) -> None:
    with opened(spoken, held(key)) as vault:
        assert kept(vault) == [b"hello", CLOSED]
        (closed,) = shown.closed(vault.messages.list(NORTH, NOON))
        assert closed.off
        rows = vault._database.all(
            "SELECT stored, expires, item, name, content FROM named_messages"
        )
        inside = [
            vault.messages._items.open(tuple(row[:3]), NORTH + row[4], NOON, row[3]) for row in rows
        ]
    assert not any(TEXT.encode() in (each or b"") for each in inside)
    for path in spoken[0].rglob("*"):
        assert path.is_dir() or TEXT.encode() not in path.read_bytes()


def test_it_expires_and_is_shortened_as_others_are(spoken: Home) -> None:
    hour = hour_of(NOON)
    locked = opened(spoken, held(None))  # by a `sync`, say, after the lock
    with locked as vault, vault.exclusive(NOON), vault.transaction():
        vault.messages.shorten(NORTH, None, 2, NOON, ENTROPY)
    with opened(spoken, held(KEY)) as vault:
        (_, off) = vault.messages.list(NORTH, NOON)
        assert (off.plain, off.expires) == (TEXT.encode(), hour + 2)
    later = Timestamp(NOON + 2 * 3600)
    with opened(spoken, held(KEY), later) as vault:
        assert kept(vault, later) == kept(vault, NOON) == []


def test_what_is_closed_is_not_said_again_and_the_reason_names_no_words() -> None:
    closed = message(1)._replace(plain=CLOSED, off=True)
    with pytest.raises(ClientError, match="said off the record was not sent"):
        refusals._command(closed)


# --- A sooner end ---------------------------------------------------------------------------------


def test_a_message_ends_sooner_and_never_later(spoken: Home) -> None:
    hour = hour_of(NOON)
    with opened(spoken, held(KEY)) as vault:
        one, two = (each.content for each in vault.messages.list(NORTH, NOON))
        with vault.exclusive(NOON), vault.transaction():
            ends = {one: Hour(hour + 3), two: Hour(hour + 99)}
            assert vault.messages.hasten(NORTH, ends, NOON, ENTROPY) == {one: hour + 3}
        expiries = [each.expires for each in vault.messages.list(NORTH, NOON)]
        assert expiries == [hour + 3, hour + 24]
        with vault.exclusive(NOON), vault.transaction():
            assert vault.messages.hasten(NORTH, {one: Hour(hour)}, NOON, ENTROPY)
        assert kept(vault) == [TEXT.encode()]


def test_attack_the_key_of_before_is_erased_with_the_last_that_leans_on_it(
    home: Home,
) -> None:
    """So that a copy of the database from before it was shown does not open it either."""
    with opened(home, held(KEY)) as vault:
        with vault.exclusive(NOON), vault.transaction():
            vault.messages.add(message(1), NOON, ENTROPY)
        (row,) = vault._database.all("SELECT stored, expires, item, name FROM named_messages")
        (found,) = vault.messages.list(NORTH, NOON)
        with vault.exclusive(NOON):
            with vault.transaction():
                end = Hour(hour_of(NOON) + 1)
                vault.messages.hasten(NORTH, {found.content: end}, NOON, ENTROPY)
            vault.forget_keys()
        about = NORTH + found.content
        items = vault.messages._items
        assert items.open(tuple(row[:3]), about, NOON, row[3]) is None
        assert kept(vault) == [b"hello"]
