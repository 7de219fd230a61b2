"""What changes when a roster holds: SPEC.md section 9. One's own rosters and others' alike.

Checks nothing: what comes here was checked. Draws nothing and sends nothing; `upkeep` does what
follows from it.
"""

from typing import NamedTuple

import msgspec

from backchannel.protocol import epoch, levelling
from backchannel.protocol.content import Gone
from backchannel.protocol.epochs import Ending, Epoch
from backchannel.protocol.outcome import (
    NOBODY,
    Acted,
    Alarm,
    Change,
    Ended,
    Event,
    Lost,
    RosterAdopted,
    Shortened,
)
from backchannel.protocol.peer import Peer
from backchannel.protocol.proposal import Proposed
from backchannel.protocol.roster import Entry, Package, Roster, lighter
from backchannel.protocol.secret import CloseSecret, EpochSecret
from backchannel.protocol.standing import voice
from backchannel.protocol.state import ChannelState
from backchannel.protocol.successor import Announced, Rival
from backchannel.protocol.types import ContentHash, EpochId, Hour, IdentityHash, RosterHash, Slot


class Succession(NamedTuple):
    """A checked roster that is to hold from now on."""

    package: Package
    secret: EpochSecret | None
    """Of the epoch that it begins, if it begins one."""
    close: CloseSecret | None
    """Of that epoch, where one made it oneself."""
    gone: tuple[Gone, ...]
    where: EpochId
    """In whose drop it was announced."""


def succeed(state: ChannelState, new: Succession, now: Hour) -> list[Event]:
    """Take a checked roster as the current one."""
    roster, before = new.package.roster, state.roster
    events: list[Event] = []
    if before is not None:
        expires = Hour(now + min(state.lifetime, roster.policy.lifetime))
        by = before.entry(roster.issuer).alias
        said = Acted(
            roster.version, by, Hour(roster.hour), roster.hash, _acts(new, before), expires
        )
        events = [said, *_warnings(new), *_unseen(state, before, roster)]
    if new.secret is not None and before is not None:
        _turn(state, new, before, now)
    elif roster.relays != state.relays:
        mine = roster.issuer == state.me
        levelling.relocate(state.epoch, roster.relays, now, state.record.sent.keys(), mine=mine)
    events += _adopt(state, new.package)
    events += _overtake(state, roster, before)
    return [*events, RosterAdopted(roster.version)]


def _warnings(new: Succession) -> list[Event]:
    taken = [each.slot for each in new.gone if each.reason == "compromised"]
    return [Alarm("compromised", Slot(slot)) for slot in taken]


def _unseen(state: ChannelState, before: Roster, roster: Roster) -> list[Event]:
    """It ends a rival that nobody showed me: what was said by halves is compared no more, so I am
    not to take that from one facilitator's word.
    """
    seen = {before.hash, *state.rivals, *state.record.conceded}
    seen |= {RosterHash(each.announcement.roster) for each in state.announced}
    unseen = [RosterHash(each) for each in (roster.previous, *roster.merged) if each not in seen]
    marks = {name: b"rival" + name for name in unseen}
    new = [name for name in unseen if marks[name] not in state.record.alarmed]
    state.record.alarmed |= dict.fromkeys((marks[name] for name in new), Hour(roster.hour))
    return [Alarm("rival", Slot(roster.issuer), name) for name in new]


def _acts(new: Succession, before: Roster) -> tuple[Change, ...]:
    """The difference, for the log that everybody sees."""
    roster, slots = new.package.roster, {entry.slot: entry for entry in before.entries}
    after = {entry.slot for entry in roster.entries}
    reasons = {each.slot: each.reason for each in new.gone}
    changes = [
        Change(reasons.get(entry.slot, "removed"), entry.alias)
        for entry in before.entries
        if entry.slot not in after
    ]
    changes += [_entry_change(slots.get(entry.slot), entry) for entry in roster.entries]
    if roster.policy != before.policy:
        changes.append(Change("policy", detail=_difference(before, roster)))
    if roster.epoch != before.epoch:
        changes.append(Change("epoch", detail=str(roster.epoch)))
    if roster.relays != before.relays:
        changes.append(Change("relays", detail=", ".join(each.url for each in roster.relays)))
    if roster.merged:
        changes.append(Change("merged"))
    return tuple(change for change in changes if change.what)


def _entry_change(before: Entry | None, entry: Entry) -> Change:
    if before is None:
        return Change("came", entry.alias, entry.role)
    return Change("role" if before.role != entry.role else "", entry.alias, entry.role)


