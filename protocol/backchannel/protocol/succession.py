"""What changes when a roster holds: SPEC.md section 9. One's own rosters and others' alike.

Checks nothing: what comes here was checked. Draws nothing and sends nothing; `upkeep` does what
follows from it.
"""

from typing import NamedTuple

import msgspec

from backchannel.protocol import epoch
from backchannel.protocol.content import Gone
from backchannel.protocol.outcome import (
    NOBODY,
    Acted,
    Alarm,
    Change,
    Event,
    Lost,
    RosterAdopted,
    Shortened,
)
from backchannel.protocol.roster import Entry, Package, Roster, lighter
from backchannel.protocol.secret import CloseSecret, EpochSecret
from backchannel.protocol.state import ChannelState, Ending, Epoch, Peer, Rival
from backchannel.protocol.types import ContentHash, Hour, IdentityHash, RosterHash, Slot


class Succession(NamedTuple):
    """A checked roster that is to hold from now on."""

    package: Package
    secret: EpochSecret | None
    """Of the epoch that it begins, if it begins one."""
    close: CloseSecret | None
    """Of that epoch, where one made it oneself."""
    gone: tuple[Gone, ...]


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
    events += _adopt(state, new.package)
    events += _overtake(state, roster)
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
        )
    )
    for slot in gone:
        _let_go(state, slot)
        state.former.append(IdentityHash(before.entry(slot).identity))
    state.renew = True
    state.heal = state.heal or bool(roster.merged)
    state.record.split += [roster.version - 1] if roster.merged else []


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
        state.leavers,
        state.record.accounts,
    ):
        kept.pop(slot, None)
    state.hands = [each for each in state.hands if each != slot]
    state.floor = None if state.floor == slot else state.floor
    state.wants = [each for each in state.wants if each.kind == "core" or each.slot != slot]
    state.threads = {
        name: msgspec.structs.replace(each, author=NOBODY) if each.author == slot else each
        for name, each in state.threads.items()
    }


def _adopt(state: ChannelState, package: Package) -> list[Event]:
    roster, before, first = package.roster, state.policy, state.roster is None
    state.roster, state.expected, state.policy = roster, roster.hash, roster.policy
    state.knows(roster)
    for rival in (roster.previous, *roster.merged):  # what was said under it can be read now
        state.versions.setdefault(RosterHash(rival), roster.version - 1)
    state.ended = "left" if state.ended == "left" else ""  # a rival took my place away, if anybody
    for slot, bundle in package.bundles.items():
        held = state.peers.get(slot)  # maybe of one's own guest, whose roster was too late
        if slot != state.me and (held is None or held.bundle.identity != bundle.identity):
            state.peers[slot] = Peer(bundle, to_greet=first)
        elif first and held is not None:
            held.bundle = bundle  # the card's prekey was for its lobby alone, and is gone
    if roster.policy != before:
        state.proposals = {}  # a yes was to a change of the rules of then
    present = {entry.identity for entry in roster.entries}
    state.candidates = {
        name: each for name, each in state.candidates.items() if name not in present
    }
    if roster.policy.lifetime < before.lifetime:
        return [Shortened(None, roster.policy.lifetime)]
    return []


def _overtake(state: ChannelState, roster: Roster) -> list[Event]:
    """What was announced for the same place in the order and did not come to hold."""
    late = [each for each in state.announced if each.announcement.version <= roster.version]
    state.announced = [each for each in state.announced if each not in late]
    for each in late:
        for core in (*each.announcement.pieces, each.announcement.epoch):
            state.got("core", each.by, core)
    state.record.conceded = {}
    state.rivals = {
        RosterHash(each.announcement.roster): Rival(each.by, each.where, each.announcement.gone)
        for each in late
        if each.announcement.roster != roster.hash
        and each.announcement.version == roster.version
        and any(e.slot == each.by and e.role == "facilitator" for e in roster.entries)
    }
    draft, state.draft = state.draft, None
    if draft is not None and draft.roster != roster.hash:
        state.concede = True
        return [Lost(draft.version)]
    return []
