"""The newest blocks of the drops that were written to lately, in memory until their hour.

Every member reads what one has written, most of them in that moment: the store need not be asked,
nor anything opened, once for each. Only where this process alone writes the store. Lives on the
event loop. Opens nothing and decides nothing that service does not.
"""

from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import NamedTuple, final

from backchannel.protocol import limits
from backchannel.protocol.drop import Page, Read, Stored
from backchannel.protocol.primitives import X25519Public
from backchannel.protocol.types import DropId, Hour
from backchannel.server.authorize import Door
from backchannel.server.limits import NEWEST
from backchannel.server.retention import expires_at


class Written(NamedTuple):
    """What an append or seal left: where each of its blocks stands, and the drop then."""

    rows: Sequence[Stored]
    following: int
    keep: int
    grown: bool = True
    """Whether it holds a block more than before."""


class _Tail(NamedTuple):
    """All that a drop holds before its next position, from the first of these on."""

    public: X25519Public
    rows: deque[Stored]
    following: int
    keep: int

    def ended(self, row: Stored, hour: Hour) -> bool:
        return expires_at(row.hour, self.keep) <= hour


@final
class Newest:
    """At most a page of each drop, and `most` blocks in all, of as many drops; with 0 nothing,
    where others write the store too.
    """

    def __init__(self, most: int = NEWEST) -> None:
        self._most = most
        self._count = 0
        self._tails: OrderedDict[DropId, _Tail] = OrderedDict()
        """Who was written to last stands last."""

    def put(self, door: Door, written: Written) -> None:
        """Called in the order of the commits."""
        fresh = _run_before(written)
        tail = self._tails.pop(door.drop, None)
        if tail is not None and tail.following == written.following:  # a repetition
            self._tails[door.drop] = tail
            return
        rows: deque[Stored] = deque(maxlen=limits.MOST_BLOCKS)
        if tail is not None:
            self._count -= len(tail.rows)
            if fresh and fresh[0].position == tail.following:
                rows = tail.rows
        rows.extend(fresh)
        self._tails[door.drop] = _Tail(door.public, rows, written.following, written.keep)
        self._count += len(rows)
        while max(self._count, len(self._tails)) > self._most:
            _drop, oldest = self._tails.popitem(last=False)
            self._count -= len(oldest.rows)

    def page(self, door: Door, asked: Read, hour: Hour) -> Page | None:
        """What service.page would say; none where the store must be asked."""
        tail = self._tails.get(door.drop)
        if tail is None or tail.public != door.public:
            return None
        asked = asked.of(tail.following)
        first = tail.rows[0].position if tail.rows else tail.following
        if asked.position < first:
            return None
        rows = tuple(
            row
            for row in tail.rows
            if row.position >= asked.position
            and row.hour >= asked.hour
            and not tail.ended(row, hour)
        )
        more, rows = len(rows) > asked.most, rows[: asked.most]
        return Page(rows[-1].position + 1 if more else tail.following, more, rows)

    def forget(self, drop: DropId) -> None:
        """It is deleted."""
        tail = self._tails.pop(drop, None)
        self._count -= len(tail.rows) if tail else 0

    def turn(self, hour: Hour) -> None:
        """Let go of what has ended."""
        tails = list(self._tails.items())
        for drop, tail in tails:
            if tail.rows and tail.ended(tail.rows[0], hour):
                self.forget(drop)


def _run_before(written: Written) -> Sequence[Stored]:
    """Those that stand without a gap before the drop's next position, rising."""
    rows, first = written.rows, written.following - len(written.rows)
    if all(row.position == at for at, row in enumerate(rows, first)):  # none stood there before
        return rows
    standing = {row.position: row for row in rows}
    first = written.following
    while first - 1 in standing:
        first -= 1
    return [standing[position] for position in range(first, written.following)]
