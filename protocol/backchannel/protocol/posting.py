"""How a member's own cores come to be: posts, intros, replies, key blocks: SPEC.md sections 12-16.

Owns one round of sending: state moves first, and the effects are collected for the shell. Decides
nothing by itself;
`channel` says what is to be sent.
"""

import unicodedata
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple, final

from backchannel.protocol import content as contents
from backchannel.protocol import epoch, intro, limits, line, sender_key
from backchannel.protocol.block import wrap
from backchannel.protocol.codec import encode
from backchannel.protocol.content import Content
from backchannel.protocol.core import Clock, Head, Kind, content_hash
from backchannel.protocol.drop import Drop
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.epoch import EpochClock
from backchannel.protocol.epochs import Ending, Epoch
from backchannel.protocol.errors import LocalProtocolError
from backchannel.protocol.missing import Partial
from backchannel.protocol.outcome import Append, Effect, Event, Keep, Leaf, Outcome
from backchannel.protocol.peer import Greeting
from backchannel.protocol.roster import ROLES, Entry, Roster
from backchannel.protocol.secret import IntroKey
from backchannel.protocol.sender_key import OwnGeneration
from backchannel.protocol.state import ChannelState
from backchannel.protocol.transcript import Post
from backchannel.protocol.types import (
    Block,
    ContentHash,
    Core,
    DropId,
    EpochId,
    Hour,
    MessageId,
    RosterHash,
    Slot,
    Timestamp,
    hour_of,
)
from backchannel.protocol.whisper import GivenSeeds, Nothing, ReplyAgain, Whisper


def side(entry: Entry) -> intro.Side:
    """How an intro names an entry."""
    return intro.Side(Slot(entry.slot), ROLES.index(entry.role))


_CARRYING = {Kind.LINE, Kind.INTRO, Kind.KEY}
"""What posts rest on: it is to be where they are."""


class Posted(NamedTuple):
    """Where something of one's own stands."""

    id: MessageId
    leaves: tuple[Leaf, ...]
    """Of its blocks, in order."""
    hour: Hour
    order: int

    @property
    def hash(self) -> ContentHash:
        """Of the first."""
        return self.leaves[0].core

    @property
    def whole(self) -> Partial:
        """As others have it once every block is there."""
        return Partial(len(self.leaves), self.hour, self.hour, self.order, self.hash, {})


