"""Which relay lacks which core of an epoch, so that any of them is enough: SPEC.md section 16.

An author brings a core to every relay. Where it cannot, or came through a courier file, or a relay
is new, whoever has read a relay to its end brings what it lacks. Sends nothing itself.
"""

from collections.abc import Collection
from typing import Literal

import msgspec

from backchannel.protocol import limits
from backchannel.protocol.epochs import Epoch, Lacking
from backchannel.protocol.outcome import Repost
from backchannel.protocol.posting import Posting
from backchannel.protocol.roster import Relay
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import ContentHash, DropId, Hour, Timestamp, start_of

Place = int | Literal["left", "courier"]
"""Where a core came from: the epoch's relay of that number, one that it stands on no more, or a
file.
"""


def came(over: Epoch, core: ContentHash, place: Place, now: Timestamp) -> None:
    """A core that is new here came from there."""
    known = over.lacking.get(core, Lacking(Timestamp(0) if place == "courier" else now))
    _note(over, core, msgspec.structs.replace(known, shown=known.shown | _bit(place)))


def shown(over: Epoch, core: ContentHash, place: Place) -> None:
    """A known one came from there, too."""
    known = over.lacking.get(core)
    if known is not None:
        _note(over, core, msgspec.structs.replace(known, shown=known.shown | _bit(place)))


def _bit(place: Place) -> int:
    return 1 << place if isinstance(place, int) else 0


def _note(over: Epoch, core: ContentHash, lacking: Lacking) -> None:
    """Of too many the oldest are left to whoever asks for them."""
    over.lacking.pop(core, None)
    if lacking.shown != (1 << len(over.relays)) - 1:
        over.lacking[core] = lacking
    for each in list(over.lacking)[: max(0, len(over.lacking) - limits.LACKING)]:
        del over.lacking[each]


def relocate(
    over: Epoch,
    relays: tuple[Relay, ...],
    now: Hour,
    unheard: Collection[ContentHash],
    *,
    mine: bool,
) -> None:
    """Stand on other relays: those that stay have what they have, to new ones all is brought; at
    once by who decided it, whose change it is, and what no relay has shown of one's own.
    """
    before = {relay.key: number for number, relay in enumerate(over.relays)}
    here = {relay.key for relay in relays}
    left = [each for each in (*over.former, *over.relays) if each.key not in here]
    former = {each.key: each for each in left}.values()
    over.former = tuple(former)[: limits.RELAYS_READ]
    stay = [(number, before.get(relay.key)) for number, relay in enumerate(relays)]
    since = Timestamp(0) if mine else start_of(Hour(now + 1))
    every = Lacking(since, (1 << len(over.relays)) - 1)
    known = {core: over.lacking.get(core, every) for core in over.seen}
    over.to_tell = over.to_tell or (not mine and not before.keys() <= here)
    over.relays, over.lacking, over.moved = relays, {}, now
    for core, each in known.items():
        kept = sum(1 << new for new, old in stay if old is not None and each.shown >> old & 1)
        _note(
            over, core, Lacking(Timestamp(0) if core in unheard or not each.since else since, kept)
        )


def forget(state: ChannelState, over: Epoch, now: Hour) -> None:
    """What cannot be opened again is brought nowhere, nor anything to a drop that is sealed."""
    ended = over.ending is not None and now - over.ending.hour > limits.SEAL_HOURS
    waits = {each.hash for each in state.pending}
    lacking = {} if ended else over.lacking
    over.lacking = {c: each for c, each in lacking.items() if c in over.seen or c in waits}


def level(posting: Posting, drop: DropId) -> None:
    """Bring to a drop what it lacks; what its author may be bringing has time."""
    for over in posting.state.epochs:
        for number, (_, each) in enumerate(over.drops()):
            if each.id == drop and not (over.ending and over.ending.sealed):
                _level(posting, over, number, drop)


def _level(posting: Posting, over: Epoch, number: int, drop: DropId) -> None:
    due = [core for core in list(over.lacking) if _due(posting, over, core, number)]
    for core in due[: limits.LEVELLED]:
        shown(over, core, number)
        posting.effects.append(Repost(core, drop))


def _due(posting: Posting, over: Epoch, core: ContentHash, number: int) -> bool:
    """By a delay that is drawn, so that mostly one is first and the others see it there: one that
    followed from the core would be the same for all of a core that was made for it.
    """
    each = over.lacking[core]
    if core not in over.seen or each.shown >> number & 1:
        return False
    if each.since and not each.due:
        spread = limits.LEVEL_SPREAD * (len(posting.state.peers) + 1)
        drawn = int.from_bytes(posting.entropy.draw(2)) % spread
        due = Timestamp(each.since + limits.LEVEL_AFTER + drawn)
        each = over.lacking[core] = msgspec.structs.replace(each, due=due)
    return posting.now >= each.due
