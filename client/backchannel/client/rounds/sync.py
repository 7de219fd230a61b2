"""A round with a channel: what is owed goes out, what relays hold comes in, then what time asks for
is done and goes out, too.

Owns the order of a round, and no part of it.
"""

from collections.abc import Collection
from contextlib import suppress
from typing import Final, NamedTuple, Self, TypeVar, final

from backchannel.client.app import App
from backchannel.client.errors import (
    AwayTooLong,
    ClientError,
    DropSealed,
    Enough,
    RateLimited,
    caught,
)
from backchannel.client.rounds import chores, cover, drafts, refusals
from backchannel.client.rounds.drops import Drops
from backchannel.client.rounds.errand import Errand
from backchannel.client.rounds.lobbies import Lobbies
from backchannel.client.rounds.network import Network
from backchannel.client.rounds.outbox import Delivered, Refusal, Tell
from backchannel.client.rounds.patience import Patience
from backchannel.client.rounds.session import Session, steady
from backchannel.client.rounds.turns import Turns
from backchannel.client.rounds.verdict import worth_telling
from backchannel.client.telling import presence
from backchannel.client.telling.choosing import pick_channel
from backchannel.client.telling.description import described
from backchannel.client.vault.channels import ChannelRow
from backchannel.client.vault.vault import Vault
from backchannel.protocol.command import Command, Turn
from backchannel.protocol.outcome import Event
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import ChannelId

T = TypeVar("T", bound=Event)

_STANDS: Final = 2.0  # seconds from asking


class Round(NamedTuple):
    """What one round with a channel brought."""

    new: int
    """Messages of others."""
    sent: int
    """Requests."""


