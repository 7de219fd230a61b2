"""How a facilitator changes who is here and by which rules: SPEC.md section 9.

A change is a next roster. Where others could write one too, one's own is a draft until it is read
back: the order of the drop decides. Knows no lobby.
"""

from collections.abc import Callable
from typing import NamedTuple

from backchannel.protocol import command as commands
from backchannel.protocol import epoch, limits
from backchannel.protocol.assent import tell
from backchannel.protocol.content import Announcement, Gone, Proposal, policy_hash
from backchannel.protocol.core import Kind, content_hash
from backchannel.protocol.drop import Drop
from backchannel.protocol.epoch import EpochClock
from backchannel.protocol.errors import LocalProtocolError, RemoteProtocolError
from backchannel.protocol.format import check_format
from backchannel.protocol.identity import Bundle
from backchannel.protocol.outcome import OpenDrop, SealDrop
from backchannel.protocol.posting import Posting
from backchannel.protocol.primitives import x25519_public
from backchannel.protocol.roster import (
    Entry,
    Package,
    Policy,
    Roster,
    lighter,
    seal_package,
    succeeds,
)
from backchannel.protocol.secret import ClockValue, CloseSecret, EpochSecret, EpochSeed
from backchannel.protocol.state import ChannelState, Draft, Epoch
from backchannel.protocol.succession import Succession, succeed
from backchannel.protocol.turn import seal_turn
from backchannel.protocol.types import ContentHash, Core, Hour, RosterHash, Slot, Timestamp, hour_of


class Change(NamedTuple):
    """What the next roster is to have otherwise."""

    entries: tuple[Entry, ...]
    policy: Policy
    gone: tuple[Gone, ...] = ()
    bundles: dict[Slot, Bundle] | None = None
    """Of everybody, where somebody is new, or new to the other half of a rivalry."""
    turns: bool = True
    """Whether a new epoch begins."""


class Beginning(NamedTuple):
    """An epoch that is about to begin."""

    seed: EpochSeed
    secret: EpochSecret
    value: ClockValue
    """Of its clock, at the hour of the round."""
    close: CloseSecret


def class_for(hours: int) -> int:
    """Index of the shortest class that keeps blocks so long."""
    return next(n for n, kept in enumerate(limits.CLASSES) if kept >= hours)


def open_drops(secret: EpochSecret, close: CloseSecret, roster: Roster) -> list[OpenDrop]:
    """An epoch's drops, on every relay."""
    keep = class_for(roster.policy.lifetime)
    drops = [(relay, Drop.of_epoch(secret, relay.public)) for relay in roster.relays]
    return [
        OpenDrop(relay.url, drop, x25519_public(drop.close_key(close)), keep)
        for relay, drop in drops
    ]


# What a facilitator wants.


def remove(posting: Posting, command: commands.Remove) -> None:
    """A new epoch without somebody."""
    state = posting.state
    entry = state.named(command.alias)
    if entry.slot == state.me:
        msg = "you do not remove yourself: leave, and another facilitator sees to it"
        raise LocalProtocolError(msg)
    turn(posting, (Gone(entry.slot, command.reason),))


def turn(posting: Posting, gone: tuple[Gone, ...] = ()) -> None:
    """A new epoch without those who go: by this wish or their own, by a rival, or replaced."""
    state, current = posting.state, posting.state.current()
    here = {entry.slot for entry in current.entries} - {state.me}
    rivals = [each for rival in state.rivals.values() for each in rival.gone]
    left = [Gone(slot, "left") for slot in state.leavers]
    named = {each.slot: each for each in (*left, *rivals, *gone) if each.slot in here}
    going, slots = tuple(named.values()), set(named)
    entries = tuple(entry for entry in current.entries if entry.slot not in slots)
    issue(posting, Change(entries, current.policy, going))


def set_role(posting: Posting, command: commands.SetRole) -> None:
    """Another role for somebody; one that takes something away comes with new keys."""
    state, current = posting.state, posting.state.current()
    entry = current.named(command.alias)
    if entry is None or entry.role == command.role:
        msg = "nobody of that name is here in another role"
        raise LocalProtocolError(msg)
    if entry.slot == state.me:
        msg = "you do not change your own role: another facilitator does"
        raise LocalProtocolError(msg)
    changed = Entry(entry.slot, entry.alias, entry.party, command.role, entry.identity)
    entries = tuple(changed if each is entry else each for each in current.entries)
    turns = lighter(command.role, entry.role)
    issue(posting, Change(entries, current.policy, turns=turns))


