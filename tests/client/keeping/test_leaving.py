"""Going and keeping nothing: all is gone at once, with a relay or without, and in copies, too."""

from collections.abc import Iterator

import pytest

from backchannel.client.errors import Declined, VaultDamaged
from backchannel.client.keeping.leaving import leave
from backchannel.client.machine.profile import Profile
from backchannel.client.rounds.sync import Sync
from backchannel.client.telling import wiping
from backchannel.client.vault.database import Database
from backchannel.client.vault.vault import Vault
from backchannel.protocol import command
from backchannel.protocol.expiry import PlaceKind
from tests.support.clients import NAME, Client, Party, party
from tests.support.member import channel

pytestmark = pytest.mark.slow
SAID = "the harbour master knows"
KEPT = {"store", "vouchers", "sqlite_sequence"}
"""Tables that may have rows afterwards."""


@pytest.fixture
def talked() -> Iterator[Party]:
    """Fox and Heron have talked, and Heron has something that waits to be sent."""
    with party("Heron") as made:
        made.clients["Fox"].say(SAID)
        made.settle()
        made.clients["Heron"].say("not sent yet")
        yield made


def go(client: Client) -> object:
    with Sync(client.app, client.vault) as sync:
        return leave(client.app, client.vault, sync, client.row).problem


def database(vault: Vault) -> Database:
    return vault._database


def rows(vault: Vault) -> dict[str, int]:
    """Rows of every table, but those that say nothing of a channel."""
    tables = [
        row[0] for row in database(vault).all("SELECT name FROM sqlite_schema WHERE type = 'table'")
    ]
    counts = {t: database(vault).all(f"SELECT count(*) FROM {t}")[0][0] for t in tables}  # noqa: S608
    return {table: count for table, count in counts.items() if table not in KEPT and count}


def keys_of_channels(vault: Vault) -> set[bytes]:
    keys = vault._expiry.keys
    kinds = (PlaceKind.CLOCK, PlaceKind.THREAD, PlaceKind.EXPIRY)
    return set().union(*(keys.names(kind) for kind in kinds))


def test_nothing_of_the_channel_is_left_and_the_others_are_told(talked: Party) -> None:
    heron = talked.clients["Heron"]
    assert {"channels", "epochs", "messages", "cores", "cursors", "outbox"} <= set(
        rows(heron.vault)
    )
    assert keys_of_channels(heron.vault)
    assert go(heron) is None
    assert rows(heron.vault) == {}
    assert keys_of_channels(heron.vault) == set()
    fox = talked.clients["Fox"]
    fox.sync()
    names = [each.alias for each in fox.look().state.current().entries]
    assert fox.row.summary["leaving"] == ["Heron"] or "Heron" not in names
    assert b"not sent yet" not in b"".join(fox.plain()), "what waited is erased, not said"


def test_no_relay_is_needed(talked: Party) -> None:
    heron = talked.clients["Heron"]
    talked.relay.stop()
    assert go(heron) is not None, "whoever goes is told that the others were not"
    assert rows(heron.vault) == {}
    assert keys_of_channels(heron.vault) == set()


def test_who_alone_facilitates_may_keep_nothing_all_the_same(talked: Party) -> None:
    fox = talked.clients["Fox"]
    assert "facilitate" in str(go(fox))
    assert rows(fox.vault) == {}


def test_what_was_left_before_goes_too(talked: Party) -> None:
    heron = talked.clients["Heron"]
    heron.act(command.Leave())
    heron.sync()
    assert SAID in b"".join(heron.plain()).decode(), "leaving alone keeps what was received"
    assert go(heron) is None
    assert rows(heron.vault) == {}


def test_attack_31_a_copy_of_the_database_opens_for_nobody(talked: Party) -> None:
    """Taken a moment before, and put back beside the keys as they are then: not even names."""
    heron = talked.clients["Heron"]
    folder, key, now = heron.vault._folder, heron.vault._key, heron.tools.now()
    heron.vault.fold()
    database, keys = folder.first.database.read_bytes(), folder.first.keys.read_bytes()
    assert go(heron) is None
    heron.vault.close()
    profile = Profile.at(folder.path.parent)
    with Vault(profile, key, now) as emptied:
        assert emptied.channels.list() == []
    folder.first.database.write_bytes(database)
    with pytest.raises(VaultDamaged):
        Vault(profile, key, now)
    folder.first.keys.write_bytes(keys)
    with Vault(profile, key, now) as control:
        assert control.messages.list(control.channels.get(NAME).id, now)


def test_beside_somebody_who_reads_it_is_erased_all_the_same(talked: Party) -> None:
    """The database's own key waits for the next day; what was said does not."""
    heron = talked.clients["Heron"]
    other = Vault(Profile.at(heron.vault._folder.path.parent), heron.vault._key, heron.tools.now())
    heron.vault._database.connection.execute("PRAGMA busy_timeout = 100")
    other._database.connection.execute("BEGIN")
    assert other.channels.list()
    try:
        assert go(heron) is None
        assert rows(heron.vault) == {}
        assert keys_of_channels(heron.vault) == set()
    finally:
        other._database.connection.execute("ROLLBACK")
        other.close()


def test_t10_whoever_types_it_is_asked_first_and_told_what_it_did_not_reach() -> None:
    with channel("Heron") as north:
        heron = north.people["Heron"]
        north.facilitator.do("say", SAID)
        assert heron.texts() == [SAID]
        code, _ = heron.fails("channel", "leave", "--purge", give="n\n")
        assert code == Declined.status
        assert heron.texts() == [SAID]
        north.relay.stop()
        done = heron.run("channel", "leave", "--purge", "--yes")
        assert done.returncode == 0
        assert "Nothing of North is left here." in done.stdout
        assert all(line in done.stdout for line in wiping.beyond("channel", 168))
        assert "The others were not told that you went" in done.stderr
        assert "Tell a facilitator by another way" in done.stderr
        assert heron.json("channel", "list")["channels"] == []
        assert not any(SAID.encode() in path.read_bytes() for path in heron.home.rglob("*.db*"))
