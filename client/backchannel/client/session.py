"""One channel of the vault, opened for one change: loaded, asked, and saved with all that came of
it.

State, clock, messages, kept cores, requests owed and counts go to disk in one transaction, before
anything leaves this machine. Knows no network and no screen.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple, final

from backchannel.client import outbox, summary
from backchannel.client.errors import Refused, UsageMistake
from backchannel.client.phrases import sentence
from backchannel.client.vault.channels import ChannelRow, Summary
from backchannel.client.vault.sealed import Message
from backchannel.client.vault.vault import Vault
from backchannel.protocol import command as commands
from backchannel.protocol.channel import Channel
from backchannel.protocol.drop import Drop, Operation
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.errors import (
    DecodeError,
    LocalProtocolError,
    RemoteProtocolError,
    StaleError,
)
from backchannel.protocol.outcome import Arrival, Event, Expired, Keep, Outcome, Repost, Said
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import Hour, Timestamp, hour_of, start_of


def steady(vault: Vault, now: Timestamp) -> Timestamp:
    """The time to go by: a clock that was set back stands still instead."""
    return Timestamp(max(now, start_of(vault.hour(now))))


@final
class Session:
    """A channel between load and save."""

    def __init__(self, vault: Vault, row: ChannelRow, now: Timestamp, entropy: Entropy) -> None:
        self.row = row
        self.channel = _opened(vault, row)
        self.summary = row.summary
        self.owed: list[int] = []
        """Numbers of the requests that this change added to the outbox."""
        self._vault = vault
        self._now = now
        self._entropy = entropy

    @property
    def state(self) -> ChannelState:
        """What the member knows."""
        return self.channel.state

    @property
    def hour(self) -> Hour:
        """The hour to go by."""
        return hour_of(self._now)

    def receive(self, arrival: Arrival) -> list[Event]:
        """Take in a block; one that is refused is counted and changes nothing else.

        Not counted is what a member cannot open by right: what was said before it came, or too
        long ago.
        """
        try:
            events = self.channel.receive(arrival, self._now)
        except RemoteProtocolError as error:
            before = arrival.hour < self.channel.clock.hour or self.state.roster is None
            self.summary["refused"] += not (before or isinstance(error, StaleError))
            return []
        self._take_in(events)
        return events

    def act(self, command: commands.Command) -> list[Event]:
        """What a person asked for; `Refused` or `UsageMistake` where that cannot be."""
        with allowed():
            outcome = self.channel.act(command, self._now, self._entropy)
        return self.carry(outcome)

    def tick(self) -> list[Event]:
        """What time asks for."""
        summary.settle(self.summary, self.hour)
        oldest = self.state.oldest(self.hour)
        late = self._vault.outbox.let_go(self.row.id, Operation.APPEND, oldest)
        self.summary["unsent"] += late  # nobody could open them any more
        return self.carry(self.channel.tick(self._now, self._entropy))

    def carry(self, outcome: Outcome) -> list[Event]:
        """Keep what came of a door: events in the vault, effects in the outbox."""
        self._take_in(outcome.events)
        events = list(outcome.events)
        for effect in outcome.effects:
            if isinstance(effect, Repost):
                core = self._vault.cores.get(self.row.id, effect.hash, self._now)
                events += self.act(commands.Repost(core)) if core is not None else []
            else:
                label = outbox.LASTING if effect.drop.id in self._own_drops() else outbox.PASSING
                owed = outbox.owe(self._vault, self.row.id, effect, label, self.hour)
                self.owed.append(owed)
        return events

    def save(self) -> None:
        """State, clock and summary; the caller's transaction has the rest already."""
        keep_clocks(self._vault, self.channel)
        renewed = self.summary | described(self.state)
        self._vault.channels.put_state(self.row.id, self.channel.snapshot(), renewed)

    def _own_drops(self) -> set[bytes]:
        return {
            bytes(Drop.of_epoch(each.secret, relay.public).id)
            for each in self.state.epochs
            for relay in each.relays
        }

    def _take_in(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Said):
                self._hear(event)
            elif isinstance(event, Expired):
                self.summary["expired_unread"] += event.author != self.state.me
            elif isinstance(event, Keep):
                with suppress(StaleError):  # it died on the way
                    self._vault.cores.add(
                        self.row.id, event.hash, event.core, event.expires, self._now, self._entropy
                    )

    def _hear(self, said: Said) -> None:
        own = said.author == self.state.me
        try:
            new = self._vault.messages.add(self._message(said), self._now, self._entropy)
        except StaleError:
            self.summary["expired_unread"] += not own
            return
        if new and not own:
            self.summary["unread"][name_of(said.hash)] = said.expires

    def _message(self, said: Said) -> Message:
        plain = json.dumps({"kind": "text", "text": said.text}).encode()
        return Message(
            self.row.id,
            said.hash,
            said.id,
            said.author,
            said.thread,
            said.hour,
            said.order,
            said.expires,
            plain,
        )


