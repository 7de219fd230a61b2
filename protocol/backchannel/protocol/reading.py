"""How a core from the channel's drop changes what a member knows: SPEC.md sections 9 and 12-16.

Compute, authenticate, then commit: a core that is refused raises and changes nothing. `UnknownError` means that it may
open later, and is kept by `channel`.
"""

from collections.abc import Callable
from typing import final

import msgspec

from backchannel.protocol import epoch, intro, limits, line, sender_key
from backchannel.protocol.content import (
    Announcement,
    Ask,
    GivenSeeds,
    Part,
    Text,
    Threads,
    read_content,
    read_line_content,
)
from backchannel.protocol.core import Clock, Head, Kind
from backchannel.protocol.errors import (
    DecodeError,
    RefusedError,
    StaleError,
    UnknownError,
)
from backchannel.protocol.identity import identity_hash
from backchannel.protocol.outcome import Answered, Event, RosterAdopted, Said, ThreadBegan
from backchannel.protocol.posting import side
from backchannel.protocol.roster import (
    Package,
    Role,
    Roster,
    charter_hash,
    open_piece,
    succeeds,
)
from backchannel.protocol.sender_key import GroupHeader, KeyHeader
from backchannel.protocol.state import Announced, ChannelState, Partial, Peer, ThreadState
from backchannel.protocol.transcript import Post
from backchannel.protocol.types import (
    MAIN_THREAD,
    ContentHash,
    Core,
    GenerationId,
    Hour,
    MessageId,
    RosterHash,
    Slot,
    Step,
    ThreadId,
    Timestamp,
    hour_of,
)


_NONE = ContentHash(b"")


