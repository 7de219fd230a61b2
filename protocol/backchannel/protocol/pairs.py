"""What comes from one entry to another: key blocks, line blocks, intros: SPEC.md sections 12-14."""

from backchannel.protocol import epoch, intro, limits, line, sender_key, steps
from backchannel.protocol.core import Kind
from backchannel.protocol.errors import (
    RefusedError,
    StaleError,
    UnknownError,
)
from backchannel.protocol.identity import BundleKeys
from backchannel.protocol.notes import hear
from backchannel.protocol.outcome import Answered, Event, Replaced
from backchannel.protocol.peer import Peer
from backchannel.protocol.reception import Reception
from backchannel.protocol.roster import ROLES
from backchannel.protocol.sender_key import KeyHeader, PeerGeneration
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import Core, PrekeyId, Slot, hour_of
from backchannel.protocol.whisper import GivenSeeds, ReplyAgain, read_whisper


def take_key_block(reception: Reception) -> list[Event]:
    """Another's new generation, whatever roster it is under: what it gives stands by itself."""
    state, header = reception.state, KeyHeader.read(reception.core)
    try:
        peer = reception.peer(header.sender)
        if header.generation in peer.generations:
            return []
        mine = reception.of_my_time(header.roster)
        found = steps.named(reception, header.sender, wants=mine)
    except UnknownError:
        if not reception.before_my_time(header.roster):
            raise  # it waits; who let me in may have drawn one for me before its roster held
        msg = "a key block from before my time"
        raise StaleError(msg) from None
    core, me, clock, head = reception.core, state.me, reception.clock, reception.head
    peer.line, held = steps.opened(
        found,
        lambda key: sender_key.open_key_block(core, header, me, key, clock, head),
        "a key block",
    )
    step = found.step
    peer.proved = peer.proved or step > 0
    state.got("step", header.sender, step.to_bytes(4))
    _give(reception, header.sender, held)
    return []


def _give(reception: Reception, sender: Slot, held: PeerGeneration) -> None:
    state = reception.state
    peer = reception.peer(sender)
    if held.id not in peer.generations:
        recent = [*peer.generations.items(), (held.id, held)]
        peer.generations = dict(recent[-limits.GENERATIONS :])
    state.got("generation", sender, held.id)
    for waiting in state.pending:  # a key block of it is not needed any more
        if waiting.sender == sender and _gives(waiting.core, held):
            steps.needless(reception, sender, waiting)


def _gives(core: Core, held: PeerGeneration) -> bool:
    return core[0] == Kind.KEY and KeyHeader.read(core).generation == held.id


def take_line_block(reception: Reception) -> list[Event]:
    """A block of whichever line it is of; another pair's, where all of mine have begun."""
    state, lines = reception.state, [peer.line for peer in reception.state.peers.values()]
    for slot, peer in state.peers.items():
        if peer.line is None:
            continue
        seed = state.keys.identity.kem
        opened = line.open_(peer.line, reception.core, reception.clock, reception.head, seed)
        if opened is not None:
            return _take(reception, slot, peer, opened)
    if state.roster is None or not all(each is not None and each.answered for each in lines):
        msg = "a line block whose line may not have begun"
        raise UnknownError(msg)
    return []


def _take(reception: Reception, slot: Slot, peer: Peer, opened: line.Opened) -> list[Event]:
    state, content = reception.state, read_whisper(opened.content)
    events = hear(reception, slot, content)
    before = line.lacking(peer.line) if peer.line is not None else set()
    begun = peer.line is not None and peer.line.ready
    peer.line, peer.proved = opened.line, True
    state.got("step", slot, opened.step.to_bytes(4))
    lost = sorted(line.lacking(opened.line) - before)[-limits.WANTS["step"] :]
    for step in lost:  # it may hold a note
        state.want("step", slot, step.to_bytes(4), reception.now)
    if isinstance(content, GivenSeeds):
        held = sender_key.from_seeds(content.seeds, opened.export, reception.head.hour)
        _give(reception, slot, held)
    if isinstance(content, ReplyAgain):  # the block itself is lost: asking on gives nothing
        seed, hour = state.keys.identity.kem, reception.head.hour
        peer.line = line.answered_late(peer.line, content.ciphertext, seed, hour)
        state.got("step", slot, line.REPLY.to_bytes(4))
    if begun or not peer.line.ready:
        return events
    peer.greeting, peer.answered_hour = None, reception.head.hour
    state.renew = True
    return [Answered(slot), *events]


