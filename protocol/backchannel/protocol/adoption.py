"""How the next roster is announced, gathered and adopted: SPEC.md section 9.

An adopted roster is never rolled back, and a package that may not be adopted changes nothing.
"""

from collections.abc import Callable

import msgspec

from backchannel.protocol import epoch, limits, steps, turn
from backchannel.protocol.content import Announcement, policy_hash
from backchannel.protocol.errors import (
    ForbiddenError,
    RefusedError,
    RemoteProtocolError,
    UnknownError,
)
from backchannel.protocol.format import check_format
from backchannel.protocol.outcome import Ended, Event, Lost
from backchannel.protocol.reception import Reception
from backchannel.protocol.roster import Package, Roster, charter_hash, open_piece, succeeds
from backchannel.protocol.sender_key import KeyHeader
from backchannel.protocol.state import Announced, ChannelState, Draft, Rival
from backchannel.protocol.succession import Succession, succeed
from backchannel.protocol.types import ContentHash, EpochId, Hour, RosterHash, Slot, hour_of


def announced(reception: Reception, sender: Slot, announcement: Announcement) -> list[Event]:
    """Wait for the cores of a roster; a second successor of the same roster is a rival."""
    state = reception.state
    if announcement.roster in state.versions:
        return []
    if state.roster is not None and announcement.version < state.roster.version:
        return []  # it lost long ago: said, and of no effect
    if state.roster is not None and announcement.version == state.roster.version:
        _rival(reception, sender, announcement)
        return []
    if any(each.announcement.roster == announcement.roster for each in state.announced):
        return []
    mine = [each for each in state.announced if each.by == sender]
    for earlier in mine:
        _forget(state, earlier)
    waiting = Announced(sender, announcement, reception.epoch.id)
    others = [each for each in state.announced if each.by != sender]
    state.announced = sorted([*others, waiting], key=lambda each: each.by)
    for core in _cores(announcement):
        state.want("core", sender, core, reception.now)
    for each in announcement.gone:
        if each.slot == state.me:
            state.ended = each.reason
            return [Ended(each.reason, sender)]
    return []


def _rival(reception: Reception, sender: Slot, announcement: Announcement) -> None:
    """Another roster after the same one; it does not stand if its issuer has come over since."""
    state = reception.state
    current = state.current()
    beyond = state.come.get(sender, 0) >= current.version
    if announcement.roster in (*state.rivals, *current.merged):
        return
    rivals = state.record.conceded if beyond else state.rivals
    if sum(each.by == sender for each in rivals.values()) >= limits.MERGED:
        return  # who has announced so many is found out already
    rivals[RosterHash(announcement.roster)] = Rival(sender, reception.epoch.id, announcement.gone)


def _cores(announcement: Announcement) -> tuple[ContentHash, ...]:
    begins = (announcement.epoch,) if announcement.epoch else ()
    return tuple(ContentHash(core) for core in (*begins, *announcement.pieces))


def _forget(state: ChannelState, waiting: Announced) -> None:
    for core in _cores(waiting.announcement):
        state.got("core", waiting.by, core)


def take_turn(reception: Reception) -> list[Event]:
    """The core with the next epoch's seed, where it was announced."""
    state = reception.state
    waiting = _waiting(reception, lambda each: each.announcement.epoch == reception.hash)
    header = KeyHeader.read(reception.core)
    if header.sender != waiting.by or header.roster != waiting.announcement.roster:
        msg = "an epoch core is not of the announced roster"
        raise RefusedError(msg)
    peer, found = (
        reception.peer(header.sender),
        steps.named(reception, header.sender, wants=state.roster is not None),
    )
    core, clock, head = reception.core, reception.clock, reception.head
    following, seed = steps.opened(
        found,
        lambda key: turn.open_turn(core, header, state.me, key, clock, head),
        "an epoch core",
    )
    secret, value = epoch.begin(seed)
    name = epoch.epoch_id(secret)
    _check_fresh(reception, name)
    reception.clocks.setdefault(name, epoch.EpochClock(reception.head.hour, value))
    waiting.secret, peer.line = secret, following
    state.got("core", waiting.by, reception.hash)
    return []  # its pieces open only now