@final
class Reading:
    """One core being read: made for it, and gone with it."""

    def __init__(
        self,
        state: ChannelState,
        clock: Clock,
        core: Core,
        head: Head,
        hash_of: ContentHash,
        stored: Hour,
        now: Timestamp,
    ) -> None:
        self.state = state
        self.clock = clock
        self.core = core
        self.head = head
        self.hash = hash_of
        self.now = now
        self.hour = Hour(min(head.hour, stored, hour_of(now)))
        """What a message's life is counted from."""
        self.events: list[Event] = []

    def read(self) -> list[Event]:
        """Take in the core; raises a `RemoteProtocolError` that says why it was refused."""
        readers: dict[Kind, Callable[[], None]] = {
            Kind.GROUP: self._group,
            Kind.KEY: self._key_block,
            Kind.LINE: self._line,
            Kind.INTRO: self._intro,
            Kind.ROSTER: self._piece,
            Kind.COVER: self._cover,
        }
        if self.head.kind not in readers:
            msg = "a core of a kind that has no place here"
            raise RefusedError(msg)
        readers[self.head.kind]()
        self.state.seen[self.hash] = self.head.hour
        return self.events

    def _peer(self, slot: Slot) -> Peer:
        if slot == self.state.me:
            msg = "a core speaks as me, and I did not send it"
            raise RefusedError(msg)
        peer = self.state.peers.get(slot)
        if peer is None:
            msg = "a core of somebody who is not in my roster"
            raise UnknownError(msg)
        return peer

    def _cover(self) -> None:
        """Noise."""

    # Posts.

    def _group(self) -> None:
        header = GroupHeader.read(self.core)
        peer = self._peer(header.sender)
        version = self.state.versions.get(header.roster)
        if version is not None and version < self.state.transcript.first:
            msg = "a post from before my time"
            raise StaleError(msg)
        held = peer.generations.get(header.generation)
        if held is None:
            if version is not None:
                self.state.want("generation", header.sender, header.generation, self.now)
            msg = "a post under a sender key that has not come"
            raise UnknownError(msg)
        following, data = sender_key.open_post(
            held, header, self.core, self.state.me, self.clock, self.head
        )
        part = Part.parse(data)
        if version is None:
            version = self._announced_version(header, part)
        self._may_say(header, part)
        peer.generations = {**peer.generations, header.generation: following}
        post = Post(self.head.hour, part.order, version)
        if self.state.roster is None:
            self.state.transcript.first = version
        for lost in self.state.transcript.add(self.hash, post, header.parents):
            self.state.want("core", header.sender, lost, self.now)
        self.state.got("core", header.sender, self.hash)
        self._join(header.sender, part)

    def _announced_version(self, header: GroupHeader, part: Part) -> int:
        """A post under an unknown roster is good only if it is that roster's announcement."""
        content = read_content(part.piece) if part.total == 1 else None
        if not isinstance(content, Announcement) or content.roster != header.roster:
            msg = "a post under a roster that has not come"
            raise UnknownError(msg)
        roster = self.state.roster
        if roster is not None and content.version > roster.version + 1:
            msg = "a roster further ahead than the next"
            raise UnknownError(msg)
        return content.version

    def _may_say(self, header: GroupHeader, part: Part) -> None:
        """An observer's text, or a roster by one who is no facilitator, is refused whole."""
        content = read_content(part.piece) if part.total == 1 else None
        roster = self.state.roster
        role = roster.entry(header.sender).role if roster else "facilitator"
        if role == "observer" and not isinstance(content, Ask):
            msg = "an observer does not speak"
            raise RefusedError(msg)
        if isinstance(content, Announcement):
            self._check_announcement(content, header, role)

    def _check_announcement(
        self, content: Announcement, header: GroupHeader, role: Role
    ) -> None:
        known = self.state.versions.get(header.roster)
        roster = self.state.roster
        if role != "facilitator" or content.roster != header.roster:
            msg = "only a facilitator announces a roster"
            raise RefusedError(msg)
        if roster is None and content.roster != self.state.expected:
            msg = "a roster that is not the one I was admitted by"
            raise UnknownError(msg)
        if roster is not None and known is None and content.version != roster.version + 1:
            msg = "a roster is not the next one"
            raise RefusedError(msg)

    def _join(self, sender: Slot, part: Part) -> None:
        """Put a message together; once per author and id."""
        name = bytes([sender]) + part.id
        if name in self.state.delivered:
            return
        old = self.state.partial.pop(name, None)
        partial = old or Partial(part.total, self.hour, part.order, self.hash, {})
        if partial.total != part.total:
            return
        pieces = {**partial.pieces, part.place: part.piece}
        first = self.hash if part.place == 0 else partial.hash
        hour = Hour(min(partial.hour, self.hour))
        partial = Partial(part.total, hour, max(partial.order, part.order), first, pieces)
        if len(pieces) < part.total:
            self.state.partial[name] = partial
            return
        self.state.delivered[name] = self.head.hour
        self._deliver(sender, part.id, partial)

    def _deliver(self, sender: Slot, message: MessageId, whole: Partial) -> None:
        try:
            content = read_content(b"".join(piece for _, piece in sorted(whole.pieces.items())))
        except DecodeError:
            return  # only parts of several blocks can be nonsense together; each was authentic
        match content:
            case Text():
                self.events.append(said(self.state, sender, message, whole, content))
            case Threads():
                self.events.extend(learn(self.state, content, whole.hour))
            case Announcement() if whole.total == 1:
                self._announced(sender, content)
            case Ask():
                self._asked(sender, content)

    def _asked(self, asker: Slot, ask: Ask) -> None:
        """Note what this member may hold, for `tick` to post again."""
        state = self.state
        names = [ContentHash(core) for core in ask.cores]
        names += [self._key_block_of(Slot(s), GenerationId(g)) for s, g in ask.generations]
        mine = state.peers[asker].steps
        names += [mine.get(Step(step), _NONE) for slot, step in ask.steps if slot == state.me]
        for name in filter(None, names):
            state.owed.setdefault(name, Timestamp(0))

    def _key_block_of(self, slot: Slot, generation: GenerationId) -> ContentHash:
        own, peer = self.state.own, self.state.peers.get(slot)
        if slot == self.state.me and own is not None and own.id == generation:
            return own.block or _NONE
        held = peer.generations.get(generation) if peer else None
        return (held.block if held else None) or _NONE

    # Rosters.

    def _announced(self, sender: Slot, announcement: Announcement) -> None:
        state = self.state
        if announcement.roster in state.versions:
            return
        state.announced = Announced(sender, announcement)
        for piece in announcement.pieces:
            state.want("core", sender, piece, self.now)

    def _piece(self) -> None:
        announced = self.state.announced
        if announced is None or self.hash not in announced.announcement.pieces:
            msg = "a piece of a roster that nobody announced"
            raise UnknownError(msg)
        secret = epoch.roster_secret(self.state.secret)
        piece = open_piece(self.core, secret, self.clock, self.head)
        announced.pieces = {**announced.pieces, self.hash: piece}
        self.state.got("core", announced.by, self.hash)
        names = [ContentHash(each) for each in announced.announcement.pieces]
        if all(name in announced.pieces for name in names):
            self.state.announced = None
            self._adopt(announced, b"".join(announced.pieces[name] for name in names))

    def _adopt(self, announced: Announced, data: bytes) -> None:
        package = Package.parse(data)
        roster, state = package.roster, self.state
        if roster.hash != announced.announcement.roster or roster.issuer != announced.by:
            msg = "a package is not of the announced roster"
            raise RefusedError(msg)
        if roster.version != announced.announcement.version:
            msg = "an announcement names another version than its roster"
            raise RefusedError(msg)
        self._check_roster(package, roster)
        if state.roster is None:
            state.versions[RosterHash(roster.previous)] = roster.version - 1
        adopt(state, package)
        self.events.append(RosterAdopted(roster.version))

    def _check_roster(self, package: Package, roster: Roster) -> None:
        state = self.state
        if state.roster is not None:
            succeeds(roster, state.roster)
        else:
            self._check_first(roster)
        hour = Hour(roster.hour)
        if hour > hour_of(self.now) + limits.CLOCK_SKEW:
            msg = "a roster of an hour that has not come"
            raise RefusedError(msg)
        if epoch.commitment(state.secret, hour, self.clock(hour)) != roster.commitment:
            msg = "a roster is bound to another epoch than mine"
            raise RefusedError(msg)
        own = state.keys.public().identity
        mine = roster.entry(state.me).identity == identity_hash(own)
        known = all(
            package.bundles[slot].identity == peer.bundle.identity
            for slot, peer in state.peers.items()
        )
        if not (mine and known):
            msg = "a roster gives somebody another identity"
            raise RefusedError(msg)

    def _check_first(self, roster: Roster) -> None:
        """A newcomer's roster is the one of its intro, and says what the card said."""
        state = self.state
        agrees = (
            roster.hash == state.expected
            and roster.channel == state.id
            and roster.epoch == state.epoch
            and roster.relays == state.relays
            and roster.policy.lifetime == state.lifetime
            and roster.charter == charter_hash(state.charter)
            and roster.disclosure == state.disclosure.hash
            and roster.entry(state.me).alias == state.alias
            and roster.entry(roster.issuer).role == "facilitator"
        )
        if not agrees:
            msg = "a roster is not the one I was admitted by"
            raise RefusedError(msg)

    # Lines and sender keys.

    def _key_block(self) -> None:
        header = KeyHeader.read(self.core)
        peer = self._peer(header.sender)
        version = self.state.versions.get(header.roster)
        if version is None:
            msg = "a key block under a roster that has not come"
            raise UnknownError(msg)
        if version < self.state.transcript.first:
            msg = "a key block from before my time"
            raise StaleError(msg)
        if header.generation in peer.generations:
            return
        step = sender_key.wrapped_step(self.core, self.state.me)
        exports = line.exports_at(peer.line, step) if peer.line else ()
        if not exports:
            if peer.line is not None:
                self.state.want("step", header.sender, step.to_bytes(4), self.now)
            msg = "a key block under a step that has not come"
            raise UnknownError(msg)
        self._give(
            header.sender,
            sender_key.open_key_block(
                self.core, header, self.state.me, exports, self.clock, self.head
            ),
        )

    def _give(self, sender: Slot, held: sender_key.PeerGeneration) -> None:
        peer = self.state.peers[sender]
        if held.id not in peer.generations:
            recent = [*peer.generations.items(), (held.id, held)]
            peer.generations = dict(recent[-limits.GENERATIONS :])
        self.state.got("generation", sender, held.id)

    def _line(self) -> None:
        for slot, peer in self.state.peers.items():
            if peer.line is None:
                continue
            seed = self.state.keys.identity.kem
            opened = line.open_(peer.line, self.core, self.clock, self.head, seed)
            if opened is not None:
                self._take(slot, peer, opened)
                return
        settled = all(peer.line and peer.line.answered for peer in self.state.peers.values())
        if not settled or self.state.roster is None:
            msg = "a line block whose line may not have begun"
            raise UnknownError(msg)

    def _take(self, slot: Slot, peer: Peer, opened: line.Opened) -> None:
        content = read_line_content(opened.content)
        peer.line = opened.line
        self.state.got("step", slot, opened.export.step.to_bytes(4))
        if isinstance(content, GivenSeeds):
            self._give(
                slot, sender_key.from_seeds(content.seeds, opened.export.key, self.head.hour)
            )
        if opened.reply:
            peer.greeting = None
            self.state.renew = True
            self.events.append(Answered(slot))

    def _intro(self) -> None:
        envelope = intro.Envelope.read(self.core)
        if envelope.b != self.state.me:
            return
        peer = self._peer(envelope.a)
        roster = self.state.roster
        if roster is None or envelope.roster not in self.state.versions:
            msg = "an intro under a roster that has not come"
            raise UnknownError(msg)
        if not self._first_intro(peer):
            msg = "a second intro of one entry"
            raise RefusedError(msg)
        a, b = side(roster.entry(envelope.a)), side(roster.entry(envelope.b))
        setting = intro.Setting(self.state.id, envelope.roster, a, b)
        key = epoch.intro_key(self.state.secret)
        accepted = intro.accept(
            self.core,
            self.head,
            setting,
            self.state.keys,
            peer.bundle.identity,
            key,
            self.clock,
        )
        if accepted.admission is not None:
            msg = "an admission outside a lobby"
            raise RefusedError(msg)
        self._greeted(envelope.a, peer, accepted)

    def _first_intro(self, peer: Peer) -> bool:
        """One intro stands; a second replaces it only once the first has died unused."""
        if peer.heard is None:
            return peer.line is None or peer.greeting is not None
        dead = peer.heard_hour < self.state.oldest(hour_of(self.now))
        return dead and peer.line is not None and not peer.line.receiving

    def _greeted(self, slot: Slot, peer: Peer, accepted: intro.Accepted) -> None:
        crossing = peer.greeting is not None and peer.line is not None
        if crossing and self.state.me < slot:
            assert peer.line is not None  # noqa: S101 - as crossing says
            extra = line.Export(Step(0), accepted.keys.export_ab, self.head.hour)
            exports = (extra, *peer.line.exports_in)
            peer.line = msgspec.structs.replace(peer.line, exports_in=exports)
        else:
            peer.line = line.answer(accepted.keys, accepted.ratchet, self.head.hour)
            peer.greeting, peer.reply_due = None, True
        peer.heard, peer.heard_hour = self.hash, self.head.hour
        self._give(
            slot,
            sender_key.from_seeds(accepted.seeds, accepted.keys.export_ab, self.head.hour),
        )


