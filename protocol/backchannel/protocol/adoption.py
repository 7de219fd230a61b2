"""How the next roster is announced, gathered and adopted: SPEC.md section 9.

An adopted roster is never rolled back, and a package that may not be adopted changes nothing.
"""

from backchannel.protocol import epoch, limits
from backchannel.protocol.content import Announcement
from backchannel.protocol.errors import RefusedError, UnknownError
from backchannel.protocol.outcome import Event, RosterAdopted
from backchannel.protocol.reception import Reception
from backchannel.protocol.roster import Package, Roster, charter_hash, open_piece, succeeds
from backchannel.protocol.state import Announced, ChannelState, Peer
from backchannel.protocol.types import ContentHash, Hour, RosterHash, Slot, Timestamp, hour_of


def announced(
    state: ChannelState, sender: Slot, announcement: Announcement, now: Timestamp
) -> None:
    """Wait for the pieces of a roster; of two facilitators' the lower slot's."""
    earlier = state.announced
    if announcement.roster in state.versions or (earlier is not None and earlier.by < sender):
        return
    for piece in earlier.announcement.pieces if earlier is not None else ():
        state.got("core", sender, piece)
    state.announced = Announced(sender, announcement)
    for piece in announcement.pieces:
        state.want("core", sender, piece, now)


def take_piece(reception: Reception) -> list[Event]:
    """One piece of the announced package; the last one makes the roster hold."""
    state, waiting = reception.state, reception.state.announced
    if waiting is None or reception.hash not in waiting.announcement.pieces:
        msg = "a piece of a roster that nobody announced"
        raise UnknownError(msg)
    secret = epoch.roster_secret(state.secret)
    piece = open_piece(reception.core, secret, reception.clock, reception.head)
    pieces = {**waiting.pieces, reception.hash: piece}
    names = [ContentHash(each) for each in waiting.announcement.pieces]
    events: list[Event] = []
    if all(name in pieces for name in names):
        package = Package.parse(b"".join(pieces[name] for name in names))
        _check(reception, waiting, package)
        adopt(state, package)
        state.announced = None
        events.append(RosterAdopted(package.roster.version))
    waiting.pieces = pieces
    state.got("core", waiting.by, reception.hash)
    return events


def adopt(state: ChannelState, package: Package) -> None:
    """Take a checked package as the current roster."""
    roster = package.roster
    if state.roster is None:
        state.versions[RosterHash(roster.previous)] = roster.version - 1
        state.since = Hour(roster.hour)
    state.roster, state.expected = roster, roster.hash
    state.versions[roster.hash] = roster.version
    for slot, bundle in package.bundles.items():
        if slot != state.me and slot not in state.peers:
            state.peers[slot] = Peer(bundle)


def _check(reception: Reception, waiting: Announced, package: Package) -> None:
    roster, state = package.roster, reception.state
    if roster.hash != waiting.announcement.roster or roster.issuer != waiting.by:
        msg = "a package is not of the announced roster"
        raise RefusedError(msg)
    if roster.version != waiting.announcement.version:
        msg = "an announcement names another version than its roster"
        raise RefusedError(msg)
    if state.roster is not None:
        succeeds(roster, state.roster)
    else:
        _check_first(state, roster)
    _check_epoch(reception, roster)
    _check_identities(state, package)


def _check_epoch(reception: Reception, roster: Roster) -> None:
    state, hour = reception.state, Hour(roster.hour)
    if hour > hour_of(reception.now) + limits.CLOCK_SKEW:
        msg = "a roster of an hour that has not come"
        raise RefusedError(msg)
    if epoch.commitment(state.secret, hour, reception.clock(hour)) != roster.commitment:
        msg = "a roster is bound to another epoch than mine"
        raise RefusedError(msg)


def _check_identities(state: ChannelState, package: Package) -> None:
    known = {slot: peer.bundle.identity for slot, peer in state.peers.items()}
    known[state.me] = state.keys.public().identity
    if any(package.bundles[slot].identity != identity for slot, identity in known.items()):
        msg = "a roster gives somebody another identity"
        raise RefusedError(msg)


def _check_first(state: ChannelState, roster: Roster) -> None:
    """A newcomer's roster is the one of its intro, and says what the card said."""
    agrees = (
        roster.hash == state.expected
        and roster.channel == state.id
        and roster.epoch == state.epoch
        and roster.relays == state.relays
        and roster.policy.lifetime == state.lifetime
        and roster.charter == charter_hash(state.charter)
        and roster.disclosure == state.disclosure.hash
        and roster.entry(state.me).alias == state.alias
        and roster.entry(roster.issuer).role == "facilitator"
    )
    if not agrees:
        msg = "a roster is not the one I was admitted by"
        raise RefusedError(msg)
