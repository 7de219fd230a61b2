"""What `retention` says of this side, held to what it does: row A115.

A channel with something in every store; then the clock moves, and each thing is there until the
hour that the list gives, and gone from then on. With the hour's key put back it opens again, which
shows that the search could find it.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from backchannel.client.convening import founding
from backchannel.client.convening.charter import Charter
from backchannel.client.errors import ClientError
from backchannel.client.keeping.holdings import BASE_HOURS, DATABASE, KEYS, Holding, holdings
from backchannel.client.machine.entropy import SystemEntropy
from backchannel.client.machine.profile import Profile
from backchannel.client.rounds import joining
from backchannel.client.rounds.drafts import longest
from backchannel.client.rounds.sync import Sync
from backchannel.client.vault.folder import Folder
from backchannel.client.vault.outbox import Owed
from backchannel.client.wire.relay import describe
from backchannel.protocol import command
from backchannel.protocol.drop import Operation
from backchannel.protocol.errors import StaleError
from backchannel.protocol.expiry import ExpiryKeys, PlaceKind, expiry_name, item_key, open_item
from backchannel.protocol.outcome import Invited
from backchannel.protocol.roster import Disclosure, Policy
from backchannel.protocol.roster import Relay as Named
from backchannel.protocol.secret import X25519Private
from backchannel.protocol.types import DropId, Hour, ThreadId, hour_of
from tests.support.clients import NAME, Client, Party, party

pytestmark = pytest.mark.slow
LIFETIME, SHORT = 6, 2
AWAY = "http://127.0.0.1:9"  # nobody listens there
DEED = {
    "channel", "where reading goes on", "relays that failed", "channels of a backup",
    "write-ahead log", "index of that log", "agent", "timer", "a command's memory",
}  # fmt: skip
"""No hour ends them: tests of leaving, recovery, vault, agent and timer measure those."""


class Filled(NamedTuple):
    """A party, and what stands in Heron's vault since `hour`."""

    party: Party
    heron: Client
    hour: Hour
    join_ends: Hour

    def until(self, hour: int) -> None:
        """The clock goes there, and Heron's program runs as it would."""
        now = hour_of(self.party.hours.now())
        self.party.pass_hours(hour - now)
        with suppress(ClientError):  # a relay of the outbox is away for good
            self.heron.sync()

    def listed(self) -> list[Holding]:
        heron = self.heron
        profile = Profile.at(heron.vault._folder.path.parent)
        return holdings(heron.vault, profile, heron.tools.now(), SystemEntropy())

    @property
    def keys(self) -> Path:
        """Where the expiry keys stand."""
        return Folder(self.heron.vault._folder.path).first.keys

    def hours(self, name: str) -> int:
        """What the list says."""
        (found,) = [each.hours for each in self.listed() if each.name == name]
        assert found is not None
        return found

    def count(self, query: str, *values: object) -> int:
        row = self.heron.vault._database.one(query, *values)
        assert row is not None
        return int(row[0])


@pytest.fixture(scope="module")
def filled() -> Iterator[Filled]:
    """One conversation for all: hours pass in the order of the tests."""
    with party("Heron", lifetime=LIFETIME) as made:
        fox, heron = made.clients["Fox"], made.clients["Heron"]
        fox.act(command.Begin("Quay", SHORT))
        made.settle()
        thread = next(iter(fox.look().state.threads))
        heron.tools.hours = made.hours
        fox.say("in the channel")
        fox.act(command.Say(ThreadId(thread), "in the thread"))
        made.settle()
        ends = wait_to_be_let_in(made, heron)
        hour = hour_of(made.hours.now())
        owe_and_wait(heron, hour)
        yield Filled(made, heron, hour, ends)
        made.clients["Osprey"].vault.close()


