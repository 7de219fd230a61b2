"""A device is lost, a backup is restored: where one was comes back, what was said does not."""

from collections.abc import Iterator

import pytest

from backchannel.client.errors import NotFound, RelayKeyChanged
from backchannel.client.keeping import backup, recovery
from backchannel.client.keeping.backup import Place
from backchannel.client.rounds.relays import refuse_other_key
from backchannel.client.telling import overview, people
from backchannel.client.telling.choosing import pick_channel
from backchannel.protocol import command
from tests.support.clients import NAME, Client, Party, party
from tests.support.people import CHEAP, ENTROPY, PASSPHRASE

pytestmark = pytest.mark.slow
BEFORE = "the captains met on Tuesday"


@pytest.fixture
def talked() -> Iterator[Party]:
    """Fox and Heron have talked; Heron has compared Fox's words."""
    with party("Heron") as made:
        made.clients["Fox"].say(BEFORE)
        made.settle()
        made.clients["Heron"].act(command.Compare(("Fox",)))
        made.settle()
        heron = made.clients["Heron"]
        yield made
        for client in (heron, *made.clients.values()):
            client.vault.close()


def backed_up(client: Client) -> bytes:
    """The file."""
    found = recovery.gather(client.vault, "", client.tools.now(), ENTROPY)
    return backup.seal(found, PASSPHRASE, ENTROPY, CHEAP)


def restored(made: Party, data: bytes, alias: str = "Heron again") -> Client:
    """A new home with what the file says."""
    client = made.client(alias)
    recovery.restore(client.vault, backup.open_(data, PASSPHRASE), client.tools.now())
    return client


def words(client: Client) -> str:
    return b" ".join(client.plain()).decode()


def test_t05_a_backup_says_where_one_was_and_nothing_else(talked: Party) -> None:
    heron = talked.clients["Heron"]
    state = heron.look().state
    fox = state.named("Fox")
    assert BEFORE in words(heron), "control: there is something to leave out"
    assert backup.open_(backed_up(heron), PASSPHRASE) == backup.new(
        (
            Place(
                id=state.id,
                name=NAME,
                alias="Heron",
                role="participant",
                facilitators=("Fox",),
                relays=((talked.relay.url, state.relays[0].key.hex()),),
                compared=(fox.identity.hex(),),
            ),
        ),
        {},
        "",
    )


def test_t05_restoring_brings_back_nothing_that_was_said(talked: Party) -> None:
    data = backed_up(talked.clients["Heron"])
    again = restored(talked, data)
    again.sync()
    assert again.vault.channels.list() == []
    (lost,) = again.vault.lost.list()
    about = overview.of_lost(lost)
    assert about["channel"] == NAME
    assert about["facilitators"] == ["Fox"]
    assert about["next"] == f"backchannel join {talked.relay.url}"
    assert overview.next_step([], [], 0, [about]) == about["next"]
    with pytest.raises(NotFound, match="new invite") as error:
        pick_channel(again.vault, None)
    assert error.value.next_step == about["next"]
    with pytest.raises(RelayKeyChanged):  # another relay at the address that was trusted
        refuse_other_key(again.vault, talked.relay.url, bytes(32))
    assert backup.open_(backed_up(again), PASSPHRASE) == backup.open_(data, PASSPHRASE)


def test_t05_whoever_comes_back_sees_what_is_said_from_then_on(talked: Party) -> None:
    """And knows again whom it had compared words with, and nobody else."""
    talked.admit("Wren")
    data = backed_up(talked.clients.pop("Heron"))
    again = restored(talked, data)
    talked.admit("Heron again", again)
    talked.clients["Fox"].say("welcome back")
    talked.settle()
    assert "welcome back" in words(again)
    assert BEFORE not in words(again)
    assert again.vault.lost.list() == [], "it is lost no more"
    state = again.look().state
    marks = {each.alias: people.mark(state, each.slot) for each in people.others(state)}
    assert marks == {"Fox": "", "Wren": people.UNVERIFIED, "Heron": people.UNVERIFIED}


def test_attack_who_came_in_under_a_compared_name_is_not_taken_for_it(talked: Party) -> None:
    """Marks go by identity: another's keys under that name are new keys."""
    talked.admit("Wren")
    heron = talked.clients["Heron"]
    heron.act(command.Compare(("Wren",)))
    data = backed_up(heron)
    talked.clients["Fox"].act(command.Remove("Wren", "compromised"))
    talked.clients.pop("Wren").vault.close()
    talked.settle()
    talked.admit("Wren", talked.client("Wren the second"))
    again = restored(talked, data)
    talked.admit("Heron again", again)
    talked.settle()
    state = again.look().state
    marks = {each.alias: people.mark(state, each.slot) for each in people.others(state)}
    assert marks["Wren"] == people.UNVERIFIED


def test_a_vault_that_is_there_keeps_what_it_has(talked: Party) -> None:
    heron = talked.clients["Heron"]
    done = recovery.restore(
        heron.vault, backup.open_(backed_up(heron), PASSPHRASE), heron.tools.now()
    )
    assert done == ([], 0)
    assert BEFORE in words(heron)


def test_vouchers_come_back_and_spent_ones_do_not(talked: Party) -> None:
    fox = talked.clients["Fox"]
    left = fox.vault.vouchers.count(talked.relay.url)
    data = backed_up(fox)
    again = restored(talked, data, "Fox again")
    assert again.vault.vouchers.count(talked.relay.url) == left > 0
    with fox.vault.exclusive(fox.tools.now()), fox.vault.transaction():
        fox.vault.vouchers.take(talked.relay.url)
    recovery.restore(fox.vault, backup.open_(data, PASSPHRASE), fox.tools.now())
    assert fox.vault.vouchers.count(talked.relay.url) == left - 1


def test_who_alone_facilitated_is_told_that_nobody_can_help(talked: Party) -> None:
    again = restored(talked, backed_up(talked.clients["Fox"]), "Fox again")
    (lost,) = again.vault.lost.list()
    about = overview.of_lost(lost)
    assert about["next"] == "backchannel channel new NAME"
    assert "nobody but you" in overview.lost_line(about)


def test_a_channel_that_one_left_is_not_in_it(talked: Party) -> None:
    heron = talked.clients["Heron"]
    heron.act(command.Leave())
    found = recovery.gather(heron.vault, "", heron.tools.now(), ENTROPY)
    assert found.places == ()
