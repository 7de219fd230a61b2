"""How a core from the channel's drop changes what a member knows: by its kind.

Compute, authenticate, then commit: a core that is refused raises and changes nothing.
`UnknownError` means that it may
open later, and is kept by `channel`.
"""

from collections.abc import Callable

from backchannel.protocol.adoption import take_epoch, take_piece
from backchannel.protocol.core import Kind
from backchannel.protocol.errors import RefusedError
from backchannel.protocol.files import take_chunk
from backchannel.protocol.nobody import take_unattributed
from backchannel.protocol.outcome import Event
from backchannel.protocol.pairs import take_intro, take_key_block, take_line_block
from backchannel.protocol.posts import take_post
from backchannel.protocol.reception import Reception

PASSING = frozenset({Kind.CHUNK, Kind.COVER})
"""Kept by whoever awaits it, or by nobody; the rest by all: to be asked for, and to be brought to
whoever cannot reach the relay that has it.
"""


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
    Kind.EPOCH: take_epoch,
    Kind.COVER: _ignore,
}


def read(reception: Reception) -> list[Event]:
    """Take in a core; raises a `RemoteProtocolError` that says why it was refused."""
    head = reception.head
    if head.kind not in _READERS:
        msg = "a core of a kind that has no place here"
        raise RefusedError(msg)
    events = _READERS[head.kind](reception)
    if head.kind is not Kind.COVER:  # 1,440 a day may come of it, and nobody asks for one
        reception.epoch.seen[reception.hash] = head.hour
    if head.kind not in PASSING:
        events = [*events, reception.keep()]
    return events
