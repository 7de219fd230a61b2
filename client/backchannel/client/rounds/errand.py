"""What somebody asks for, and bringing to relays what is owed for it: done once it is in the vault
and one relay of the channel has all of it. The others are owed it.

Knows how long a person is made to wait, and reads nothing.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, TypeVar, final

from backchannel.client.errors import ClientError, ClockApart, Interrupted, RateLimited, TooFast
from backchannel.client.rounds import cover, refusals
from backchannel.client.rounds.network import Network
from backchannel.client.rounds.outbox import Delivered, Delivery, Refusal, Tell
from backchannel.client.rounds.patience import Patience
from backchannel.client.rounds.verdict import grave
from backchannel.client.vault.outbox import Owed
from backchannel.protocol import limits
from backchannel.protocol.command import Command
from backchannel.protocol.outcome import Event
from backchannel.protocol.types import hour_of

T = TypeVar("T", bound=Event)

BROKEN: Final = (
    "Cover is broken: all that waits goes now. Whoever watches the relay sees that somebody spoke."
)


@final
class Errand:
    """The last thing that was asked for, and all deliveries of one command."""

    def __init__(self, network: Network) -> None:
        self._net = network
        self._app = network.app
        self._vault = network.vault
        self._delivery = Delivery(network.vault, network.relays, network.app.now, self._held)
        self._owed: dict[str, list[int]] = {}
        """What the last `act` owes, by relay."""
        self._at_once = False
        """Whether a person breaks cover."""

    def act(self, name: str, command: Command, kind: type[T]) -> T | None:
        """Do what a person asks; saved with what it owes, and not sent yet. The event that tells
        about it.
        """
        now = self._app.now()
        behind = self._vault.hour(now) - hour_of(now)
        if behind > limits.CLOCK_SKEW:  # nobody would believe the hour that it goes by instead
            msg = f"This machine's clock is {behind} hours behind what it once said. "
            step = f"set the clock; if it is right now, wait {behind} hours, or begin anew: "
            raise ClockApart(f"{msg}Nothing was done.", f"{step}backchannel backup --help")
        with self._net.change(name) as session:
            events = session.act(command)
        self._owed = self._vault.outbox.by_relay(session.owed)
        return next((event for event in events if isinstance(event, kind)), None)

    def send(self, name: str, tell: Tell | None = None) -> ClientError | None:
        """Deliver until one relay has all of the last `act`, and wait where it asks for that and
        not for long; why none has it, if so. What the others lack is owed to them. `tell` hears how
        far it is.
        """
        self._at_once = self._app.at_once
        if self._at_once and cover.rate(self._vault.channels.get(name).summary):
            self._app.ui.note(BROKEN)
        try:
            problem = self._patiently(name, tell)
            self._net.remember()
        except ClientError as error:
            problem = error
        except KeyboardInterrupt:  # whoever calls has something to say that is said only once
            problem = Interrupted("You did not wait for the relay.")
        self._at_once = False
        return None if self.taken() else problem or self.waits(name)

    def waits(self, name: str) -> ClientError | None:
        """What to say of what waits for a turn of cover; none without it."""
        row = self._vault.channels.get(name)
        if not cover.rate(row.summary):
            return None
        return cover.waits(self._vault, row.summary, row.id, self._app.now())

    def taken(self) -> bool:
        """Whether some relay has all of the last `act`."""
        owed = self._owed.values()
        return not owed or any(not self._vault.outbox.owes(numbers) for numbers in owed)

    def deliver(
        self,
        owner: bytes | None = None,
        tell: Tell | None = None,
        *,
        sending: bool = False,
        rest: Callable[[], bool] | None = None,
    ) -> Delivered:
        """Send what is owed, for one channel or join, or for all. Slow relays are left behind once
        another one of the channel is done; when `sending`, once one has all of the last `act`, and
        then pieces of files wait, too, as they do where there is no `rest`.
        """
        urls = self._net.urls(owner) or [*self._vault.outbox.relays(owner or b"")]

        def enough() -> bool:
            return self.taken() if sending else self._net.free(self._net.relays.writes, urls)

        if rest is None:
            rest = (lambda: not self.taken()) if sending else (lambda: True)
        return self._delivery.run(owner, tell, enough, urls, rest)

    def deliver_turn(self, rows: Mapping[str, Owed]) -> Delivered:
        """Send these, each alone, and nothing else."""
        return self._delivery.turn(rows, lambda: self._net.free(self._net.relays.writes, rows))

    def settle(self, name: str, refused: Collection[Refusal]) -> bool:
        """Deal with what drops took no more; whether something else is sent now."""
        with self._net.change(name) as session:
            refusals.settle(self._vault, session, refused)
        for url, numbers in self._vault.outbox.by_relay(session.owed).items():
            self._owed.setdefault(url, []).extend(numbers)
        return bool(session.owed)

    def _held(self, owner: bytes) -> bool:
        """Whether what a channel posts waits for its turns."""
        rows = [row for row in self._vault.channels.list() if row.id == owner]
        return not self._at_once and any(cover.rate(row.summary) for row in rows)

    def _patiently(self, name: str, tell: Tell | None) -> ClientError | None:
        patience, owner = Patience(self._app), self._vault.channels.get(name).id
        while True:
            delivered = self.deliver(owner, tell, sending=True)
            errors = delivered.errors.values()
            if self.taken():
                self._warn(errors)
                return None
            busy = [each for each in delivered.refused if isinstance(each.error, TooFast)]
            if busy and self.settle(name, busy):
                continue  # who keeps the drop busy does not hold up its own removal
            soon = next((error for error in errors if isinstance(error, RateLimited)), None)
            if soon is None or not patience.again(soon, moved=bool(delivered.sent)):
                return soon or next(iter(errors), None)

    def _warn(self, errors: Iterable[ClientError]) -> None:
        for error in filter(grave, errors):
            self._app.ui.note(error.message, next=error.next_step)
