"""A newcomer's side of an invite: SPEC.md section 11. Reads the card, answers it, and becomes a
channel when admitted.
"""

from typing import Literal, Self, final

import msgspec

from backchannel.protocol import intro, limits, line
from backchannel.protocol.alias import check_alias
from backchannel.protocol.block import unwrap, wrap
from backchannel.protocol.core import Head, Kind, content_hash, head_of
from backchannel.protocol.drop import Drop
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.epoch import EpochClock, epoch_id
from backchannel.protocol.epochs import Epoch
from backchannel.protocol.errors import DecodeError, LocalProtocolError, RefusedError, StaleError
from backchannel.protocol.identity import Bundle, BundleKeys, identity_hash
from backchannel.protocol.invite import (
    Card,
    Join,
    Lobby,
    Marker,
    Piece,
    admission_key,
    invite_secret,
    open_card_piece,
    read_card,
    seal_join,
)
from backchannel.protocol.outcome import (
    Admitted,
    Append,
    Arrival,
    CardRead,
    Event,
    Marked,
    Outcome,
    Poll,
)
from backchannel.protocol.peer import Peer
from backchannel.protocol.roster import ROLES, Entry, Policy, Relay, charter_hash, check_data
from backchannel.protocol.secret import ClockValue, InviteSecret, OnceSecret
from backchannel.protocol.sender_key import from_seeds
from backchannel.protocol.snapshot import FORMAT, load, save
from backchannel.protocol.state import ChannelState
from backchannel.protocol.transcript import Transcript
from backchannel.protocol.types import (
    ChannelId,
    ContentHash,
    Core,
    EpochId,
    Hour,
    Slot,
    Timestamp,
    hour_of,
)
from backchannel.protocol.words import invite_entropy


class CandidateState(msgspec.Struct, array_like=True):
    """All that is saved while one waits to be admitted."""

    format: int
    secret: InviteSecret
    relay: Relay
    pieces: dict[tuple[int, int], bytes] = msgspec.field(default_factory=dict)
    """By total and place."""
    card: Card | None = None
    marker: str | None = None
    alias: str | None = None
    keys: BundleKeys | None = None
    join: ContentHash | None = None
    once: OnceSecret | None = None
    channel: ChannelState | None = None
    clock: tuple[Hour, ClockValue] | None = None


Phase = Literal["reading", "deciding", "waiting", "admitted", "over"]


