"""Purging: what is erased here opens for nobody any more, in no copy of the database either."""

import json
import shutil
from collections.abc import Iterator

import pytest

from backchannel.client.errors import NoVault, VaultDamaged
from backchannel.client.keeping import purging
from backchannel.client.machine.profile import Profile
from backchannel.client.rounds.session import look
from backchannel.client.unlocking import unlocked
from backchannel.client.vault.folder import DATABASE, KEYS
from backchannel.client.vault.head import VaultKey
from backchannel.client.vault.vault import Vault
from backchannel.protocol import command
from backchannel.protocol.types import MAIN_THREAD, ContentHash, ThreadId, Timestamp
from tests.support.clients import NAME, Client, Party, party
from tests.support.people import ENTROPY, NOON, PASSPHRASE, make_vault, program, stolen

Made = tuple[Profile, VaultKey]
LONG = "All of it, and more. " * 400
SECRET = "the bridge at four"


@pytest.fixture
def north() -> Iterator[Party]:
    with party("Heron") as made:
        yield made


def begin(client: Client, topic: str) -> ThreadId:
    client.act(command.Begin(topic, None))
    threads = client.look().state.threads
    return next(name for name, each in threads.items() if each.topic == topic)


def texts(client: Client) -> list[str]:
    found = [json.loads(each) for each in client.plain()]
    return [each["text"] for each in found if each["kind"] == "text"]


def test_attack_a_purged_thread_opens_in_no_copy_of_the_database(north: Party) -> None:
    heron = north.clients["Heron"]
    thread = begin(heron, "Bridges")
    heron.act(command.Say(thread, LONG))
    heron.act(command.Say(thread, SECRET))
    heron.say("This stays.")
    profile, now = Profile.at(north.folder / "heron"), north.hours.now()
    plains = [json.loads(each) for each in heron.plain()]
    cores = [bytes.fromhex(core) for each in plains[:2] for core, _ in each["leaves"]]
    assert len(cores) > 3
    assert all(heron.vault.cores.has(heron.row.id, ContentHash(each)) for each in cores)
    heron.vault.fold()
    copy = profile.data / "copy.db"
    shutil.copy(profile.vault / DATABASE, copy)
    gone = purging.purge_thread(heron.vault, NAME, thread, now, ENTROPY)
    assert gone.messages == 2
    assert texts(heron) == ["This stays."]
    thief = stolen(copy, heron.vault._key, (profile.vault / KEYS).read_bytes())
    (name,) = thief.all("SELECT name FROM threads WHERE thread = ?", thread)
    assert len(thief.all("SELECT 1 FROM messages WHERE thread = ?", thread)) == 2
    thief.close()
    assert bytes(name[0]) not in (profile.vault / KEYS).read_bytes()
    assert not any(heron.vault.cores.has(heron.row.id, ContentHash(each)) for each in cores)
    shutil.copy(copy, profile.vault / DATABASE)  # put back, with all keys as they are now
    with Vault(profile, heron.vault._key, now) as again:
        row = again.channels.get(NAME)
        found = [json.loads(each.plain)["text"] for each in again.messages.list(row.id, now)]
    assert found == ["This stays."]


def test_all_blocks_of_a_long_message_die_when_its_thread_is_shortened(north: Party) -> None:
    heron = north.clients["Heron"]
    thread = begin(heron, "Bridges")
    heron.act(command.Say(thread, LONG))
    (said,) = (each for each in map(json.loads, heron.plain()) if each["kind"] == "text")
    cores = [ContentHash(bytes.fromhex(core)) for core, _ in said["leaves"]]
    heron.act(command.Shorten(thread, 3))
    now, channel = north.hours.now(), heron.row.id
    later = Timestamp(now + 4 * 3600)
    assert len(cores) > 2
    assert all(heron.vault.cores.get(channel, core, now) for core in cores)
    assert not any(heron.vault.cores.get(channel, core, later) for core in cores)


def test_a_thread_goes_on_after_it_was_purged(north: Party) -> None:
    heron = north.clients["Heron"]
    thread = begin(heron, "Bridges")
    heron.act(command.Say(thread, SECRET))
    purging.purge_thread(heron.vault, NAME, thread, north.hours.now(), ENTROPY)
    heron.act(command.Say(thread, "Once more."))
    assert texts(heron) == ["Once more."]
    north.settle()
    (fox,) = [client for alias, client in north.clients.items() if alias != "Heron"]
    assert texts(fox) == [SECRET, "Once more."]


def test_what_was_unread_of_it_is_not_unread_any_more(north: Party) -> None:
    fox, heron = (north.clients[alias] for alias in sorted(north.clients))
    heron.say(SECRET)
    north.settle()
    assert len(fox.row.summary["unread"]) == 1
    purging.purge_thread(fox.vault, NAME, MAIN_THREAD, north.hours.now(), ENTROPY)
    assert fox.row.summary["unread"] == {}
    assert look(fox.vault, NAME, north.hours.now(), ENTROPY).state.me is not None


def test_everything_goes_in_a_moment_without_passphrase_and_without_network(made: Made) -> None:
    profile, key = made
    unlocked.start(profile, key, 600)
    held = (profile.vault / KEYS).open("rb")
    copy = profile.data / "copy.db"
    shutil.copy(profile.vault / DATABASE, copy)
    keys = (profile.vault / KEYS).read_bytes()
    done = program("purge", "--all", "--yes", home=profile.data)
    assert done.returncode == 0, done.stderr
    assert "no passphrase opens it" in done.stdout
    assert "photographed" in done.stdout
    assert "the machines of the others" in done.stdout
    assert not any(held.read())
    held.close()
    assert unlocked.ask(profile) is None
    assert not profile.has_vault
    left = [path for path in profile.data.rglob("*") if path.is_file()]
    assert left == [copy]
    with pytest.raises(VaultDamaged):
        stolen(copy, key, bytes(len(keys)))
    stolen(copy, key, keys).close()  # which shows that the keys are what is missing


def test_it_does_not_wait_for_another_command(made: Made) -> None:
    with Vault(*made, NOON) as busy, busy.exclusive(NOON):
        purging.purge_all(made[0])
    assert not made[0].has_vault


def test_where_there_is_none_nothing_is_erased(made: Made) -> None:
    purging.purge_all(made[0])
    with pytest.raises(NoVault):
        purging.purge_all(made[0])


def test_it_asks_first_and_says_what_the_law_may_say(made: Made) -> None:
    done = program("purge", "--all", home=made[0].data)
    assert done.returncode != 0
    assert made[0].has_vault
    assert "ask a lawyer first" in done.stderr.replace("\n", " ").replace("  ", " ")


@pytest.mark.parametrize("arguments", [(), ("--all", "--thread", "Bridges")])
def test_it_is_told_what(made: Made, arguments: tuple[str, ...]) -> None:
    done = program("purge", *arguments, "--yes", home=made[0].data)
    assert "Nothing was erased" in done.stderr
    assert made[0].has_vault


def test_a_new_vault_can_be_made_afterwards(made: Made) -> None:
    profile, _ = made
    purging.purge_all(profile)
    _, key = make_vault(profile.data)
    assert Vault.key(profile, PASSPHRASE, NOON, ENTROPY) == key
