"""What is said to one member alone: private notes, and what facilitators give and hear over lines:
SPEC.md sections 13 and 15.
"""

from contextlib import suppress
from typing import assert_never

import msgspec

from backchannel.protocol import limits, standing
from backchannel.protocol.command import Objection as Object
from backchannel.protocol.command import Whisper as Say
from backchannel.protocol.content import AUTHORITY
from backchannel.protocol.errors import DecodeError, LocalProtocolError, UnknownError
from backchannel.protocol.missing import Partial
from backchannel.protocol.outcome import Alarm, Event, Expired, Hushed, Said
from backchannel.protocol.peer import Peer
from backchannel.protocol.permission import may, refusal
from backchannel.protocol.pieces import gather
from backchannel.protocol.posting import Posting, tidy
from backchannel.protocol.reception import Reception
from backchannel.protocol.roster import Role
from backchannel.protocol.secret import CloseSecret
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import MAIN_THREAD, Hour, MessageId, RosterHash, Slot, Step, hour_of
from backchannel.protocol.whisper import (
    GivenClose,
    GivenSeeds,
    LostSteps,
    Note,
    Nothing,
    Objection,
    Private,
    ReplyAgain,
    Whisper,
    read_note,
    split_note,
)


def hear(reception: Reception, sender: Slot, content: Whisper) -> list[Event]:
    """What a line block says. `UnknownError` changed nothing, and its ratchet must not move."""
    match content:
        case Note():
            return _note(reception, sender, content)
        case GivenClose():
            _close(reception.state, sender, content)
        case Objection():
            _objection(reception.state, sender, content)
        case LostSteps():
            _hand_again(reception, sender, content)
        case Nothing() | GivenSeeds() | ReplyAgain():
            pass  # keys are another file's matter
        case _:
            assert_never(content)
    return []


def _note(reception: Reception, sender: Slot, note: Note) -> list[Event]:
    """A note that its author was not to write is not shown; the line has moved all the same, or
    the block would be asked for again and again. `UnknownError`, before anything changed, where a
    roster that has not come may have given it the right.
    """
    state = reception.state
    name = b"note" + note.id

    def timely(data: bytes) -> None:
        _wait_for_its_roster(reception, sender, data)

    whole = gather(reception, sender, name, note.place, note.total, note.piece, 0, timely)
    if whole is None:
        return []
    try:
        private = read_note(whole.data)
    except DecodeError:
        return []  # of one block or several: whose line it is wrote it, and harms nobody
    role = _role(reception, sender, RosterHash(private.roster))
    if not may(role, "note"):
        late = _came_late(reception, sender, RosterHash(private.roster))
        alarm = Alarm("forbidden", sender, reception.hash, refusal(role, "note"))
        return [Expired(sender) if late else alarm]
    if standing.forbids(state, RosterHash(private.roster), "note"):
        return [Alarm("forbidden", sender, reception.hash, standing.SPOKE)]
    event = _said(state, sender, state.me, MessageId(note.id), whole.partial, private)
    _follows(state.peers[sender], event)
    if standing.hushed(state, event.hour):
        return [Hushed(sender)]
    return [event if event.expires > hour_of(reception.now) else Expired(sender)]


def _wait_for_its_roster(reception: Reception, sender: Slot, data: bytes) -> None:
    with suppress(DecodeError):  # no note, and none to wait for
        roster = RosterHash(read_note(data).roster)
        known = roster in reception.state.versions
        if not known and not may(_role(reception, sender, roster), "note"):
            msg = "a note under a roster that has not come, by who was not to write it before"
            raise UnknownError(msg)


def _role(reception: Reception, sender: Slot, roster: RosterHash) -> Role:
    """What it was when it wrote, in the epoch in which it wrote: who lost a role does not keep it
    by naming an older roster, nor by writing to an older drop. Whoever lets a newcomer in
    facilitates.
    """
    state = reception.state
    if state.roster is None:
        return "facilitator"
    then = state.numbers.get(roster) == reception.epoch.number
    then = then and not reception.after_its_time(sender)
    return state.role(sender, roster if then else state.expected) or "observer"