def _difference(before: Roster, after: Roster) -> str:
    """Which rules, from what to what."""
    old, new = msgspec.structs.asdict(before.policy), msgspec.structs.asdict(after.policy)
    return ", ".join(f"{name} {old[name]} -> {new[name]}" for name in old if old[name] != new[name])


def _turn(state: ChannelState, new: Succession, before: Roster, now: Hour) -> None:
    """The old epoch is only read from here on, and only what its heads and those who stay vouch
    for.
    """
    roster, secret = new.package.roster, new.secret
    assert secret is not None  # noqa: S101 - as the caller saw
    slots = {entry.slot for entry in roster.entries}
    gone = {Slot(entry.slot) for entry in before.entries} - slots
    past = state.transcript.past(ContentHash(head) for head in roster.heads)
    bound = gone | _lighter(roster, before)
    if state.me in bound:
        _doubt(state, past)
    state.transcript.let_go(state.record.sent)
    state.epoch.ending = Ending(
        before,
        now,
        {slot: state.peers.pop(slot) for slot in gone if slot in state.peers},
        bound,
        (past - state.transcript.posts.keys()) | state.transcript.missing.keys(),
        issuer=roster.issuer == state.me,
    )
    state.epochs.append(
        Epoch(
            epoch.epoch_id(secret),
            roster.epoch,
            secret,
            roster.relays,
            Hour(roster.hour),
            new.close,
            announced=new.where,
        )
    )
    for slot in gone:
        _let_go(state, slot)
        state.former.append(IdentityHash(before.entry(slot).identity))
    state.renew = True
    state.heal |= set(state.peers) if roster.merged else _unread(state)
    known = {**state.rivals, **state.record.conceded}.values() if roster.merged else ()
    first = min((each.version for each in known), default=roster.version - 1)
    state.record.split += range(first, roster.version) if roster.merged else ()


def _unread(state: ChannelState) -> set[Slot]:
    """To whom a line block of one's own was not read back: a drop that is sealed takes it no more,
    and keys that rest on it do not open.
    """
    sent = state.record.sent.keys()
    return {slot for slot, peer in state.peers.items() if not sent.isdisjoint(peer.steps.values())}


def _doubt(state: ChannelState, past: set[ContentHash]) -> None:
    """Who loses a role does not vouch for itself: what it said last counts once others name it."""
    for core, post in state.transcript.posts.items():
        if post.author == state.me and core not in past:
            state.record.sent[core] = post.hour


def _lighter(roster: Roster, before: Roster) -> set[Slot]:
    """Who stays with less than before."""
    roles = {entry.slot: entry.role for entry in before.entries}
    return {
        Slot(entry.slot)
        for entry in roster.entries
        if entry.slot in roles and lighter(entry.role, roles[entry.slot])
    }


def _let_go(state: ChannelState, slot: Slot) -> None:
    """Whoever gets this place next is somebody else."""
    for kept in (
        state.come,
        state.alive,
        state.verified,
        state.compared,
        state.served,
        state.lost,
        state.answers,
        state.leavers,
        state.record.accounts,
    ):
        kept.pop(slot, None)
    state.heal.discard(slot)
    state.hands = [each for each in state.hands if each != slot]
    state.floor = None if state.floor == slot else state.floor
    state.wants = [each for each in state.wants if each.kind == "core" or each.slot != slot]
    state.threads = {
        name: msgspec.structs.replace(each, author=NOBODY) if each.author == slot else each
        for name, each in state.threads.items()
    }


