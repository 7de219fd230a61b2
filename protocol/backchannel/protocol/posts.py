"""How a group post is read: SPEC.md sections 14-16. Whose it is, whether it may be said, and what
it does.

A post that is refused changes nothing; one whose key or roster is lacking raises `UnknownError` and
notes what is lacking.
"""

from typing import Final

from backchannel.protocol import (
    adoption,
    assent,
    files,
    hotline,
    limits,
    record,
    standing,
    watch,
)
from backchannel.protocol.content import (
    Announcement,
    Ask,
    Content,
    Echo,
    File,
    Part,
    Text,
    Threads,
    read_content,
)
from backchannel.protocol.core import Kind
from backchannel.protocol.errors import (
    DecodeError,
    ForbiddenError,
    RefusedError,
    StaleError,
    UnknownError,
)
from backchannel.protocol.outcome import Alarm, Event, Expired, Hushed, Offered
from backchannel.protocol.peer import Peer
from backchannel.protocol.permission import Act, act_of, may, refusal
from backchannel.protocol.pieces import Whole, gather
from backchannel.protocol.reception import Reception
from backchannel.protocol.roster import Role
from backchannel.protocol.sender_key import GroupHeader, PeerGeneration
from backchannel.protocol.state import ChannelState
from backchannel.protocol.threads import heard, learn
from backchannel.protocol.types import (
    ContentHash,
    GenerationId,
    MessageId,
    RosterHash,
    Slot,
    Step,
    Timestamp,
    hour_of,
)

_GONE: Final = "a post of who is gone, that nobody who stays has named yet"


def take_post(reception: Reception) -> list[Event]:
    """Read one post; what waits and is wanted is vouched for, so what it names is wanted too."""
    header = GroupHeader.read(reception.core)
    try:
        return _take(reception, header)
    except UnknownError:
        if any(each.is_("core", 0, reception.hash) for each in reception.state.wants):
            _follow(reception, header)
        raise


def _take(reception: Reception, header: GroupHeader) -> list[Event]:
    state = reception.state
    peer = reception.peer(header.sender)
    known = state.versions.get(header.roster)
    if reception.before_my_time(header.roster):
        msg = "a post from before my time"
        raise StaleError(msg)
    past = reception.of_past(header.sender)
    if not past and header.sender not in state.peers:
        raise UnknownError(_GONE)
    held = _held(reception, peer, header)
    opened = record.open_post(reception, held, header)
    reception = reception._replace(leaf=opened.leaf)
    part = Part.parse(opened.part)
    content = read_content(part.piece) if part.total == 1 else None
    if not past:
        at = content.roster if isinstance(content, Echo) else header.roster
        _shows_a_rival(reception, header.sender, RosterHash(at))
        raise UnknownError(_GONE)
    events: list[Event] = []
    if known is None and _under_my_draft(state, header, content):
        events = adoption.hold(state, hour_of(reception.now))
        known = state.versions[header.roster]  # somebody has read what I did not see come back
    elif state.numbers.get(header.roster, reception.epoch.number) != reception.epoch.number:
        msg = "a post under a roster of another epoch than its drop's"
        raise RefusedError(msg)
    version = _announced_version(reception, header, content) if known is None else known
    check_allowed(state, header, act_of(content) if content is not None else "text")
    if content is not None and standing.forbids(state, header.roster, act_of(content)):
        raise ForbiddenError(standing.SPOKE, header.sender)
    if isinstance(content, Announcement):
        if content.roster != header.roster:
            msg = "an announcement under another roster than its own"
            raise ForbiddenError(msg, header.sender)
        _check_announcement(state, content)
    peer.generations = {**peer.generations, header.generation: opened.held}
    if state.roster is None:
        state.transcript.first = version
    record.accept(reception, header, part.order, version, content)
    return [*events, *_deliver(reception, header, part, content)]


