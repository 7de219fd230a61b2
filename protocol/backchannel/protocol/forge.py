"""Speaking in another's name, to oneself: SPEC.md section 22. On a copy of one's own state, with
the honest sending code.

What a member needs to read somebody is all that it takes to write as them: the receiving half of a
key is the sending half. So a *mirror* of one's own state is that somebody's state as far as it is
known here; an ordinary `Channel` acts from it, and its blocks open for one's own client. Whoever is
shown them has no way to tell. Nothing of it leaves: nobody else's slot can be made.
"""

from typing import NamedTuple, final

import msgspec

from backchannel.protocol import command as commands
from backchannel.protocol.channel import Channel
from backchannel.protocol.deeds import do
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.errors import LocalProtocolError
from backchannel.protocol.line import Line
from backchannel.protocol.outcome import Append, Arrival, Keep, Outcome, Said
from backchannel.protocol.peer import Peer
from backchannel.protocol.posting import Posting
from backchannel.protocol.sender_key import OwnGeneration
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import ContentHash, Core, Hour, Slot, ThreadId, Timestamp, hour_of


class Forged(NamedTuple):
    """What was made, and how one's own client took it."""

    said: Said
    arrivals: tuple[Arrival, ...]
    """Blocks 4,096 as a relay would give them; none for one's own words."""
    cores: dict[ContentHash, Core]


def _copy(channel: Channel) -> Channel:
    clocks = {name: (clock.hour, clock.value) for name, clock in channel.clocks.items()}
    return Channel.open(channel.snapshot(), clocks)


@final
class Forger:
    """A copy of a channel in which anybody says anything; the channel itself never learns of it."""

    def __init__(self, channel: Channel) -> None:
        self._copy = _copy(channel)

    def say(
        self, alias: str, thread: ThreadId, text: str, now: Timestamp, entropy: Entropy
    ) -> Forged:
        """A text as if by `alias` at `now`, which is not before what was forged last; one's own
        words under one's own alias.

        `LocalProtocolError` where that cannot be, `DecodeError` for a text that nobody could say.
        """
        _rewind(self._copy.state, hour_of(now))
        said = commands.Say(thread, text)
        if self._copy.state.named(alias).slot == self._copy.state.me:
            return _forged(_act(self._copy, said, now, entropy), ())
        return self._pretend(alias, said, now, entropy)

    def whisper(self, alias: str, text: str, now: Timestamp, entropy: Entropy) -> Forged:
        """A private note from `alias` to oneself; errors as of `say`."""
        state = self._copy.state
        me = state.current().entry(state.me).alias
        return self._pretend(alias, commands.Whisper(me, text), now, entropy)

    def _pretend(
        self, alias: str, command: commands.Command, now: Timestamp, entropy: Entropy
    ) -> Forged:
        """Act from the mirror, and take in what comes of it as from a relay."""
        mirror = _copy(self._copy)
        _turn_round(mirror.state, Slot(mirror.state.named(alias).slot))
        effects = _act(mirror, command, now, entropy).effects
        hour = hour_of(now)
        arrivals = tuple(
            Arrival(each.drop.id, hour, each.block) for each in effects if isinstance(each, Append)
        )
        events = [event for each in arrivals for event in self._copy.receive(each, now)]
        return _forged(Outcome([], events), arrivals)


def _act(channel: Channel, command: commands.Command, now: Timestamp, entropy: Entropy) -> Outcome:
    """As `Channel.act`, but at an hour that may be over, in the epoch of then and before the list
    of members of now: nothing in a core says when its author came by its roster.
    """
    hour = hour_of(now)
    begun = [each for each in channel.state.epochs if each.began <= hour]
    if not begun or hour < channel.clocks[begun[-1].id].hour:
        msg = "nobody can say anything here at that hour: its keys are gone, or never came"
        raise LocalProtocolError(msg)
    posting = Posting(channel.state, channel.clocks, now, entropy, begun[-1])
    posting.hour = hour
    do(posting, command)
    return posting.outcome()


def _forged(outcome: Outcome, arrivals: tuple[Arrival, ...]) -> Forged:
    (said,) = (each for each in outcome.events if isinstance(each, Said))
    cores = {each.hash: each.core for each in outcome.events if isinstance(each, Keep)}
    return Forged(said, arrivals, cores)


def _rewind(state: ChannelState, hour: Hour) -> None:
    """Let the record end with an hour: what is said then names nothing that came later."""
    record = state.transcript
    record.posts = {core: post for core, post in record.posts.items() if post.hour <= hour}
    named = {parent for post in record.posts.values() for parent in post.parents}
    record.heads = [core for core in record.posts if core not in named]


def _turn_round(state: ChannelState, author: Slot) -> None:
    """The state of another, as far as it is known here: its sender key, and its line to oneself.
    Floors and rivals are left out: nobody asks the author.
    """
    me, peer = state.me, state.peers[author]
    if peer.line is None:
        msg = "you have not met yet: your programs greet each other when both come online"
        raise LocalProtocolError(msg)
    state.own = _own(peer, me)
    for ending in (each.ending for each in state.epochs if each.ending is not None):
        ending.own = None  # not the author's
    state.me, state.floor, state.rivals = author, None, {}
    state.peers = {me: _seen_from_there(state, peer, peer.line)}
    state.renew, state.heal = False, set()


def _own(peer: Peer, me: Slot) -> OwnGeneration | None:
    """A sender key where its reader stands in it, for this reader alone."""
    if not peer.generations:
        return None
    held = list(peer.generations.values())[-1]
    assert held.chain.key is not None  # noqa: S101 - nobody closes a sender's chain
    readers = {me: held.mac}
    return OwnGeneration(held.id, held.hour, held.chain.key, held.chain.number, readers, held.block)


def _seen_from_there(state: ChannelState, peer: Peer, line: Line) -> Peer:
    wrote = line.receiving[-1].hour if line.receiving else Hour(0)
    return Peer(
        bundle=state.keys.public(),
        line=_other_end(line),
        reply_due=line.initiator and not line.answered,
        wrote=wrote,
        noted=peer.noted,
    )


def _other_end(line: Line) -> Line:
    """The other side of a line once it has read all of this one's blocks: it makes a sending step,
    with ratchet keys of its own that are drawn now.
    """
    last = line.receiving[-1] if line.receiving else None
    return msgspec.structs.replace(
        line,
        initiator=not line.initiator,
        own=None,
        peer=line.own.public() if line.own is not None else None,
        sending=None,
        next_sending=line.next_receiving,
        next_receiving=line.next_sending,
        receiving=(),
        previous=last.chain.number if last is not None else 0,
        sent=last.base + last.chain.number if last is not None else 0,
        export_out=line.exports_in[-1],
        exports_in=(line.export_out,),
    )