@contextmanager
def allowed() -> Iterator[None]:
    """What the protocol does not allow, as a sentence for whoever wished it."""
    try:
        yield
    except DecodeError as error:
        raise UsageMistake(f"{sentence(str(error))} Nothing was done.") from None
    except LocalProtocolError as error:
        message = f"{sentence(str(error))} Nothing was done."
        raise Refused(message, "backchannel status") from None


@contextmanager
def change(vault: Vault, name: str, now: Timestamp, entropy: Entropy) -> Iterator[Session]:
    """Alone with a channel, for one change that is saved whole or not at all."""
    with vault.exclusive(now):
        with vault.transaction():
            session = Session(vault, vault.channels.get(name), steady(vault, now), entropy)
            before = set(session.channel.clocks)
            yield session
            session.save()
        if before - set(session.channel.clocks):
            vault.forget_clocks()


def look(vault: Vault, name: str, now: Timestamp, entropy: Entropy) -> Session:
    """A channel to look at; nothing is saved."""
    return Session(vault, vault.channels.get(name), steady(vault, now), entropy)


def begin(
    vault: Vault, channel: Channel, founded: bool, now: Timestamp, entropy: Entropy
) -> Session:
    """A channel that is new to this vault, in the caller's transaction."""
    state = channel.state
    about = summary.fresh(hour_of(now), founded=founded) | described(state)
    name = _free_name(vault, state.name)
    vault.channels.add(state.id, name, channel.snapshot(), about)
    keep_clocks(vault, channel)
    return Session(vault, vault.channels.get(name), steady(vault, now), entropy)


class Looked(NamedTuple):
    """What was not seen in time, until somebody looked."""

    expired: int
    """Messages."""
    missed: int
    """Blocks that the relay let go of before they were fetched."""


def mark_read(vault: Vault, name: str, shown: list[str], now: Timestamp) -> Looked:
    """Note that messages were shown, and tell once of what expired before."""
    with vault.exclusive(now), vault.transaction():
        row = vault.channels.get(name)
        about, hour = row.summary, vault.hour(now)
        summary.settle(about, hour)
        looked = Looked(about["expired_unread"], about["missed"])
        unread = {name: end for name, end in about["unread"].items() if name not in shown}
        if any(looked) or unread != about["unread"]:
            told = {"unread": unread, "expired_unread": 0, "missed": 0}
            vault.channels.put_state(row.id, row.state, about | told)
    return looked


def keep_clocks(vault: Vault, channel: Channel) -> None:
    """Put every epoch's clock where it is at least as far, and note whose they are. One that is
    not needed any more stays until that is on disk.
    """
    for name, clock in channel.clocks.items():
        vault.set_clock(name, clock.hour, clock.value, channel.state.lifetime)
    vault.channels.put_epochs(channel.state.id, channel.clocks.keys())


def _opened(vault: Vault, row: ChannelRow) -> Channel:
    names = vault.channels.epochs(row.id)
    return Channel.open(row.state, {name: vault.clock(name) for name in names})


def described(state: ChannelState) -> Summary:
    """The part of a summary that follows from the state."""
    roster = state.roster
    return {
        "title": state.name,
        "alias": state.alias,
        "role": roster.entry(state.me).role if roster else "",
        "members": len(roster.entries) if roster else 0,
        "lifetime": state.lifetime,
        "relays": [[relay.url, relay.key.hex()] for relay in state.relays],
        "waiting": [
            each.join.alias for each in state.guests if each.state == "waiting" and each.join
        ],
        "invites": sum(guest.state == "open" for guest in state.guests),
    }


def name_of(content: bytes) -> str:
    """What a summary calls a message: enough to tell it from others."""
    return content.hex()[:16]


def _free_name(vault: Vault, name: str) -> str:
    """A channel that one was admitted to may be named like one that is here."""
    taken = {row.name for row in vault.channels.list()}
    names = [name, *(f"{name} {number}" for number in range(2, len(taken) + 2))]
    return next(each for each in names if each not in taken)
