"""Messages of several blocks, put together: SPEC.md section 15. Once per author and id.

What has come of an unfinished one is kept sealed under its hour's key, so that it dies with it.
"""

from collections.abc import Callable
from typing import NamedTuple

from backchannel.protocol import limits
from backchannel.protocol.core import Clock
from backchannel.protocol.errors import StaleError
from backchannel.protocol.labels import Label
from backchannel.protocol.missing import Concealed, Partial
from backchannel.protocol.outcome import Leaf
from backchannel.protocol.primitives import kdf, open_, seal
from backchannel.protocol.reception import Reception
from backchannel.protocol.secret import LeafKey
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import ContentHash, Hour, Slot


class Whole(NamedTuple):
    """A message of which every piece is here."""

    partial: Partial
    data: bytes
    leaves: tuple[Leaf, ...] = ()
    """Of a post's cores, in order."""


def gather(
    reception: Reception,
    sender: Slot,
    message: bytes,
    place: int,
    total: int,
    piece: bytes,
    order: int,
    check: Callable[[bytes], None] = lambda _: None,
) -> Whole | None:
    """Add one piece; the message, when it was the last that lacked. Where `check` raises for what
    is joined, nothing has changed.
    """
    state, name = reception.state, bytes([sender]) + message
    begun = name + reception.epoch.id  # said again in the next one it may be cut otherwise
    old = state.partial.get(begun)
    if name in state.delivered or (old is not None and old.total != total):
        return None
    if total == 1:
        check(piece)
        state.delivered[name] = reception.head.hour
        leaf = reception.leaf  # nothing of it waits
        given = Whole(_begun(reception, total, order, {}), piece)
        return given if leaf is None else given._replace(leaves=(Leaf(reception.hash, leaf),))
    whole = _with_piece(old, reception, place, total, piece, order)
    if len(whole.pieces) < total:
        state.partial[begun] = whole
        _bound(state, sender)
        return None
    joined = _joined(reception, whole)
    if joined is not None:
        check(joined.data)
    state.partial = {n: each for n, each in state.partial.items() if not n.startswith(name)}
    state.delivered[name] = reception.head.hour
    return joined


def _joined(reception: Reception, whole: Partial) -> Whole | None:
    """None where its beginning is dead."""
    pieces = [each for _, each in sorted(whole.pieces.items())]
    try:
        revealed = [_reveal(reception, each) for each in pieces]
    except (StaleError, KeyError):
        return None
    leaves = [Leaf(p.hash, k) for p, (k, _) in zip(pieces, revealed, strict=True) if k is not None]
    return Whole(whole, b"".join(data for _, data in revealed), tuple(leaves))


def _with_piece(
    old: Partial | None, reception: Reception, place: int, total: int, piece: bytes, order: int
) -> Partial:
    if old is None:
        return _begun(reception, total, order, {place: _conceal(reception, piece)})
    first = place == 0
    return Partial(
        total,
        reception.head.hour if first else old.sent,
        Hour(min(old.hour, reception.hour)),
        max(old.order, order),
        reception.hash if first else old.hash,
        {**old.pieces, place: _conceal(reception, piece)},
    )


def _begun(reception: Reception, total: int, order: int, pieces: dict[int, Concealed]) -> Partial:
    return Partial(total, reception.head.hour, reception.hour, order, reception.hash, pieces)


def _conceal(reception: Reception, piece: bytes) -> Concealed:
    hour = reception.head.hour
    key = _key(reception.clock, reception.hash, hour)
    leaf = reception.leaf.expose() if reception.leaf is not None else b""
    return Concealed(reception.hash, hour, reception.epoch.id, seal(key, leaf + piece, b""))


def _reveal(reception: Reception, piece: Concealed) -> tuple[LeafKey | None, bytes]:
    """Its leaf key, where the message is of a kind that has them, and itself."""
    clock = reception.clocks[piece.epoch]
    plain = open_(_key(clock, piece.hash, piece.hour), piece.sealed, b"")
    if reception.leaf is None:
        return None, plain
    return LeafKey(plain[: LeafKey.LENGTH]), plain[LeafKey.LENGTH :]


def _key(clock: Clock, core: ContentHash, hour: Hour) -> bytes:
    """Used for one piece: a core has one."""
    return kdf(clock(hour).expose() + core, b"", Label.PARTIAL)


def _bound(state: ChannelState, sender: Slot) -> None:
    """Who never ends what it begins loses the oldest beginnings, not everybody's memory."""
    begun = [name for name in state.partial if name[0] == sender]
    for name in begun[: -limits.UNFINISHED]:
        del state.partial[name]