def _shows_a_rival(reception: Reception, sender: Slot, roster: RosterHash) -> None:
    """Who stays, though with less than before, shows at least where it is."""
    state = reception.state
    rival = state.rivals.get(roster) or state.record.conceded.get(roster)
    if rival is not None and state.come.get(sender, 0) < rival.version:
        record.strange(reception, sender, roster)


def _under_my_draft(state: ChannelState, header: GroupHeader, content: Content | None) -> bool:
    """Whether somebody has come to one's own change, who may say this there: nobody else makes it
    hold.
    """
    if state.draft is None or header.roster != state.draft.roster:
        return False
    entries = adoption.drafted(state.draft).entries
    role = next((each.role for each in entries if each.slot == header.sender), None)
    if role is None:
        msg = "a post under a change that takes its author away"
        raise RefusedError(msg)
    act = act_of(content) if content is not None else "text"
    if isinstance(content, Announcement) or not may(role, act):
        raise ForbiddenError(refusal(role, act), header.sender)
    return True


def _held(reception: Reception, peer: Peer, header: GroupHeader) -> PeerGeneration:
    held = peer.generations.get(header.generation)
    if held is not None:
        return held
    if reception.of_my_time(header.roster):
        reception.state.want("generation", header.sender, header.generation, reception.now)
    msg = "a post under a sender key that has not come"
    raise UnknownError(msg)


def _announced_version(reception: Reception, header: GroupHeader, content: Content | None) -> int:
    """A post under an unknown roster is good only if it is that roster's announcement."""
    if isinstance(content, Announcement) and content.roster == header.roster:
        roster = reception.state.roster
        if roster is None or content.version <= roster.version + 1:
            return content.version
        near = content.version <= roster.version + limits.VERSIONS_AHEAD
        if near and _may_be_ahead(reception.state, header.sender):
            return content.version  # of a branch that is longer than mine it may settle both
    if isinstance(content, Ask):  # who lacks my key cannot wait until I have its roster
        _asked(reception.state, header.sender, content, reception.now)
    if isinstance(content, Echo):
        at = RosterHash(content.roster)
        adoption.came_over(reception.state, header.sender, content.version, at)
    record.strange(reception, header.sender, header.roster)
    _follow(reception, header)
    msg = "a post under a roster that has not come"
    raise UnknownError(msg)


def _may_be_ahead(state: ChannelState, sender: Slot) -> bool:
    """Who will facilitate only by a roster that has not come waits for it."""
    several = sum(each.by == sender for each in state.announced) >= limits.MERGED
    return state.facilitates(sender) and not several


def _follow(reception: Reception, header: GroupHeader) -> None:
    """The announcement of a roster, or the key of a post before it, may be lost: an authentic post
    leads there. What it names is vouched for by its hash: so the way goes on through what waits.
    """
    state, ahead = reception.state, [header]
    if state.roster is None:
        return
    waiting = {each.hash: each.core for each in state.pending if each.core[0] == Kind.GROUP}
    passed: set[ContentHash] = set()
    while ahead:
        child = ahead.pop()
        _want_key(reception, child)
        version = state.versions.get(child.roster, state.roster.version + 1)
        for parent in child.parents:
            if parent.hash in passed or parent.hash in state.transcript:
                continue
            passed.add(parent.hash)
            if parent.hash in waiting:
                ahead.append(GroupHeader.read(waiting[parent.hash]))
            elif version - parent.age >= state.transcript.first:
                state.want("core", header.sender, parent.hash, reception.now)


def _want_key(reception: Reception, header: GroupHeader) -> None:
    peer = reception.state.peers.get(header.sender)
    if peer is not None and header.generation not in peer.generations:
        reception.state.want("generation", header.sender, header.generation, reception.now)


def check_allowed(state: ChannelState, header: GroupHeader, act: Act) -> None:
    """`ForbiddenError` for what the table does not give to its author's role. Who may not speak
    says nothing that is longer than one part.
    """
    role = _role(state, header)
    if not may(role, act):
        raise ForbiddenError(refusal(role, act), header.sender)


