"""A facilitator's side of invites: SPEC.md section 11. Makes them, reads who knocks, admits or
refuses, and cleans up.
"""

from typing import NamedTuple

from backchannel.protocol import change, limits, watch
from backchannel.protocol.alias import alike, check_alias
from backchannel.protocol.block import unwrap, wrap
from backchannel.protocol.command import Invite
from backchannel.protocol.content import Gone, Proposal, Thread, Threads
from backchannel.protocol.core import Kind, content_hash, head_of
from backchannel.protocol.errors import LocalProtocolError, RefusedError, StaleError
from backchannel.protocol.format import check_format
from backchannel.protocol.guest import Guest
from backchannel.protocol.identity import Bundle, BundleKeys, HybridPrivate, identity_hash
from backchannel.protocol.intro import Admission
from backchannel.protocol.invite import (
    Card,
    Join,
    Lobby,
    Marker,
    Person,
    admission_key,
    check_accepted,
    invite_secret,
    open_join,
    seal_card,
)
from backchannel.protocol.issuing import Change, class_for, issue, office
from backchannel.protocol.outcome import (
    Append,
    Arrival,
    Burnt,
    DeleteDrop,
    Event,
    Invited,
    Knocked,
    OpenDrop,
)
from backchannel.protocol.peer import Greeting, Peer
from backchannel.protocol.posting import Posting
from backchannel.protocol.primitives import x25519_public
from backchannel.protocol.roster import ROLES, Entry, Relay, Role, Roster, check_data
from backchannel.protocol.secret import OnceSecret
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import Core, Hour, IdentityHash, Slot
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
    close = office(state)
    _check_free(state, command.alias)
    check_alias(command.party)
    _check_seats(state, command)
    if not 1 <= command.valid <= limits.LIFETIME or command.role not in ROLES:
        msg = "an invite is good for 1 to 2,160 hours, and for a role that there is"
        raise LocalProtocolError(msg)
    if command.successor and state.current().named(command.successor) is None:
        msg = "nobody of that name is here to be replaced"
        raise LocalProtocolError(msg)
    words = posting.entropy.draw(limits.ID)
    relay = _relay(state, command.relay)
    keys = BundleKeys(state.keys.identity, HybridPrivate.draw(posting.entropy))
    last = Hour(posting.hour + command.valid)
    guest = Guest(
        invite_secret(words),
        relay,
        close,
        keys,
        _card(state, command, keys, last),
        posting.hour,
        successor=command.successor,
    )
    lobby = lobby_of(guest)
    public = x25519_public(lobby.drop.close_key(close))
    posting.effects.append(OpenDrop(relay.url, lobby.drop, public, class_for(command.valid)))
    put(posting, guest, *seal_card(guest.card, lobby, posting.hour, posting.entropy))
    state.guests.append(guest)
    posting.events.append(Invited(relay.url, invite_words(words), last))


def _relay(state: ChannelState, url: str) -> Relay:
    found = [relay for relay in state.relays if url in ("", relay.url)]
    if not found:
        msg = "the channel does not stand on that relay"
        raise LocalProtocolError(msg)
    return found[0]


def _check_free(state: ChannelState, alias: str) -> None:
    if _taken(state, check_alias(alias)):
        msg = "that name is taken, or too like another"
        raise LocalProtocolError(msg)


def _check_seats(state: ChannelState, command: Invite) -> None:
    """Whoever is here, may still come, and is asked now: sooner said than at the door."""
    expected = [guest.card.invited for guest in state.guests if _names(guest)]
    asked = Person(command.alias, command.party, command.role)
    try:
        check_format(state.policy, [*state.current().entries, *expected, asked])
    except RefusedError as error:
        raise LocalProtocolError(str(error)) from None


def _names(guest: Guest) -> list[str]:
    """What an invite's guest is called, by whoever asked and by itself, while it may still come."""
    if guest.state not in {"open", "waiting", "admitting"}:
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
    if identity_hash(new) in state.former:
        return True
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
        posting.epoch.seen[hash_of] = posting.hour


def receive(state: ChannelState, guest: Guest, arrival: Arrival, now: Hour) -> list[Event]:
    """Read a block of a lobby: a newcomer's answer, or one's own words again."""
    lobby = lobby_of(guest)
    window = (Hour(guest.first - limits.CLOCK_SKEW), Hour(guest.card.last))
    core = unwrap(arrival.block, lobby.drop.outer, lobby.at, arrival.hour, window)
    head, hash_of = head_of(core), content_hash(core)
    if state.epoch_of(hash_of) or hash_of == guest.heard:
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
    """Let somebody in: the next roster, with an intro that holds the epoch ready for the lobby."""
    state = posting.state
    office(state)
    guest = find(state, alias)
    if guest.join is None or guest.state != "waiting":
        msg = "that invite was not answered yet"
        raise LocalProtocolError(msg)
    _check_reach(state, guest)
    _check_vouched(state, guest.join)
    bundle = Bundle.parse(guest.join.bundle)
    entry = _entry(state, guest, guest.join, bundle)
    slot = Slot(entry.slot)
    bundles = {each: peer.bundle for each, peer in state.peers.items()}
    bundles |= {state.me: state.keys.public(), slot: bundle}
    entries = (*state.current().entries, entry)
    change = Change(
        tuple(sorted(entries, key=lambda each: each.slot)),
        state.policy,
        bundles=bundles,
        turns=False,
    )

    def welcome(roster: Roster) -> None:
        posting.come_along()  # under the former key, before there is another
        posting.renew(1)  # the announcement stands under the very key that the admission gives
        state.peers[slot] = Peer(bundle)
        admission = Admission(state.epoch.number, state.epoch.secret, posting.clock(posting.hour))
        assert guest.join is not None  # noqa: S101 - as checked above
        key = admission_key(guest.secret, OnceSecret(guest.join.once))
        guest.admission = posting.intro(slot, roster, key, admission, lobby_of(guest).at)

    guest.package = issue(posting, change, welcome)
    guest.state, guest.slot = "admitting", slot
    open_door(posting, guest)


