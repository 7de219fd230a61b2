"""How a member's own cores come to be: posts, intros, replies, key blocks: SPEC.md sections 12-16.

Owns one round of sending: state moves first, and the effects are collected for the shell. Decides
nothing by itself;
`channel` says what is to be sent.
"""

import unicodedata
from typing import final

from backchannel.protocol import content as contents
from backchannel.protocol import epoch, intro, limits, line, sender_key
from backchannel.protocol.block import wrap
from backchannel.protocol.codec import encode
from backchannel.protocol.content import Content, GivenSeeds, LineContent, Nothing
from backchannel.protocol.core import Clock, Head, Kind, content_hash
from backchannel.protocol.drop import Drop
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.epoch import EpochClock
from backchannel.protocol.errors import LocalProtocolError
from backchannel.protocol.outcome import Append, Effect, Event, Keep, Outcome
from backchannel.protocol.roster import ROLES, Entry, Roster
from backchannel.protocol.secret import IntroKey
from backchannel.protocol.sender_key import OwnGeneration
from backchannel.protocol.state import ChannelState, Greeting
from backchannel.protocol.transcript import Post
from backchannel.protocol.types import (
    ContentHash,
    Core,
    Hour,
    MessageId,
    Slot,
    Timestamp,
    hour_of,
)


def side(entry: Entry) -> intro.Side:
    """How an intro names an entry."""
    return intro.Side(Slot(entry.slot), ROLES.index(entry.role))


@final
class Posting:
    """One round: made for a call of `act` or `tick`, and gone with it."""

    def __init__(
        self, state: ChannelState, clock: EpochClock, now: Timestamp, entropy: Entropy
    ) -> None:
        self.state = state
        self.clock = clock
        self.now = now
        since = state.roster.hour if state.roster else 0
        self.hour = Hour(max(hour_of(now), since, clock.hour))
        """Never below the roster's, where a newcomer's clock begins."""
        self.entropy = entropy
        self.effects: list[Effect] = []
        self.events: list[Event] = []

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
        self.state.seen[hash_of] = self.hour
        self.keep(core, hash_of)
        return hash_of

    def keep(self, core: Core, hash_of: ContentHash) -> None:
        """Have a core at hand for when it must be posted again."""
        self.events.append(Keep(hash_of, core, self.hour, Hour(self.hour + self.state.lifetime)))

    def wrap(self, core: Core, hash_of: ContentHash) -> None:
        """Put a core under a new outer layer for every relay."""
        for relay in self.state.relays:
            drop = Drop.of_epoch(self.state.secret, relay.public)
            block = wrap(core, drop.outer, self.clock, self.entropy)
            self.effects.append(Append(relay.url, drop, block, hash_of))

    # What stands between two entries.

    def line_block(self, slot: Slot, content: LineContent) -> line.Sent:
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

    def greet(self, slot: Slot, *, replaced: bool = False) -> None:
        """Send an intro under the current roster, with a new sender key if it replaces one."""
        state, peer = self.state, self.state.peers[slot]
        if replaced:
            peer.line, state.own = None, None
        key = epoch.intro_key(state.secret)
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
        wraps = self._wraps()
        own, core = sender_key.seal_key_block(
            state.me, state.expected, wraps, self.clock, self.head(Kind.KEY), self.entropy
        )
        state.own, state.renew = own, False
        if wraps:
            block = self.put(core)
            for slot in wraps:
                state.peers[slot].given[own.id] = block

    def _wraps(self) -> dict[Slot, line.Wrap]:
        """A use of every peer's export; one that is used up is moved on first, if it can be."""
        wraps = {}
        for slot, peer in self.state.peers.items():
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

    def heal(self) -> None:
        """Move the line to the answered peer that was not written to for longest, if that was over
        a day ago.
        """
        ready = {
            slot: peer.wrote
            for slot, peer in self.state.peers.items()
            if peer.line is not None and peer.line.answered and not peer.reply_due
        }
        stalest = min(ready, key=lambda slot: (ready[slot], slot), default=None)
        if stalest is not None and self.hour - ready[stalest] >= limits.GENERATION_HOURS:
            self.put(self.line_block(stalest, Nothing()).core)

    # Posts.

    def post(self, content: Content) -> tuple[MessageId, ContentHash, int]:
        """Say something to everybody: its id, the content hash of its first block, its order.

        `DecodeError` or `LocalProtocolError`, and nothing has changed, for content that no reader
        would take.
        """
        self.state.current()
        message, order = MessageId(self.entropy.draw(limits.ID)), self.state.transcript.next_order
        parts = contents.split(_readable(content), message, order)
        for slot in [slot for slot, peer in self.state.peers.items() if peer.reply_due]:
            self.reply(slot)
        self.renew(len(parts))
        for slot in [slot for slot, peer in self.state.peers.items() if peer.line is None]:
            self.greet(slot)
        hashes = [self._part(part) for part in parts]
        return message, hashes[0], order

    def _part(self, part: contents.Part) -> ContentHash:
        state, own = self.state, self.generation()
        roster = state.current()
        parents = state.transcript.parents(roster.version)
        state.own, core = sender_key.seal_post(
            own,
            state.me,
            state.expected,
            parents,
            part.pack(),
            self.clock,
            self.head(Kind.GROUP),
            self.entropy,
        )
        hash_of = self.put(core)
        state.transcript.add(
            hash_of, Post(self.hour, part.order, roster.version, state.me), parents
        )
        return hash_of


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
