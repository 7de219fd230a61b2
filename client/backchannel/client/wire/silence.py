"""For how long nothing has come from any relay while a person waits, and when that is enough.

What comes is life, however little: a link that was slow once is given that long again, several
times over. A lane's thread tells of signs, the main thread of its waiting. Knows no relay.
"""

from typing import Final, final

from backchannel.client.machine.clock import elapsed

PROMPT: Final = 10.0
"""Seconds: by then somebody who is watched, or on a bad line, wants the prompt back. All that was
asked for is in the vault.
"""
DETOUR: Final = 30.0
"""The same by way of a proxy, which says nothing while it finds a way to an onion service."""
_AGAIN: Final = 10
"""Times as long as the slowest sign so far: TCP says again what was lost after three times the way
there and back, and after twice as long each time that this is lost, too.
"""

_SOON: Final = 3.0
"""Seconds: a link that is two seconds away takes four to connect."""


@final
class Silence:
    """Of all relays of one run."""

    def __init__(self) -> None:
        self._first = PROMPT
        self._slowest = 0.0
        self._latest = elapsed()
        self._waited = 0.0
        self.others = False
        """Whether there are more relays to ask once these are given up: each half has half."""

    def sign(self, after: float) -> None:
        """Something came, so many seconds after what was asked, or came before it."""
        self._slowest, self._latest = max(self._slowest, after), elapsed()

    @property
    def quick(self) -> bool:
        """Whether whatever came so far came soon."""
        return self._slowest < _SOON

    def detour(self) -> None:
        """The way goes through a proxy."""
        self._first = DETOUR

    def begin(self) -> None:
        """Somebody waits anew."""
        self._waited = 0.0

    def waited(self, seconds: float) -> None:
        """So long just now; what lies before the latest sign is forgotten."""
        self._waited = min(self._waited + seconds, elapsed() - self._latest)

    @property
    def left(self) -> float:
        """Seconds that it may still last; 0 once it is enough."""
        most = max(self._first, self._slowest * _AGAIN)
        return max(0.0, (most / 2 if self.others else most) - self._waited)