def _role(state: ChannelState, header: GroupHeader) -> Role:
    """Under the roster that the post names; an announcement names one that does not hold yet, and
    then the current one says.
    """
    role = state.role(header.sender, header.roster)
    if role is None:
        role = state.roster.entry(header.sender).role if state.roster else "facilitator"
    return role


def _check_announcement(state: ChannelState, content: Announcement) -> None:
    """It is of what comes next. Whether its author facilitates was asked: by the current roster,
    since nobody's role under the one that it names is known.
    """
    if state.roster is None:
        if content.roster != state.expected:
            msg = "a roster that is not the one I was admitted by"
            raise UnknownError(msg)
        return
    if content.roster not in state.versions and content.version < state.transcript.first:
        msg = "a roster from before my time"
        raise StaleError(msg)


def _deliver(
    reception: Reception, header: GroupHeader, part: Part, content: Content | None
) -> list[Event]:
    """What a message does, once it is whole; `content` where its one part was read already."""
    sender = header.sender
    whole = gather(reception, sender, part.id, part.place, part.total, part.piece, part.order)
    if whole is None:
        return []
    try:
        content = content or read_content(whole.data)
    except DecodeError:
        return []  # only parts of several blocks can be nonsense together; each was authentic
    act = act_of(content)
    hushed = standing.forbids(reception.state, header.roster, act)
    if hushed or not may(_role(reception.state, header), act):  # its parts are in the record
        return [Alarm("forbidden", sender, reception.hash)]
    return _act(reception, sender, part.id, whole, content)


def _act(
    reception: Reception, sender: Slot, message: MessageId, gathered: Whole, content: Content
) -> list[Event]:
    state, whole = reception.state, gathered.partial
    if isinstance(content, Echo):
        adoption.came_over(state, sender, content.version, RosterHash(content.roster))
    match content:
        case Text() | File():
            return [_said(reception, sender, message, gathered, content)]
        case Threads():
            dead = whole.hour + state.lifetime <= hour_of(reception.now)
            return [] if dead else learn(state, sender, content, whole.hour)
        case Announcement():
            return adoption.announced(reception, sender, content) if whole.total == 1 else []
        case Ask():
            _asked(state, sender, content, reception.now)
            return []
        case hotline.Signal():
            return watch.told(state, sender, message, whole, content, hour_of(reception.now))
        case _:
            return assent.told(reception, sender, whole, content)


def _said(
    reception: Reception, sender: Slot, message: MessageId, gathered: Whole, content: Text | File
) -> Event:
    event = heard(reception.state, sender, message, gathered.partial, content, gathered.leaves)
    if event.expires <= hour_of(reception.now):
        return Expired(sender)
    if standing.hushed(reception.state, event.hour):
        return Hushed(sender)
    if isinstance(event, Offered):
        files.offered(reception, event)
    return event


def _asked(state: ChannelState, asker: Slot, ask: Ask, now: Timestamp) -> None:
    """Note what this member may hold, for `tick` to post again; who is gone is given nothing."""
    if asker not in state.peers:
        return
    steps = state.peers[asker].steps
    named: list[ContentHash | None] = [ContentHash(core) for core in ask.cores]
    if any(slot == state.me for slot, _ in ask.generations):
        named.append(state.peers[asker].crossed)
    named += [_gave(state, asker, Slot(s), GenerationId(g)) for s, g in ask.generations]
    named += [steps.get(Step(step)) for slot, step in ask.steps if slot == state.me]
    own = state.own.id if state.own is not None else None
    if (state.me, own) in ask.generations and own not in state.peers[asker].given:
        state.fall_behind(asker, now)
    state.asked_by_another(ask.cores, now)
    for core in filter(None, named):
        state.owe(core, asker, now)


def _gave(
    state: ChannelState, asker: Slot, slot: Slot, generation: GenerationId
) -> ContentHash | None:
    """The core that gives a generation to the asker: one's own to it, or another's key block."""
    if slot == state.me:
        return state.peers[asker].given.get(generation)
    peer = state.peers.get(slot)
    held = peer.generations.get(generation) if peer is not None else None
    return held.block if held is not None else None
