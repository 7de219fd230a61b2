"""One thing that a person asks of a channel: a round before it, the deed, its delivery.

Owns what is the same for every verb, and how a change of the roster ends. Prints nothing.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeVar

from backchannel.client.app import App
from backchannel.client.convening.places import for_invite
from backchannel.client.errors import ClientError, caught
from backchannel.client.rounds.session import allowed
from backchannel.client.rounds.sync import Sync
from backchannel.client.rounds.verdict import queued
from backchannel.protocol.command import Command, Invite
from backchannel.protocol.outcome import Event, RosterAdopted
from backchannel.protocol.state import ChannelState

T = TypeVar("T", bound=Event)
Make = Callable[[ChannelState], Command]
"""What to ask, by what is known after the round before."""

End = Literal["done", "queued", "waits", "lost"]
"""Holds; still to be sent; sent, and not read back; another facilitator's change was first."""


class Done(NamedTuple):
    """What came of it."""

    name: str
    """Of the channel."""
    state: ChannelState
    event: Any
    """The one that tells about it, where one was asked for."""
    problem: ClientError | None
    """Why something is still to be sent."""

    @property
    def sent(self) -> str:
        """For a document."""
        return "queued" if self.problem else "at-relay"

    def owe(self, safe: str) -> None:
        """Raise the problem, if there is one; `safe` says that nothing was lost."""
        if self.problem is not None:
            raise queued(self.problem, safe)


def perform(app: App, channel: str | None, make: Make, kind: type[T] | None = None) -> Done:
    """Do it and deliver it; without `kind` no event is asked for."""
    with app.vault() as vault, Sync(app, vault) as sync:
        row, _ = sync.fresh(channel)
        with allowed():
            state = sync.state(row.name)
            command = make(state)
        if isinstance(command, Invite):
            command = command._replace(relay=for_invite(vault, state, None))
        event = sync.act(row.name, command, kind or RosterAdopted)
        problem = sync.send(row.name)
        state = sync.state(row.name)
    return Done(row.name, state, event, problem)


class Changed(NamedTuple):
    """What came of a change of who is here, or by which rules."""

    done: Done
    before: ChannelState
    end: End


def change(app: App, channel: str | None, make: Make) -> Changed:
    """A change of the roster; where several facilitate it is read back before it holds."""
    with app.vault() as vault, Sync(app, vault) as sync:
        row, _ = sync.fresh(channel)
        return change_in(sync, row.name, make)


def change_in(sync: Sync, name: str, make: Make) -> Changed:
    """The same, of a channel that is fresh."""
    before = sync.state(name)
    with allowed():
        command = make(before)
    sync.act(name, command, RosterAdopted)
    state, problem = read_back(sync, name)
    return Changed(Done(name, state, None, problem), before, _end(before, state, problem))


def again(changed: Changed, state: ChannelState) -> Changed:
    """How it ended by now."""
    done = changed.done._replace(state=state)
    return Changed(done, changed.before, _end(changed.before, state, done.problem))


def read_back(sync: Sync, name: str) -> tuple[ChannelState, ClientError | None]:
    """Deliver, and look whether a change holds; why something is still owed."""
    problem = sync.send(name)
    state = sync.state(name)
    if problem is None and state.draft is not None:
        problem = caught(lambda: sync.channel(name))
        state = sync.state(name)
    return state, problem


def _end(before: ChannelState, after: ChannelState, problem: ClientError | None) -> End:
    if after.draft is not None:
        return "queued" if problem else "waits"
    mine = after.current().issuer == before.me
    if after.current().version == before.current().version or not mine:
        return "lost"
    return "queued" if problem else "done"


def conclude(app: App, changed: Changed, about: dict[str, Any], *said: str) -> None:
    """Say how a change of the roster ended; `said` when it holds."""
    done, end = changed.done, changed.end
    app.ui.show(
        {"channel": done.name, **about, "state": end, "version": done.state.current().version},
        *END.get(end, said),
    )
    done.owe("It is decided, and goes with the next sync: do not do it again.")


END: dict[End, tuple[str, ...]] = {
    "waits": (
        "Sent. It holds once it comes back from the relay: another facilitator may be first.",
        "next: backchannel sync",
    ),
    "lost": (
        "Another facilitator changed something at the same moment, and was first.",
        "Yours was not made. Look at what holds now, and do it again if it is still wanted.",
        "next: backchannel log",
    ),
    "queued": (),
}
