"""One channel of the vault, opened for one change: loaded, asked, and saved with all that came of
it.

State, clocks, messages, kept cores, requests owed and news go to disk in one transaction, before
anything leaves this machine. Knows no network and no screen.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import final

from backchannel.client import outbox, summary
from backchannel.client.description import described
from backchannel.client.documents import Readable, alias_at, cores_of, of_event
from backchannel.client.errors import NotFound, Refused, UsageMistake
from backchannel.client.phrases import life, sentence, way_out
from backchannel.client.vault.channels import ChannelRow, Summary
from backchannel.client.vault.drafts import Draft
from backchannel.client.vault.vault import Vault
from backchannel.protocol import command as commands
from backchannel.protocol import lobby
from backchannel.protocol.channel import Channel
from backchannel.protocol.drop import Operation
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.epoch import KEPT_BEHIND
from backchannel.protocol.errors import (
    DecodeError,
    ForbiddenError,
    LocalProtocolError,
    RemoteProtocolError,
    StaleError,
)
from backchannel.protocol.outcome import (
    Acted,
    Alarm,
    Arrival,
    Ended,
    Event,
    Expired,
    Keep,
    Lost,
    Offered,
    Outcome,
    Released,
    Rephrased,
    Replaced,
    Repost,
    Said,
    Shortened,
)
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import (
    DropId,
    Hour,
    Slot,
    ThreadId,
    Timestamp,
    hour_of,
    start_of,
)

_SAID = (Said, Offered)
HOURS_AHEAD = 3  # in one of so many that begin next goes what nobody said


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
        self.now = now
        """The time to go by."""
        self._vault = vault
        self._entropy = entropy

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
        self._take_in(events)
        return events

    def _count(self, arrival: Arrival, error: RemoteProtocolError) -> None:
        before = arrival.hour < self.channel.clock.hour or self.state.roster is None
        self.summary["refused"] += not (before or isinstance(error, StaleError))
        if isinstance(error, ForbiddenError):
            self._take_in([Alarm("forbidden", Slot(error.slot))])

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

    def turns(self) -> bool:
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
        self._take_in(outcome.events)
        events = list(outcome.events)
        me, lobbies = self.state.me, self._lobbies()
        message = next((e.id for e in events if isinstance(e, _SAID) and e.author == me), b"")
        for effect in outcome.effects:
            if isinstance(effect, Repost):
                core = self._vault.cores.get(self.row.id, effect.hash, self.now)
                events += self.act(commands.Repost(core)) if core is not None else []
            else:
                label = outbox.PASSING if effect.drop.id in lobbies else outbox.LASTING
                owed = outbox.owe(self._vault, self.row.id, effect, label, self.hour, message)
                self.owed.append(owed)
        return events

    def save(self) -> None:
        """State, clocks and summary; the caller's transaction has the rest already."""
        keep_clocks(self._vault, self.channel)
        renewed = self.summary | described(self.state) | waiting(self._vault, self.row)
        self._vault.channels.put_state(self.row.id, self.channel.snapshot(), renewed)

    def _lobbies(self) -> set[bytes]:
        return {bytes(lobby.lobby_of(guest).drop.id) for guest in self.state.guests}

    # What becomes of events.

    def _take_in(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case Keep():
                    self._keep(event)
                case Said() | Offered() | Rephrased() | Released() | Acted():
                    self._hear(event)
                case Expired():
                    self.summary["expired_unread"] += event.author != self.state.me
                case Shortened():
                    self._shorten(event)
                case _:
                    self._note(event)

    def _keep(self, kept: Keep) -> None:
        with suppress(StaleError):  # it died on the way
            self._vault.cores.add(
                self.row.id, kept.hash, kept.core, kept.expires, self.now, self._entropy
            )

    def _hear(self, event: Readable) -> None:
        number = self.summary["numbered"] + 1
        message = of_event(self.state, event, self.hour, number)
        own = message.author == self.state.me
        if own and isinstance(event, _SAID) and event.burn:  # nobody shows it to its author first
            burnt = Hour(message.hour + event.burn)
            message = message._replace(expires=min(message.expires, burnt))
        if own and isinstance(event, Said):  # it is said again in place of what nobody could have
            self._vault.messages.remove(self.row.id, message.author, message.id)
        try:
            new = self._vault.messages.add(message, self.now, self._entropy)
        except StaleError:
            self.summary["expired_unread"] += not own
            return
        if new and isinstance(event, _SAID):
            self.summary["numbered"] += 1
            self.summary["news"] = max(self.summary["news"], message.hour)
        if new and not own and isinstance(event, _SAID):
            self.summary["unread"][name_of(message.content)] = message.expires
        self._ask_or_answer(event)

    def _ask_or_answer(self, event: Readable) -> None:
        """Note which messages of one's own wait for their release."""
        me = self.state.me
        if isinstance(event, Rephrased) and event.author != me:
            found = self._vault.messages.find(self.row.id, event.about, self.now)
            if any(each.author == me for each in found):
                self.summary["asked"][event.about.hex()] = event.expires
        elif isinstance(event, Released) and event.author == me:
            self.summary["asked"].pop(event.about.hex(), None)

    def _shorten(self, event: Shortened) -> None:
        """What is kept dies sooner, and so does what could open it."""
        ident, thread, hours = self.row.id, event.thread, event.lifetime
        said = self._vault.messages.list(ident, self.now, thread) if thread else []
        ends = self._vault.messages.shorten(ident, thread, hours, self.now, self._entropy)
        only = None if thread is None else cores_of(said) | ends.keys()
        self._vault.cores.shorten(ident, only, hours, self.now, self._entropy)
        sooner = {name_of(content): end for content, end in ends.items()}
        unread = self.summary["unread"]
        self.summary["unread"] = {name: sooner.get(name, end) for name, end in unread.items()}
        if thread is not None and event.burn:
            self._burn(thread, event.burn)
        if thread is None:
            kept = Hour(self.state.oldest(self.hour) - KEPT_BEHIND)
            for clock in self.channel.clocks.values():
                clock.forget_before(kept)
        known = self.state.threads.get(thread) if thread else None
        about = f"{known.topic}: " if known and not event.off else ""
        detail = f"{about}{life(hours, event.burn)}"
        summary.notice(
            self.summary, "off-record" if event.off else "shortened", self.hour, detail=detail
        )

    def _burn(self, thread: ThreadId, hours: int) -> None:
        """A read timer that is new to a thread holds from now on for what was shown before."""
        ident, end = self.row.id, Hour(self.hour + hours)
        rows = self._vault.messages.list(ident, self.now, thread)
        shown = [row.content for row in rows if name_of(row.content) not in self.summary["unread"]]
        ends = dict.fromkeys(shown, end)
        self._vault.messages.hasten(ident, ends, self.now, self._entropy)

    def _note(self, event: Event) -> None:
        about, hour, state = self.summary, self.hour, self.state
        match event:
            case Alarm():
                summary.alarm(about, event.kind, alias_at(state, event.slot), event.name, hour)
            case Lost():
                summary.notice(about, "lost", hour, detail=str(event.version))
            case Ended():
                summary.notice(about, "ended", hour, alias_at(state, event.by), event.reason)
            case Replaced():
                summary.notice(about, "replaced", hour, alias_at(state, event.slot))
            case _:
                pass  # whoever asked has it from `act`


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


def wait_unattributed(
    vault: Vault, name: str, thread: ThreadId, text: str, now: Timestamp, entropy: Entropy
) -> Draft:
    """Keep a text that nobody in particular says, until its moment; `Refused` where it could not
    be said now.
    """
    with vault.exclusive(now), vault.transaction():
        session = look(vault, name, now, entropy)  # nothing of what it does is saved
        with allowed():
            session.channel.act(commands.SayUnattributed(thread, text), session.now, entropy)
        due = _moment(session.now, entropy)
        plain = json.dumps({"thread": thread.hex(), "text": text}, ensure_ascii=False).encode()
        ends = Hour(hour_of(due) + session.state.lifetime)
        vault.drafts.add(session.row.id, plain, due, ends, session.now, entropy)
        _note_drafts(vault, session.row)
    return Draft(0, due, "")


def _moment(now: Timestamp, entropy: Entropy) -> Timestamp:
    """A second of one of the hours that begin next."""
    drawn = int.from_bytes(entropy.draw(8))
    hour = Hour(hour_of(now) + 1 + drawn % HOURS_AHEAD)
    return Timestamp(start_of(hour) + drawn // HOURS_AHEAD % 3600)


def drafts(vault: Vault, name: str, _now: Timestamp) -> list[Draft]:
    """Texts that wait, and those that were refused."""
    return vault.drafts.list(vault.channels.get(name).id)


def drop_draft(vault: Vault, name: str, number: int, now: Timestamp) -> None:
    """Let go of a text that waits or was refused; nothing opens it any more."""
    with vault.exclusive(now):
        with vault.transaction():
            row = vault.channels.get(name)
            if not vault.drafts.remove(row.id, number):
                msg = f"There is no draft {number}; it may have been sent."
                raise NotFound(msg, "backchannel drafts")
            _note_drafts(vault, row)
        vault.forget_keys()


def refuse_draft(vault: Vault, name: str, number: int, why: str, now: Timestamp) -> None:
    """Note why a text could not be said."""
    with vault.exclusive(now), vault.transaction():
        row = vault.channels.get(name)
        vault.drafts.refuse(number, why)
        _note_drafts(vault, row)


def _note_drafts(vault: Vault, row: ChannelRow) -> None:
    vault.channels.put_state(row.id, row.state, row.summary | waiting(vault, row))


def waiting(vault: Vault, row: ChannelRow) -> Summary:
    """What a summary says of drafts."""
    return {
        "drafts": [
            {"number": each.number, "from": each.start, "until": each.end, "refused": each.refused}
            for each in vault.drafts.list(row.id)
        ]
    }


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


def name_of(content: bytes) -> str:
    """What a summary calls a message: enough to tell it from others."""
    return content.hex()[:16]


def _free_name(vault: Vault, name: str) -> str:
    """A channel that one was admitted to may be named like one that is here."""
    taken = {row.name for row in vault.channels.list()}
    names = [name, *(f"{name} {number}" for number in range(2, len(taken) + 2))]
    return next(each for each in names if each not in taken)
