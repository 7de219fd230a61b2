"""How a group post is read: SPEC.md sections 14-16. Whose it is, whether it may be said, and what
it does.

A post that is refused changes nothing; one whose key or roster is lacking raises `UnknownError` and
notes what is lacking.
"""

from typing import assert_never

from backchannel.protocol import adoption, limits, sender_key
from backchannel.protocol.content import (
    Announcement,
    Ask,
    Content,
    Part,
    Text,
    Threads,
    read_content,
)
from backchannel.protocol.core import Clock, Kind
from backchannel.protocol.errors import DecodeError, RefusedError, StaleError, UnknownError
from backchannel.protocol.labels import Label
from backchannel.protocol.outcome import Event, Expired
from backchannel.protocol.primitives import kdf, open_, seal
from backchannel.protocol.reception import Reception
from backchannel.protocol.sender_key import GroupHeader, PeerGeneration
from backchannel.protocol.state import ChannelState, Concealed, Partial
from backchannel.protocol.threads import learn, said
from backchannel.protocol.transcript import Post
from backchannel.protocol.types import (
    ContentHash,
    GenerationId,
    Hour,
    MessageId,
    Slot,
    Step,
    Timestamp,
    hour_of,
)


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
    state, head = reception.state, reception.head
    peer = reception.peer(header.sender)
    known = state.versions.get(header.roster)
    if known is not None and known < state.transcript.first:
        msg = "a post from before my time"
        raise StaleError(msg)
    held = _held(reception, header)
    following, data = sender_key.open_post(
        held, header, reception.core, state.me, reception.clock, head
    )
    part = Part.parse(data)
    content = read_content(part.piece) if part.total == 1 else None
    version = _announced_version(reception, header, content) if known is None else known
    _check_allowed(state, header, content)
    peer.generations = {**peer.generations, header.generation: following}
    if state.roster is None:
        state.transcript.first = version
    post = Post(head.hour, part.order, version, header.sender)
    for lost in state.transcript.add(reception.hash, post, header.parents):
        state.want("core", header.sender, lost, reception.now)
    state.got("core", header.sender, reception.hash)
    return _join(reception, header.sender, part)


def _held(reception: Reception, header: GroupHeader) -> PeerGeneration:
    held = reception.state.peers[header.sender].generations.get(header.generation)
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
    if isinstance(content, Ask):  # who lacks my key cannot wait until I have its roster
        _asked(reception.state, header.sender, content, reception.now)
    _follow(reception, header)
    msg = "a post under a roster that has not come"
    raise UnknownError(msg)


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


def _check_allowed(state: ChannelState, header: GroupHeader, content: Content | None) -> None:
    """An observer's text, or a roster by one who is no facilitator, is refused whole."""
    role = state.roster.entry(header.sender).role if state.roster else "facilitator"
    if role == "observer" and not isinstance(content, Ask):
        msg = "an observer does not speak"
        raise RefusedError(msg)
    if isinstance(content, Announcement):
        if role != "facilitator" or content.roster != header.roster:
            msg = "only a facilitator announces a roster"
            raise RefusedError(msg)
        _check_announcement(state, content)


def _check_announcement(state: ChannelState, content: Announcement) -> None:
    if state.roster is None:
        if content.roster != state.expected:
            msg = "a roster that is not the one I was admitted by"
            raise UnknownError(msg)
    elif content.roster not in state.versions and content.version != state.roster.version + 1:
        msg = "a roster is not the next one"
        raise RefusedError(msg)


def _join(reception: Reception, sender: Slot, part: Part) -> list[Event]:
    """Put a message together; once per author and id."""
    state, name = reception.state, bytes([sender]) + part.id
    old = state.partial.get(name)
    if name in state.delivered or (old is not None and old.total != part.total):
        return []
    whole = _with_part(old, reception, part)
    if len(whole.pieces) < part.total:
        state.partial[name] = whole
        _bound_partials(state, sender)
        return []
    state.partial.pop(name, None)
    state.delivered[name] = reception.head.hour
    return _deliver(reception, sender, part.id, whole)


def _with_part(old: Partial | None, reception: Reception, part: Part) -> Partial:
    if old is None:
        pieces = {part.place: _conceal(reception, part.piece)}
        hour, sent = reception.hour, reception.head.hour
        return Partial(part.total, sent, hour, part.order, reception.hash, pieces)
    first = part.place == 0
    return Partial(
        part.total,
        reception.head.hour if first else old.sent,
        Hour(min(old.hour, reception.hour)),
        max(old.order, part.order),
        reception.hash if first else old.hash,
        {**old.pieces, part.place: _conceal(reception, part.piece)},
    )


def _conceal(reception: Reception, piece: bytes) -> Concealed:
    key = _partial_key(reception.clock, reception.hash, reception.head.hour)
    return Concealed(reception.hash, reception.head.hour, seal(key, piece, b""))


def _reveal(reception: Reception, piece: Concealed) -> bytes:
    return open_(_partial_key(reception.clock, piece.hash, piece.hour), piece.sealed, b"")


def _partial_key(clock: Clock, core: ContentHash, hour: Hour) -> bytes:
    """Used for one piece: a core has one."""
    return kdf(clock(hour).expose() + core, b"", Label.PARTIAL)


def _bound_partials(state: ChannelState, sender: Slot) -> None:
    """Who never ends what it begins loses the oldest beginnings, not everybody's memory."""
    begun = [name for name in state.partial if name[0] == sender]
    for name in begun[: -limits.UNFINISHED]:
        del state.partial[name]


def _deliver(reception: Reception, sender: Slot, message: MessageId, whole: Partial) -> list[Event]:
    state, now = reception.state, hour_of(reception.now)
    try:
        pieces = (_reveal(reception, piece) for _, piece in sorted(whole.pieces.items()))
        content = read_content(b"".join(pieces))
    except (DecodeError, StaleError):
        return []  # only parts of several blocks can be nonsense together; each was authentic
    match content:
        case Text():
            event = said(state, sender, message, whole, content)
            return [event if event.expires > now else Expired(sender)]
        case Threads():
            return (
                learn(state, sender, content, whole.hour)
                if whole.hour + state.lifetime > now
                else []
            )
        case Announcement():
            if whole.total == 1:
                adoption.announced(state, sender, content, reception.now)
        case Ask():
            _asked(state, sender, content, reception.now)
        case _:
            assert_never(content)
    return []


def _asked(state: ChannelState, asker: Slot, ask: Ask, now: Timestamp) -> None:
    """Note what this member may hold, for `tick` to post again."""
    steps = state.peers[asker].steps
    named: list[ContentHash | None] = [ContentHash(core) for core in ask.cores]
    if any(slot == state.me for slot, _ in ask.generations):
        named.append(state.peers[asker].crossed)
    named += [_gave(state, asker, Slot(s), GenerationId(g)) for s, g in ask.generations]
    named += [steps.get(Step(step)) for slot, step in ask.steps if slot == state.me]
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
