"""How a core from the channel's drop changes what a member knows: by its kind.

Compute, authenticate, then commit: a core that is refused raises and changes nothing.
`UnknownError` means that it may
open later, and is kept by `channel`.
"""

from collections.abc import Callable

from backchannel.protocol.adoption import take_piece, take_turn
from backchannel.protocol.core import Kind
from backchannel.protocol.errors import RefusedError
from backchannel.protocol.files import take_chunk
from backchannel.protocol.nobody import take_unattributed
from backchannel.protocol.outcome import Event
from backchannel.protocol.pairs import take_intro, take_key_block, take_line_block
from backchannel.protocol.posts import take_post
from backchannel.protocol.reception import Reception

_KEPT = frozenset({Kind.GROUP, Kind.ROSTER, Kind.EPOCH})


def _ignore(_reception: Reception) -> list[Event]:
    """Noise."""
    return []


_READERS: dict[Kind, Callable[[Reception], list[Event]]] = {
    Kind.GROUP: take_post,
    Kind.KEY: take_key_block,
    Kind.UNATTRIBUTED: take_unattributed,
    Kind.CHUNK: take_chunk,
    Kind.LINE: take_line_block,
    Kind.INTRO: take_intro,
    Kind.ROSTER: take_piece,
    Kind.EPOCH: take_turn,
    Kind.COVER: _ignore,
}


def read(reception: Reception) -> list[Event]:
    """Take in a core; raises a `RemoteProtocolError` that says why it was refused."""
    head = reception.head
    if head.kind not in _READERS:
        msg = "a core of a kind that has no place here"
        raise RefusedError(msg)
    events = _READERS[head.kind](reception)
    reception.epoch.seen[reception.hash] = head.hour
    if head.kind in _KEPT:
        events = [*events, reception.keep()]
    return events
