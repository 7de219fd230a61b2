"""How the next roster is announced, gathered and adopted: SPEC.md section 9.

An adopted roster is never rolled back, and a package that may not be adopted changes nothing.
"""

from collections.abc import Callable

import msgspec

from backchannel.protocol import epoch, epoch_core, limits, standing, steps
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
from backchannel.protocol.record import strange
from backchannel.protocol.roster import (
    Package,
    Policy,
    Roster,
    charter_hash,
    follows,
    open_piece,
    succeeds,
)
from backchannel.protocol.sender_key import KeyHeader
from backchannel.protocol.state import ChannelState
from backchannel.protocol.succession import Succession, succeed
from backchannel.protocol.successor import Announced, Draft
from backchannel.protocol.types import ContentHash, EpochId, Hour, RosterHash, Slot, hour_of


def announced(reception: Reception, sender: Slot, announcement: Announcement) -> list[Event]:
    """Wait for the cores of a roster; a second successor of the same roster is a rival."""
    state = reception.state
    if announcement.roster in state.versions:
        return []
    if state.roster is not None and announcement.version <= state.roster.version:
        _rival(reception, sender, announcement)
        return []
    if any(each.announcement.roster == announcement.roster for each in state.announced):
        return []
    for earlier in [each for each in state.announced if _gives_way(each, sender, announcement)]:
        _forget(state, earlier)
    waiting = Announced(sender, announcement, reception.epoch.id)
    state.announced = sorted([*state.announced, waiting], key=lambda each: each.by)
    for core in cores_of(announcement):
        state.want("core", sender, core, reception.now)
    for each in announcement.gone:
        if each.slot == state.me:
            state.ended = each.reason
            return [Ended(each.reason, sender)]
    return []


def _rival(reception: Reception, sender: Slot, announcement: Announcement) -> None:
    """Of another branch than mine; it does not stand if its issuer has come over since."""
    state = reception.state
    current = state.current()
    beyond = state.come.get(sender, 0) >= announcement.version
    if announcement.roster in (*state.rivals, *current.merged):
        return
    name = RosterHash(announcement.roster)
    rival = state.rival(announcement.version, name, sender, reception.epoch.id, announcement.gone)
    rivals = state.against(rival, leads=not beyond)
    if sum(each.by == sender for each in rivals.values()) >= limits.MERGED:
        return  # who has announced so many is found out already
    rivals[name] = rival


def cores_of(announcement: Announcement) -> tuple[ContentHash, ...]:
    """What makes it whole, the epoch core first."""
    begins = (announcement.epoch,) if announcement.epoch else ()
    return tuple(ContentHash(core) for core in (*begins, *announcement.pieces))


def _gives_way(waiting: Announced, sender: Slot, announcement: Announcement) -> bool:
    """Nobody announces two of one version."""
    return waiting.by == sender and waiting.announcement.version == announcement.version


def _forget(state: ChannelState, waiting: Announced) -> None:
    state.announced = [each for each in state.announced if each is not waiting]
    for core in cores_of(waiting.announcement):
        state.got("core", waiting.by, core)


def came_over(state: ChannelState, sender: Slot, version: int, roster: RosterHash) -> None:
    """Somebody is at this roster: so another that it announced of this version takes my place away
    no more, though others may stand behind it.
    """
    mine = [each for each in state.announced if _takes_me(state, each)]
    own = [each for each in mine if (each.by, each.announcement.version) == (sender, version)]
    lost = [each for each in own if each.announcement.roster != roster]
    for each in lost:
        _forget(state, each)
        name, gone = RosterHash(each.announcement.roster), each.announcement.gone
        rival = state.rival(version, name, sender, each.where, gone)
        state.against(rival, leads=False)[name] = rival
    if lost and lost == mine:
        state.stays()


def _takes_me(state: ChannelState, waiting: Announced) -> bool:
    return any(gone.slot == state.me for gone in waiting.announcement.gone)


def take_epoch(reception: Reception) -> list[Event]:
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
        lambda key: epoch_core.open_epoch(core, header, state.me, key, clock, head),
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
    _check_announced(waiting, package.roster)
    if state.roster is not None and _of_another_branch(state.roster, package.roster, state):
        _note_branch(reception, waiting, package.roster)
        return []
    _check(reception, waiting, package)
    first = state.roster is None
    succession = Succession(package, waiting.secret, None, waiting.announcement.gone, waiting.where)
    events = succeed(state, succession, hour_of(reception.now))
    if first:
        state.since = Hour(package.roster.hour)
        before = RosterHash(package.roster.previous)
        state.versions.setdefault(before, package.roster.version - 1)
        state.numbers.setdefault(before, package.roster.epoch)
    return events


