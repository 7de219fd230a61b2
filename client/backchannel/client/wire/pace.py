"""How many blocks are asked for or sent at once, by how long the last ones took.

Few over a slow link: what a broken exchange loses is soon had again. Many over a fast one, where
questions cost more than answers. Knows no clock and no connection.
"""

from typing import Final, final

from backchannel.client.wire.silence import Silence
from backchannel.protocol import limits

_FIRST: Final = 2
"""Blocks, before anything is known: 8 kB, half a minute of the worst link that works at all."""
_AIM: Final = 10.0
"""Seconds of one exchange."""
_STEP: Final = 4
"""How many times more, or less, at once: from 2 blocks to 64 in three exchanges."""
_PROOF: Final = 16
"""Exchanges: a link that breaks more often than that is one for few blocks, however quick some are.
"""


@final
class Pace:
    """Of one direction."""

    def __init__(self, first: int = _FIRST) -> None:
        self.blocks = first
        """To ask for, or to send, next; 1 to 64."""
        self._proving = 0
        """Exchanges that must be whole before there are more again."""

    def took(self, blocks: int, seconds: float) -> None:
        """An exchange of so many blocks was whole. Fewer than were allowed show nothing: a
        question's way there and back was the most of it.
        """
        if blocks >= self.blocks:
            most = blocks if self._proving else min(blocks * _STEP, limits.MOST_BLOCKS)
            self._proving = max(0, self._proving - 1)
            fits = int(blocks * _AIM / max(seconds, _AIM / limits.MOST_BLOCKS))
            if seconds < _AIM:  # the way there and back is shared by more
                fits = max(fits, blocks + 1)
            self.blocks = max(1, min(fits, most))

    def broke(self) -> None:
        """An exchange was not."""
        self.blocks, self._proving = max(1, self.blocks // _STEP), _PROOF


@final
class Paces:
    """Of all relays that one run speaks to, by address: what was learned stays where connections do
    not.
    """

    def __init__(self, first: int = _FIRST) -> None:
        """`first` for who knows better than to begin with little."""
        self._first = first
        self.silence = Silence()
        """Of any of them."""
        self._known: dict[tuple[str, bool], Pace] = {}

    def of(self, url: str, *, reads: bool) -> Pace:
        """The same one each time, whichever thread asks."""
        return self._known.setdefault((url, reads), Pace(self._first))