@final
class Candidate:
    """Doors as a channel has: `receive`, `accept` for `act`, and nothing that time asks for."""

    def __init__(self, state: CandidateState) -> None:
        self.state = state
        self._lobby = Lobby.of(state.secret, state.relay.public)

    @classmethod
    def begin(cls, words: str, url: str, key: bytes) -> Self:
        """From twelve words, a relay's address and the static key that it claims; `DecodeError` for
        mistyped words.
        """
        relay = Relay(url, key)
        return cls(CandidateState(FORMAT, invite_secret(invite_entropy(words)), relay))

    @classmethod
    def open(cls, snapshot: bytes) -> Self:
        """From saved state."""
        return cls(load(snapshot, CandidateState))

    def snapshot(self) -> bytes:
        """To be saved before anything is sent; `LocalProtocolError` once it has become a channel,
        whose clock stands in no snapshot.
        """
        if self.state.channel is not None:
            msg = "who is admitted is saved as a channel"
            raise LocalProtocolError(msg)
        return save(self.state)

    @property
    def phase(self) -> Phase:
        """How far it is."""
        if self.state.channel is not None:
            return "admitted"
        if self.state.marker is not None:
            return "over"
        if self.state.join is not None:
            return "waiting"
        return "deciding" if self.state.card is not None else "reading"

    @property
    def card(self) -> Card:
        """The card; `LocalProtocolError` before it is whole."""
        if self.state.card is None:
            msg = "the invitation has not been read yet"
            raise LocalProtocolError(msg)
        return self.state.card

    def polls(self) -> tuple[Poll, ...]:
        """The lobby."""
        return (Poll(self.state.relay.url, self._lobby.drop),)

    def check(self) -> bytes:
        """What the six check words are made from, once one has answered."""
        card, state = self.card, self.state
        if state.keys is None or state.alias is None:
            msg = "the invitation has not been answered yet"
            raise LocalProtocolError(msg)
        person = card.facilitator
        bundle = Bundle.parse(card.bundle)
        entry = Entry(
            card.slot, person.alias, person.party, person.role, identity_hash(bundle.identity)
        )
        own = identity_hash(state.keys.identity.public())
        return check_data(ChannelId(card.channel), entry, state.alias, own)

    # Doors.

    def receive(self, arrival: Arrival, now: Timestamp) -> list[Event]:
        """Read a block of the lobby; a `RemoteProtocolError` says why it was refused."""
        newest = Hour(hour_of(now) + limits.CLOCK_SKEW)
        window = (Hour(max(0, newest - limits.LIFETIME)), newest)
        core = unwrap(arrival.block, self._lobby.drop.outer, self._lobby.at, arrival.hour, window)
        head = head_of(core)
        if self.state.card is not None and head.hour > self.state.card.last:
            msg = "a core of an hour after the invitation's last"
            raise StaleError(msg)
        if head.kind is Kind.CARD:
            return self._piece(open_card_piece(core, head, self._lobby))
        if head.kind is Kind.INTRO and self.state.join is not None and self.state.channel is None:
            return self._admitted(core, head)
        return []

    def accept(self, alias: str, now: Timestamp, entropy: Entropy) -> Outcome:
        """Answer the card, under `alias`; the charter and disclosure that it shows are accepted by
        this.
        """
        if self.phase != "deciding":
            msg = "there is no invitation to answer"
            raise LocalProtocolError(msg)
        card, hour = self.card, hour_of(now)
        if hour > card.last:
            msg = "the invitation has expired"
            raise LocalProtocolError(msg)
        keys, once = BundleKeys.draw(entropy), OnceSecret(entropy.draw(32))
        join = Join(
            check_alias(alias),
            keys.public().pack(),
            charter_hash(card.charter),
            card.disclosure.hash,
            once.expose(),
        )
        core = seal_join(join, Bundle.parse(card.bundle), self._lobby, hour, entropy)
        self.state.alias, self.state.keys, self.state.once = alias, keys, once
        self.state.join = content_hash(core)
        block = wrap(core, self._lobby.drop.outer, self._lobby.at, entropy)
        drop: Drop = self._lobby.drop
        return Outcome([Append(self.state.relay.url, drop, block, content_hash(core))], [])

    def _piece(self, piece: Piece) -> list[Event]:
        state = self.state
        name = (piece.total, piece.place)
        if name in state.pieces and (piece.total > 1 or state.pieces[name] == piece.data):
            return []
        pieces = {**state.pieces, name: piece.data}
        places = [(piece.total, place) for place in range(piece.total)]
        if piece.total > 1 and not all(place in pieces for place in places):
            state.pieces = pieces
            return []
        read = read_card(b"".join(pieces[place] for place in places))
        if isinstance(read, Marker):
            if state.marker is not None:
                return []
            state.marker = read.reason
            return [Marked(read.reason)]
        if state.card is not None:
            return []
        self._check_card(read)
        state.pieces, state.card = pieces, read
        return [CardRead()]

    def _check_card(self, card: Card) -> None:
        """The card confirms the key that the relay claimed; its address may be another road to the
        same relay.
        """
        if self.state.relay.key not in {relay.key for relay in card.relays}:
            msg = "the invitation names another relay key"
            raise RefusedError(msg)

    def _admitted(self, core: Core, head: Head) -> list[Event]:
        card, keys, once = self.card, self.state.keys, self.state.once
        assert keys is not None  # noqa: S101 - both made with the answer
        assert once is not None  # noqa: S101
        envelope = intro.Envelope.read(core)
        if envelope.a != card.slot:
            msg = "an admission that is not of this invitation"
            raise RefusedError(msg)
        facilitator = Bundle.parse(card.bundle)
        setting = intro.Setting(
            ChannelId(card.channel),
            envelope.roster,
            intro.Side(envelope.a, ROLES.index(card.facilitator.role)),
            intro.Side(envelope.b, ROLES.index(card.invited.role)),
        )
        key = admission_key(self.state.secret, once)
        accepted = intro.accept(
            core, head, setting, keys, facilitator.identity, key, self._lobby.at
        )
        if accepted.admission is None:
            msg = "an intro in a lobby admits nobody"
            raise DecodeError(msg)
        peer = Peer(
            facilitator,
            line=line.answer(accepted.keys, accepted.ratchet, head.hour),
            heard=content_hash(core),
            heard_hour=head.hour,
            reply_due=True,
        )
        held = from_seeds(accepted.seeds, accepted.keys.export_ab, head.hour)
        peer.generations[held.id] = held
        channel = self._channel(envelope, accepted.admission, peer, head.hour)
        channel.epoch.seen[content_hash(core)] = head.hour  # if it comes again, the reply was lost
        self.state.channel, self.state.once = channel, None
        self.state.clock = (head.hour, accepted.admission.clock)
        return [Admitted()]

    def _channel(
        self, envelope: intro.Envelope, admission: intro.Admission, peer: Peer, hour: Hour
    ) -> ChannelState:
        card, keys = self.card, self.state.keys
        assert keys is not None  # noqa: S101 - as the caller checked
        name = epoch_id(admission.secret)
        first = Epoch(name, admission.epoch, admission.secret, card.relays, hour)
        return ChannelState(
            format=FORMAT,
            id=ChannelId(card.channel),
            name=card.name,
            alias=self.state.alias or card.invited.alias,
            me=envelope.b,
            keys=keys,
            epochs=[first],
            policy=Policy(card.lifetime),
            charter=card.charter,
            disclosure=card.disclosure,
            roster=None,
            expected=envelope.roster,
            transcript=Transcript(first=1),
            peers={Slot(card.slot): peer},
            prekey_since=hour,
        )

    def channel(self) -> tuple[ChannelState, dict[EpochId, EpochClock]]:
        """What it has become; `LocalProtocolError` before it is admitted."""
        if self.state.channel is None or self.state.clock is None:
            msg = "nobody has admitted you yet"
            raise LocalProtocolError(msg)
        return self.state.channel, {self.state.channel.epoch.id: EpochClock(*self.state.clock)}
