"""How long a relay is let alone that asks for it: as long as it says, within bounds, and a little
longer, so that many who were told the same do not come back in one moment.

Owns the bounds. Knows neither vault nor network, nor whether anybody waits: `rounds.patience`.
"""

from typing import TYPE_CHECKING, Final

from backchannel.client.errors import NotYet

if TYPE_CHECKING:
    from backchannel.protocol.entropy import Entropy
    from backchannel.protocol.types import Timestamp

PROVED: Final = 900
"""Seconds that a relay is obeyed at most when it proves that it is the one who asks. It could as
well not answer, so obeying gives it no power; but a quarter of an hour after it has come to reason
everybody is back, and what waits was still made in an hour that the others accept.
"""
UNPROVED: Final = 60
"""The same where anybody on the way may have said it: to keep somebody quiet, they must go on
saying it, once a minute.
"""
_LONGEST: Final = PROVED + PROVED // 4  # with what chance adds: more is a clock that was set back


def heeded(asked: int, most: int, entropy: "Entropy") -> int:
    """The seconds to wait where `asked` were asked for: never less, unless that is more than
    `most`; up to a quarter more.
    """
    seconds = min(asked, most)
    return seconds + int.from_bytes(entropy.draw(4)) % (seconds // 4 + 1)


def refuse_before(moment: int, now: "Timestamp") -> None:
    """`NotYet` where a relay asked to wait until `moment`, and that is still to come."""
    left = until_then(moment, now)
    if left:
        raise NotYet(left)


def until_then(moment: int, now: "Timestamp") -> int:
    """Seconds until `moment`; 0 where it has passed, or is so far that a clock was set back."""
    left = moment - now
    return left if 0 < left <= _LONGEST else 0