def take_intro(reception: Reception) -> list[Event]:
    """An intro to this member; others' are none of its business."""
    state, envelope = reception.state, intro.Envelope.read(reception.core)
    if envelope.b != state.me:
        return []
    peer = reception.peer(envelope.a)
    if state.roster is None or envelope.roster not in state.versions:
        msg = "an intro under a roster that has not come"
        raise UnknownError(msg)
    if not _may_greet(reception, envelope.a, peer):
        msg = "a second intro of one entry"
        raise RefusedError(msg)
    accepted = _accept(reception, envelope, peer)
    if accepted.admission is not None:
        msg = "an admission outside a lobby"
        raise RefusedError(msg)
    return _greeted(reception, envelope.a, peer, accepted)


def _accept(reception: Reception, envelope: intro.Envelope, peer: Peer) -> intro.Accepted:
    state = reception.state
    return intro.accept(
        reception.core,
        reception.head,
        intro.Setting(state.id, envelope.roster, *_sides(state, envelope)),
        _keys(state, envelope.prekey),
        peer.bundle.identity,
        epoch.intro_key(reception.epoch.secret),
        reception.clock,
    )


def _sides(state: ChannelState, envelope: intro.Envelope) -> tuple[intro.Side, intro.Side]:
    """Both ends with the roles that the intro's roster gives them; of one that the other half had,
    which was never here, those that the current one does.
    """
    roster = envelope.roster if envelope.roster in state.roles else state.current().hash
    a, b = (state.role(slot, roster) for slot in (envelope.a, envelope.b))
    if a is None or b is None:
        msg = "an intro of a roster in which they do not both stand"
        raise RefusedError(msg)
    return intro.Side(envelope.a, ROLES.index(a)), intro.Side(envelope.b, ROLES.index(b))


def _keys(state: ChannelState, prekey: PrekeyId) -> BundleKeys:
    """One's own keys, with the former prekey that the intro names where it names one."""
    old = next((each.keys for each in state.prekeys if each.id == prekey), None)
    return state.keys if old is None else BundleKeys(state.keys.identity, old)


def _may_greet(reception: Reception, slot: Slot, peer: Peer) -> bool:
    """One intro stands; a second replaces it only once the first has died and proved nothing.

    Crossing intros both count, however late the one comes, but only if it was made before the
    reply: whoever has old keys of a member makes one after.
    """
    if peer.line is None:
        return True
    if peer.heard is None and peer.line.answered:
        return reception.state.me < slot and reception.head.hour <= peer.answered_hour
    dead = peer.heard_hour < reception.state.oldest(hour_of(reception.now))
    return peer.heard is None or (dead and not peer.proved)


def _greeted(reception: Reception, slot: Slot, peer: Peer, accepted: intro.Accepted) -> list[Event]:
    state, hour = reception.state, reception.head.hour
    own = peer.line if peer.line is not None and peer.line.initiator else None
    replaced = peer.heard is not None
    if own is not None and state.me < slot:
        peer.line = line.beside(own, accepted.keys.export_ab, hour)
    else:
        if replaced:
            state.own = None  # its slots are keyed by the line that dies: begin anew for all
        if peer.greeting is not None:
            peer.crossed = peer.greeting.hash
        peer.line = line.answer(accepted.keys, accepted.ratchet, hour)
        peer.greeting, peer.reply_due = None, True
    peer.heard, peer.heard_hour = reception.hash, hour
    _give(reception, slot, sender_key.from_seeds(accepted.seeds, accepted.keys.export_ab, hour))
    return [Replaced(slot)] if replaced else []