def wait_to_be_let_in(made: Party, heron: Client) -> Hour:
    """A second channel's lobby, in which nobody answers; the last hour of its invite."""
    other = made.client("Osprey")
    found = describe(made.relay.url, allow_http=True)
    plan = founding.Plan(
        *("South", "Osprey", "Bridge", (Named(made.relay.url, found.key.value),), Policy(24)),
        Charter("We talk.", Disclosure("Osprey", "nobody", "nobody")),
    )
    drawn = founding.draw_up(other.app, plan)
    founding.keep(other.app, other.vault, drawn, {made.relay.url: made.relay.mint(4)})
    with Sync(other.app, other.vault) as rounds:
        rounds.channel("South")
        invited = rounds.act("South", command.Invite("Heron", "S", "participant", 1), Invited)
        rounds.deliver()
    assert invited is not None
    url, now = made.relay.url, made.hours.now()
    words = " ".join(invited.words)
    read = joining.read(words, url, found, lambda: heron.tools.relay(url, found.key), now)
    row = joining.answer(heron.app, heron.vault, read, "Heron")
    return Hour(row.summary["last"])


def owe_and_wait(heron: Client, hour: Hour) -> None:
    """A request that no relay takes, and an unattributed text that was refused."""
    now, row = heron.tools.now(), heron.row
    owed = Owed(
        *(
            row.id,
            AWAY,
            bytes(range(32)),  # no relay of the channel: what is for one goes where that is
            DropId(bytes(16)),
            X25519Private(bytes(range(32))),
        ),
        *(int(Operation.APPEND), b"block", "", hour),
    )
    with heron.vault.exclusive(now), heron.vault.transaction():
        heron.vault.outbox.add(owed)
        ends = Hour(hour_of(now) + longest(LIFETIME))
        heron.vault.drafts.add(row.id, b"{}", now, ends, now, SystemEntropy())
        (draft,) = heron.vault.drafts.list(row.id)
        heron.vault.drafts.refuse(draft.number, "the rules changed")


def sealed(filled: Filled, table: str) -> list[tuple[bytes, ...]]:
    """Rows of items, with the name of their thread's key."""
    names = "named_messages" if table == "messages" else "cores"
    name = "name" if table == "messages" else "x''"
    return filled.heron.vault._database.all(
        f"SELECT stored, expires, item, content, {name} FROM {names}"  # noqa: S608 - our own names
    )


def opens(filled: Filled, row: tuple[bytes, ...], keys: ExpiryKeys, hour: Hour) -> bool:
    """By one state of the file of keys, with all that the vault's passphrase gives."""
    stored, expires, item, content, name = row
    store = filled.heron.vault._store_key()
    channel = filled.heron.row.id
    about = bytes(channel) + content if name else b"core" + bytes(channel) + content
    try:
        own = keys.thread(name, hour) if name else None
        key = item_key(store, keys.get(Hour(int(stored)), Hour(int(expires)), hour), own)
    except StaleError:
        return False
    open_item(key, item, about)
    return True


def keys_file(filled: Filled) -> ExpiryKeys:
    return ExpiryKeys(filled.keys.read_bytes())


def test_everything_is_there_now_and_the_list_counts_it(filled: Filled) -> None:
    now = {each.name: each.now for each in filled.listed() if each.channel in {NAME, ""}}
    assert now["messages in 'Quay'"] == "1 message"
    assert int(now["messages"].split()[0]) >= 1
    assert int(now["blocks for others"].split()[0]) >= 2
    assert now["outbox"] == "1 request"
    assert now["drafts"] == "1 draft"
    assert now["joins that wait"] == "1 join"
    assert now["vouchers"] == "0 unspent"


def test_every_table_is_in_the_list_and_nothing_else(filled: Filled) -> None:
    found = filled.heron.vault._database.all("SELECT name FROM sqlite_schema WHERE type = 'table'")
    tables = {row[0] for row in found} - {"sqlite_sequence"}
    assert {each.table for each in filled.listed()} - {""} == tables


def test_every_file_is_in_the_list(filled: Filled) -> None:
    home = filled.heron.vault._folder.path.parent
    there = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}
    listed = {name for each in filled.listed() for name in each.where.split(", ")}
    assert {DATABASE, KEYS, f"{DATABASE}-wal", "lock"} <= there, "control"
    assert there <= listed


def test_every_row_is_measured(filled: Filled) -> None:
    """A store that is added to the list is added here, or the list would be words."""
    held = filled.listed()
    by_hour = {each.name for each in held if each.ends == "hour"}
    assert by_hour == {*MEASURED, "expiry keys", "messages in 'Quay'"}
    assert {each.name for each in held if each.ends == "deed"} == DEED
    assert all(each.hours is not None for each in held if each.ends == "hour")


