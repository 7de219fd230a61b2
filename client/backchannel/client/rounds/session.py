"""One channel of the vault, opened for one change: loaded, asked, and saved with all that came of
it.

State, clocks, messages, kept cores, requests owed and news go to disk in one transaction, before
anything leaves this machine. What becomes of events is `intake`'s matter. Knows no network and no
screen.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

from backchannel.client.errors import Refused, UsageMistake
from backchannel.client.rounds import outbox
from backchannel.client.rounds.intake import SAID, Intake
from backchannel.client.telling import summary
from backchannel.client.telling.description import described
from backchannel.client.telling.phrases import sentence, way_out
from backchannel.client.telling.reached import seen
from backchannel.client.vault.channels import ChannelRow
from backchannel.client.vault.vault import Vault
from backchannel.protocol import command as commands
from backchannel.protocol import lobby
from backchannel.protocol.channel import Channel
from backchannel.protocol.core import Kind
from backchannel.protocol.drop import Operation
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.errors import (
    DecodeError,
    ForbiddenError,
    LocalProtocolError,
    RemoteProtocolError,
    StaleError,
)
from backchannel.protocol.outcome import (
    Alarm,
    Append,
    Arrival,
    Event,
    Keep,
    OpenDrop,
    Outcome,
    Repost,
)
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import (
    ContentHash,
    DropId,
    Hour,
    Slot,
    ThreadId,
    Timestamp,
    hour_of,
    start_of,
)


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
        self._bulk = set[ContentHash]()
        """Cores that it posts which are pieces of files."""
        self.now = now
        """The time to go by."""
        self._vault = vault
        self._entropy = entropy
        self._intake = Intake(vault, row, self.channel, now, entropy)

    @property
    def state(self) -> ChannelState:
        """What the member knows."""
        return self.channel.state

    @property
    def hour(self) -> Hour:
        """The hour to go by."""
        return hour_of(self.now)

    def receive(self, arrival: Arrival, *, again: bool = False) -> list[Event]:
        """Take in a block; one that is refused is counted, unless it is read `again`, and changes
        nothing else.

        Not counted is what a member cannot open by right: what was said before it came, or too
        long ago.
        """
        try:
            events = self.channel.receive(arrival, self.now)
        except RemoteProtocolError as error:
            if not again:
                self._count(arrival, error)
            return []
        self._intake.take(events)
        return events

    def _count(self, arrival: Arrival, error: RemoteProtocolError) -> None:
        before = arrival.hour < self.channel.clock.hour or self.state.roster is None
        self.summary["refused"] += not (before or isinstance(error, StaleError))
        if isinstance(error, ForbiddenError):
            self._intake.take([Alarm("forbidden", Slot(error.slot))])

    def act(self, command: commands.Command) -> list[Event]:
        """What a person asked for; `Refused` or `UsageMistake` where that cannot be."""
        with allowed():
            outcome = self.channel.act(command, self.now, self._entropy)
        return self.carry(outcome)

    def tick(self) -> list[Event]:
        """What time asks for."""
        summary.settle(self.summary, self.hour)
        oldest = self.state.oldest(self.hour)
        late = self._vault.outbox.let_go(self.row.id, Operation.APPEND, oldest)
        late += self._vault.drafts.lapse(self.row.id, self.hour)
        self.summary["unsent"] += late  # nobody could open them any more
        events = self.carry(self.channel.tick(self.now, self._entropy))
        self._forget_drops()
        return events

    def _forget_drops(self) -> None:
        """Where reading went on in a drop that is not read any more is nobody's business."""
        read = [[poll.relay, poll.drop.id.hex()] for poll in self.channel.polls()]
        for relay, drop in self.summary.get("drops", ()):
            if [relay, drop] not in read:
                self._vault.cursors.remove(relay, DropId(bytes.fromhex(drop)))
        self.summary["drops"] = read

    def begins_epoch(self) -> bool:
        """Whether this member should begin a new epoch, and can pay for it; noted if it cannot."""
        why = self.channel.due(self.now)
        urls = [relay.url for relay in self.state.relays] if why else []
        lacking = [url for url in urls if not self._vault.vouchers.count(url)]
        self.summary |= {"due": why, "vouchers_needed": lacking}
        return bool(why) and not lacking

    def say_draft(self, number: int) -> None:
        """Say what waited, and keep no trace of it."""
        plain = self._vault.drafts.open(number, self.now)
        self._vault.drafts.remove(self.row.id, number)
        if plain is not None:
            asked = json.loads(plain)
            thread = ThreadId(bytes.fromhex(asked["thread"]))
            self.act(commands.SayUnattributed(thread, asked["text"]))

    def carry(self, outcome: Outcome) -> list[Event]:
        """Keep what came of a door: events in the vault, effects in the outbox."""
        self._intake.take(outcome.events)
        events = list(outcome.events)
        me, lobbies = self.state.me, self._lobbies()
        message = next((e.id for e in events if isinstance(e, SAID) and e.author == me), b"")
        self._bulk |= {e.hash for e in events if isinstance(e, Keep) and e.core[0] == Kind.CHUNK}
        for effect in outcome.effects:
            if isinstance(effect, Repost):
                if effect.drop and self._vault.outbox.brings(effect.drop, effect.hash):
                    continue
                self._intake.settle()
                core = self._vault.cores.get(self.row.id, effect.hash, self.now)
                self._bulk |= {effect.hash} if core and core[0] == Kind.CHUNK else set()
                events += self.act(commands.Repost(core, effect.drop)) if core is not None else []
            elif not self._displaced(effect):
                label = outbox.PASSING if effect.drop.id in lobbies else outbox.LASTING
                what = (self.row.id, effect, label, self.hour, message)
                bulk = isinstance(effect, Append) and effect.hash in self._bulk
                self.owed.append(outbox.owe(self._vault, *what, bulk=bulk))
        return events

    def _displaced(self, effect: outbox.Request) -> bool:
        """Whether another relay stands where this is for: nobody takes it there."""
        here = {relay.url: relay.key for relay in self.state.relays}
        key = effect.drop.relay.value
        return not isinstance(effect, OpenDrop) and here.get(effect.relay, key) != key

    def save(self) -> None:
        """State, clocks and summary; the caller's transaction has the rest already."""
        self._intake.settle()
        self._note_seen()
        keep_clocks(self._vault, self.channel)
        drafts = summary.of_drafts(self._vault.drafts.list(self.row.id))
        renewed = self.summary | described(self.state) | drafts
        self._vault.channels.put_state(self.row.id, self.channel.snapshot(), renewed)

    def _note_seen(self) -> None:
        """What others have had is somewhere, whoever brought it there: in a file, by hand."""
        owner, sent = self.row.id, self._vault.outbox
        queued = sent.queued(owner)
        had = seen(self.state) if queued else set()
        for ident in queued:
            found = self._vault.messages.find(owner, ident, self.now)
            if any(each.author == self.state.me and each.content in had for each in found):
                sent.passed(owner, ident)

    def _lobbies(self) -> set[bytes]:
        return {bytes(lobby.lobby_of(guest).drop.id) for guest in self.state.guests}


