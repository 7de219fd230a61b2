"""How long a relay is left alone that failed: twice as long each time it fails again, with some
chance in it, so that not everybody comes back in one moment. Once it answers, all is forgotten.

Decides only. A person who asks for it explicitly is not held up by this.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

from backchannel.client.errors import RelayKeyChanged, RelaySlow
from backchannel.client.vault.health import Failing
from backchannel.client.wire.respite import PROVED, heeded, until_then
from backchannel.protocol.types import Timestamp

if TYPE_CHECKING:
    from backchannel.protocol.entropy import Entropy

SHORTEST: Final = 2
"""Seconds after the first failure: a relay that was started anew is there again by then."""
LONGEST: Final = PROVED
"""Seconds at most: a relay that comes back has everybody back within a quarter of an hour, and what
waits was still made in an hour that the others accept.
"""
_DOUBLED: Final = 10  # times; then it has long been the longest
_OFTEN: Final = 3  # times that a relay was left behind, before somebody waits for it
PATIENT: Final = 6.0
"""Seconds that one which was often left behind is given, once it is asked again: enough for Tor. Or
a relay that is quick, and keeps what it is given to itself, would see to it that no other has it.
"""


def pause(failures: int, entropy: "Entropy") -> int:
    """Seconds to leave a relay alone that failed so often in a row."""
    return heeded(SHORTEST << min(failures - 1, _DOUBLED), LONGEST, entropy)


def failed(
    before: Failing | None, relay: str, why: str, now: Timestamp, entropy: "Entropy"
) -> Failing:
    """What is known of a relay once it has failed, again or for the first time."""
    failures = (before.failures if before else 0) + 1
    first = before.first if before else now
    rest = 0 if why == RelayKeyChanged.code else pause(failures, entropy)  # that is always told
    until = Timestamp(now + rest)
    return Failing(relay, failures, first, now, until, why)


def grace(
    known: Mapping[str, Failing], relays: Collection[str], now: Timestamp, *, usual: float
) -> float:
    """Seconds that the others have once one of a channel's `relays` is done."""
    slow = [each for url, each in known.items() if url in relays and each.why == RelaySlow.code]
    often = [each for each in slow if each.failures >= _OFTEN]
    return PATIENT if any(not until_then(each.until, now) for each in often) else usual


def left_alone(
    known: Mapping[str, Failing], relays: Collection[str], now: Timestamp
) -> dict[str, int]:
    """Those of all known relays that are to be left alone, and for how many seconds; none of a
    channel's `relays` where else nobody would be asked.
    """
    left = {url: until_then(each.until, now) for url, each in known.items()}
    found = {url: seconds for url, seconds in left.items() if seconds}
    if all(url in found for url in relays):
        return {url: seconds for url, seconds in found.items() if url not in relays}
    return found
