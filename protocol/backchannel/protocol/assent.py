"""What members say of themselves, each other and the rules: SPEC.md section 15. Echoes, prekeys,
leaves, words compared, consents, vouches, the floor.

Takes authentic content only, of somebody who may say it.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from backchannel.protocol import command as commands
from backchannel.protocol import limits, record
from backchannel.protocol.content import (
    Candidate,
    Compared,
    Consent,
    Content,
    Digest,
    Echo,
    Floor,
    Hand,
    Leave,
    Paraphrase,
    Prekey,
    Proposal,
    Release,
    Vouch,
    carried_words,
    policy_hash,
)
from backchannel.protocol.errors import LocalProtocolError
from backchannel.protocol.identity import Bundle, HybridPublic, identity_hash
from backchannel.protocol.labels import Label
from backchannel.protocol.missing import Partial
from backchannel.protocol.outcome import NOBODY, Event, Released, Rephrased
from backchannel.protocol.posting import Posting, tidy
from backchannel.protocol.primitives import hash_
from backchannel.protocol.proposal import Answer, Proposed, Vouched
from backchannel.protocol.reception import Reception
from backchannel.protocol.roster import Roster
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import Hour, IdentityHash, MessageId, RosterHash, Slot, hour_of


def told(reception: Reception, sender: Slot, whole: Partial, content: Content) -> list[Event]:
    """Take in what somebody else told; of who is gone it matters no more."""
    state = reception.state
    if sender not in state.peers:
        return []
    match content:
        case Echo():
            _echo(reception, sender, content)
        case Digest():
            record.compare(reception, sender, content)
        case Prekey():
            _prekey(state, sender, content, whole)
        case Proposal():
            return _proposed(reception, sender, content, whole)
        case _:
            return note(state, sender, whole, content)
    return []


def note(state: ChannelState, sender: Slot, whole: Partial, content: Content) -> list[Event]:
    """Take in what somebody told, oneself included."""
    match content:
        case Proposal():
            return _propose(state, sender, content, whole, whole.hour)
        case Consent():
            return _answer(state, sender, content.policy, whole, yes=bool(content.yes))
        case _:
            pass
    noted = _NOTED.get(type(content))
    return noted(state, sender, content, whole.hour) if noted is not None else []


def _echo(reception: Reception, sender: Slot, echo: Echo) -> None:
    """Whoever is at a roster that I do not know was shown another than I was, or one that is still
    to come; of an earlier version, a rival that all others have left behind.
    """
    state, roster = reception.state, RosterHash(echo.roster)
    if roster in state.versions:
        record.come(state, sender, roster)
    elif state.roster is not None and (
        echo.version >= state.roster.version
        or (roster in state.record.conceded and state.come.get(sender, 0) < echo.version)
    ):
        record.strange(reception, sender, roster)


def _prekey(state: ChannelState, sender: Slot, content: Prekey, whole: Partial) -> None:
    """The newest stands: one that comes late brings no former one back."""
    peer, told = state.peers[sender], (whole.sent, whole.order)
    if told < peer.rotated:
        return
    peer.rotated = told
    peer.bundle = Bundle(peer.bundle.identity, HybridPublic.parse(content.prekey))


def _leave(state: ChannelState, sender: Slot, _content: Leave, hour: Hour) -> list[Event]:
    state.leavers.setdefault(sender, hour)
    record.concede(state, sender)
    return []


def _compare(state: ChannelState, sender: Slot, content: Compared, _hour: Hour) -> list[Event]:
    state.compared[sender] = content.identities
    return []


def _proposed(
    reception: Reception, sender: Slot, proposal: Proposal, whole: Partial
) -> list[Event]:
    """What waits counts from when others could know of it, whatever hour its author put on it."""
    hour = whole.hour
    if proposal.policy.standing == "closed":
        known = max(reception.head.hour, reception.stored)
        hour = Hour(min(known, hour_of(reception.now)))
    return _propose(reception.state, sender, proposal, whole, hour)


def _propose(
    state: ChannelState, sender: Slot, proposal: Proposal, whole: Partial, hour: Hour
) -> list[Event]:
    """Of one facilitator the newest; who proposes agrees. Answers may have come before."""
    name = policy_hash(proposal.policy)
    if name not in state.proposals:
        others = {n: each for n, each in state.proposals.items() if each.by != sender}
        state.proposals = {**others, name: Proposed(proposal.policy, sender, hour)}
    return _answer(state, sender, name, whole, yes=True)


def _answer(
    state: ChannelState, sender: Slot, name: bytes, whole: Partial, *, yes: bool
) -> list[Event]:
    """Who thinks again answers again: what was said last counts, in whatever order it comes."""
    own, told = state.answers.get(sender, {}), (whole.sent, whole.order)
    if name not in own or own[name].told <= told:
        own = {**{n: each for n, each in own.items() if n != name}, name: Answer(told, yes)}
    state.answers[sender] = dict(list(own.items())[-limits.ANSWERS_OF_ONE :])
    _count(state, name)
    return []


def _count(state: ChannelState, name: bytes) -> None:
    said = {slot: each[name].yes for slot, each in state.answers.items() if name in each}
    if name in state.proposals:
        state.proposals[name] = msgspec.structs.replace(
            state.proposals[name],
            yes=tuple(slot for slot, yes in said.items() if yes),
            no=tuple(slot for slot, yes in said.items() if not yes),
        )


def _floor(state: ChannelState, _sender: Slot, content: Floor, _hour: Hour) -> list[Event]:
    state.floor = Slot(content.holders[0]) if content.holders else None
    state.hands = [each for each in state.hands if each != state.floor]
    return []


def _hand(state: ChannelState, sender: Slot, content: Hand, _hour: Hour) -> list[Event]:
    others = [each for each in state.hands if each != sender]
    state.hands = [*others, sender] if content.raised else others
    return []


def _present(state: ChannelState, sender: Slot, who: Candidate, hour: Hour) -> list[Event]:
    mine = [name for name, each in state.candidates.items() if each.by == sender]
    if who.identity not in state.candidates and len(mine) < limits.CANDIDATES:
        state.candidates[who.identity] = Vouched(who.alias, who.party, who.role, sender, hour)
    return []


def _vouch(state: ChannelState, sender: Slot, vouch: Vouch, _hour: Hour) -> list[Event]:
    known = state.candidates.get(vouch.identity)
    if known is not None and sender not in known.vouched:
        kept = msgspec.structs.replace(known, vouched=(*known.vouched, sender))
        state.candidates[vouch.identity] = kept
    return []


def _rephrase(state: ChannelState, sender: Slot, content: Paraphrase, hour: Hour) -> list[Event]:
    expires = Hour(hour + state.lifetime)
    return [Rephrased(MessageId(content.about), sender, content.text, expires)]


def _release(state: ChannelState, sender: Slot, content: Release, hour: Hour) -> list[Event]:
    expires = Hour(hour + state.lifetime)
    return [Released(MessageId(content.about), sender, content.words, expires)]


_NOTED: Final[dict[type, Callable[[ChannelState, Slot, Any, Hour], list[Event]]]] = {
    Leave: _leave,
    Compared: _compare,
    Floor: _floor,
    Hand: _hand,
    Candidate: _present,
    Vouch: _vouch,
    Paraphrase: _rephrase,
    Release: _release,
}


def identities(roster: Roster) -> bytes:
    """32 bytes: what the roster words are words of, for a `compared`."""
    return hash_(Label.WORDS, roster.spoken())


# One's own.


def tell(posting: Posting, content: Content) -> None:
    """Say it, and take it in as others will."""
    posted = posting.post(content)
    state = posting.state
    posting.events.extend(note(state, state.me, posted.whole, content))


def consent(posting: Posting, command: commands.Consent) -> None:
    """Say yes or no to what was proposed."""
    if command.policy not in posting.state.proposals:
        msg = "nothing like that was proposed"
        raise LocalProtocolError(msg)
    tell(posting, Consent(command.policy, int(command.yes)))


def compare(posting: Posting, command: commands.Compare) -> None:
    """Mark members as compared by voice; with all of them, tell everybody that one did."""
    state, roster = posting.state, posting.state.current()
    named = [state.named(alias) for alias in command.aliases]
    entries = named or list(roster.entries)
    marks = {Slot(each.slot): IdentityHash(each.identity) for each in entries}
    state.verified |= {slot: identity for slot, identity in marks.items() if slot != state.me}
    if not command.aliases:
        tell(posting, Compared(identities(roster)))


def give_floor(posting: Posting, command: commands.GiveFloor) -> None:
    """Let one member speak, or everybody."""
    holders = (posting.state.named(command.alias).slot,) if command.alias else ()
    tell(posting, Floor(holders))


def raise_hand(posting: Posting, command: commands.RaiseHand) -> None:
    """Ask for the floor, or no longer."""
    tell(posting, Hand(int(command.raised)))


def vouch(posting: Posting, command: commands.Vouch) -> None:
    """Stand up for who waits; of two under one name nobody can tell who is meant."""
    name, *others = posting.state.presented(command.alias)
    if others:
        msg = "two people are presented under that name: ask the facilitators"
        raise LocalProtocolError(msg)
    tell(posting, Vouch(name))


def present(posting: Posting, who: Candidate) -> None:
    """Tell members of somebody who waits."""
    state = posting.state
    own = [name for name, each in state.candidates.items() if each.by == state.me]
    if who.identity not in own and len(own) >= limits.CANDIDATES:
        msg = f"you have presented {limits.CANDIDATES} people already: admit or refuse some first"
        raise LocalProtocolError(msg)
    tell(posting, who)


def rephrase(posting: Posting, command: commands.Rephrase) -> None:
    """Ask an author for other words."""
    tell(posting, Paraphrase(command.about, tidy(command.text)))


def release(posting: Posting, command: commands.Release) -> None:
    """Let these very words be carried."""
    tell(posting, Release(command.about, carried_words(tidy(command.text))))


def leave(posting: Posting) -> None:
    """Go. Whoever alone facilitates, or with those who go as well, would leave a channel that
    nobody can change.
    """
    state, roster = posting.state, posting.state.current()
    gone = {state.me, *state.leavers}
    others = [e for e in roster.entries if e.role == "facilitator" and e.slot not in gone]
    if state.facilitates(state.me) and not others:
        msg = "you alone facilitate: make somebody else a facilitator first"
        raise LocalProtocolError(msg)
    tell(posting, Leave())
    state.ended = "left"


def verified(state: ChannelState, slot: Slot) -> bool:
    """Whether words were compared with who stands there now, and the line to it is answered."""
    if slot in (state.me, NOBODY):
        return True
    peer = state.peers.get(slot)
    marked = state.verified.get(slot)
    if peer is None or marked is None or peer.line is None or not peer.line.answered:
        return False
    return marked == identity_hash(peer.bundle.identity)
