"""C5, tried: whoever kept every block, every older copy of every file and the passphrase opens
nothing once its hour has passed on the machines; with the keys of the hour put back, all of it.

Real vaults and a real relay, whose clocks are moved; the thief goes by none.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from backchannel.client.machine.profile import Profile
from backchannel.client.rounds.session import look
from backchannel.client.vault.folder import KEYS
from backchannel.client.vault.vault import Vault, expire
from backchannel.protocol import command
from backchannel.protocol.expiry import PlaceKind
from backchannel.protocol.outcome import EVERY_HOUR, Arrival
from backchannel.protocol.types import MAIN_THREAD, Block, Timestamp
from tests.support.clients import NAME, Client, Party, party
from tests.support.people import ENTROPY
from tests.support.thief import Thief, copied, kept_by_relay, places

pytestmark = [pytest.mark.system, pytest.mark.slow]

SAID = ["Gone by tomorrow.", "This too, and longer. " * 300, "Said in a thread."]
NOTE, FILE = "For Heron and nobody else.", "a-file-that-ends.txt"
LIFETIME, LATER = 24, 30  # hours
PARTS = [each[:20].encode() for each in (*SAID, NOTE, FILE)]
"""What must not turn up, as it is or in a document."""


@dataclass
class Robbed:
    """A channel after its content expired, and the copies taken along the way."""

    party: Party
    folder: Path
    before: dict[str, Path] = field(default_factory=dict)
    """Vaults before anything was said."""
    then: dict[str, Path] = field(default_factory=dict)
    """Vaults as they were when the words could be read."""
    relay_then: Path = Path()
    after: dict[str, Path] = field(default_factory=dict)
    archive: tuple[Arrival, ...] = ()

    def copy(self, name: str) -> dict[str, Path]:
        """Every vault as it stands."""
        clients = self.party.clients
        return {
            alias: copied(each.vault._folder.path, self.folder / f"{name}-{alias}")
            for alias, each in clients.items()
        }

    def thief(self, alias: str, *moments: dict[str, Path], fresh: str) -> Thief:
        """With the passphrase, the archive and copies of one vault; these are copied again, since
        opening changes them.
        """
        folders = [
            copied(each[alias], self.folder / f"loot-{fresh}-{alias}-{number}")
            for number, each in enumerate(moments)
        ]
        return Thief.of(self.party.clients[alias].vault._key, *folders, blocks=self.archive)

    def ago(self, hours: int) -> Timestamp:
        """The moment so many hours ago."""
        return Timestamp(self.party.hours.now() - 3600 * hours)

    def home(self, vault: Path, fresh: str) -> Profile:
        """A home with a copy of that vault in it."""
        home = self.folder / fresh
        home.mkdir(0o700)
        copied(vault, home / "vault")
        return Profile.at(home)

    def keys_then(self, alias: str, *kinds: PlaceKind) -> bytes:
        """From the file of keys as it was."""
        return places((self.then[alias] / KEYS).read_bytes(), *kinds)


@pytest.fixture(scope="module")
def robbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Robbed]:
    with party("Heron", "Ibis", lifetime=LIFETIME) as made:
        scene = Robbed(made, tmp_path_factory.mktemp("robbed"))
        made.settle()
        scene.before = scene.copy("before")
        talk(made)
        made.settle("Fox", "Heron")
        assert holds(made.clients["Heron"].plain(), *PARTS) == {*PARTS}
        scene.then = scene.copy("then")
        scene.relay_then = Path(shutil.copytree(made.relay.data, scene.folder / "relay-then"))
        scene.archive = archive(made.clients["Fox"])
        for _ in range(3):
            made.pass_hours(LATER // 3)
            for client in made.clients.values():  # Ibis, too: her machine runs, without the relay
                client.vault.sweep(made.hours.now(), client.tools.entropy)
        made.settle("Fox", "Heron")
        scene.after = scene.copy("after")
        yield scene


def talk(made: Party) -> None:
    fox = made.clients["Fox"]
    fox.say(SAID[0])
    fox.say(SAID[1])
    fox.act(command.Begin("Topic", LIFETIME))
    (thread,) = fox.look().state.threads
    fox.act(command.Say(thread, SAID[2]))
    fox.act(command.Whisper("Heron", NOTE))
    fox.act(command.SendFile(MAIN_THREAD, FILE, b"its content " * 900))


def archive(client: Client) -> tuple[Arrival, ...]:
    """All that the relay holds, as its operator may keep it for ever."""
    poll = client.look().channel.polls()[-1]
    with client.tools.relay(poll.relay, poll.drop.relay) as relay:
        page = relay.read(poll.drop, 1, EVERY_HOUR)
        assert not page.more
    return tuple(Arrival(poll.drop.id, row.hour, row.block) for row in page.rows)


def holds(plain: list[bytes], *wanted: bytes) -> set[bytes]:
    return {each for each in wanted if any(each in one for one in plain)}


# The vault of who read it all: Heron.


def test_attack_34_final_vault_passphrase_and_archive_open_nothing(robbed: Robbed) -> None:
    thief = robbed.thief("Heron", robbed.after, fresh="final")
    assert len(thief.opened()) == 1
    assert len(robbed.archive) > 10
    assert thief.cores() == []
    assert thief.texts() == set()
    assert not holds([*thief.items(), thief.rows()], *PARTS)


def test_attack_34_older_databases_do_not_open_with_the_keys_of_today(robbed: Robbed) -> None:
    thief = robbed.thief("Heron", robbed.then, robbed.after, fresh="older")
    assert len(thief.opened()) == 1
    assert not holds(thief.items(), *PARTS)


def test_attack_34_an_older_database_that_opens_has_items_that_do_not(robbed: Robbed) -> None:
    """Its base key was kept; the keys of the hours were not."""
    thief = robbed.thief("Heron", robbed.then, robbed.after, fresh="base")
    thief = thief.given(robbed.keys_then("Heron", PlaceKind.BASE))
    assert len(thief.opened()) == 2
    assert thief.cores() == []
    assert thief.texts() == set()
    assert not holds([*thief.items(), thief.rows()], *PARTS)


def test_the_control_with_the_keys_of_the_hour_an_older_database_opens(robbed: Robbed) -> None:
    thief = robbed.thief("Heron", robbed.then, robbed.after, fresh="hour")
    kinds = (PlaceKind.BASE, PlaceKind.EXPIRY, PlaceKind.THREAD)
    thief = thief.given(robbed.keys_then("Heron", *kinds))
    assert holds(thief.items(), *PARTS) == {*PARTS}


# The vault of who had fetched none of it: Ibis, and a relay that gives it late.


def test_attack_59_a_block_withheld_past_its_hour_opens_for_nobody(robbed: Robbed) -> None:
    thief = robbed.thief("Ibis", robbed.after, fresh="withheld")
    assert len(thief.opened()) == 1
    assert thief.cores() == []
    assert thief.texts() == set()


def test_the_control_with_the_clock_of_the_hour_it_opens(robbed: Robbed) -> None:
    thief = robbed.thief("Ibis", robbed.after, fresh="clock")
    thief = thief.given(robbed.keys_then("Ibis", PlaceKind.CLOCK))
    assert len(thief.cores()) >= len(SAID)
    assert thief.texts() >= {*SAID, FILE}


def test_attack_59_a_relay_that_gives_a_block_again_after_its_hour_is_not_believed(
    robbed: Robbed,
) -> None:
    fox, ibis = robbed.party.clients["Fox"], robbed.party.clients["Ibis"]
    poll = fox.look().channel.polls()[-1]
    with fox.tools.relay(poll.relay, poll.drop.relay) as relay:
        relay.append(poll.drop, [Block(each.block) for each in robbed.archive])
    ibis.sync()
    assert not holds(ibis.plain(), *PARTS)


# What is not promised: see THREATS.md.


def test_a_copy_of_the_keys_from_before_opens_no_item_but_what_was_never_fetched(
    robbed: Robbed,
) -> None:
    """Epoch clocks run forward: who has an older value has the later ones. It takes the final
    vault, the passphrase and the relay's archive as well; who had fetched is safe from it.
    """
    clocks = {each: (robbed.before[each] / KEYS).read_bytes() for each in ("Heron", "Ibis")}
    read = robbed.thief("Heron", robbed.after, fresh="read").given(clocks["Heron"])
    assert read.cores()
    assert read.texts() == set()
    assert not holds(read.items(), *PARTS)
    unread = robbed.thief("Ibis", robbed.after, fresh="unread").given(clocks["Ibis"])
    assert unread.texts() >= {*SAID}


# The clock.


@pytest.mark.parametrize("alias", ["Fox", "Heron", "Ibis"])
def test_attack_28_a_clock_set_back_opens_nothing(robbed: Robbed, alias: str) -> None:
    """The machine says that it is the hour when the words could be read."""
    then, key = robbed.ago(LATER), robbed.party.clients[alias].vault._key
    with Vault(robbed.home(robbed.after[alias], f"back-{alias}"), key, then) as vault:
        (row,) = vault.channels.list()
        assert vault.messages.list(row.id, then) == []
        session = look(vault, NAME, then, ENTROPY)
        assert [session.receive(block) for block in robbed.archive] == [[]] * len(robbed.archive)


def test_the_control_at_the_hour_itself_all_opens(robbed: Robbed) -> None:
    then, key = robbed.ago(LATER), robbed.party.clients["Heron"].vault._key
    with Vault(robbed.home(robbed.then["Heron"], "hour"), key, then) as vault:
        (row,) = vault.channels.list()
        plain = [message.plain for message in vault.messages.list(row.id, then)]
    assert holds(plain, *PARTS) == {*PARTS}


def test_attack_34_a_timer_alone_erases_without_passphrase_and_network(robbed: Robbed) -> None:
    """Nobody has used the machine since: only its timer ran."""
    profile = robbed.home(robbed.then["Heron"], "timer")
    for ago in (20, 10, 0):
        expire(profile, robbed.ago(ago))
    thief = Thief.of(robbed.party.clients["Heron"].vault._key, profile.vault, blocks=robbed.archive)
    assert len(thief.opened()) == 1
    assert thief.cores() == []
    assert thief.texts() == set()
    assert not holds(thief.items(), *PARTS)


# The relay.


def test_attack_29_a_backup_of_the_relay_opens_with_no_key_that_it_has(robbed: Robbed) -> None:
    backup, keys = robbed.relay_then / "relay.db", robbed.party.relay.data / "expiry.keys"
    wanted = {block.block for block in robbed.archive}
    assert kept_by_relay(backup, keys) & wanted == set()
    assert kept_by_relay(backup, robbed.relay_then / "expiry.keys") >= wanted  # the control


def test_attack_29_a_relay_that_comes_back_from_its_backup_gives_out_nothing_expired(
    robbed: Robbed,
) -> None:
    relay, fox = robbed.party.relay, robbed.party.clients["Fox"]
    port = relay.url.rpartition(":")[2]
    relay.stop()
    for path in relay.data.glob("relay.db*"):
        path.unlink()
    for path in robbed.relay_then.glob("relay.db*"):
        shutil.copyfile(path, relay.data / path.name)
        (relay.data / path.name).chmod(0o600)
    relay.start("--port", port)
    assert {each.block for each in archive(fox)} & {each.block for each in robbed.archive} == set()
    for client in robbed.party.clients.values():
        client.sync()
        assert not holds(client.plain(), *PARTS)