def _came_late(reception: Reception, sender: Slot, roster: RosterHash) -> bool:
    """Whether it may be honest but for when it came, which is not always its author's doing."""
    role = reception.state.role(sender, roster) or "observer"
    then = reception.state.numbers.get(roster) == reception.epoch.number
    return then and may(role, "note") and reception.after_its_time(sender)


def _follows(peer: Peer, said: Said) -> None:
    """The next note between the two stands after this one."""
    peer.noted = max(peer.noted, (said.hour, said.order))


def _order(state: ChannelState, peer: Peer, hour: Hour) -> int:
    """After all that was said and noted in this hour. Posts do not count notes: from a gap in their
    numbers others would know of them.
    """
    noted = peer.noted[1] + 1 if peer.noted[0] == hour else 0
    return min(max(state.transcript.next_order, noted), 2**32 - 1)


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
        note.order,
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


def _objection(state: ChannelState, sender: Slot, objection: Objection) -> None:
    """Counts of whoever might vouch."""
    candidate = state.candidates.get(objection.identity)
    role = state.role(sender, state.expected)
    if candidate is not None and role and may(role, "vouch") and state.facilitates(state.me):
        kept = msgspec.structs.replace(candidate, objected=True)
        state.candidates[objection.identity] = kept


def _hand_again(reception: Reception, sender: Slot, lost: LostSteps) -> None:
    """One's own blocks that did not arrive, for `tick` to post again."""
    sent = reception.state.peers[sender].steps
    for step in lost.steps:
        core = sent.get(Step(step))
        if core is not None:
            reception.state.owe(core, sender, reception.now)
        else:
            reception.state.fall_behind(sender, reception.now)


def _addressee(state: ChannelState, alias: str) -> tuple[Slot, Peer]:
    entry = state.current().named(alias)
    if entry is None or entry.slot == state.me:
        msg = "nobody else of that name is here"
        raise LocalProtocolError(msg)
    slot = Slot(entry.slot)
    peer = state.peers[slot]
    if not _open(peer):
        msg = "your line to them opens when they next come online: say it again then"
        raise LocalProtocolError(msg)
    return slot, peer


def _open(peer: Peer) -> bool:
    """Whether a line can carry something: who began it waits for the reply."""
    return peer.line is not None and peer.line.ready


def whisper(posting: Posting, command: Say) -> None:
    """Say a text to one member alone."""
    state = posting.state
    slot, peer = _addressee(state, command.alias)
    if not 0 <= command.authority < len(AUTHORITY):
        msg = "no such label"
        raise LocalProtocolError(msg)
    note = Private(
        state.current().hash,
        _order(state, peer, posting.hour),
        state.lifetime,
        command.authority,
        command.about,
        tidy(command.text),
    )
    message = MessageId(posting.entropy.draw(limits.ID))
    pieces = split_note(note, message)
    if peer.reply_due:
        posting.reply(slot)
    hashes = [posting.put(posting.line_block(slot, piece).core) for piece in pieces]
    whole = Partial(len(hashes), posting.hour, posting.hour, note.order, hashes[0], {})
    said = _said(state, state.me, slot, message, whole, note)
    _follows(peer, said)
    posting.events.append(said)


def objects(posting: Posting, command: Object) -> None:
    """Say no to who waits, to every facilitator alone."""
    for identity in posting.state.presented(command.alias):
        _object(posting, Objection(identity))


def _object(posting: Posting, objection: Objection) -> None:
    state = posting.state
    _objection(state, state.me, objection)
    told = state.facilitates(state.me)
    for entry in state.current().entries:
        slot = Slot(entry.slot)
        peer = state.peers.get(slot)
        if entry.role == "facilitator" and peer is not None and _open(peer):
            told = True
            if peer.reply_due:
                posting.reply(slot)
            posting.put(posting.line_block(slot, objection).core)
    if not told:
        msg = "no line to a facilitator is open yet: say it again when one has come online"
        raise LocalProtocolError(msg)
