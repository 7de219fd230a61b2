"""What is said to one member alone: private notes, and what facilitators give and hear over lines:
SPEC.md sections 13 and 15.
"""

from typing import assert_never

import msgspec

from backchannel.protocol import limits
from backchannel.protocol.command import Objection as Object
from backchannel.protocol.command import Whisper as Say
from backchannel.protocol.errors import DecodeError, ForbiddenError, LocalProtocolError
from backchannel.protocol.outcome import Event, Expired, Said
from backchannel.protocol.permission import may, refusal
from backchannel.protocol.pieces import gather
from backchannel.protocol.posting import Posting, tidy
from backchannel.protocol.reception import Reception
from backchannel.protocol.secret import CloseSecret
from backchannel.protocol.state import ChannelState, Partial, Peer
from backchannel.protocol.types import MAIN_THREAD, Hour, MessageId, Slot, hour_of
from backchannel.protocol.whisper import (
    GivenClose,
    GivenSeeds,
    Note,
    Nothing,
    Objection,
    Private,
    Whisper,
    read_note,
    split_note,
)


def hear(reception: Reception, sender: Slot, content: Whisper) -> list[Event]:
    """What a line block says; its ratchet has moved already."""
    match content:
        case Note():
            return _note(reception, sender, content)
        case GivenClose():
            _close(reception.state, sender, content)
        case Objection():
            _objection(reception.state, content)
        case Nothing() | GivenSeeds():
            pass  # keys are another file's matter
        case _:
            assert_never(content)
    return []


def _note(reception: Reception, sender: Slot, note: Note) -> list[Event]:
    state = reception.state
    role = state.current().entry(sender).role if state.roster else "facilitator"
    if not may(role, "note"):
        raise ForbiddenError(refusal(role, "note"), sender)
    whole = gather(reception, sender, b"note" + note.id, note.place, note.total, note.piece, 0)
    if whole is None:
        return []
    try:
        private = read_note(whole.data)
    except DecodeError:
        return []  # only pieces of several blocks can be nonsense together; each was authentic
    event = _said(state, sender, state.me, MessageId(note.id), whole.partial, private)
    return [event if event.expires > hour_of(reception.now) else Expired(sender)]


def _said(
    state: ChannelState, author: Slot, to: Slot, message: MessageId, whole: Partial, note: Private
) -> Said:
    lifetime = min(note.lifetime, state.lifetime)
    return Said(
        message,
        MAIN_THREAD,
        author,
        note.text,
        whole.sent,
        whole.order,
        whole.hash,
        Hour(whole.hour + lifetime),
        note.authority,
        about=note.about,
        to=to,
    )


def _close(state: ChannelState, sender: Slot, given: GivenClose) -> None:
    """Only what is lacking, and only from who may have it."""
    if not state.facilitates(sender) or not state.facilitates(state.me):
        return
    for each in state.epochs:
        if each.id == given.epoch and each.close is None:
            each.close = CloseSecret(given.secret)


def _objection(state: ChannelState, objection: Objection) -> None:
    candidate = state.candidates.get(objection.identity)
    if candidate is not None and state.facilitates(state.me):
        kept = msgspec.structs.replace(candidate, objected=True)
        state.candidates[objection.identity] = kept


def _addressee(state: ChannelState, alias: str) -> tuple[Slot, Peer]:
    entry = state.current().named(alias)
    if entry is None or entry.slot == state.me:
        msg = "nobody else of that name is here"
        raise LocalProtocolError(msg)
    slot = Slot(entry.slot)
    peer = state.peers[slot]
    if peer.line is None or not peer.line.ready:
        msg = "their line to you is not open yet: they have not come online since one of you came"
        raise LocalProtocolError(msg)
    return slot, peer


def whisper(posting: Posting, command: Say) -> None:
    """Say a text to one member alone."""
    state = posting.state
    slot, peer = _addressee(state, command.alias)
    if peer.reply_due:
        posting.reply(slot)
    note = Private(state.lifetime, command.authority, command.about, tidy(command.text))
    message = MessageId(posting.entropy.draw(limits.ID))
    order = state.transcript.next_order
    hashes = [
        posting.put(posting.line_block(slot, piece).core) for piece in split_note(note, message)
    ]
    whole = Partial(len(hashes), posting.hour, posting.hour, order, hashes[0], {})
    posting.events.append(_said(state, state.me, slot, message, whole, note))


def objects(posting: Posting, command: Object) -> None:
    """Say no to who waits, to every facilitator alone."""
    state = posting.state
    found = [name for name, each in state.candidates.items() if each.alias == command.alias]
    if not found:
        msg = "nobody of that name is presented"
        raise LocalProtocolError(msg)
    for entry in state.current().entries:
        peer = state.peers.get(Slot(entry.slot))
        if entry.role == "facilitator" and peer and peer.line and peer.line.ready:
            block = posting.line_block(Slot(entry.slot), Objection(found[0]))
            posting.put(block.core)