@final
class Posting:
    """One round: made for a call of `act` or `tick`, and gone with it."""

    def __init__(
        self,
        state: ChannelState,
        clocks: dict[EpochId, EpochClock],
        now: Timestamp,
        entropy: Entropy,
        epoch_of: Epoch | None = None,
    ) -> None:
        """For the current epoch, or for one that is over."""
        self.state = state
        self.clocks = clocks
        self.now = now
        self.entropy = entropy
        self.epoch = epoch_of or state.epoch
        self.clock = clocks[self.epoch.id]
        since = self.roster.hour if self.roster else 0
        self.hour = Hour(max(hour_of(now), since, self.clock.hour))
        """Never below the roster's, where a newcomer's clock begins."""
        self.effects: list[Effect] = []
        self.events: list[Event] = []
        self.wide = state.divided
        """Whether relays that the epoch has left get it, too: those who follow a rival read there.
        """

    @property
    def roster(self) -> Roster | None:
        """Posts stand under it: the current one, which a round may change, or the epoch's last."""
        ending = self.epoch.ending
        return ending.roster if ending is not None else self.state.roster

    def into(self, over: Epoch) -> "Posting":
        """The same round, in an epoch that is over."""
        other = Posting(self.state, self.clocks, self.now, self.entropy, over)
        other.effects, other.events = self.effects, self.events
        other.hour = Hour(max(self.hour, other.clock.hour))  # who began it may have been ahead
        return other

    def widely(self) -> "Posting":
        """The same round, heard on relays that the epoch has left, too."""
        other = self.into(self.epoch)
        other.wide = True
        return other

    def outcome(self) -> Outcome:
        """What the round gave."""
        return Outcome(self.effects, self.events)

    def head(self, kind: Kind) -> Head:
        """A fresh head of this hour."""
        return Head(kind, self.hour, self.entropy.draw(limits.SALT))

    def put(self, core: Core) -> ContentHash:
        """Send a core to the channel's drop on every relay, and keep it in case somebody asks."""
        hash_of = content_hash(core)
        self.wrap(core, hash_of)
        self.epoch.seen[hash_of] = self.hour
        if core[0] in _CARRYING:
            self.state.record.sent[hash_of] = self.hour
        self.keep(core, hash_of)
        return hash_of

    def keep(self, core: Core, hash_of: ContentHash) -> None:
        """Have a core at hand for when it must be posted again."""
        self.events.append(Keep(hash_of, core, self.hour, Hour(self.hour + self.state.lifetime)))

    def wrap(self, core: Core, hash_of: ContentHash, only: DropId | None = None) -> None:
        """Put a core under a new outer layer for every relay, or for the one with a drop."""
        for relay, drop in (*self.epoch.drops(), *(self.epoch.left() if self.wide else ())):
            if only not in (None, drop.id):
                continue
            self.effects.append(Append(relay.url, drop, self.block(drop, core), hash_of))

    def block(self, drop: Drop, core: Core) -> Block:
        """A core under a new outer layer for one drop."""
        return wrap(core, drop.outer, self.clock, self.entropy)

    # What stands between two entries.

    def line_block(self, slot: Slot, content: Whisper) -> line.Sent:
        """A block of the line to `slot`."""
        peer = self.state.peers[slot]
        assert peer.line is not None  # noqa: S101 - the callers chose a peer that has one
        head = self.head(Kind.LINE)
        kem = peer.bundle.identity.kem
        sent = line.send(peer.line, encode(content), kem, self.clock, head, self.entropy)
        peer.line, peer.wrote = sent.line, self.hour
        recent = [*peer.steps.items(), (sent.line.export_out.step, content_hash(sent.core))]
        peer.steps = dict(recent[-limits.EXPORTS :])
        return sent

    def reply(self, slot: Slot) -> None:
        """Answer an intro: the first block of the line, with one's own sender key."""
        peer, own = self.state.peers[slot], self.generation()
        given = slot in own.readers
        sent = self.line_block(slot, Nothing() if given else GivenSeeds.of(own.seeds()))
        peer.reply_due = False
        peer.reply = self.put(sent.core)
        if not given:
            self.state.own = own.with_reader(slot, sent.export)
            peer.given[own.id] = peer.reply

    def reply_again(self, lost: Core) -> None:
        """A reply of an epoch that is over, by a later block: its drop may be sealed, or who waits
        for it may never have read there.
        """
        name = content_hash(lost)
        for slot, peer in self.state.peers.items():
            if peer.reply == name and peer.line is not None and peer.line.unheard:
                again = ReplyAgain(line.given_again(lost))
                self.put(self.line_block(slot, again).core)

    def greet(self, slot: Slot, *, replaced: bool = False) -> None:
        """Send an intro under the current roster, with a new sender key if it replaces one."""
        state, peer = self.state, self.state.peers[slot]
        if replaced:
            peer.line, state.own = None, None
        key = epoch.intro_key(self.epoch.secret)
        core = self.intro(slot, state.current(), key, None)
        peer.greeting = Greeting(self.put(core), self.hour, self.hour, 0, replaced)

    def intro(
        self,
        slot: Slot,
        roster: Roster,
        key: IntroKey,
        admission: intro.Admission | None,
        clock: Clock | None = None,
    ) -> Core:
        """An intro's core; the line and one's sender key count the peer from here on."""
        state, peer, own = self.state, self.state.peers[slot], self.generation()
        setting = intro.Setting(
            state.id, roster.hash, side(roster.entry(state.me)), side(roster.entry(slot))
        )
        started = intro.start(
            setting,
            state.keys,
            peer.bundle,
            key,
            own.seeds(),
            admission,
            clock or self.clock,
            self.head(Kind.INTRO),
            self.entropy,
        )
        peer.line = line.begin(started.keys, started.ratchet, self.hour)
        state.own = own.with_reader(slot, started.keys.export_ab)
        peer.given[own.id] = content_hash(started.core)
        return started.core

    # Sender keys.

    def generation(self) -> OwnGeneration:
        """One's own generation; the first one is made when first needed, another when its numbers
        are used.
        """
        if self.state.own is None or self.state.own.number >= limits.POSTS:
            self.new_generation()
        assert self.state.own is not None  # noqa: S101 - made above
        return self.state.own

    def new_generation(self) -> None:
        """A fresh sender key, given in one key block to every peer that has a line and no reply
        due.
        """
        state = self.state
        healed = state.heal & self._answered().keys()
        for slot in sorted(healed):
            self.put(self.line_block(slot, Nothing()).core)
        over = self.epoch.ending is not None  # a drop that is sealed takes it no more
        state.heal = healed if over else set()
        wraps = self.wraps(state.peers)
        own, core = sender_key.seal_key_block(
            state.me, self._under(), wraps, self.clock, self.head(Kind.KEY), self.entropy
        )
        self._keep_former()
        state.own, state.renew = own, False
        if wraps:
            block = self.put(core)
            for slot in wraps:
                state.peers[slot].given[own.id] = block

    def _keep_former(self) -> None:
        """The one that stood when an epoch ended, or was given in it since, is for what is still to
        be said there.
        """
        state, own = self.state, self.state.own
        if own is None or own.block in state.epoch.seen:
            return
        over = [(each, each.ending) for each in state.epochs if each.ending is not None]
        there = [ending for each, ending in over if ending.own and own.block in each.seen]
        last = [ending for _, ending in over[-1:] if ending.own is None]
        for ending in (*there, *last)[:1]:
            ending.own = own

    def _under(self) -> RosterHash:
        """The roster that cores of this round stand under."""
        return self.roster.hash if self.roster is not None else self.state.expected

    def wraps(self, slots: Iterable[Slot]) -> dict[Slot, line.Wrap]:
        """A use of every peer's export; one that is used up is moved on first, if it can be."""
        wraps = {}
        for slot in list(slots):
            peer = self.state.peers[slot]
            if peer.line is None or peer.reply_due:
                continue
            if peer.line.export_out.chain.number == limits.USES and peer.line.ready:
                self.put(self.line_block(slot, Nothing()).core)
            if peer.line.export_out.chain.number < limits.USES:
                peer.line, wraps[slot] = line.spend(peer.line)
        return wraps

    def renew(self, count: int) -> None:
        """Make a new generation where one is due before `count` more posts; heal the stalest line
        first.
        """
        own = self.state.own
        fresh = own is not None and self.hour - own.hour < limits.GENERATION_HOURS
        if own is None or not fresh or self.state.renew or own.number + count > limits.POSTS:
            self.heal()
            self.new_generation()

    def _answered(self) -> dict[Slot, Hour]:
        """Whose line may be moved, and when it was moved last."""
        return {slot: peer.wrote for slot, peer in self.state.peers.items() if peer.answers}

    def heal(self) -> None:
        """Move the line to the answered peer that was not written to for longest, if that was over
        a day ago.
        """
        ready = self._answered()
        stalest = min(ready, key=lambda slot: (ready[slot], slot), default=None)
        if stalest is not None and self.hour - ready[stalest] >= limits.GENERATION_HOURS:
            self.put(self.line_block(stalest, Nothing()).core)

    def answer_all(self) -> None:
        """Reply to all who wait for it."""
        for slot in [slot for slot, peer in self.state.peers.items() if peer.reply_due]:
            self.reply(slot)

    def answer_there(self) -> None:
        """In an epoch that is over, to whose intro stands there, or in a lobby: else who follows
        another roster could not read where one is.
        """
        state = self.state
        due = {slot: peer.heard for slot, peer in state.peers.items() if peer.reply_due}
        for slot, heard in due.items():
            if heard is not None and state.epoch_of(heard) in (None, self.epoch):
                self.reply(slot)
                state.heal.add(slot)  # that drop may take it no more

    def _greet_all(self) -> None:
        for slot in [slot for slot, peer in self.state.peers.items() if peer.line is None]:
            self.greet(slot)

    def reach_all(self) -> None:
        """Have an export to everybody."""
        self.answer_all()
        self._greet_all()

    # Posts.

    def post(
        self, content: Content, under: Roster | None = None, message: MessageId | None = None
    ) -> Posted:
        """Say something to everybody, with what must go before it.

        `DecodeError` or `LocalProtocolError`, and nothing has changed, for content that no reader
        would take.
        """
        self.state.current()
        order = self.state.transcript.next_order
        message = message or MessageId(self.entropy.draw(limits.ID))
        parts = contents.split(_readable(content), message, order)
        self.come_along()
        self.answer_all()
        self.renew(len(parts))
        self._greet_all()
        return self._parts(parts, under, aside=isinstance(content, contents.Echo))

    def come_along(self) -> None:
        """Tell those of an epoch that is over where one went, first of all, under the sender key
        that they know: it shows everybody whether all went to the same place. What ends rivals may
        be announced in an older one: who follows another reads there.
        """
        state, told = self.state, set[EpochId]()
        for over, after in pairwise(state.epochs):
            if over.ending is not None and not over.ending.echoed:
                over.ending.echoed = True
                if not over.ending.sealed and self.hour - after.began < limits.SEAL_HOURS:
                    self.into(over).answer_there()
                told |= {over.id, after.announced}
        roster = state.current()
        for over in (each for each in state.epochs if each.id in told):
            self.echo(over, roster.version, roster.hash)
        if state.epoch.to_tell:
            state.epoch.to_tell = False
            self.into(state.epoch).widely().post_as_is(contents.Echo(roster.version, roster.hash))

    def echo(self, over: Epoch, version: int, roster: RosterHash) -> None:
        """Say in an epoch that one came to a roster, under the sender key that stood when it ended:
        what was given since may stand where not all read who are to know.
        """
        if over.ending is None or not over.ending.sealed:
            state, former = self.state, self._former(over)
            own = state.own
            if former is not None:
                state.own = former.own
            posted = self.into(over).post_as_is(contents.Echo(version, roster))
            if former is not None:
                former.own, state.own = state.own, own
            state.transcript.let_go([posted.hash])  # a drop that is sealed takes it not
            state.renew = True

    def _former(self, over: Epoch) -> Ending | None:
        """What keeps that key, if another stands that was not given there: where none was drawn
        since, a later epoch.
        """
        state = self.state
        if state.own is not None and state.own.block in over.seen:
            return None
        for each in state.epochs[state.epochs.index(over) :]:
            if each.ending is not None and each.ending.own is not None:
                return each.ending if each.ending.own.number < limits.POSTS else None
        return None

    def post_as_is(self, content: Content, under: Roster | None = None) -> Posted:
        """Say something under the sender key that stands, whoever may read it: in an epoch that
        ends, a new one might not arrive.
        """
        order = self.state.transcript.next_order
        message = MessageId(self.entropy.draw(limits.ID))
        parts = contents.split(_readable(content), message, order)
        return self._parts(parts, under, aside=isinstance(content, contents.Echo))

    def _parts(
        self, parts: tuple[contents.Part, ...], under: Roster | None, *, aside: bool
    ) -> Posted:
        roster = under or self.roster
        assert roster is not None  # noqa: S101 - whoever has none is silent
        leaves = tuple(self._part(part, roster, aside=aside) for part in parts)
        return Posted(parts[0].id, leaves, self.hour, parts[0].order)

    def _part(self, part: contents.Part, roster: Roster, *, aside: bool) -> Leaf:
        state, own, head = self.state, self.generation(), self.head(Kind.GROUP)
        parents = state.transcript.parents(roster.version)
        state.own, core, leaf = sender_key.seal_post(
            own,
            state.me,
            roster.hash,
            parents,
            part.pack(),
            self.clock,
            head,
            self.entropy,
        )
        hash_of = self.put(core)
        state.alive[state.me] = self.hour
        post = Post(
            self.hour,
            part.order,
            roster.version,
            state.me,
            tuple(parent.hash for parent in parents),
            sender_key.slots_name(core),
            aside,
        )
        state.record.sent[hash_of] = self.hour
        state.transcript.add(hash_of, post, parents)
        return Leaf(hash_of, leaf)


def tidy(text: str) -> str:
    """Text as it goes on the wire: NFC."""
    return unicodedata.normalize("NFC", text)


def _readable(content: Content) -> Content:
    try:
        data = encode(content)
    except UnicodeEncodeError:
        msg = "a text holds half a character"
        raise LocalProtocolError(msg) from None
    if len(data) <= contents.MOST:  # `split` says it better
        contents.read_content(data)
    return content
