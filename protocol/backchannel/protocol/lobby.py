"""A facilitator's side of invites: SPEC.md section 11. Makes them, reads who knocks, admits or
refuses, and cleans up.
"""

from typing import NamedTuple

from backchannel.protocol import epoch, limits
from backchannel.protocol.adoption import adopt
from backchannel.protocol.alias import alike, check_alias
from backchannel.protocol.block import unwrap, wrap
from backchannel.protocol.command import Invite
from backchannel.protocol.content import Announcement, Thread, Threads
from backchannel.protocol.core import Kind, content_hash, head_of
from backchannel.protocol.errors import (
    LocalProtocolError,
    RefusedError,
    RemoteProtocolError,
    StaleError,
)
from backchannel.protocol.identity import Bundle, BundleKeys, HybridPrivate, identity_hash
from backchannel.protocol.intro import Admission
from backchannel.protocol.invite import (
    Card,
    Lobby,
    Marker,
    Person,
    admission_key,
    check_accepted,
    invite_secret,
    open_join,
    seal_card,
)
from backchannel.protocol.outcome import (
    Append,
    Arrival,
    Burnt,
    DeleteDrop,
    Event,
    Invited,
    Keep,
    Knocked,
    OpenDrop,
    RosterAdopted,
)
from backchannel.protocol.posting import Posting
from backchannel.protocol.primitives import x25519_public
from backchannel.protocol.roster import (
    ROLES,
    Entry,
    Package,
    Roster,
    check_data,
    seal_package,
    succeeds,
)
from backchannel.protocol.secret import CloseSecret, OnceSecret
from backchannel.protocol.state import ChannelState, Greeting, Guest, Peer
from backchannel.protocol.types import ContentHash, Core, Hour, Slot
from backchannel.protocol.words import invite_words


class Waiting(NamedTuple):
    """Somebody in the lobby."""

    alias: str
    invited_as: str
    party: str
    role: str
    check: bytes
    """What the six check words are made from."""


def lobby_of(guest: Guest) -> Lobby:
    """The lobby of an invite."""
    return Lobby.of(guest.secret, guest.relay.public)


def class_for(hours: int) -> int:
    """Index of the shortest class that keeps blocks so long."""
    return next(n for n, kept in enumerate(limits.CLASSES) if kept >= hours)


def close_secret(state: ChannelState) -> CloseSecret:
    """The facilitators' secret; `LocalProtocolError` for everybody else."""
    roster = state.current()
    if state.close is None or roster.entry(state.me).role != "facilitator":
        msg = "only a facilitator can do that"
        raise LocalProtocolError(msg)
    return state.close


def waiting(state: ChannelState) -> list[Waiting]:
    """Who waits, with what their check words are made from."""
    roster = state.current()
    own = roster.entry(state.me)
    return [
        Waiting(
            guest.join.alias,
            guest.card.invited.alias,
            guest.card.invited.party,
            guest.card.invited.role,
            check_data(
                state.id,
                own,
                guest.join.alias,
                identity_hash(Bundle.parse(guest.join.bundle).identity),
            ),
        )
        for guest in state.guests
        if guest.state == "waiting" and guest.join is not None
    ]


def invite(posting: Posting, command: Invite) -> None:
    """Open a lobby and put the card in it."""
    state = posting.state
    close = close_secret(state)
    _check_free(state, command.alias)
    check_alias(command.party)
    if not 1 <= command.valid <= limits.LIFETIME or command.role not in ROLES[1:]:
        msg = "an invite is for a participant, observer or note-taker, for 1 to 2,160 hours"
        raise LocalProtocolError(msg)
    words = posting.entropy.draw(limits.ID)
    relay = state.relays[0]
    keys = BundleKeys(state.keys.identity, HybridPrivate.draw(posting.entropy))
    last = Hour(posting.hour + command.valid)
    guest = Guest(
        invite_secret(words), relay, keys, _card(state, command, keys, last), posting.hour
    )
    lobby = lobby_of(guest)
    public = x25519_public(lobby.drop.close_key(close))
    posting.effects.append(OpenDrop(relay.url, lobby.drop, public, class_for(command.valid)))
    put(posting, guest, *seal_card(guest.card, lobby, posting.hour, posting.entropy))
    state.guests.append(guest)
    posting.events.append(Invited(relay.url, invite_words(words), last))


