"""The facade: one member's view of one channel, with exactly three doors.

`receive(arrival, now)` takes in a block and sends nothing; `act(command, now, entropy)` does what a
person asks;
`tick(now, entropy)` does what time asks. Save the snapshot and the clock after each, before any
effect is carried out.
"""

from collections.abc import Iterator, Mapping
from typing import Self, final

from backchannel.protocol import change, cover, levelling, limits, lobby, record, settlement
from backchannel.protocol import command as commands
from backchannel.protocol.adoption import read_back
from backchannel.protocol.block import unwrap
from backchannel.protocol.core import HEAD, Kind, content_hash, head_of
from backchannel.protocol.deeds import do
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.epoch import EpochClock
from backchannel.protocol.epochs import Epoch
from backchannel.protocol.errors import (
    DecodeError,
    ForbiddenError,
    RemoteProtocolError,
    StateError,
    UnknownError,
)
from backchannel.protocol.founding import found
from backchannel.protocol.issuing import open_drops
from backchannel.protocol.missing import Pending
from backchannel.protocol.outcome import (
    Alarm,
    Answered,
    Arrival,
    Event,
    Outcome,
    Poll,
    RosterAdopted,
)
from backchannel.protocol.posting import Posting
from backchannel.protocol.reading import PASSING, read
from backchannel.protocol.reception import Reception
from backchannel.protocol.roster import Disclosure, Entry, Policy, Relay
from backchannel.protocol.secret import ClockValue, OuterSecret
from backchannel.protocol.sender_key import slots_name
from backchannel.protocol.snapshot import load, save
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import (
    ContentHash,
    Core,
    DropId,
    EpochId,
    Hour,
    Slot,
    Timestamp,
    hour_of,
)
from backchannel.protocol.upkeep import keep_up

_Source = tuple[Epoch, OuterSecret, levelling.Place]
"""Of a drop: its epoch, what opens its outer layer, and where it stands."""
_NOBODY = 255
_NAMING = frozenset({Kind.GROUP, Kind.KEY, Kind.INTRO})
"""Kinds whose first field is the sender."""
_ON_LINES = frozenset({Kind.LINE, Kind.KEY, Kind.EPOCH, Kind.GROUP})
_OPENS: dict[Kind, frozenset[Kind]] = {
    Kind.INTRO: _ON_LINES,
    Kind.LINE: _ON_LINES - {Kind.LINE},
    Kind.KEY: frozenset({Kind.GROUP}),
    Kind.GROUP: frozenset({Kind.GROUP, Kind.ROSTER, Kind.EPOCH}),
    Kind.EPOCH: frozenset({Kind.ROSTER}),
}
"""What waits for a core of each kind. A new roster, and an answered line, open more."""