def _check_fresh(reception: Reception, name: EpochId) -> None:
    """Whoever begins an epoch with another's seed, or an old one, spoils nothing but its own: its
    hours would not be those that the other is bound to.
    """
    clock = reception.clocks.get(name)
    lived = any(each.id == name for each in reception.state.epochs)
    if lived or (clock is not None and clock.hour != reception.head.hour):
        msg = "an epoch begins with keys that are not new"
        raise RefusedError(msg)


def take_piece(reception: Reception) -> list[Event]:
    """One piece of an announced package; the last one makes the roster hold."""
    state = reception.state
    waiting = _waiting(reception, lambda each: reception.hash in each.announcement.pieces)
    if waiting.announcement.epoch and waiting.secret is None:
        msg = "a piece of a roster whose epoch has not come"
        raise UnknownError(msg)
    secret = epoch.roster_secret(waiting.secret or reception.epoch.secret)
    piece = open_piece(reception.core, secret, reception.clock, reception.head)
    earlier, waiting.pieces = waiting.pieces, {**waiting.pieces, reception.hash: piece}
    try:
        events = _complete(reception, waiting)
    except RemoteProtocolError:
        waiting.pieces = earlier
        raise
    state.got("core", waiting.by, reception.hash)
    return events


def _waiting(reception: Reception, fits: Callable[[Announced], bool]) -> Announced:
    for each in reception.state.announced:
        if fits(each):
            return each
    msg = "a part of a roster that nobody announced"
    raise UnknownError(msg)


def _complete(reception: Reception, waiting: Announced) -> list[Event]:
    """Adopt, once all is here."""
    state, names = reception.state, waiting.announcement.pieces
    if not all(name in waiting.pieces for name in names):
        return []
    package = Package.parse(b"".join(waiting.pieces[ContentHash(name)] for name in names))
    _check(reception, waiting, package)
    first = state.roster is None
    succession = Succession(package, waiting.secret, None, waiting.announcement.gone)
    events = succeed(state, succession, hour_of(reception.now))
    if first:
        state.since = Hour(package.roster.hour)
        before = RosterHash(package.roster.previous)
        state.versions.setdefault(before, package.roster.version - 1)
        state.numbers.setdefault(before, package.roster.epoch)
    return events


def _check(reception: Reception, waiting: Announced, package: Package) -> None:
    roster, state = package.roster, reception.state
    if _went_before(state, waiting.announcement.version):
        msg = "a roster after one that took my place away"
        raise RefusedError(msg)
    if roster.hash != waiting.announcement.roster or roster.issuer != waiting.by:
        msg = "a package is not of the announced roster"
        raise ForbiddenError(msg, waiting.by)
    if roster.version != waiting.announcement.version:
        msg = "an announcement names another version than its roster"
        raise ForbiddenError(msg, waiting.by)
    if state.roster is not None:
        check_succession(state, roster, waiting)
    else:
        _check_first(state, roster)
    _check_seats(roster, waiting)
    _check_epoch(reception, roster, waiting)
    if all(entry.slot != state.me for entry in roster.entries):
        msg = "a roster that has no place for me"
        raise RefusedError(msg)
    _check_identities(state, package)


def _went_before(state: ChannelState, version: int) -> bool:
    """Whether a roster of this version that is whole for everybody else has no place for me."""
    here = {each.hash for each in state.pending}
    return any(
        each.announcement.version == version
        and any(gone.slot == state.me for gone in each.announcement.gone)
        and here.issuperset(_cores(each.announcement))
        for each in state.announced
    )


