"""What a thief with every copy and the passphrase has of a thread that was purged, or was off the
record, in the very hour in which all else can be read.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from backchannel.client.keeping.purging import purge_thread
from backchannel.client.vault.folder import KEYS
from backchannel.protocol import command
from backchannel.protocol.expiry import PlaceKind
from backchannel.protocol.outcome import EVERY_HOUR, Arrival
from backchannel.protocol.types import ThreadId
from tests.support.clients import NAME, Client, Party, party
from tests.support.thief import Thief, copied, places

pytestmark = [pytest.mark.system, pytest.mark.slow]

KEPT, PURGED, OFF = "Said where it stays.", "Said and then purged.", "Never on any record."
PEOPLE = ["Fox", "Heron"]


@dataclass
class Purged:
    """Two vaults before and after a thread was purged, and the relay's archive."""

    party: Party
    folder: Path
    then: dict[str, Path] = field(default_factory=dict)
    after: dict[str, Path] = field(default_factory=dict)
    archive: tuple[Arrival, ...] = ()
    seen: dict[str, list[bytes]] = field(default_factory=dict)
    """What each could read before the purge."""

    def thief(self, alias: str, fresh: str) -> Thief:
        """With both copies, all keys of afterwards and the archive."""
        folders = [
            copied(each[alias], self.folder / f"{fresh}-{alias}-{number}")
            for number, each in enumerate((self.then, self.after))
        ]
        key = self.party.clients[alias].vault._key
        return Thief.of(key, *folders, blocks=self.archive)


@pytest.fixture(scope="module")
def purged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Purged]:
    with party("Heron") as made:
        scene = Purged(made, tmp_path_factory.mktemp("purged"))
        made.settle()
        fox = made.clients["Fox"]
        for topic, text in (("kept", KEPT), ("purged", PURGED), ("off", OFF)):
            fox.act(command.Begin(topic, off=topic == "off"))
            fox.act(command.Say(thread_of(fox, topic), text))
        made.settle()
        scene.archive = archive(fox)
        scene.seen = {alias: each.plain() for alias, each in made.clients.items()}
        scene.then = copies(scene, "then")
        for each in made.clients.values():
            thread = thread_of(each, "purged")
            purge_thread(each.vault, NAME, thread, each.tools.now(), each.tools.entropy)
        scene.after = copies(scene, "after")
        yield scene


def copies(scene: Purged, name: str) -> dict[str, Path]:
    return {
        alias: copied(each.vault._folder.path, scene.folder / f"{name}-{alias}")
        for alias, each in scene.party.clients.items()
    }


def thread_of(client: Client, topic: str) -> ThreadId:
    found = client.look().state.threads.items()
    return next(name for name, thread in found if thread.topic == topic)


def archive(client: Client) -> tuple[Arrival, ...]:
    poll = client.look().channel.polls()[-1]
    with client.tools.relay(poll.relay, poll.drop.relay) as relay:
        page = relay.read(poll.drop, 1, EVERY_HOUR)
    return tuple(Arrival(poll.drop.id, row.hour, row.block) for row in page.rows)


def holding(plain: list[bytes]) -> set[str]:
    """Which of the three texts stand in any of these."""
    return {text for text in (KEPT, PURGED, OFF) if any(text.encode() in each for each in plain)}


@pytest.mark.parametrize("alias", PEOPLE)
def test_the_control_each_could_read_all_three(purged: Purged, alias: str) -> None:
    assert holding(purged.seen[alias]) == {KEPT, PURGED, OFF}
    assert holding(purged.party.clients[alias].plain()) == {KEPT, OFF}


@pytest.mark.parametrize("alias", PEOPLE)
def test_attack_34_a_purged_thread_opens_in_no_older_copy_of_the_database(
    purged: Purged, alias: str
) -> None:
    """The older copy opens, and what was said elsewhere opens in it."""
    thief = purged.thief(alias, "older")
    assert len(thief.opened()) == 2
    assert holding(thief.items()) == {KEPT}
    assert holding([thief.rows()]) == set()


@pytest.mark.parametrize("alias", PEOPLE)
def test_the_control_with_the_threads_key_put_back_it_opens(purged: Purged, alias: str) -> None:
    keys = places((purged.then[alias] / KEYS).read_bytes(), PlaceKind.THREAD)
    assert holding(purged.thief(alias, "key").given(keys).items()) == {KEPT, PURGED}


@pytest.mark.parametrize("alias", PEOPLE)
def test_attack_34_what_is_off_the_record_opens_with_no_key_on_the_disk(
    purged: Purged, alias: str
) -> None:
    """Not even with every file of the hour itself, and all that the relay has."""
    keys = (purged.then[alias] / KEYS).read_bytes()
    thief = purged.thief(alias, "all").given(keys)
    assert OFF not in holding([*thief.items(), thief.rows()])


@pytest.mark.parametrize("alias", PEOPLE)
def test_attack_66_what_was_read_does_not_come_back_out_of_the_relays_archive(
    purged: Purged, alias: str
) -> None:
    """Purged or off the record: the keys of messages go when they are used."""
    keys = (purged.then[alias] / KEYS).read_bytes()
    thief = purged.thief(alias, "archive").given(keys)
    assert len(thief.cores()) >= 2 * len(purged.archive) - 2
    assert holding([text.encode() for text in thief.texts()]) == set()
