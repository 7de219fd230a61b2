"""What a person may do, and where each deed is done: the one table of commands.

Asks `permission` first, by one's own role; then the noun's own file does it.
"""

from collections.abc import Callable
from typing import Any, Final

from backchannel.protocol import (
    assent,
    change,
    files,
    limits,
    lobby,
    nobody,
    notes,
    record,
    standing,
    watch,
)
from backchannel.protocol import command as c
from backchannel.protocol.content import AUTHORITY, RELEASE, Candidate, Text, Thread, Threads
from backchannel.protocol.errors import LocalProtocolError
from backchannel.protocol.permission import Act, act_of, may, refusal
from backchannel.protocol.posting import Posting, tidy
from backchannel.protocol.state import ChannelState, ThreadState
from backchannel.protocol.threads import has_room, heard, learn, out_of_turn, tightened
from backchannel.protocol.types import ThreadId


def do(posting: Posting, command: c.Command) -> None:
    """Do it; `LocalProtocolError` or `DecodeError` where that cannot be."""
    act, deed = _DEEDS[type(command)]
    state = posting.state
    role = state.current().entry(state.me).role
    if state.ended:
        closed = "the channel is closed: nobody speaks here any more"
        msg = closed if state.ended == "closed" else "you are not a member of this channel any more"
        raise LocalProtocolError(msg)
    if isinstance(command, c.Say) and command.carried:
        act = "carry"
    if isinstance(command, c.Ring):
        act = act_of(command.signal)
    if not may(role, act):
        raise LocalProtocolError(refusal(role, act))
    standing.refuse_talk(state, act)
    if state.rivals and act in standing.TALK:
        msg = "two lists of members stand against each other: a facilitator must settle that first"
        raise LocalProtocolError(msg)
    deed(posting, command)


def _say(posting: Posting, command: c.Say) -> None:
    state = posting.state
    if not 0 <= command.authority < len(AUTHORITY) or not 0 <= command.release < len(RELEASE):
        msg = "no such label"
        raise LocalProtocolError(msg)
    _check_turn(state)
    content = Text(
        command.thread,
        state.thread_lifetime(command.thread),
        command.authority,
        command.release,
        int(command.carried),
        command.about,
        tidy(command.quote),
        tidy(command.text),
        state.thread_burn(command.thread),
        int(state.off_the_record(command.thread)),
    )
    posted = posting.post(content, message=command.id)
    said = heard(state, state.me, posted.id, posted.whole, content, posted.leaves)
    posting.events.append(said)


def _check_turn(state: ChannelState) -> None:
    if out_of_turn(state, state.me):
        msg = "somebody else has the floor: raise your hand, or send a private note"
        raise LocalProtocolError(msg)


def _send_file(posting: Posting, command: c.SendFile) -> None:
    _check_turn(posting.state)
    files.send(posting, command)


def _begin(posting: Posting, command: c.Begin) -> None:
    state = posting.state
    lifetime = state.lifetime if command.lifetime is None else command.lifetime
    if lifetime > state.lifetime:
        msg = "a thread lives no longer than its channel"
        raise LocalProtocolError(msg)
    if not has_room(state, state.me):
        msg = "there are as many threads as one member may begin; some must fall out of use first"
        raise LocalProtocolError(msg)
    name = ThreadId(posting.entropy.draw(limits.ID))
    thread = Thread(name, lifetime, tidy(command.topic), command.burn, int(command.off))
    content = Threads((thread,))
    posting.post(content)
    posting.events.extend(learn(state, state.me, content, posting.hour))


def _shorten(posting: Posting, command: c.Shorten) -> None:
    state, known = posting.state, posting.state.threads.get(command.thread)
    if known is None or not _tightens(known, command):
        msg = "a thread's life is only made shorter"
        raise LocalProtocolError(msg)
    if known.author != state.me and not state.facilitates(state.me):
        msg = "who began a thread, or facilitates, makes its life shorter"
        raise LocalProtocolError(msg)
    lifetime = known.lifetime if command.lifetime is None else command.lifetime
    new = tightened(known, lifetime, command.burn, off=command.off)
    each = Thread(command.thread, new.lifetime, new.topic, new.burn, int(new.off))
    content = Threads((each,))
    posting.post(content)
    posting.events.extend(learn(state, state.me, content, posting.hour))


def _tightens(known: ThreadState, command: c.Shorten) -> bool:
    """Whether it makes something stricter, and nothing that it names looser or no different."""
    timer = known.burn or limits.LIFETIME + 1
    lifetime = command.lifetime is None or 1 <= command.lifetime < known.lifetime
    burn = not command.burn or 1 <= command.burn < timer
    off = not command.off or not known.off
    named = command.lifetime is not None or command.burn or command.off
    return bool(named) and lifetime and burn and off


def _present(posting: Posting, command: c.Present) -> None:
    who = lobby.presented(posting.state, command.alias)
    assent.present(posting, Candidate(*who))


_DEEDS: Final[dict[type, tuple[Act, Callable[[Posting, Any], None]]]] = {
    c.Say: ("text", _say),
    c.Whisper: ("note", notes.whisper),
    c.SayUnattributed: ("unattributed", nobody.speak),
    c.SendFile: ("file", _send_file),
    c.Begin: ("threads", _begin),
    c.Shorten: ("threads", _shorten),
    c.Invite: ("invite", lobby.invite),
    c.Admit: ("invite", lambda posting, command: lobby.admit(posting, command.alias)),
    c.Refuse: ("invite", lambda posting, command: lobby.refuse(posting, command.alias)),
    c.Present: ("candidate", _present),
    c.Vouch: ("vouch", assent.vouch),
    c.Objection: ("vouch", notes.objects),
    c.Remove: ("roster", change.remove),
    c.SetRole: ("roster", change.set_role),
    c.SetPolicy: ("roster", lambda posting, command: change.set_policy(posting, command.policy)),
    c.SetRelays: ("roster", change.set_relays),
    c.Turn: ("roster", lambda posting, _: lobby.turn(posting)),
    c.LastBlocks: ("roster", lambda posting, command: change.last_blocks(posting, command.cores)),
    c.Consent: ("consent", assent.consent),
    c.Leave: ("leave", lambda posting, _: assent.leave(posting)),
    c.Digest: ("digest", record.tell),
    c.Compare: ("compared", assent.compare),
    c.Rephrase: ("paraphrase", assent.rephrase),
    c.Release: ("release", assent.release),
    c.GiveFloor: ("floor", assent.give_floor),
    c.RaiseHand: ("hand", assent.raise_hand),
    c.Ring: ("incident", watch.ring),
}
