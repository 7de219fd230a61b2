"""The facade: one member's view of one channel, with exactly three doors.

`receive(arrival, now)` takes in a block and sends nothing; `act(command, now, entropy)` does what a person asks;
`tick(now, entropy)` does what time asks. Save the snapshot and the clock after each, before any effect is carried out.
"""

from typing import Self, final

import msgspec

from backchannel.protocol import command as commands
from backchannel.protocol import epoch, limits, lobby
from backchannel.protocol.alias import check_alias
from backchannel.protocol.block import unwrap
from backchannel.protocol.content import Ask, Content, Text, Thread, Threads
from backchannel.protocol.core import Kind, content_hash, head_of
from backchannel.protocol.drop import Drop
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.epoch import EpochClock
from backchannel.protocol.errors import (
    DecodeError,
    LocalProtocolError,
    RemoteProtocolError,
    UnknownError,
)
from backchannel.protocol.identity import BundleKeys, identity_hash
from backchannel.protocol.line import forget
from backchannel.protocol.outcome import Arrival, Effect, Event, Keep, OpenDrop, Outcome, Poll, Repost
from backchannel.protocol.posting import Posting, tidy
from backchannel.protocol.primitives import x25519_public
from backchannel.protocol.reading import Reading, learn, said
from backchannel.protocol.roster import (
    Disclosure,
    Entry,
    Policy,
    Relay,
    Roster,
    charter_hash,
)
from backchannel.protocol.secret import ClockValue, CloseSecret, EpochSeed
from backchannel.protocol.snapshot import FORMAT, load, save
from backchannel.protocol.state import ChannelState, Partial, Peer, Pending
from backchannel.protocol.transcript import Transcript
from backchannel.protocol.types import (
    ChannelId,
    ContentHash,
    Core,
    Hour,
    MessageId,
    Slot,
    ThreadId,
    Timestamp,
    hour_of,
)