def _check_free(state: ChannelState, alias: str) -> None:
    if _taken(state, check_alias(alias)):
        msg = "that name is taken, or too like another"
        raise LocalProtocolError(msg)


def _names(guest: Guest) -> list[str]:
    """What an invite's guest is called, by whoever asked and by itself, while it may still come."""
    if guest.state not in {"open", "waiting"}:
        return []
    return [guest.card.invited.alias] + ([guest.join.alias] if guest.join else [])


def _taken(state: ChannelState, alias: str, but: Guest | None = None) -> bool:
    expected = [name for guest in state.guests if guest is not but for name in _names(guest)]
    return state.current().named(alias) is not None or any(alike(alias, name) for name in expected)


def _shares_a_key(state: ChannelState, bundle: Bundle) -> bool:
    """Either half of an identity: a roster that holds it twice would be refused by everybody."""
    here = [peer.bundle.identity for peer in state.peers.values()]
    here.append(state.keys.identity.public())
    new = bundle.identity
    return any(each.x == new.x or each.kem == new.kem for each in here)


def _card(state: ChannelState, command: Invite, keys: BundleKeys, last: Hour) -> Card:
    own = state.current().entry(state.me)
    return Card(
        state.id,
        state.name,
        state.charter,
        state.disclosure,
        state.relays,
        state.lifetime,
        state.me,
        Person(own.alias, own.party, own.role),
        keys.public().pack(),
        Person(command.alias, command.party, command.role),
        last,
    ).check()


def put(posting: Posting, guest: Guest, *cores: Core) -> None:
    """Put cores into a lobby."""
    lobby = lobby_of(guest)
    for core in cores:
        block = wrap(core, lobby.drop.outer, lobby.at, posting.entropy)
        hash_of = content_hash(core)
        posting.effects.append(Append(guest.relay.url, lobby.drop, block, hash_of))
        posting.state.seen[hash_of] = posting.hour


def receive(state: ChannelState, guest: Guest, arrival: Arrival, now: Hour) -> list[Event]:
    """Read a block of a lobby: a newcomer's answer, or one's own words again."""
    lobby = lobby_of(guest)
    window = (Hour(guest.first - limits.CLOCK_SKEW), Hour(guest.card.last))
    core = unwrap(arrival.block, lobby.drop.outer, lobby.at, arrival.hour, window)
    head, hash_of = head_of(core), content_hash(core)
    if hash_of in state.seen or hash_of == guest.heard:
        return []
    if head.kind is not Kind.JOIN or guest.keys is None or now > guest.card.last:
        msg = "nobody is waited for here"
        raise StaleError(msg)
    join = open_join(core, head, guest.keys, lobby)
    check_accepted(join, guest.card)
    if guest.state != "open":
        guest.state, guest.join = "burnt", None
        return [Burnt(guest.card.invited.alias)]
    if _shares_a_key(state, Bundle.parse(join.bundle)):
        msg = "a newcomer has a key of somebody who is here"
        raise RefusedError(msg)
    if _taken(state, join.alias, but=guest):
        msg = "a newcomer chose a name that is taken"
        raise RefusedError(msg)
    guest.state, guest.join, guest.heard = "waiting", join, hash_of
    return [Knocked(join.alias)]


def find(state: ChannelState, alias: str) -> Guest:
    """The invite under which `alias` waits or was invited; `LocalProtocolError` where there is
    none.
    """
    for guest in state.guests:
        if any(alike(alias, name) for name in _names(guest)):
            return guest
    msg = "nobody of that name waits"
    raise LocalProtocolError(msg)