@contextmanager
def allowed() -> Iterator[None]:
    """What the protocol does not allow, as a sentence for whoever wished it."""
    try:
        yield
    except DecodeError as error:
        raise UsageMistake(f"{sentence(str(error))} Nothing was done.") from None
    except LocalProtocolError as error:
        message = f"{sentence(str(error))} Nothing was done."
        raise Refused(message, way_out(str(error))) from None


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
            vault.forget_keys()


def look(vault: Vault, name: str, now: Timestamp, entropy: Entropy) -> Session:
    """A channel to look at; nothing is saved."""
    return Session(vault, vault.channels.get(name), steady(vault, now), entropy)


def begin(
    vault: Vault, channel: Channel, founded: bool, now: Timestamp, entropy: Entropy
) -> Session:
    """A channel that is new to this vault, in the caller's transaction."""
    state = channel.state
    about = summary.fresh(hour_of(now), founded=founded) | described(state)
    lost = vault.lost.take(state.id)
    about["compared"] = lost.about["compared"] if lost else []
    name = _free_name(vault, state.name)
    vault.channels.add(state.id, name, channel.snapshot(), about)
    keep_clocks(vault, channel)
    return Session(vault, vault.channels.get(name), steady(vault, now), entropy)


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


def _free_name(vault: Vault, name: str) -> str:
    """A channel that one was admitted to may be named like one that is here."""
    taken = {row.name for row in vault.channels.list()}
    names = [name, *(f"{name} {number}" for number in range(2, len(taken) + 2))]
    return next(each for each in names if each not in taken)