def open_door(posting: Posting, guest: Guest) -> None:
    """Give the newcomer its intro, once the roster holds that it is by."""
    state = posting.state
    assert guest.admission is not None  # noqa: S101 - made with the state that brings here
    assert guest.slot is not None  # noqa: S101
    assert guest.join is not None  # noqa: S101
    core, bundle = guest.admission, Bundle.parse(guest.join.bundle)
    here = (entry.identity for entry in state.current().entries)
    if identity_hash(bundle.identity) not in here:
        if state.draft is None:  # another change was first: it must be done again
            peer = state.peers.get(guest.slot)
            if peer is not None and peer.bundle.identity == bundle.identity:
                del state.peers[guest.slot]  # if it is not another's by now
            state.own, guest.admission, guest.slot, guest.package = None, None, None, ()
            guest.state = "waiting"
        return
    hash_of = content_hash(core)
    posting.keep(core, hash_of)
    state.peers[guest.slot].greeting = Greeting(hash_of, posting.hour, posting.hour, 0)
    put(posting, guest, core)
    _mark(posting, guest, "used")
    _tell_newcomer(posting)
    guest.state, guest.join, guest.admission = "admitted", None, None


def _check_reach(state: ChannelState, guest: Guest) -> None:
    """It reads the roster on a relay that its card names."""
    if not {each.key for each in guest.card.relays} & {each.key for each in state.relays}:
        msg = "the channel has other relays since this invite: refuse it, and invite anew"
        raise LocalProtocolError(msg)


def _check_vouched(state: ChannelState, join: Join) -> None:
    identity = identity_hash(Bundle.parse(join.bundle).identity)
    said = state.candidates.get(identity)
    vouched = len(said.vouched) if said is not None else 0
    if vouched < state.policy.vouches:
        msg = f"{state.policy.vouches} members must vouch for them, and {vouched} did"
        raise LocalProtocolError(msg)
    if said is not None and said.objected:
        msg = "somebody here objects"
        raise LocalProtocolError(msg)


def _entry(state: ChannelState, guest: Guest, join: Join, bundle: Bundle) -> Entry:
    current, invited = state.current(), guest.card.invited
    if current.named(join.alias) is not None:
        msg = "that name is taken, or too like another"
        raise LocalProtocolError(msg)
    slot = _free_slot(state)
    return Entry(slot, join.alias, invited.party, invited.role, identity_hash(bundle.identity))


def _free_slot(state: ChannelState) -> Slot:
    """The lowest that nobody of a readable epoch has or had: whose words they are must be clear."""
    used = {entry.slot for entry in state.current().entries}
    for each in state.epochs:
        if each.ending is not None:
            used |= {entry.slot for entry in each.ending.roster.entries}
    free = [slot for slot in range(limits.ENTRIES) if slot not in used]
    if not free:
        msg = (
            f"a channel has at most {limits.ENTRIES} places, and those of who went are not free yet"
        )
        raise LocalProtocolError(msg)
    return Slot(free[0])


def _tell_newcomer(posting: Posting) -> None:
    """What was told before: threads, rules that wait for everybody's consent, who is on duty."""
    threads = posting.state.threads
    known = [
        Thread(name, each.lifetime, each.topic, each.burn, int(each.off))
        for name, each in threads.items()
    ]
    if known:
        posting.post(Threads(tuple(known)))
    for proposed in posting.state.proposals.values():
        posting.post(Proposal(proposed.policy))
    watch.retell(posting)


def presented(state: ChannelState, alias: str) -> tuple[str, str, Role, IdentityHash]:
    """What members are told of who waits."""
    guest = find(state, alias)
    if guest.join is None:
        msg = "that invite was not answered yet"
        raise LocalProtocolError(msg)
    invited, bundle = guest.card.invited, Bundle.parse(guest.join.bundle)
    return guest.join.alias, invited.party, invited.role, identity_hash(bundle.identity)


def turn(posting: Posting) -> None:
    """A new epoch: without who wants to go, and whom a newcomer has replaced."""
    state = posting.state
    replaced = []
    for guest in state.guests:
        entry = state.current().named(guest.successor) if guest.successor else None
        if guest.state == "admitted":
            guest.successor = ""
            replaced += [Gone(entry.slot, "replaced")] if entry is not None else []
    change.turn(posting, tuple(replaced))


def refuse(posting: Posting, alias: str) -> None:
    """Send somebody away, or withdraw an invite."""
    office(posting.state)
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
    for guest in state.guests:
        if guest.state == "admitting":
            open_door(posting, guest)
    over = [guest for guest in state.guests if posting.hour > guest.card.last]
    for guest in over:
        drop = lobby_of(guest).drop
        posting.effects.append(DeleteDrop(guest.relay.url, drop, drop.close_key(guest.close)))
    state.guests = [guest for guest in state.guests if posting.hour <= guest.card.last]
