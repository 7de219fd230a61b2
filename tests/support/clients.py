"""Several people's clients in one process, over a real relay: vaults, rounds and a clock that a
test moves. What the program prints is tested elsewhere.
"""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import cast

from backchannel.client.app import App
from backchannel.client.convening import founding
from backchannel.client.convening.charter import Charter
from backchannel.client.errors import ClockApart
from backchannel.client.rounds import joining
from backchannel.client.rounds.session import Session, look
from backchannel.client.rounds.sync import Sync
from backchannel.client.ui import Ui
from backchannel.client.vault.channels import ChannelRow
from backchannel.client.vault.vault import Vault
from backchannel.client.wire.budget import Budget
from backchannel.client.wire.pace import Paces
from backchannel.client.wire.relay import Relay, describe
from backchannel.protocol import command
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.outcome import Invited
from backchannel.protocol.primitives import X25519Public
from backchannel.protocol.roster import Disclosure, Policy
from backchannel.protocol.roster import Relay as Named
from backchannel.protocol.types import MAIN_THREAD, Timestamp
from tests.support.people import ENTROPY, make_vault
from tests.support.relay import RelayProcess, noise, running_relay, until

NAME = "North"
_STEP = 12


@dataclass
class Hours:
    """How far ahead of the system's clock everybody is."""

    ahead: int = 0
    still: int | None = None
    """A moment at which the clock of everybody but the relay stands."""

    def now(self) -> Timestamp:
        if self.still is not None:
            return Timestamp(self.still)
        system = int(time.time())  # noqa: TID251 - the relay beside us reads the same clock
        return Timestamp(system + 3600 * self.ahead)


@dataclass
class Tools:
    """What `App` gives, without a screen."""

    hours: Hours
    at_once: bool = False
    entropy: Entropy = ENTROPY
    opened: list[Relay] = field(default_factory=list)
    """Every connection to a relay."""
    budget: Budget = field(default_factory=Budget)
    paces: Paces = field(default_factory=Paces)

    @cached_property
    def ui(self) -> Ui:
        """Where nobody looks."""
        return Ui(out=StringIO(), err=StringIO())

    def now(self) -> Timestamp:
        return self.hours.now()

    def awake(self) -> int:
        return 3600

    def relay(self, url: str, key: X25519Public) -> Relay:
        shared = (self.budget, self.paces)
        made = Relay(url, key, self.now, ENTROPY, *shared, proxy=None, allow_http=True)
        self.opened.append(made)
        return made


@dataclass
class Client:
    """One person's vault, and the rounds with it."""

    alias: str
    tools: Tools
    vault: Vault

    @property
    def app(self) -> App:
        """As the client's own code takes it."""
        return cast("App", self.tools)

    def sync(self) -> None:
        """A round of its own, as a command makes it."""
        with Sync(self.app, self.vault) as rounds:
            rounds.lobbies.ask_all()
            if self.vault.channels.list():
                rounds.channel(NAME)

    def act(self, asked: command.Command) -> None:
        """Ask, and send nothing yet."""
        with Sync(self.app, self.vault) as rounds:
            rounds.act(NAME, asked, Invited)

    def say(self, text: str) -> None:
        self.act(command.Say(MAIN_THREAD, text))

    def look(self) -> Session:
        return look(self.vault, NAME, self.tools.now(), ENTROPY)

    @property
    def row(self) -> ChannelRow:
        return self.vault.channels.get(NAME)

    def plain(self) -> list[bytes]:
        """Every message that still opens."""
        return [each.plain for each in self.vault.messages.list(self.row.id, self.tools.now())]


@dataclass
class Party:
    """A relay, the clock and all clients; the first founded the channel."""

    relay: RelayProcess
    folder: Path
    hours: Hours
    clients: dict[str, Client]

    def client(self, alias: str) -> Client:
        """A new home."""
        profile, key = make_vault(self.folder / alias.lower(), self.hours.now())
        made = Client(alias, Tools(self.hours), Vault(profile, key, self.hours.now()))
        self.clients[alias] = made
        return made

    def settle(self, *aliases: str) -> None:
        """Some, or all, until nobody owes anybody an answer."""
        for _ in range(3):
            for each in aliases or list(self.clients):
                self.clients[each].sync()

    def pass_hours(self, hours: int) -> None:
        """For everybody, the relay included."""
        first = next(iter(self.clients.values()))
        for _ in range(0, hours, _STEP):
            self.hours.ahead += min(_STEP, hours)
            hours -= _STEP
            self.relay.move_clock(self.hours.ahead)
            self._write(first)

    def _write(self, client: Client) -> None:
        """A relay turns its hour when it is written to; one that leaps asks its operator."""
        polls = client.look().channel.polls()
        poll = [each for each in polls if each.relay == self.relay.url][-1]
        for _ in until(60):
            with suppress(ClockApart), client.tools.relay(poll.relay, poll.drop.relay) as relay:
                relay.append(poll.drop, noise())
                return

    def pay(self, alias: str, count: int) -> None:
        """Vouchers for one."""
        client = self.clients[alias]
        with client.vault.exclusive(self.hours.now()), client.vault.transaction():
            client.vault.vouchers.add_many(self.relay.url, self.relay.mint(count))

    def admit(self, alias: str, guest: Client | None = None) -> Client:
        """Somebody new, all the way in; with a home that is there already, if it is given."""
        fox = next(iter(self.clients.values()))
        with Sync(fox.app, fox.vault) as rounds:
            asked = command.Invite(alias, "North", "participant", 24)
            invited = rounds.act(NAME, asked, Invited)
            rounds.deliver()
        assert invited is not None
        guest, words = guest or self.client(alias), " ".join(invited.words)
        found = describe(self.relay.url, allow_http=True)
        url, now = self.relay.url, self.hours.now()
        read = joining.read(words, url, found, lambda: guest.tools.relay(url, found.key), now)
        joining.answer(guest.app, guest.vault, read, alias)
        guest.sync()
        fox.sync()
        fox.act(command.Admit(alias))
        self.settle()
        return guest


@contextlib.contextmanager
def party(
    *guests: str,
    lifetime: int = 168,
    vouchers: int = 8,
    quota: int = 65_536,
    rate: int = 0,
    through: Callable[[str], str] = str,
) -> Iterator[Party]:
    """A channel on a relay of its own, with Fox and some guests in it. `through` gives the address
    that everybody knows the relay by.
    """
    with (
        tempfile.TemporaryDirectory(prefix="party-") as name,
        running_relay(start=False) as relay,
        contextlib.ExitStack() as stack,
    ):
        with (relay.data / "relay.toml").open("a") as settings:
            settings.write(f"quota = {quota}\nrate_blocks = {rate}\n")
        relay.start()
        relay.url = through(relay.url)
        made = Party(relay, Path(name), Hours(), {})
        fox = made.client("Fox")
        key = describe(relay.url, allow_http=True).key
        plan = founding.Plan(
            *(NAME, "Fox", "Bridge", (Named(relay.url, key.value),), Policy(lifetime)),
            Charter("We talk.", Disclosure("Fox", "nobody", "nobody")),
        )
        bought = {relay.url: relay.mint(vouchers)}
        founding.keep(fox.app, fox.vault, founding.draw_up(fox.app, plan), bought)
        fox.sync()
        for guest in guests:
            made.admit(guest)
        for client in made.clients.values():
            stack.callback(client.vault.close)
        yield made
