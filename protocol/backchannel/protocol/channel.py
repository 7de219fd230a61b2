"""The facade: one member's view of one channel, with exactly three doors.

`receive(arrival, now)` takes in a block and sends nothing; `act(command, now, entropy)` does what a
person asks;
`tick(now, entropy)` does what time asks. Save the snapshot and the clock after each, before any
effect is carried out.
"""

from typing import Self, assert_never, final

from backchannel.protocol import command as commands
from backchannel.protocol import limits, lobby
from backchannel.protocol.block import unwrap
from backchannel.protocol.content import Content, Text, Thread, Threads
from backchannel.protocol.core import HEAD, Kind, content_hash, head_of
from backchannel.protocol.drop import Drop
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.epoch import EpochClock
from backchannel.protocol.errors import (
    DecodeError,
    LocalProtocolError,
    RemoteProtocolError,
    UnknownError,
)
from backchannel.protocol.founding import found
from backchannel.protocol.outcome import Arrival, Effect, Event, OpenDrop, Outcome, Poll
from backchannel.protocol.posting import Posting, tidy
from backchannel.protocol.primitives import x25519_public
from backchannel.protocol.reading import read
from backchannel.protocol.reception import Reception
from backchannel.protocol.roster import Disclosure, Entry, Relay
from backchannel.protocol.secret import ClockValue
from backchannel.protocol.snapshot import load, save
from backchannel.protocol.state import ChannelState, Partial, Pending
from backchannel.protocol.threads import has_room, learn, said
from backchannel.protocol.types import (
    ContentHash,
    Core,
    Hour,
    MessageId,
    ThreadId,
    Timestamp,
    hour_of,
)
from backchannel.protocol.upkeep import keep_up

_NOBODY = 255
_NAMING = frozenset({Kind.GROUP, Kind.KEY, Kind.INTRO})
"""Kinds whose first field is the sender."""