_NOBODY = 255
_KEPT = frozenset({Kind.GROUP, Kind.KEY, Kind.ROSTER})


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
        """A new channel with one facilitator; the effects open its drops. `founder`'s slot and identity are filled in."""
        hour, keys = hour_of(now), BundleKeys.draw(entropy)
        secret, value = epoch.begin(EpochSeed(entropy.draw(32)))
        entry = msgspec.structs.replace(
            founder, slot=0, identity=identity_hash(keys.identity.public())
        )
        roster = Roster(
            entropy.draw(limits.ID),
            1,
            bytes(limits.HASH),
            0,
            hour,
            0,
            epoch.commitment(secret, hour, value),
            relays,
            Policy(lifetime),
            charter_hash(charter),
            disclosure.hash,
            (),
            (entry,),
        )
        Roster.parse(roster.pack())
        state = ChannelState(
            format=FORMAT,
            id=ChannelId(roster.channel),
            name=check_alias(name),
            alias=founder.alias,
            me=Slot(0),
            keys=keys,
            epoch=0,
            secret=secret,
            close=CloseSecret(entropy.draw(32)),
            relays=relays,
            lifetime=lifetime,
            charter=charter,
            disclosure=disclosure,
            roster=roster,
            expected=roster.hash,
            transcript=Transcript(first=1),
            versions={roster.hash: 1},
        )
        channel = cls(state, EpochClock(hour, value))
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
        own = [
            Poll(relay.url, Drop.of_epoch(state.secret, relay.public), self.clock.hour)
            for relay in state.relays
        ]
        guests = [
            Poll(guest.relay.url, lobby.lobby_of(guest).drop, Hour(guest.first - 1))
            for guest in state.guests
            if guest.keys is not None
        ]
        return (*own, *guests)

    # The first door.

    def receive(self, arrival: Arrival, now: Timestamp) -> list[Event]:
        """Take in one block. A `RemoteProtocolError` says why it was refused, and then nothing has changed.

        A block that cannot be read yet is kept and tried again; that is no error.
        """
        for guest in self.state.guests:
            if lobby.lobby_of(guest).drop.id == arrival.drop:
                return lobby.receive(self.state, guest, arrival, hour_of(now))
        core = self._unwrap(arrival, now)
        known = content_hash(core)
        if known in self.state.seen:
            self._again(known)
            return []
        try:
            events = self._read(core, arrival.hour, now)
        except UnknownError:
            self._pend(core, arrival.hour)
            return []
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
        reading = Reading(self.state, self.clock, core, head, hash_of, stored, now)
        events = reading.read()
        if head.kind in _KEPT:
            expires = Hour(reading.hour + self.state.lifetime)
            events = [*events, Keep(hash_of, core, head.hour, expires)]
        return events

    def _again(self, known: ContentHash) -> None:
        """A core that is known came again: it is not owed any more, or its author waits for a reply."""
        self.state.owed.pop(known, None)
        for peer in self.state.peers.values():
            if peer.heard == known and peer.reply is not None:
                self.state.owed.setdefault(peer.reply, Timestamp(0))

    def _pend(self, core: Core, stored: Hour) -> None:
        state, kind = self.state, core[0]
        sender = core[21] if kind in {Kind.GROUP, Kind.KEY, Kind.INTRO} else _NOBODY
        if any(waiting.core == core for waiting in state.pending):
            return
        own = [each for each in state.pending if each.sender == sender]
        if len(own) >= limits.PENDING_OF_ONE:
            state.pending.remove(own[0])
        state.pending = [*state.pending, Pending(core, sender, stored)][-limits.PENDING :]

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
        """Do what somebody asks; `LocalProtocolError` or `DecodeError` where that is not allowed."""
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
        return posting.outcome()

    def _may_speak(self) -> None:
        if self.state.current().entry(self.state.me).role == "observer":
            msg = "an observer reads and does not speak"
            raise LocalProtocolError(msg)

    def _post(self, posting: Posting, content: Content) -> tuple[MessageId, Partial]:
        message, hash_of, order = posting.post(content)
        return message, Partial(1, posting.hour, order, hash_of, {})

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
        if lifetime > state.lifetime or len(state.threads) >= limits.THREADS:
            msg = "a thread lives no longer than its channel, and a channel has at most 64"
            raise LocalProtocolError(msg)
        thread = Thread(ThreadId(posting.entropy.draw(limits.ID)), lifetime, tidy(command.topic))
        content = Threads((thread,))
        self._post(posting, content)
        posting.events.extend(learn(state, content, posting.hour))

    def _repost(self, posting: Posting, core: Core) -> None:
        """Under a new outer layer; an admission goes to its lobby."""
        hash_of = content_hash(core)
        for guest in self.state.guests:
            peer = self.state.peers.get(guest.slot) if guest.slot is not None else None
            if peer and peer.greeting and peer.greeting.hash == hash_of:
                lobby.put(posting, guest, core)
                return
        posting.wrap(core, hash_of)

    # The third door.

    def tick(self, now: Timestamp, entropy: Entropy) -> Outcome:
        """Forget what is over, answer intros, greet, renew, ask for what is missing, post again what was asked for."""
        posting = Posting(self.state, self.clock, now, entropy)
        self._forget(posting.hour)
        for slot in [slot for slot, peer in self.state.peers.items() if peer.reply_due]:
            posting.reply(slot)
        if self.state.roster is not None:
            self._greet(posting)
            self._ask(posting)
            self._renew(posting)
        self._owed(posting)
        if self.state.close is not None:
            lobby.clean(posting)
        return posting.outcome()

    def _forget(self, now: Hour) -> None:
        state, oldest = self.state, self.state.oldest(now)
        self.clock.forget_before(Hour(oldest - epoch.KEPT_BEHIND))
        state.transcript.forget(oldest)
        state.seen = {core: hour for core, hour in state.seen.items() if hour >= oldest}
        state.delivered = {name: hour for name, hour in state.delivered.items() if hour >= oldest}
        state.partial = {name: each for name, each in state.partial.items() if each.hour >= oldest}
        state.pending = [each for each in state.pending if each.hour >= oldest]
        state.wants = [each for each in state.wants if hour_of(each.since) >= oldest]
        state.threads = {name: each for name, each in state.threads.items() if each.until > now}
        for peer in state.peers.values():
            _forget_peer(peer, oldest)

    def _greet(self, posting: Posting) -> None:
        """A newcomer greets every entry before its own; unanswered intros are posted again, or replaced once."""
        state = self.state
        for slot, peer in state.peers.items():
            if peer.line is None and slot < state.me:
                posting.greet(slot)
            elif peer.greeting is not None:
                self._greet_again(posting, slot, peer)

    def _greet_again(self, posting: Posting, slot: Slot, peer: Peer) -> None:
        greeting = peer.greeting
        assert greeting is not None  # noqa: S101 - as the caller checked
        lobbied = any(guest.slot == slot for guest in self.state.guests)
        if greeting.made < self.state.oldest(posting.hour):
            if not greeting.replaced and not lobbied:
                posting.greet(slot, replaced=True)
            return
        waits = limits.INTRO_AGAIN[min(greeting.times, len(limits.INTRO_AGAIN) - 1)]
        if posting.hour - greeting.posted < waits:
            return
        peer.greeting = msgspec.structs.replace(
            greeting, posted=posting.hour, times=greeting.times + 1
        )
        again = (greeting.hash, *self.state.package) if lobbied else (greeting.hash,)
        posting.effects.extend(Repost(each) for each in again)

    def _renew(self, posting: Posting) -> None:
        """Once everybody greeted has answered, confirm with a sender key that rests on the answers."""
        waiting = any(peer.greeting is not None for peer in self.state.peers.values())
        if self.state.renew and not waiting:
            posting.new_generation()

    def _ask(self, posting: Posting) -> None:
        """One post for what has been missing long enough, and not been asked for lately."""
        state, now = self.state, posting.now
        due = [each for each in state.wants if _due(each.since, each.asked, each.times, now)]
        due = due[: limits.WANTED]
        if not due:
            return
        state.wants = [
            msgspec.structs.replace(each, asked=now, times=each.times + 1) if each in due else each
            for each in state.wants
        ]
        posting.post(
            Ask(
                tuple(each.name for each in due if each.kind == "core"),
                tuple((each.slot, each.name) for each in due if each.kind == "generation"),
                tuple(
                    (each.slot, int.from_bytes(each.name)) for each in due if each.kind == "step"
                ),
            )
        )

    def _owed(self, posting: Posting) -> None:
        """Draw a delay for what was just asked for; hand out what is due."""
        state, now = self.state, posting.now
        for core, due in list(state.owed.items()):
            if due == 0:
                delay = posting.entropy.draw(1)[0] % limits.REPOST_DELAY
                state.owed[core] = Timestamp(now + 1 + delay)
            elif due <= now:
                del state.owed[core]
                posting.effects.append(Repost(core))


def _due(since: Timestamp, asked: Timestamp, times: int, now: Timestamp) -> bool:
    if times >= limits.ASKS:
        return False
    return now - asked >= limits.ASK_AGAIN if times else now - since >= limits.ASK_AFTER


def _forget_peer(peer: Peer, oldest: Hour) -> None:
    if peer.line is not None:
        peer.line = forget(peer.line, oldest)
    newest = max((held.hour for held in peer.generations.values()), default=Hour(0))
    peer.generations = {
        name: held
        for name, held in peer.generations.items()
        if held.hour >= oldest or held.hour == newest
    }