def adopt(state: ChannelState, package: Package) -> None:
    """Take a checked package as the current roster."""
    roster = package.roster
    state.roster, state.expected = roster, roster.hash
    state.versions[roster.hash] = roster.version
    for slot, bundle in package.bundles.items():
        if slot != state.me and slot not in state.peers:
            state.peers[slot] = Peer(bundle)


def said(
    state: ChannelState, author: Slot, message: MessageId, whole: Partial, content: Text
) -> Said:
    """The event of a text, with the hour when it dies; keeps its thread alive."""
    thread = ThreadId(content.thread)
    lifetime = min(content.lifetime, state.thread_lifetime(thread), state.lifetime)
    known = state.threads.get(thread)
    if known is not None:
        until = Hour(max(known.until, whole.hour + state.lifetime))
        state.threads[thread] = msgspec.structs.replace(known, until=until)
    return Said(
        message,
        thread,
        author,
        content.text,
        whole.hour,
        whole.order,
        whole.hash,
        Hour(whole.hour + lifetime),
    )


def learn(state: ChannelState, content: Threads, hour: Hour) -> list[Event]:
    """Take in threads: the first topic heard stands, of lifetimes the least."""
    events: list[Event] = []
    for each in content.threads:
        thread = ThreadId(each.thread)
        known = state.threads.get(thread)
        if thread == MAIN_THREAD or (known is None and len(state.threads) >= limits.THREADS):
            continue
        lifetime = min(each.lifetime, known.lifetime if known else state.lifetime)
        topic = known.topic if known else each.topic
        until = Hour(max(known.until if known else 0, hour + state.lifetime))
        state.threads[thread] = ThreadState(topic, lifetime, until)
        if known is None:
            events.append(ThreadBegan(thread, topic, lifetime))
    return events