def _check_announced(waiting: Announced, roster: Roster) -> None:
    if roster.hash != waiting.announcement.roster or roster.issuer != waiting.by:
        msg = "a package is not of the announced roster"
        raise ForbiddenError(msg, waiting.by)
    if roster.version != waiting.announcement.version:
        msg = "an announcement names another version than its roster"
        raise ForbiddenError(msg, waiting.by)


def _of_another_branch(current: Roster, roster: Roster, state: ChannelState) -> bool:
    """Whether it comes after a rival of mine, and its issuer did not know where I am.
    `UnknownError` where it may come after one that comes after mine.
    """
    if follows(roster, current):
        return False
    if roster.version > current.version + 1:
        msg = "a roster that does not come next"
        raise UnknownError(msg)
    known = state.versions.get(RosterHash(roster.previous), current.version)
    return current.hash != roster.previous and known == current.version


def _note_branch(reception: Reception, waiting: Announced, roster: Roster) -> None:
    """Its issuer is behind what it comes after; it stays announced, and is a rival of my next."""
    for name in (roster.previous, *roster.merged):
        strange(reception, waiting.by, RosterHash(name))


def _check(reception: Reception, waiting: Announced, package: Package) -> None:
    roster, state = package.roster, reception.state
    behind, _ = state.record.foreign.get(roster.hash, ((), 0))
    followed = any(slot != waiting.by for slot in behind)
    if _went_before(state, waiting.announcement.version) and not followed:
        msg = "a roster after one that took my place away"
        raise UnknownError(msg)  # whose issuer may still come over
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
        and _takes_me(state, each)
        and here.issuperset(cores_of(each.announcement))
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
    if roster.policy.closes(current.policy):
        _check_closing(state, roster, waiting)
    if roster.policy.lengthens(_agreed(state, roster)):
        agreed = state.proposals.get(policy_hash(roster.policy))
        if agreed is None or state.me not in agreed.yes:
            msg = "a roster lengthens what I did not agree to"
            raise ForbiddenError(msg, waiting.by)


def _agreed(state: ChannelState, roster: Roster) -> Policy:
    """The rules that a roster may not lengthen: my own; from the other half, which may not have
    tightened what mine did, those from before; but not once all is gone that was said then: nobody
    who knows it not has anything left to read.
    """
    current, policy = state.current(), state.current().policy
    if roster.previous == current.hash or roster.hour > state.tightened + policy.lifetime:
        return policy
    return msgspec.structs.replace(policy, lifetime=max(policy.lifetime, state.before))


def _check_closing(state: ChannelState, roster: Roster, waiting: Announced) -> None:
    """`ForbiddenError` where nobody proposed it or somebody objects; `UnknownError` where a yes may
    still be on its way.
    """
    proposed = state.proposals.get(policy_hash(roster.policy))
    if proposed is None or standing.objects(state, proposed):
        msg = "a roster closes the channel though nobody proposed it, or somebody objects"
        raise ForbiddenError(msg, waiting.by)
    if not standing.ripe(state, proposed, Hour(roster.hour)):
        msg = "a roster closes the channel before everybody had the time to answer"
        raise UnknownError(msg)


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
    here = {entry.slot for entry in state.roster.entries} if state.roster else set(known)
    new = {entry.slot for entry in package.roster.entries} - here
    if not package.bundles and (new or state.roster is None):
        msg = "a roster brings somebody without a bundle"
        raise RefusedError(msg)
    for slot, bundle in package.bundles.items():
        if slot in here and bundle.identity != known[slot]:
            msg = "a roster gives somebody another identity"
            raise RefusedError(msg)


def _check_first(state: ChannelState, roster: Roster) -> None:
    """A newcomer's roster is the one of its intro, and says what the card said; but for the relays,
    which may be others by now.
    """
    agrees = (
        roster.hash == state.expected
        and roster.channel == state.id
        and roster.epoch == state.epoch.number
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
    where = state.announced_in(draft).id
    new = Succession(package, draft.secret, draft.close, draft.gone, where)
    return succeed(state, new, now)
