"""How a change becomes the next roster: checked, made, announced, and held as a draft or adopted:
SPEC.md section 9.

Where others could write one too, one's own is a draft until it is read back: the order of the drop
decides. Knows nobody's wish.
"""

from collections.abc import Callable
from typing import NamedTuple

from backchannel.protocol import epoch, limits, settlement
from backchannel.protocol.content import Announcement, Gone
from backchannel.protocol.core import Kind, content_hash
from backchannel.protocol.drop import Drop
from backchannel.protocol.epoch import EpochClock
from backchannel.protocol.epoch_core import seal_epoch
from backchannel.protocol.errors import LocalProtocolError, RemoteProtocolError
from backchannel.protocol.format import check_format
from backchannel.protocol.identity import Bundle
from backchannel.protocol.outcome import OpenDrop
from backchannel.protocol.posting import Posting
from backchannel.protocol.primitives import x25519_public
from backchannel.protocol.roster import (
    Entry,
    Package,
    Policy,
    Relay,
    Roster,
    last_epoch,
    seal_package,
    succeeds,
)
from backchannel.protocol.secret import ClockValue, CloseSecret, EpochSecret, EpochSeed
from backchannel.protocol.state import ChannelState
from backchannel.protocol.succession import Succession, succeed
from backchannel.protocol.successor import Draft
from backchannel.protocol.types import (
    ContentHash,
    Core,
    RosterHash,
    Slot,
    Timestamp,
    hour_of,
)


class Change(NamedTuple):
    """What the next roster is to have otherwise."""

    entries: tuple[Entry, ...]
    policy: Policy
    gone: tuple[Gone, ...] = ()
    bundles: dict[Slot, Bundle] | None = None
    """Of everybody, where somebody is new, or new to the other half of a rivalry."""
    turns: bool = True
    """Whether a new epoch begins."""
    relays: tuple[Relay, ...] | None = None
    """Where others than now."""


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


def open_drops(
    secret: EpochSecret, close: CloseSecret, roster: Roster, but: tuple[Relay, ...] = ()
) -> list[OpenDrop]:
    """An epoch's drops, on every relay whose key is not one of `but`."""
    keep, known = class_for(roster.policy.lifetime), {relay.key for relay in but}
    drops = [
        (relay, Drop.of_epoch(secret, relay.public))
        for relay in roster.relays
        if relay.key not in known
    ]
    return [
        OpenDrop(relay.url, drop, x25519_public(drop.close_key(close)), keep)
        for relay, drop in drops
    ]


def issue(
    posting: Posting, change: Change, welcome: Callable[[Roster], None] = lambda _roster: None
) -> tuple[ContentHash, ...]:
    """Make, announce and, where nobody else could have, adopt the next roster. Gives the content
    hashes of its cores. `welcome` is called before anything is said under it.
    """
    state = posting.state
    _check_may(state)
    if state.rivals and (change.bundles or settlement.keeps_gone(state, change.entries)):
        msg = "two lists of members stand against each other: begin a new epoch first"
        raise LocalProtocolError(msg)
    if state.rivals:  # whom this half admitted is new to the other
        change = change._replace(turns=True, bundles=_bundles(state, change))
    beginning = _begin(posting) if change.turns else None
    over = posting.into(settlement.common(state))
    package = _package(over, change, beginning)
    welcome(package.roster)
    if beginning is not None:
        clock = EpochClock(over.hour, beginning.value)
        posting.clocks[epoch.epoch_id(beginning.secret)] = clock
        posting.effects.extend(open_drops(beginning.secret, beginning.close, package.roster))
    elif change.relays is not None:
        here = state.epoch
        drops = open_drops(here.secret, office(state), package.roster, here.relays)
        posting.effects.extend(drops)
    names = _announce(over, change, package, beginning)
    succession = Succession(
        package,
        beginning.secret if beginning else None,
        beginning.close if beginning else None,
        change.gone,
        over.epoch.id,
    )
    if _alone(state):
        posting.events.extend(succeed(state, succession, posting.hour))
    else:
        state.draft = _draft(names, posting.now, succession)
    return names


def _bundles(state: ChannelState, change: Change) -> dict[Slot, Bundle]:
    """Of who stays."""
    known = {slot: peer.bundle for slot, peer in state.peers.items()}
    known[state.me] = state.keys.public()
    return {Slot(entry.slot): known[Slot(entry.slot)] for entry in change.entries}


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
    if not (state.rivals and state.facilitates(state.me)):  # whoever has the keys may be elsewhere
        office(state)
    if state.draft is not None:
        msg = "your change before this one has not come back from the relay yet"
        raise LocalProtocolError(msg)
    if state.rivals and state.me not in settlement.settlers(state):
        msg = (
            "two lists of members stand against each other: somebody who facilitated before that "
            "has to begin a new epoch first"
        )
        raise LocalProtocolError(msg)


def _alone(state: ChannelState) -> bool:
    """Whether no other facilitator can have changed anything meanwhile. Who asked to go changes
    nothing more, and what it changed before is named by what it said: so nothing may be missing.
    """
    leads = {Slot(e.slot) for e in state.current().entries if e.role == "facilitator"}
    leads -= {state.me}
    done = not state.announced and not state.transcript.missing
    return not leads or (done and leads <= state.leavers.keys())


def _begin(posting: Posting) -> Beginning:
    seed = EpochSeed(posting.entropy.draw(32))
    return Beginning(seed, *epoch.begin(seed), CloseSecret(posting.entropy.draw(32)))


def _package(posting: Posting, change: Change, beginning: Beginning | None) -> Package:
    state, current = posting.state, posting.state.current()
    hour, here = posting.hour, state.epoch
    secret, value = here.secret, posting.clocks[here.id](hour)
    if beginning is not None:
        secret, value = beginning.secret, beginning.value
    rivals, version = tuple(settlement.named(state)), current.version + 1
    following = last_epoch(version) if rivals else current.epoch + 1
    roster = Roster(
        state.id,
        version,
        current.hash,
        rivals,
        state.me,
        hour,
        following if beginning else current.epoch,
        epoch.commitment(secret, hour, value),
        change.relays or current.relays,
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
    posting.come_along()
    posting.reach_all()
    if posting.epoch is not state.epoch:
        state.heal = set(state.peers)  # mine may rest on what they do not read
    if state.heal:  # nor do keys of an epoch rest on a line block that a sealed drop did not take
        posting.new_generation()
    begins = [_epoch_core(posting, change, roster.hash, beginning)] if beginning else []
    secret = epoch.roster_secret(beginning.secret if beginning else posting.epoch.secret)
    clock, hour, entropy = posting.clock, posting.hour, posting.entropy
    pieces = seal_package(package, secret, clock, hour, entropy)
    names = tuple(content_hash(core) for core in pieces)
    turns = b"".join(content_hash(core) for core in begins)
    announcement = Announcement(roster.version, roster.hash, names, turns, change.gone)
    posted = posting.post_as_is(announcement, roster)
    if posting.epoch is not state.epoch:
        state.renew, state.heal = True, set(state.peers)  # that drop may take it no more
    for core in (*begins, *pieces):
        posting.put(core)
    return (posted.hash, *map(content_hash, begins), *names)


def _epoch_core(posting: Posting, change: Change, roster: RosterHash, beginning: Beginning) -> Core:
    gone = {each.slot for each in change.gone}
    wraps = posting.wraps(slot for slot in posting.state.peers if slot not in gone)
    head, me = posting.head(Kind.EPOCH), posting.state.me
    return seal_epoch(me, roster, beginning.seed, wraps, posting.clock, head, posting.entropy)


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
