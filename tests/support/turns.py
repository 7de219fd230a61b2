"""A channel with cover whose clock a test moves: each member takes its turn when it has one, and a
relay's watch writes down what comes at which moment.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from backchannel.client.rounds.sync import Sync
from backchannel.protocol import command
from backchannel.protocol.outcome import Invited
from backchannel.protocol.primitives import KemPublic
from backchannel.protocol.roster import Policy
from backchannel.protocol.secret import KemShared
from tests.support.clients import NAME, Client, Party, party
from tests.support.entropy import ScriptedEntropy
from tests.support.people import ENTROPY
from tests.support.wire import Tap

_PAUSE = 8  # bytes that a pause is drawn from, and next to nothing else


@dataclass
class Chance:
    """Pauses by script, and all else by chance: so a test has the same turns twice."""

    pauses: ScriptedEntropy

    def draw(self, count: int, /) -> bytes:
        return self.pauses.draw(count) if count == _PAUSE else ENTROPY.draw(count)

    def encapsulate(self, public: KemPublic, /) -> tuple[KemShared, bytes]:
        return ENTROPY.encapsulate(public)


class Came(NamedTuple):
    """A request as the relay sees it."""

    after: int
    """Seconds since the watch began."""
    path: str
    there: int
    """Bytes of the request, and of its answer."""
    back: int
    alone: bool
    """Whether over a connection of its own."""


@dataclass
class Turns:
    """A party under cover."""

    party: Party
    taps: list[Tap]
    began: int = 0
    came: list[Came] = field(default_factory=list)
    running: list[Client] = field(default_factory=list)
    """Whose programs run."""

    @property
    def clients(self) -> list[Client]:
        return list(self.party.clients.values())

    def begin(self, seed: str) -> None:
        """All programs start at once, and the watch begins."""
        self.came.clear()
        hours = self.party.hours
        self.began = hours.still = hours.now()
        for client in self.clients:
            client.tools.entropy = Chance(ScriptedEntropy(f"{seed} {client.alias}"))
        self.start(self.clients)

    def start(self, clients: list[Client]) -> None:
        """Their programs run from now on."""
        self.running = clients
        for client in clients:
            put_turn(client, 0)
            self.take(client)

    def take(self, client: Client) -> None:
        """Take a turn where it is due."""
        before = [tap.connections for tap in self.taps]
        with Sync(client.app, client.vault) as rounds:
            rounds.turns.take(NAME)
        self._note(before)

    def ask(self, client: Client, asked: command.Command) -> None:
        """As a verb does it: asked and sent."""
        before = [tap.connections for tap in self.taps]
        with Sync(client.app, client.vault) as rounds:
            rounds.act(NAME, asked, Invited)
            rounds.send(NAME)
        self._note(before)

    def read(self) -> None:
        """Everybody, without any time going by; nothing of it is one of the watch's concerns."""
        for client in self.clients:
            client.sync()

    def _note(self, before: list[int]) -> None:
        after = self.party.hours.now() - self.began
        for tap, since in zip(self.taps, before, strict=True):
            found = tap.exchanges(since)
            alone = tap.connections - since == len(found)
            sizes = [(each.path, each.request.size, each.answer.size) for each in found]
            self.came += [Came(after, *each, alone) for each in sizes]

    def next(self) -> tuple[int, Client]:
        """Whose turn is next, and when."""
        return min(((turn_of(each), each) for each in self.running), key=lambda pair: pair[0])

    def go_on(self, seconds: int) -> None:
        """So long."""
        end = self.party.hours.now() + seconds
        while self.next()[0] <= end:
            self._step()
        self.party.hours.still = end

    def drain(self, most: int = 400) -> None:
        """Until nothing waits for a turn, read meanwhile."""
        for _ in range(most):
            if not any(each.vault.outbox.count(each.row.id) for each in self.running):
                return
            self._step()
        raise AssertionError

    def _step(self) -> None:
        moment, client = self.next()
        self.party.hours.still = moment
        self.take(client)
        assert turn_of(client) > moment


def turn_of(client: Client) -> int:
    """The moment of a member's next turn."""
    return int(client.row.summary["turn"])


def put_turn(client: Client, moment: int) -> None:
    """Let it be then; at 0 nothing ran before."""
    with client.vault.exclusive(client.tools.now()), client.vault.transaction():
        row = client.row
        client.vault.channels.put_state(row.id, row.state, row.summary | {"turn": moment})


@contextlib.contextmanager
def covered(*guests: str, cover: int = 2) -> Iterator[Turns]:
    """A party whose rules have cover, and all of whose members know."""
    taps: list[Tap] = []

    def through(url: str) -> str:
        taps.append(Tap(url))
        return taps[-1].url

    with party(*guests, through=through, vouchers=12) as made, taps[0]:
        made.settle()
        fox = made.clients["Fox"]
        fox.act(command.SetPolicy(Policy(168, unattributed=4, cover=cover)))
        turns = Turns(made, taps)
        turns.start([fox])  # its very announcement waits for turns
        turns.drain()
        made.settle()
        yield turns