@final
class Channel:
    """One entry's state of one channel, and its doors."""

    def __init__(self, state: ChannelState, clocks: dict[EpochId, EpochClock]) -> None:
        self.state = state
        self.clocks = clocks
        """Of every epoch that can still be read, or is about to begin."""
        self._drops: dict[DropId, _Source] = {}
        self._known: list[tuple[EpochId, tuple[Relay, ...]]] = []

    @classmethod
    def create(
        cls,
        founder: Entry,
        name: str,
        relays: tuple[Relay, ...],
        policy: Policy,
        charter: str,
        disclosure: Disclosure,
        now: Timestamp,
        entropy: Entropy,
    ) -> tuple[Self, Outcome]:
        """A new channel with one facilitator; the effects open its drops. `founder`'s slot and
        identity are filled in.
        """
        state, clock = found(founder, name, relays, policy, charter, disclosure, now, entropy)
        assert state.epoch.close is not None  # noqa: S101 - whoever founds has it
        drops = open_drops(state.epoch.secret, state.epoch.close, state.current())
        return cls(state, {state.epoch.id: clock}), Outcome([*drops], [])

    @classmethod
    def open(cls, snapshot: bytes, clocks: Mapping[EpochId, tuple[Hour, ClockValue]]) -> Self:
        """From saved state and the epoch clocks as the expiry-key file has them."""
        state = load(snapshot, ChannelState)
        opened = {name: EpochClock(hour, value) for name, (hour, value) in clocks.items()}
        if not all(each.id in opened for each in state.epochs):
            msg = "the keys of an epoch are gone"
            raise StateError(msg)
        return cls(state, opened)

    def snapshot(self) -> bytes:
        """All but the clocks, to be saved before any effect is carried out."""
        return save(self.state)

    @property
    def clock(self) -> EpochClock:
        """Of the current epoch."""
        return self.clocks[self.state.epoch.id]

    def polls(self) -> tuple[Poll, ...]:
        """The drops to read: of every epoch that is not forgotten, the older first, on every relay;
        and the lobbies of open invites. Where another relay stands now, none of before is asked; of
        very many the first are.
        """
        here = {relay.key for relay in self.state.relays}
        taken = {relay.url for relay in self.state.relays}
        own = [
            Poll(relay.url, drop, relay.key not in here)
            for each in self.state.epochs
            for relay, drop in (*each.drops(), *each.left())
            if relay.key in here or relay.url not in taken
        ]
        asked = list(dict.fromkeys(each.relay for each in own if each.former))
        late = set(asked[limits.RELAYS_READ - len(here) :])
        own = [each for each in own if each.relay not in late]
        guests = [
            Poll(guest.relay.url, lobby.lobby_of(guest).drop)
            for guest in self.state.guests
            if guest.keys is not None
        ]
        return (*own, *guests)

    def due(self, now: Timestamp) -> str:
        """Why a `Turn` is due from this member, if it has vouchers for it."""
        return change.due(self.state, hour_of(now))

    # The first door.

    def receive(self, arrival: Arrival, now: Timestamp) -> list[Event]:
        """Take in one block. A `RemoteProtocolError` says why it was refused, and then nothing has
        changed but the list of refused posts.

        A block that cannot be read yet is kept and tried again; that is no error. Nor is one that
        its author was not to write: that is an `Alarm`.
        """
        source = self._source(arrival.drop)
        if source is None:
            return self._of_lobby(arrival, now)
        epoch, outer, place = source
        clock = self.clocks[epoch.id]
        if arrival.hour < clock.hour - limits.CLOCK_SKEW:
            return []  # from before my time, or dead
        oldest = max(clock.hour, self.state.oldest(hour_of(now)))
        window = (Hour(oldest), Hour(hour_of(now) + limits.CLOCK_SKEW))
        core = unwrap(arrival.block, outer, clock, arrival.hour, window)
        known = content_hash(core)
        if self.state.epoch_of(known):
            if self._is_mine(core, known):
                levelling.shown(epoch, known, place)
            self._again(core, known, now)
            return read_back(self.state, known, hour_of(now))
        stored = hour_of(now) if place == "courier" else arrival.hour  # nobody else saw it come
        events = self._take(epoch, core, known, stored, now)
        if core[0] not in PASSING:
            levelling.came(epoch, known, place, now)
        return events

    def _take(
        self, epoch: Epoch, core: Core, known: ContentHash, stored: Hour, now: Timestamp
    ) -> list[Event]:
        stands = self.state.announced, dict(self.state.record.foreign)
        try:
            events = self._read(epoch, core, known, stored, now)
        except UnknownError:
            self._pend(epoch, core, known, stored)
            changed = (self.state.announced, self.state.record.foreign) != stands  # who is where
            return self._retry(_OPENS[Kind.GROUP], now) if changed else []
        except ForbiddenError as error:
            return [self._alarm(error, epoch, core, known)]
        waiting = self.state.pending  # a copy of it may, from another relay
        self.state.pending = [each for each in waiting if each.hash != known]
        return events + self._retry(self._opened(core, events), now)

    def _opened(self, core: Core, events: list[Event]) -> frozenset[Kind]:
        """Kinds of what waits that a core which was just read may let open."""
        if any(isinstance(event, RosterAdopted) for event in events):
            return frozenset(Kind)
        if any(isinstance(event, Answered) for event in events):
            return _ON_LINES
        if core[0] == Kind.GROUP and not self._opens_more():
            return frozenset()
        return _OPENS.get(Kind(core[0]), frozenset())

    def _opens_more(self) -> bool:
        """Whether a post may let something be read that waits."""
        missing = self.state.transcript.missing
        named = any(each.hash in missing for each in self.state.pending)
        return named or bool(self.state.announced or self.state.rivals)

    def _source(self, drop: DropId) -> _Source | None:
        """Of which epoch a drop is, if of one; secrets are kept as long as this object lives."""
        stands = self._stands()
        if drop not in self._drops or self._known != stands:
            self._drops, self._known = dict(self._sources()), stands
        return self._drops.get(drop)

    def _stands(self) -> list[tuple[EpochId, tuple[Relay, ...]]]:
        return [(each.id, each.relays) for each in self.state.epochs]

    def _sources(self) -> Iterator[tuple[DropId, _Source]]:
        for epoch in self.state.epochs:
            by_hand = epoch.courier()
            yield by_hand.id, (epoch, by_hand.outer, "courier")
            for _, each in epoch.left():
                yield each.id, (epoch, each.outer, "left")
            for number, (_, each) in enumerate(epoch.drops()):
                yield each.id, (epoch, each.outer, number)

    def _of_lobby(self, arrival: Arrival, now: Timestamp) -> list[Event]:
        for guest in self.state.guests:
            if lobby.lobby_of(guest).drop.id == arrival.drop:
                return lobby.receive(self.state, guest, arrival, hour_of(now))
        msg = "a block of a drop that is not ours"
        raise DecodeError(msg)

    def _read(
        self, epoch: Epoch, core: Core, hash_of: ContentHash, stored: Hour, now: Timestamp
    ) -> list[Event]:
        head = head_of(core)
        return read(Reception(self.state, self.clocks, epoch, core, head, hash_of, stored, now))

    def _alarm(self, error: ForbiddenError, epoch: Epoch, core: Core, known: ContentHash) -> Alarm:
        """An authentic core that is refused: seen, so that no copy of it alarms again."""
        epoch.seen[known] = head_of(core).hour
        self.state.got("core", error.slot, known)
        return Alarm(error.kind, Slot(error.slot), known, str(error))

    def _again(self, core: Core, known: ContentHash, now: Timestamp) -> None:
        """A core that is known came again: it is not owed any more, if its slots are those that I
        accepted; or its author waits for a reply.
        """
        over = self.state.epoch_of(known)
        if over is None or over.ending is None or self.state.me not in over.ending.bound:
            record.shown(self.state, known)
        if self._is_mine(core, known):
            self.state.owed.pop(known, None)
        for slot, peer in self.state.peers.items():
            if peer.heard == known and peer.reply is not None:
                self.state.owe(peer.reply, slot, now)

    def _is_mine(self, core: Core, known: ContentHash) -> bool:
        """Whether a known core came with the slots that I accepted, which are not in its name."""
        post = self.state.transcript.posts.get(known)
        return post is None or post.slots == slots_name(core)

    def _pend(self, epoch: Epoch, core: Core, hash_of: ContentHash, stored: Hour) -> None:
        state = self.state
        if core[0] == Kind.CHUNK:
            return  # a file has thousands: they stay in the drop, and are found by reading again
        sender = core[HEAD] if core[0] in _NAMING else _NOBODY
        if any(waiting.core == core for waiting in state.pending):
            return
        own = [e for e in state.pending if (e.sender, e.core[0]) == (sender, core[0])]
        if len(own) >= limits.PENDING_OF_ONE:
            state.pending.remove(own[0])
        state.pending = [*state.pending, Pending(core, hash_of, sender, stored, epoch.id)]
        state.pending = state.pending[-limits.PENDING :]

    def _retry(self, kinds: frozenset[Kind], now: Timestamp) -> list[Event]:
        """What waits may open now; each success may open the next."""
        events: list[Event] = []
        while kinds:
            kept, opened = [], frozenset[Kind]()
            for each in self.state.pending:
                if each.core[0] in kinds:
                    found = self._try(each, now)
                    events += found or []
                    opened |= self._opened(each.core, found) if found is not None else set()
                    if found is not None:
                        continue
                kept.append(each)
            self.state.pending, kinds = kept, opened
        return events

    def _try(self, waiting: Pending, now: Timestamp) -> list[Event] | None:
        """What came of it; None while it has to wait on."""
        epoch = next(each for each in self.state.epochs if each.id == waiting.epoch)
        try:
            return self._read(epoch, waiting.core, waiting.hash, waiting.hour, now)
        except UnknownError:
            return None
        except ForbiddenError as error:
            return [self._alarm(error, epoch, waiting.core, waiting.hash)]
        except RemoteProtocolError:
            return []  # it came before its reasons did, and is refused now

    # The second door.

    def act(self, command: commands.Command, now: Timestamp, entropy: Entropy) -> Outcome:
        """Do what somebody asks; `LocalProtocolError` or `DecodeError` where it is not allowed."""
        posting = Posting(self.state, self.clocks, now, entropy)
        if isinstance(command, commands.Repost):
            self._repost(posting, command)
        elif isinstance(command, commands.Level):
            levelling.level(posting, command.drop)
        elif isinstance(command, commands.Sealed):
            settlement.sealed(posting, command.drop)
        elif isinstance(command, commands.Cover):
            cover.fill(posting)
        else:
            do(posting, command)
        return posting.outcome()

    def _repost(self, posting: Posting, command: commands.Repost) -> None:
        """Under a new outer layer, if its hour can be opened still; an admission in its lobby too:
        who has read it there reads there no more.
        """
        core, hash_of = command.core, content_hash(command.core)
        for guest in self.state.guests:
            peer = self.state.peers.get(guest.slot) if guest.slot is not None else None
            if peer and peer.greeting and peer.greeting.hash == hash_of:
                lobby.put(posting, guest, core)
        epoch = self.state.epoch_of(hash_of) or self.state.epoch
        if epoch.ending is not None:
            posting.reply_again(core)
        dead = head_of(core).hour < self.clocks[epoch.id].hour
        if not dead and (epoch.ending is None or not epoch.ending.sealed):
            posting.into(epoch).wrap(core, hash_of, command.drop)

    # The third door.

    def tick(self, now: Timestamp, entropy: Entropy) -> Outcome:
        """Forget what is over, answer intros, greet, renew, ask for what is missing, post again
        what was asked for.
        """
        posting = Posting(self.state, self.clocks, now, entropy)
        keep_up(posting)
        if posting.effects:  # a line may have begun
            posting.events.extend(self._retry(frozenset(Kind), now))
        return posting.outcome()