def admit(posting: Posting, alias: str) -> None:
    """Let somebody in: the next roster, an intro with the epoch in the lobby, the package in the
    channel.
    """
    state = posting.state
    close_secret(state)
    guest = find(state, alias)
    if guest.join is None or guest.state != "waiting":
        msg = "that invite was not answered yet"
        raise LocalProtocolError(msg)
    bundle = Bundle.parse(guest.join.bundle)
    package = _next(posting, guest, bundle)
    slot = Slot(package.roster.entries[-1].slot)
    posting.renew(1)  # the announcement stands under the very key that the admission gives
    state.peers[slot] = Peer(bundle)
    admission = Admission(state.epoch, state.secret, posting.clock(posting.hour))
    lobby = lobby_of(guest)
    key = admission_key(guest.secret, OnceSecret(guest.join.once))
    core = posting.intro(slot, package.roster, key, admission, lobby.at)
    hash_of = content_hash(core)
    expires = Hour(posting.hour + state.lifetime)
    posting.events.append(Keep(hash_of, core, posting.hour, expires))
    state.peers[slot].greeting = Greeting(hash_of, posting.hour, posting.hour, 0)
    adopt(state, package)
    put(posting, guest, core)
    posting.keep(core, hash_of)
    _mark(posting, guest, "used")
    guest.state, guest.slot, guest.join = "admitted", slot, None
    guest.package = _publish(posting, package)


def _next(posting: Posting, guest: Guest, bundle: Bundle) -> Package:
    state, current = posting.state, posting.state.current()
    assert guest.join is not None  # noqa: S101 - as the caller checked
    slot = Slot(current.entries[-1].slot + 1)
    if slot >= limits.ENTRIES:
        msg = f"a channel has at most {limits.ENTRIES} places"
        raise LocalProtocolError(msg)
    if current.named(guest.join.alias) is not None:
        msg = "that name is taken, or too like another"
        raise LocalProtocolError(msg)
    invited = guest.card.invited
    entry = Entry(
        slot, guest.join.alias, invited.party, invited.role, identity_hash(bundle.identity)
    )
    hour = posting.hour
    commitment = epoch.commitment(state.secret, hour, posting.clock(hour))
    roster = Roster(
        current.channel,
        current.version + 1,
        current.hash,
        state.me,
        hour,
        current.epoch,
        commitment,
        current.relays,
        current.policy,
        current.charter,
        current.disclosure,
        (),
        (*current.entries, entry),
    )
    bundles = {each: peer.bundle for each, peer in state.peers.items()}
    package = Package(roster, {**bundles, state.me: state.keys.public(), slot: bundle})
    return _acceptable(package, current)


def _acceptable(package: Package, current: Roster) -> Package:
    """The package itself, if everybody else will take it."""
    try:
        Package.parse(package.pack())
        succeeds(package.roster, current)
    except RemoteProtocolError as error:
        msg = f"they cannot be admitted: {error}"
        raise LocalProtocolError(msg) from None
    return package


def _publish(posting: Posting, package: Package) -> tuple[ContentHash, ...]:
    state = posting.state
    secret = epoch.roster_secret(state.secret)
    cores = seal_package(package, secret, posting.clock, posting.hour, posting.entropy)
    names = tuple(content_hash(core) for core in cores)
    announcement = Announcement(package.roster.version, package.roster.hash, names)
    _, hash_of, _ = posting.post(announcement)
    for core in cores:
        posting.put(core)
    known = [Thread(name, each.lifetime, each.topic) for name, each in state.threads.items()]
    if known:
        posting.post(Threads(tuple(known)))
    posting.events.append(RosterAdopted(package.roster.version))
    return (hash_of, *names)


def refuse(posting: Posting, alias: str) -> None:
    """Send somebody away, or withdraw an invite."""
    close_secret(posting.state)
    guest = find(posting.state, alias)
    _mark(posting, guest, "withdrawn" if guest.state == "open" else "refused")
    guest.state, guest.join = "refused", None


def _mark(posting: Posting, guest: Guest, reason: str) -> None:
    lobby = lobby_of(guest)
    put(posting, guest, *seal_card(Marker(reason), lobby, posting.hour, posting.entropy))
    guest.keys, guest.marked = None, True


def clean(posting: Posting) -> None:
    """Mark burnt lobbies, erase prekeys of ended invites, delete lobbies whose time is over."""
    state = posting.state
    for guest in state.guests:
        if guest.state == "burnt" and not guest.marked:
            _mark(posting, guest, "burnt")
    over = [guest for guest in state.guests if posting.hour > guest.card.last]
    for guest in over:
        drop = lobby_of(guest).drop
        close = drop.close_key(close_secret(state))
        posting.effects.append(DeleteDrop(guest.relay.url, drop, close))
    state.guests = [guest for guest in state.guests if posting.hour <= guest.card.last]
