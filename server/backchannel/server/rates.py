"""How fast one drop may be used: so many units a minute, all of a minute at once if need be; and
after how many seconds there is room again. In memory only; each worker process counts for itself.

One number for each drop, the moment when all that it spent is made good, instead of a library:
`limits` (5.8) sets no bound to the names that it remembers, goes by the time of day, which may be
set back, walks over all names in a thread of its own each 10 ms, and where two of its minutes meet
two minutes' worth pass. Knows no request and no clock.
"""

from collections import OrderedDict
from math import ceil
from typing import Final, final

from backchannel.protocol.types import DropId
from backchannel.server.errors import TooFastError
from backchannel.server.limits import RATED

_MINUTE: Final = 60.0
_SLACK: Final = 1e-6  # seconds by which sums of fractions may be off


@final
class Rate:
    """`most` units a minute for each drop; 0 is no limit.

    Only for what was found authentic: else a stranger who learned a drop's id could use up what
    its members need.
    """

    def __init__(self, most: int) -> None:
        self._unit = _MINUTE / most if most else 0.0
        """Seconds that make one unit good."""
        self._good: OrderedDict[DropId, float] = OrderedDict()
        """When each drop's debt is made good; who spent last stands last."""

    def __len__(self) -> int:
        return len(self._good)

    def spend(self, drop: DropId, count: int, now: float) -> None:
        """Take `count` units at `now`, seconds of a clock that is never set back.

        `TooFastError` says in how many seconds they can be had, and takes none. More than a
        minute's units never can: no setting is below what one request may hold.
        """
        good = max(self._good.get(drop, now), now) + count * self._unit
        late = good - now - _MINUTE
        if late > _SLACK:
            raise TooFastError(ceil(late))
        if good > now:
            self._good[drop] = good
            self._good.move_to_end(drop)
            self._bound(now)

    def _bound(self, now: float) -> None:
        """Two looks at those who spent longest ago, so that they go faster than they come. Past
        `RATED` the first goes although it owes: one that is idle beside so many that are not.
        """
        for _ in range(2):
            drop, good = next(iter(self._good.items()))
            if good > now and len(self._good) <= RATED:
                return
            del self._good[drop]