def messages(thread: bool) -> Callable[[Filled], bool]:
    def there(filled: Filled) -> bool:
        now, row = filled.heron.tools.now(), filled.heron.row
        found = [each.plain for each in filled.heron.vault.messages.list(row.id, now)]
        return any((b"in the thread" if thread else b"in the channel") in each for each in found)

    return there


def core_there(filled: Filled) -> bool:
    """Any of those that were there at the beginning."""
    hour = hour_of(filled.heron.tools.now())
    return any(opens(filled, row, keys_file(filled), hour) for row in sealed(filled, "cores"))


def outbox_there(filled: Filled) -> bool:
    return filled.count("SELECT count(*) FROM outbox WHERE relay = ?", AWAY) == 1


def draft_there(filled: Filled) -> bool:
    return bool(filled.heron.vault.drafts.list(filled.heron.row.id))


def names_there(filled: Filled) -> bool:
    return filled.count("SELECT count(*) FROM threads") > 0


MEASURED: dict[str, Callable[[Filled], bool] | None] = {
    "messages": messages(thread=False),
    "blocks for others": core_there,
    "outbox": outbox_there,
    "drafts": draft_there,
    "names of threads' keys": names_there,
    "clocks": None,  # below, each by a test of its own
    "joins that wait": None,
    "base key": None,
}


def test_a115_each_store_is_emptied_at_its_hour_and_not_before(filled: Filled) -> None:
    """Hour by hour; what the list says is what is measured."""
    watched = {"messages in 'Quay'": messages(thread=True)}
    watched |= {name: probe for name, probe in MEASURED.items() if probe is not None}
    said = {name: filled.hours(name) for name in watched}
    assert said["messages in 'Quay'"] == SHORT
    before = keys_file(filled)
    rows = [*sealed(filled, "messages"), *sealed(filled, "cores")]
    assert all(opens(filled, row, before, filled.hour) for row in rows)
    gone: dict[str, int] = {}
    for hours in range(1, max(said.values()) + 1):
        filled.until(filled.hour + hours)
        gone |= {
            name: hours for name, probe in watched.items() if name not in gone and not probe(filled)
        }
    assert gone == said
    late = keys_file(filled)
    assert not any(opens(filled, row, late, Hour(0)) for row in rows), "by a clock set back, too"
    assert all(opens(filled, row, before, filled.hour) for row in rows), "control: the old keys"
    dead = {expiry_name(Hour(int(row[0])), Hour(int(row[1]))) for row in rows}
    assert not dead & late.names(PlaceKind.EXPIRY)


def test_a115_clocks_open_no_further_back_than_the_list_says(filled: Filled) -> None:
    filled.until(filled.hour + filled.hours("clocks"))
    now = filled.heron.vault.hour(filled.heron.tools.now())
    names = filled.heron.vault.channels.epochs(filled.heron.row.id)
    oldest = [filled.heron.vault.clock(name)[0] for name in names]
    assert oldest
    assert max(now - hour for hour in oldest) == filled.hours("clocks")


def test_a115_a_join_that_nobody_answered_goes_when_the_list_says(filled: Filled) -> None:
    ends = filled.join_ends + filled.hours("joins that wait")
    filled.until(ends - 1)
    assert len(filled.heron.vault.joins.list()) == 1
    filled.until(ends)
    assert filled.heron.vault.joins.list() == []
    assert filled.count("SELECT count(*) FROM outbox") == 0, "nor is anything owed for it"


def test_a115_the_base_key_is_another_each_day(filled: Filled) -> None:
    assert filled.hours("base key") == BASE_HOURS
    (before,) = filled.heron.vault._expiry.bases
    filled.until(hour_of(filled.party.hours.now()) + BASE_HOURS)
    filled.heron.vault._expiry.forget()
    (after,) = filled.heron.vault._expiry.bases
    assert after.key != before.key
    assert (
        before.key.expose() not in Folder(filled.heron.vault._folder.path).first.keys.read_bytes()
    )