def set_policy(posting: Posting, policy: Policy) -> None:
    """Other rules: tighter ones at once; longer lives once everybody has agreed."""
    state, current = posting.state, posting.state.current()
    policy.check()
    if policy == current.policy:
        msg = "these are the rules already"
        raise LocalProtocolError(msg)
    if not policy.lengthens(current.policy):
        issue(posting, Change(current.entries, policy, turns=False))
        return
    proposed = state.proposals.get(policy_hash(policy))
    if proposed is None:
        tell(posting, Proposal(policy))
        return
    missing = [entry.alias for entry in current.entries if entry.slot not in proposed.yes]
    if missing:
        msg = f"not everybody has agreed yet: {', '.join(missing)}"
        raise LocalProtocolError(msg)
    issue(posting, Change(current.entries, policy))


# How it becomes a roster.


def issue(
    posting: Posting, change: Change, welcome: Callable[[Roster], None] = lambda _roster: None
) -> tuple[ContentHash, ...]:
    """Make, announce and, where nobody else could have, adopt the next roster. Gives the content
    hashes of its cores. `welcome` is called before anything is said under it.
    """
    state = posting.state
    _check_may(state)
    if state.rivals and change.bundles:
        msg = "two lists of members stand against each other: begin a new epoch first"
        raise LocalProtocolError(msg)
    if state.rivals:  # whom this half admitted is new to the other
        change = change._replace(turns=True, bundles=_bundles(state))
    beginning = _begin(posting) if change.turns else None
    over = posting.into(_common(state))
    package = _package(over, change, beginning)
    welcome(package.roster)
    if beginning is not None:
        clock = EpochClock(posting.hour, beginning.value)
        posting.clocks[epoch.epoch_id(beginning.secret)] = clock
        posting.effects.extend(open_drops(beginning.secret, beginning.close, package.roster))
    names = _announce(over, change, package, beginning)
    succession = Succession(
        package,
        beginning.secret if beginning else None,
        beginning.close if beginning else None,
        change.gone,
    )
    if _alone(state):
        posting.events.extend(succeed(state, succession, posting.hour))
    else:
        state.draft = _draft(names, posting.now, succession)
    return names


def _bundles(state: ChannelState) -> dict[Slot, Bundle]:
    others = {slot: peer.bundle for slot, peer in state.peers.items()}
    return {**others, state.me: state.keys.public()}


def office(state: ChannelState) -> CloseSecret:
    """The facilitators' secret; `LocalProtocolError` for who is none, or still waits for it."""
    if state.current().entry(state.me).role != "facilitator":
        msg = "only a facilitator can do that"
        raise LocalProtocolError(msg)
    if state.epoch.close is None:
        msg = "the other facilitator's part of the keys has not reached you yet: try again later"
        raise LocalProtocolError(msg)
    return state.epoch.close


def _check_may(state: ChannelState) -> None:
    office(state)
    if state.draft is not None:
        msg = "your change before this one has not come back from the relay yet"
        raise LocalProtocolError(msg)


def _alone(state: ChannelState) -> bool:
    """Whether no other facilitator can have changed anything meanwhile."""
    others = (e for e in state.current().entries if e.slot != state.me)
    return not any(entry.role == "facilitator" for entry in others)


def _begin(posting: Posting) -> Beginning:
    seed = EpochSeed(posting.entropy.draw(32))
    return Beginning(seed, *epoch.begin(seed), CloseSecret(posting.entropy.draw(32)))


def _common(state: ChannelState) -> Epoch:
    """Where all read who may have adopted a rival: the epoch in which both were announced."""
    told = {rival.epoch for rival in state.rivals.values()}
    open_ = [e for e in state.epochs if e.id in told and not (e.ending and e.ending.sealed)]
    return open_[0] if open_ else state.epoch


def _package(posting: Posting, change: Change, beginning: Beginning | None) -> Package:
    state, current = posting.state, posting.state.current()
    hour, here = posting.hour, state.epoch
    secret, value = here.secret, posting.clocks[here.id](hour)
    if beginning is not None:
        secret, value = beginning.secret, beginning.value
    rivals = tuple(state.rivals)[: limits.MERGED]
    roster = Roster(
        state.id,
        current.version + 1,
        current.hash,
        rivals,
        state.me,
        hour,
        current.epoch + (1 + bool(rivals) if beginning else 0),
        epoch.commitment(secret, hour, value),
        current.relays,
        change.policy,
        current.charter,
        current.disclosure,
        tuple(state.transcript.heads[: limits.HEADS]) if beginning else (),
        change.entries,
    )
    return _acceptable(Package(roster, change.bundles or {}), current)