def check_succession(state: ChannelState, roster: Roster, waiting: Announced) -> None:
    """`ForbiddenError` where a facilitator announced what may not follow."""
    current = state.current()
    try:
        succeeds(roster, current)
    except RefusedError as error:
        raise ForbiddenError(str(error), waiting.by) from None
    slots = {entry.slot for entry in roster.entries}
    gone = {entry.slot for entry in current.entries} - slots
    named = {each.slot for each in waiting.announcement.gone}
    if bool(waiting.announcement.epoch) != (roster.epoch != current.epoch):
        msg = "a roster and its announcement disagree about a new epoch"
        raise ForbiddenError(msg, waiting.by)
    if current.hash == roster.previous and gone != named:
        msg = "a roster takes away others than its announcement says"
        raise ForbiddenError(msg, waiting.by)
    if any(entry.identity in state.former for entry in roster.entries):
        msg = "a roster brings back the keys of somebody who went"
        raise ForbiddenError(msg, waiting.by)
    if roster.policy.lengthens(current.policy):
        agreed = state.proposals.get(policy_hash(roster.policy))
        if agreed is None or state.me not in agreed.yes:
            msg = "a roster lengthens what I did not agree to"
            raise ForbiddenError(msg, waiting.by)


def _check_seats(roster: Roster, waiting: Announced) -> None:
    """Everybody holds a channel to its kind, a newcomer too."""
    try:
        check_format(roster.policy, roster.entries)
    except RefusedError as error:
        raise ForbiddenError(str(error), waiting.by) from None


def _check_epoch(reception: Reception, roster: Roster, waiting: Announced) -> None:
    """What I was given is what everybody was given: the roster binds it."""
    state, hour = reception.state, Hour(roster.hour)
    if hour > hour_of(reception.now) + limits.CLOCK_SKEW:
        msg = "a roster of an hour that has not come"
        raise RefusedError(msg)
    secret = waiting.secret or state.epoch.secret
    clock = reception.clocks[epoch.epoch_id(secret)]
    if waiting.secret is not None and clock.hour != hour:
        msg = "an epoch begins at another hour than its roster"
        raise ForbiddenError(msg, waiting.by, "epoch")
    if epoch.commitment(secret, hour, clock(hour)) != roster.commitment:
        msg = "a roster is bound to another epoch than mine"
        raise ForbiddenError(msg, waiting.by, "epoch")


def _check_identities(state: ChannelState, package: Package) -> None:
    known = {slot: peer.bundle.identity for slot, peer in state.peers.items()}
    known[state.me] = state.keys.public().identity
    standing = {entry.slot for entry in state.roster.entries} if state.roster else set(known)
    new = {entry.slot for entry in package.roster.entries} - standing
    if not package.bundles and (new or state.roster is None):
        msg = "a roster brings somebody without a bundle"
        raise RefusedError(msg)
    for slot, bundle in package.bundles.items():
        if slot in standing and bundle.identity != known[slot]:
            msg = "a roster gives somebody another identity"
            raise RefusedError(msg)


def _check_first(state: ChannelState, roster: Roster) -> None:
    """A newcomer's roster is the one of its intro, and says what the card said."""
    agrees = (
        roster.hash == state.expected
        and roster.channel == state.id
        and roster.epoch == state.epoch.number
        and roster.relays == state.relays
        and roster.policy.lifetime <= state.lifetime
        and roster.charter == charter_hash(state.charter)
        and roster.disclosure == state.disclosure.hash
        and roster.entry(state.me).alias == state.alias
        and roster.entry(roster.issuer).role == "facilitator"
    )
    if not agrees:
        msg = "a roster is not the one I was admitted by"
        raise RefusedError(msg)


def read_back(state: ChannelState, known: ContentHash, now: Hour) -> list[Event]:
    """One's own cores are in the drop, and no other's were whole before: so the roster holds, here
    where it does for everybody.
    """
    draft = state.draft
    if draft is None or known not in draft.unread:
        return []
    unread = tuple(core for core in draft.unread if core != known)
    if unread:
        state.draft = msgspec.structs.replace(draft, unread=unread)
        return []
    if _went_before(state, draft.version):
        state.draft = None
        return [Lost(draft.version)]
    return hold(state, now)


def drafted(draft: Draft) -> Roster:
    """What one announced, and did not read back yet."""
    return Package.parse(draft.package).roster


def hold(state: ChannelState, now: Hour) -> list[Event]:
    """One's own draft is the roster that holds."""
    draft = state.draft
    assert draft is not None  # noqa: S101 - as the callers saw
    package = Package.parse(draft.package)
    return succeed(state, Succession(package, draft.secret, draft.close, draft.gone), now)
