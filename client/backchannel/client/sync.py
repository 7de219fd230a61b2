"""Fetching and delivering: what relays hold goes through `receive` into the vault, what the outbox
holds goes out.

Owns the order of a round and where reading goes on. Holds the vault only between requests, never
while it waits.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple, Self, TypeVar, final

from backchannel.client import chores, doubt, joining, refusals
from backchannel.client.app import App
from backchannel.client.choosing import pick_channel
from backchannel.client.errors import (
    ClientError,
    ClockApart,
    Interrupted,
    RelayError,
    UnknownDrop,
    caught,
)
from backchannel.client.joining import MOST_PAGES, after
from backchannel.client.outbox import Delivered, Delivery, Refusal, Tell
from backchannel.client.relays import Relays
from backchannel.client.session import Session, change, look, refuse_draft, steady
from backchannel.client.vault.channels import ChannelRow, JoinRow
from backchannel.client.vault.outbox import Cursor
from backchannel.client.vault.vault import Vault
from backchannel.protocol import limits
from backchannel.protocol.command import Command, Turn
from backchannel.protocol.drop import Page
from backchannel.protocol.outcome import EVERY_HOUR, Arrival, Event, Offered, Poll, Said
from backchannel.protocol.types import hour_of


class Round(NamedTuple):
    """What one round with a channel brought."""

    new: int
    """Messages of others."""
    sent: int
    """Requests."""


T = TypeVar("T", bound=Event)
_Take = Callable[[Poll, Cursor, Page], int]


@final
class Sync:
    """All rounds of one command, over the same connections."""

    def __init__(self, app: App, vault: Vault) -> None:
        self._app = app
        self._vault = vault
        self._relays = Relays(app)
        self._owed: list[int] = []
        self._chores: list[Command] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._relays.close()

    def channel(self, name: str, wait: int = 0) -> Round:
        """Deliver, fetch, do what time asks for, deliver. The first problem is raised when all is
        done that can be.
        """
        self._relays.forgive()
        self._trust_clock()
        owner = self._vault.channels.get(name).id
        self._relays.speak_for(owner)
        before = self.deliver(owner)
        new, problem = self._fetch(name, wait)
        if self._tick(name, before.refused):
            self._do(name, Turn())
        for command in self._chores:
            self._do(name, command)
        self._say_drafts(name)
        self._vault.sweep(self._app.now(), self._app.entropy)
        after = self.deliver(owner)
        if after.refused:  # what is said to an epoch that is over may come too late
            self._settle(name, after.refused)
            after = self.deliver(owner)
        problem = after.problem or problem
        if problem is not None:
            raise problem
        return Round(new, before.sent + after.sent)

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
        with change(self._vault, name, now, self._app.entropy) as session:
            events = session.act(command)
        self._owed = session.owed
        return next((event for event in events if isinstance(event, kind)), None)

    def send(self, name: str, tell: Tell | None = None) -> ClientError | None:
        """Deliver; why something of the last `act` is still owed, if it is. `tell` hears how far
        it is.
        """
        try:
            problem = self.deliver(self._vault.channels.get(name).id, tell).problem
        except ClientError as error:
            problem = error
        except KeyboardInterrupt:  # whoever calls has something to say that is said only once
            problem = Interrupted("You did not wait for the relay.")
        return problem if self._vault.outbox.owes(self._owed) else None

    def fresh(
        self, channel: str | None, *, offline: bool = False
    ) -> tuple[ChannelRow, ClientError | None]:
        """The channel that is meant, after a round with it; and what went wrong in that round."""
        problem = None
        if not offline and self._vault.joins.list():
            problem = caught(self.joins)
        if problem is not None and not self._vault.channels.list():
            raise problem
        row = pick_channel(self._vault, channel)
        if not offline:
            problem = caught(lambda: self.channel(row.name))
        return self._vault.channels.get(row.name), problem

    def deliver(self, owner: bytes | None = None, tell: Tell | None = None) -> Delivered:
        """Send what is owed, for one channel or join, or for all."""
        return Delivery(self._vault, self._relays, self._app.now).run(owner, tell)

    def joins(self) -> None:
        """Ask every lobby whether the door was opened; the first problem is raised at the end."""
        self._trust_clock()
        problem: ClientError | None = None
        for row in self._vault.joins.list():
            try:
                self.join(row)
            except ClientError as error:
                problem = problem or error
        if problem is not None:
            raise problem

    def _trust_clock(self) -> None:
        """Where it leapt while this ran, as after a weekend's sleep: `RelayDown` until a relay has
        said that it is right.
        """
        if self._vault.leapt(self._app.now()):
            doubt.confirm(self._app, self._vault, self._relays)

    def join(self, row: JoinRow, wait: int = 0) -> None:
        """Ask one lobby; waits up to `wait` seconds for an answer."""
        self._relays.speak_for(row.id)
        delivered = self.deliver(row.id)
        if delivered.problem is not None:
            joining.tidy(self._app, self._vault, row.id)
            raise delivered.problem

        def take(poll: Poll, cursor: Cursor, page: Page) -> int:
            return joining.take(self._app, self._vault, row.id, poll, cursor, page)

        with suppress(UnknownDrop):  # its time is over
            self._drain(joining.poll(row), take, wait)
        joining.tidy(self._app, self._vault, row.id)

    def again(self, name: str) -> int:
        """Read the channel's drops once more from where they begin, while the cursors stay; how
        many cores were not known before. For what came before the reason to keep it.
        """
        self._relays.forgive()
        look_at = look(self._vault, name, self._app.now(), self._app.entropy)
        self._relays.speak_for(look_at.row.id)
        before = self._vault.cores.count(look_at.row.id)
        for poll in look_at.channel.polls():
            with suppress(UnknownDrop):
                self._read_again(name, poll)
        return self._vault.cores.count(look_at.row.id) - before

    def _read_again(self, name: str, poll: Poll) -> None:
        position, more = 0, True
        while more:
            page = self._page(poll, Cursor(position, EVERY_HOUR), 0)
            with change(self._vault, name, self._app.now(), self._app.entropy) as session:
                for row in page.rows:
                    session.receive(Arrival(poll.drop.id, row.hour, row.block), again=True)
            more = page.more and page.following > position
            position = page.following

    def _fetch(self, name: str, wait: int) -> tuple[int, ClientError | None]:
        """Messages of others from all drops, and the first problem: of an epoch too that is learned
        of on the way. Only the current epoch's first drop is waited for.
        """
        problem: ClientError | None = None
        new, seen = 0, set[bytes]()

        def take(poll: Poll, cursor: Cursor, page: Page) -> int:
            return self._take(name, poll, cursor, page)

        while True:
            session = look(self._vault, name, self._app.now(), self._app.entropy)
            polls = [each for each in session.channel.polls() if each.drop.id not in seen]
            if not polls:
                return new, problem
            own = [drop.id for _, drop in session.state.epoch.drops()]
            for poll in polls:
                seen.add(poll.drop.id)
                try:
                    new += self._drain(poll, take, wait if poll.drop.id == own[0] else 0)
                except UnknownDrop as error:
                    problem = problem or (error if poll.drop.id in own else None)
                except ClientError as error:
                    problem = problem or error

    def _drain(self, poll: Poll, take: _Take, wait: int) -> int:
        """Read a drop to its end; what `take` counted."""
        count = 0
        for _ in range(MOST_PAGES):
            cursor = self._vault.cursors.get(poll.relay, poll.drop.id)
            page = self._page(poll, cursor, wait)
            if page.rows or page.following != cursor.position:
                count += take(poll, cursor, page)
            wait = 0
            if not page.more or page.following <= cursor.position:
                break
        return count

    def _page(self, poll: Poll, cursor: Cursor, wait: int) -> Page:
        relay = self._relays.get(poll.relay, poll.drop.relay)
        try:
            return relay.read(poll.drop, cursor.position, EVERY_HOUR, wait=wait)
        except RelayError as error:
            self._relays.down(poll.relay, error)
            raise

    def _take(self, name: str, poll: Poll, cursor: Cursor, page: Page) -> int:
        """A page and its cursor in one transaction; nothing where another process was faster."""
        with change(self._vault, name, self._app.now(), self._app.entropy) as session:
            if self._vault.cursors.get(poll.relay, poll.drop.id) != cursor:
                return 0
            new = sum(_receive(session, poll, page))
            if cursor.position:
                passed = page.following - cursor.position
                session.summary["missed"] += max(0, passed - len(page.rows))
            self._vault.cursors.put(poll.relay, poll.drop.id, after(cursor, page))
        return new

    def _settle(self, name: str, refused: Iterable[Refusal]) -> None:
        with change(self._vault, name, self._app.now(), self._app.entropy) as session:
            refusals.settle(self._vault, session, refused)

    def _tick(self, name: str, refused: Iterable[Refusal]) -> bool:
        """What time asks for; whether a new epoch is due."""
        with change(self._vault, name, self._app.now(), self._app.entropy) as session:
            refusals.settle(self._vault, session, refused)
            session.tick()
            session.summary["synced_at"] = session.now
            self._chores = chores.due(session)
            return session.turns()

    def _do(self, name: str, command: Command) -> None:
        """Something that nobody asked for just now: where it cannot be, it waits."""
        now, entropy = self._app.now(), self._app.entropy
        with suppress(ClientError), change(self._vault, name, now, entropy) as session:
            session.act(command)
            session.turns()

    def _say_drafts(self, name: str) -> None:
        """Say what waited for its moment, each by itself; what is refused waits for a person."""
        now, entropy, row = self._app.now(), self._app.entropy, self._vault.channels.get(name)
        for draft in self._vault.drafts.list(row.id):
            if draft.refused or draft.due > steady(self._vault, now):
                continue
            try:
                with change(self._vault, name, now, entropy) as session:
                    session.say_draft(draft.number)
            except ClientError as error:
                refuse_draft(self._vault, name, draft.number, error.message, now)


def _receive(session: Session, poll: Poll, page: Page) -> list[int]:
    """For each block, how many messages of others it gave."""
    me = session.state.me
    return [
        sum(
            isinstance(event, Said | Offered) and event.author != me
            for event in session.receive(arrival)
        )
        for arrival in (Arrival(poll.drop.id, row.hour, row.block) for row in page.rows)
    ]