@final
class Sync:
    """All rounds of one command, over the same connections."""

    def __init__(
        self, app: App, vault: Vault, *, whole: bool = False, patient: bool = False
    ) -> None:
        """`whole`: whatever is asked for is a whole page, so that all reads are alike. `patient`:
        see `Network`.
        """
        self._app = app
        self._vault = vault
        self._net = Network(app, vault, patient=patient)
        self._drops = Drops(self._net, whole=whole)
        self._errand = Errand(self._net)
        self.turns = Turns(self._net, self._errand)
        self.lobbies = Lobbies(self._net, self._errand)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._net.relays.close()
        if kind is None:
            self._net.remember()

    def state(self, name: str) -> ChannelState:
        """What is known of a channel by now."""
        return self._net.look(name).state

    def act(self, name: str, command: Command, kind: type[T]) -> T | None:
        """See `Errand.act`."""
        return self._errand.act(name, command, kind)

    def send(self, name: str, tell: Tell | None = None) -> ClientError | None:
        """See `Errand.send`."""
        return self._errand.send(name, tell)

    def waits(self, name: str) -> ClientError | None:
        """See `Errand.waits`."""
        return self._errand.waits(name)

    def deliver(self, owner: bytes | None = None) -> Delivered:
        """See `Errand.deliver`."""
        return self._errand.deliver(owner)

    def channel(self, name: str, wait: int = 0) -> Round:
        """Deliver, fetch, do what time asks for, deliver. What a person should know is raised when
        all is done that can be.
        """
        done, problem = self._round(name, wait)
        if problem is not None:
            raise problem
        return done

    def whole(self, name: str) -> Round:
        """A round for which a person asked, and another after each wait that a relay asks for and
        that is not long.
        """
        patience, done = Patience(self._app), Round(0, 0)
        self._net.thorough = True
        while True:
            owed = self._vault.outbox.count()
            last, problem = self._whole_round(name)
            done = Round(done.new + last.new, done.sent + last.sent)
            if problem is None or isinstance(problem, Enough):
                return done
            moved = last.new > 0 or self._vault.outbox.count() < owed
            if not isinstance(problem, RateLimited) or not patience.again(problem, moved=moved):
                raise problem

    def fresh(
        self, channel: str | None, *, offline: bool = False
    ) -> tuple[ChannelRow, ClientError | None]:
        """The channel that is meant, after a round with it; and what went wrong in that round."""
        problem = None
        if not offline and self._vault.joins.list():
            problem = caught(self.lobbies.ask_all)
        if problem is not None and not self._vault.channels.list():
            raise problem
        row = pick_channel(self._vault, channel)
        if not offline and not cover.runs(row.summary, self._app.now()):
            problem = caught(lambda: self.channel(row.name))
        return self._vault.channels.get(row.name), problem

    def _whole_round(self, name: str) -> tuple[Round, ClientError | None]:
        try:
            return self._round(name, 0)
        except ClientError as error:
            return Round(0, 0), error

    def _round(self, name: str, wait: int) -> tuple[Round, ClientError | None]:
        """And what a person should know, once all is done that can be."""
        before = self._drops.new
        self._net.begin(stays=bool(wait))
        self._net.trust_clock()
        owner = self._vault.channels.get(name).id
        self._net.relays.speak_for(owner)
        self._net.rest(self._net.urls(owner))
        newest = self._vault.outbox.newest(owner)
        first = self._errand.deliver(owner, rest=lambda: False)
        errors = self._read(name, owner, wait)
        if wait:  # whoever stays takes turns
            self.turns.stay(name)
        came = self._drops.answered(name)
        read = any(url in came and url not in errors for url in self._net.urls(owner))
        due = self._tick(name, first.refused, read=read)
        silent = not first.sent and self._vault.outbox.newest(owner) <= newest
        # Who stays says it while its question stands: between two, others would see whose it is.
        apart = silent and (not wait or bool(self._net.relays.reads.busy))
        if not (apart and self._say_draft(name)):
            for command in due:
                self._do(name, command)
        self._vault.sweep(self._app.now(), self._app.entropy)
        last = self._errand.deliver(owner, rest=self._net.spare())
        if last.refused:  # what is said to an epoch that is over may come too late
            self._settle(name, last.refused, read=read)
            last = self._errand.deliver(owner, rest=self._net.spare())
        self._net.remember()
        problem = worth_telling({**errors, **last.errors}, self._net.urls(owner))
        done = Round(self._drops.new - before, first.sent + last.sent)
        return done, problem and self._plainly(name, problem)

    def _read(self, name: str, owner: ChannelId, wait: int) -> dict[str, ClientError]:
        """Why relays could not be read."""
        most, draft = self.turns.left(name), drafts.left(self._vault, owner, self._app.now())
        if draft is not None:  # no sooner than the question stands at the relay
            draft = max(draft, min(_STANDS, wait / 2))
            most = draft if most is None else min(most, draft)
        errors = self._drops.read(name, wait, most)
        if self._net.relays.resting and self._net.relays.none_of(self._net.urls(owner)):
            self._net.rest(())  # then they are better than none
            errors = self._drops.read(name)
        return errors

    def _plainly(self, name: str, problem: ClientError) -> ClientError:
        """A drop that was sealed for good means that one was away too long."""
        if not isinstance(problem, DropSealed):
            return problem
        gone = presence.lost(self._vault.channels.get(name).summary)
        return AwayTooLong.of(name, gone["ask"], gone["next"]) if gone else problem

    def _settle(self, name: str, refused: Collection[Refusal], *, read: bool) -> None:
        with self._net.change(name) as session:
            if read:
                _note_presence(session, refused)
            refusals.settle(self._vault, session, refused)

    def _tick(self, name: str, refused: Collection[Refusal], *, read: bool) -> list[Command]:
        """Do what time asks for; what is to be done beside. `read`: all that a relay had."""
        with self._net.change(name) as session:
            refusals.settle(self._vault, session, refused)
            refusals.follow(self._vault, session)
            session.tick()
            session.summary["synced_at"] = session.now
            if read:
                _note_presence(session, refused)
            turn = [Turn()] if session.begins_epoch() else []
            return [*turn, *chores.due(session)]

    def _do(self, name: str, command: Command) -> None:
        """Something that nobody asked for just now: where it cannot be, it waits."""
        with suppress(ClientError), self._net.change(name) as session:
            session.act(command)
            session.begins_epoch()

    def _say_draft(self, name: str) -> bool:
        """Say one thing that waited for its moment, in a round of its own: nothing of one's own is
        to stand beside it. What is refused waits for a person.
        """
        now, row = self._app.now(), self._vault.channels.get(name)
        for draft in self._vault.drafts.list(row.id):
            if draft.refused or draft.due > steady(self._vault, now):
                continue
            try:
                with self._net.change(name) as session:
                    session.say_draft(draft.number)
            except ClientError as error:
                drafts.refuse(self._vault, name, draft.number, error.message, now)
            else:
                return True
        return False


def _note_presence(session: Session, refused: Collection[Refusal]) -> None:
    """All was read: who is there, and whether one's own keys still lead somewhere."""
    sealed = refusals.leads_nowhere(session.state, refused)
    session.summary |= described(session.state)
    presence.noted(session.summary, session.hour, sealed=sealed)