def _adopt(state: ChannelState, package: Package) -> list[Event]:
    roster, before, first = package.roster, state.policy, state.roster is None
    _note_voices(state, roster)
    state.before = _lifetime_before(state, roster)
    state.roster, state.expected, state.policy = roster, roster.hash, roster.policy
    state.knows(roster)
    for rival in (roster.previous, *roster.merged):  # what was said under it can be read now
        state.versions.setdefault(RosterHash(rival), roster.version - 1)
    state.stays()  # a rival took my place away, if anybody
    if first or roster.policy.standing != before.standing:
        state.standing_since = Hour(roster.hour)
    for slot, bundle in package.bundles.items():
        held = state.peers.get(slot)  # maybe of one's own guest, whose roster was too late
        if slot != state.me and (held is None or held.bundle.identity != bundle.identity):
            state.peers[slot] = Peer(bundle, to_greet=first)
        elif first and held is not None:
            held.bundle = bundle  # the card's prekey was for its lobby alone, and is gone
    if roster.policy != before:
        state.proposals, state.answers = {}, {}  # a yes was to a change of the rules of then
    elif package.bundles:  # who comes has not been asked whether to close
        state.proposals = _lasting(state)
        state.answers = {
            slot: {n: a for n, a in each.items() if n in state.proposals or not a.yes}
            for slot, each in state.answers.items()
        }
    present = {entry.identity for entry in roster.entries}
    state.candidates = {
        name: each for name, each in state.candidates.items() if name not in present
    }
    events: list[Event] = []
    if roster.policy.lifetime < before.lifetime:
        events.append(Shortened(None, roster.policy.lifetime))
    if roster.policy.standing == "closed":
        state.ended = "closed"
        events.append(Ended("closed", Slot(roster.issuer)))
    return events


def _lifetime_before(state: ChannelState, roster: Roster) -> int:
    """That from before it was shortened, while anything lives that was said then: another branch
    may not have shortened it.
    """
    lives = roster.hour <= state.tightened + state.policy.lifetime
    before = state.before if lives else 0
    if roster.policy.lifetime < state.policy.lifetime:
        state.tightened = Hour(roster.hour)
    return max(before, state.policy.lifetime)


def _note_voices(state: ChannelState, roster: Roster) -> None:
    """Who had one in closings, and stays without."""
    had = {e.slot for e in state.roster.entries if voice(e)} if state.roster else set()
    lost = {Slot(e.slot) for e in roster.entries if e.slot in had and not voice(e)}
    state.lost |= dict.fromkeys(lost, Hour(roster.hour))


def _lasting(state: ChannelState) -> dict[bytes, Proposed]:
    """Proposals that outlast a newcomer."""
    return {
        name: each for name, each in state.proposals.items() if each.policy.standing != "closed"
    }


def _overtake(state: ChannelState, roster: Roster, before: Roster | None) -> list[Event]:
    """What was announced for the same place in the order and did not come to hold; and what stood
    against the roster before, unless this one ends it. What is announced for later by who leads no
    more never holds.
    """
    leads = {entry.slot for entry in roster.entries if entry.role == "facilitator"}
    late = [
        each
        for each in state.announced
        if each.announcement.version <= roster.version or each.by not in leads
    ]
    state.announced = [each for each in state.announced if each not in late]
    gone = [each for next_ in state.announced for each in next_.announcement.gone]
    state.ended = next((each.reason for each in gone if each.slot == state.me), state.ended)
    for each in late:
        for core in (*each.announcement.pieces, each.announcement.epoch):
            state.got("core", each.by, core)
    next_ = before is not None and before.hash == roster.previous
    state.record.conceded = _left(state, state.record.conceded, roster) if next_ else {}
    state.rivals = _left(state, state.rivals, roster) if next_ else {}
    _outrun(state, late, roster, leads)
    draft, state.draft = state.draft, None
    if draft is not None and draft.roster != roster.hash:
        state.concede = True
        where = state.announced_in(draft).id
        rival = state.rival(draft.version, draft.roster, state.me, where, draft.gone)
        state.against(rival, leads=False)[draft.roster] = rival
        return [Lost(draft.version)]
    return []


def _outrun(state: ChannelState, late: list[Announced], roster: Roster, leads: set[int]) -> None:
    """What had the version of this roster is a rival. By who facilitates no more, only for whom it
    took away, once somebody is behind it: others settle it unasked.
    """
    others = [each for each in late if each.announcement.roster != roster.hash]
    others = [each for each in others if each.announcement.version == roster.version]
    taken = {each.by: each.announcement.gone for each in others}
    mine = {by for by, gone in taken.items() if any(each.slot == state.me for each in gone)}
    for each in (each for each in others if each.by in leads | mine):
        name = RosterHash(each.announcement.roster)
        rival = state.rival(roster.version, name, each.by, each.where, each.announcement.gone)
        state.against(rival, leads=each.by in leads)[name] = rival


def _left(
    state: ChannelState, rivals: dict[RosterHash, Rival], roster: Roster
) -> dict[RosterHash, Rival]:
    """Those that it does not end, as long as somebody may read where they were announced."""
    read = {each.id for each in state.epochs}
    return {
        name: each
        for name, each in rivals.items()
        if name not in roster.merged and each.epoch in read
    }