@final
class Channel:
    """One entry's state of one channel, and its doors."""

    def __init__(self, state: ChannelState, clock: EpochClock) -> None:
        self.state = state
        self.clock = clock

    @classmethod
    def create(
        cls,
        founder: Entry,
        name: str,
        relays: tuple[Relay, ...],
        lifetime: int,
        charter: str,
        disclosure: Disclosure,
        now: Timestamp,
        entropy: Entropy,
    ) -> tuple[Self, Outcome]:
        """A new channel with one facilitator; the effects open its drops. `founder`'s slot and
        identity are filled in.
        """
        state, clock = found(founder, name, relays, lifetime, charter, disclosure, now, entropy)
        channel = cls(state, clock)
        return channel, Outcome(channel._open_drops(), [])

    @classmethod
    def open(cls, snapshot: bytes, hour: Hour, value: ClockValue) -> Self:
        """From saved state and the epoch clock as the expiry-key file has it."""
        return cls(load(snapshot, ChannelState), EpochClock(hour, value))

    def snapshot(self) -> bytes:
        """All but the clock, to be saved before any effect is carried out."""
        return save(self.state)

    def _open_drops(self) -> list[Effect]:
        close = lobby.close_secret(self.state)
        drops = [
            (relay, Drop.of_epoch(self.state.secret, relay.public)) for relay in self.state.relays
        ]
        keep = lobby.class_for(self.state.lifetime)
        return [
            OpenDrop(relay.url, drop, x25519_public(drop.close_key(close)), keep)
            for relay, drop in drops
        ]

    def polls(self) -> tuple[Poll, ...]:
        """The drops to read: the channel's on every relay, and the lobbies of open invites."""
        state = self.state
        own = [Poll(relay.url, Drop.of_epoch(state.secret, relay.public)) for relay in state.relays]
        guests = [
            Poll(guest.relay.url, lobby.lobby_of(guest).drop)
            for guest in state.guests
            if guest.keys is not None
        ]
        return (*own, *guests)

    # The first door.

    def receive(self, arrival: Arrival, now: Timestamp) -> list[Event]:
        """Take in one block. A `RemoteProtocolError` says why it was refused, and then nothing has
        changed.

        A block that cannot be read yet is kept and tried again; that is no error.
        """
        for guest in self.state.guests:
            if lobby.lobby_of(guest).drop.id == arrival.drop:
                return lobby.receive(self.state, guest, arrival, hour_of(now))
        if arrival.hour < self.clock.hour - limits.CLOCK_SKEW:
            return []  # from before my time, or dead
        core = self._unwrap(arrival, now)
        known = content_hash(core)
        if known in self.state.seen:
            self._again(known, now)
            return []
        try:
            events = self._read(core, arrival.hour, now)
        except UnknownError:
            self._pend(core, known, arrival.hour)
            return []
        if core[0] == Kind.GROUP and self.state.announced is None:
            return events  # opens nothing else
        return events + self._retry(now)

    def _unwrap(self, arrival: Arrival, now: Timestamp) -> Core:
        window = (
            Hour(max(self.clock.hour, self.state.oldest(hour_of(now)))),
            Hour(hour_of(now) + limits.CLOCK_SKEW),
        )
        for relay in self.state.relays:
            drop = Drop.of_epoch(self.state.secret, relay.public)
            if drop.id == arrival.drop:
                return unwrap(arrival.block, drop.outer, self.clock, arrival.hour, window)
        msg = "a block of a drop that is not ours"
        raise DecodeError(msg)

    def _read(self, core: Core, stored: Hour, now: Timestamp) -> list[Event]:
        head, hash_of = head_of(core), content_hash(core)
        return read(Reception(self.state, self.clock, core, head, hash_of, stored, now))

    def _again(self, known: ContentHash, now: Timestamp) -> None:
        """A core that is known came again: it is not owed any more, or its author waits for a
        reply.
        """
        self.state.owed.pop(known, None)
        for slot, peer in self.state.peers.items():
            if peer.heard == known and peer.reply is not None:
                self.state.owe(peer.reply, slot, now)

    def _pend(self, core: Core, hash_of: ContentHash, stored: Hour) -> None:
        state = self.state
        sender = core[HEAD] if core[0] in _NAMING else _NOBODY
        if any(waiting.core == core for waiting in state.pending):
            return
        own = [each for each in state.pending if each.sender == sender]
        if len(own) >= limits.PENDING_OF_ONE:
            state.pending.remove(own[0])
        state.pending = [*state.pending, Pending(core, hash_of, sender, stored)]
        state.pending = state.pending[-limits.PENDING :]

    def _retry(self, now: Timestamp) -> list[Event]:
        """What waits may open now; each success may open the next."""
        events: list[Event] = []
        again = True
        while again:
            waiting, self.state.pending, again = self.state.pending, [], False
            kept = []
            for each in waiting:
                try:
                    events += self._read(each.core, each.hour, now)
                    again = True
                except UnknownError:
                    kept.append(each)
                except RemoteProtocolError:
                    continue  # it came before its reasons did, and is refused now
            self.state.pending = kept + self.state.pending
        return events

    # The second door.

    def act(self, command: commands.Command, now: Timestamp, entropy: Entropy) -> Outcome:
        """Do what somebody asks; `LocalProtocolError` or `DecodeError` where it is not allowed."""
        posting = Posting(self.state, self.clock, now, entropy)
        match command:
            case commands.Say():
                self._say(posting, command)
            case commands.Begin():
                self._begin(posting, command)
            case commands.Invite():
                lobby.invite(posting, command)
            case commands.Admit():
                lobby.admit(posting, command.alias)
            case commands.Refuse():
                lobby.refuse(posting, command.alias)
            case commands.Repost():
                self._repost(posting, command.core)
            case _:
                assert_never(command)
        return posting.outcome()

    def _may_speak(self) -> None:
        if self.state.current().entry(self.state.me).role == "observer":
            msg = "an observer reads and does not speak"
            raise LocalProtocolError(msg)

    def _post(self, posting: Posting, content: Content) -> tuple[MessageId, Partial]:
        message, hash_of, order = posting.post(content)
        return message, Partial(1, posting.hour, posting.hour, order, hash_of, {})

    def _say(self, posting: Posting, command: commands.Say) -> None:
        self._may_speak()
        lifetime = self.state.thread_lifetime(command.thread)
        content = Text(command.thread, lifetime, tidy(command.text))
        message, whole = self._post(posting, content)
        posting.events.append(said(self.state, self.state.me, message, whole, content))

    def _begin(self, posting: Posting, command: commands.Begin) -> None:
        self._may_speak()
        state = self.state
        lifetime = command.lifetime or state.lifetime
        if lifetime > state.lifetime:
            msg = "a thread lives no longer than its channel"
            raise LocalProtocolError(msg)
        if not has_room(state, state.me):
            msg = (
                "there are as many threads as one member may begin; some must fall out of use first"
            )
            raise LocalProtocolError(msg)
        thread = Thread(ThreadId(posting.entropy.draw(limits.ID)), lifetime, tidy(command.topic))
        content = Threads((thread,))
        self._post(posting, content)
        posting.events.extend(learn(state, state.me, content, posting.hour))

    def _repost(self, posting: Posting, core: Core) -> None:
        """Under a new outer layer; an admission in its lobby too: who has read it there reads there
        no more.
        """
        hash_of = content_hash(core)
        for guest in self.state.guests:
            peer = self.state.peers.get(guest.slot) if guest.slot is not None else None
            if peer and peer.greeting and peer.greeting.hash == hash_of:
                lobby.put(posting, guest, core)
        posting.wrap(core, hash_of)

    # The third door.

    def tick(self, now: Timestamp, entropy: Entropy) -> Outcome:
        """Forget what is over, answer intros, greet, renew, ask for what is missing, post again
        what was asked for.
        """
        posting = Posting(self.state, self.clock, now, entropy)
        keep_up(posting)
        return posting.outcome()