def _acceptable(package: Package, current: Roster) -> Package:
    """The package itself, if everybody else will take it."""
    try:
        Package.parse(package.pack())
        succeeds(package.roster, current)
        check_format(package.roster.policy, package.roster.entries)
    except RemoteProtocolError as error:
        msg = f"that cannot be done: {error}"
        raise LocalProtocolError(msg) from None
    return package


def _announce(
    posting: Posting, change: Change, package: Package, beginning: Beginning | None
) -> tuple[ContentHash, ...]:
    """The announcement, then the cores that it names; under the sender key that stands, so that
    who goes is told.
    """
    state, roster = posting.state, package.roster
    posting.reach_all()
    if posting.epoch is not state.epoch:
        state.heal = True  # mine may rest on what they do not read
        posting.new_generation()
    begins = [_turn_core(posting, change, roster.hash, beginning)] if beginning else []
    secret = epoch.roster_secret(beginning.secret if beginning else posting.epoch.secret)
    clock, hour, entropy = posting.clock, posting.hour, posting.entropy
    pieces = seal_package(package, secret, clock, hour, entropy)
    names = tuple(content_hash(core) for core in pieces)
    turns = b"".join(content_hash(core) for core in begins)
    announcement = Announcement(roster.version, roster.hash, names, turns, change.gone)
    posted = posting.post_as_is(announcement, roster)
    for core in (*begins, *pieces):
        posting.put(core)
    return (posted.hash, *map(content_hash, begins), *names)


def _turn_core(posting: Posting, change: Change, roster: RosterHash, beginning: Beginning) -> Core:
    gone = {each.slot for each in change.gone}
    wraps = posting.wraps(slot for slot in posting.state.peers if slot not in gone)
    head, me = posting.head(Kind.EPOCH), posting.state.me
    return seal_turn(me, roster, beginning.seed, wraps, posting.clock, head, posting.entropy)


def _draft(cores: tuple[ContentHash, ...], now: Timestamp, new: Succession) -> Draft:
    return Draft(
        cores,
        now,
        new.package.roster.hash,
        new.package.roster.version,
        new.package.pack(),
        new.secret,
        new.close,
        new.gone,
        hour_of(now),
    )


def seal(posting: Posting, over: Epoch, cores: tuple[Core, ...] = ()) -> None:
    """Let nothing more be written to an epoch's drops, but these as the last."""
    assert over.close is not None  # noqa: S101 - as the callers saw
    ended = posting.into(over)
    for relay, drop in over.drops():
        blocks = tuple(ended.block(drop, core) for core in cores)
        posting.effects.append(SealDrop(relay.url, drop, drop.close_key(over.close), blocks))
    if over.ending is not None:
        over.ending.sealed = True


def last_blocks(posting: Posting, cores: tuple[Core, ...]) -> None:
    """Where the old drop takes no more, seal it with one's own change as its last blocks."""
    state = posting.state
    over = state.epoch_of(content_hash(cores[0])) if cores else None
    if over is None or over.close is None or not _ends(state, over):
        msg = "there is no change of yours to seal a drop with"
        raise LocalProtocolError(msg)
    seal(posting, over, cores)


def _ends(state: ChannelState, over: Epoch) -> bool:
    """Whether nothing more has to be written there: the next epoch is, or is about to be."""
    if over.ending is not None:
        return not over.ending.sealed
    return state.draft is not None and state.draft.secret is not None


def due(state: ChannelState, now: Hour) -> str:
    """Why this member should begin a new epoch now: `rivals`, `leavers`, `replaced`, `weekly`, or
    nothing. Where several facilitate they wait for each other, the lowest slot first.
    """
    if state.roster is None or state.draft is not None or state.epoch.close is None:
        return ""
    facilitators = [e.slot for e in state.roster.entries if e.role == "facilitator"]
    if state.me not in facilitators or state.ended:
        return ""
    rank = facilitators.index(state.me)
    age = now - state.epoch.began
    stands = any(b"rival" + name in state.record.alarmed for name in state.rivals)
    if stands and now - state.roster.hour >= rank * limits.YIELD_HOURS:
        return "rivals"
    if any(guest.state == "admitted" and guest.successor for guest in state.guests):
        return "replaced"
    if state.leavers and min(state.leavers.values()) + rank * limits.YIELD_HOURS <= now:
        return "leavers"
    return "weekly" if age >= limits.EPOCH_HOURS + rank * limits.YIELD_HOURS else ""
