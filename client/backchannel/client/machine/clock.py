"""The only module of the client that reads a clock. Everything else is told the time."""

import time

from backchannel.client.errors import ClientError
from backchannel.client.machine.profile import Profile
from backchannel.protocol.types import Timestamp

_MOST_DIGITS = 6


def now(profile: Profile) -> Timestamp:
    """Seconds since 1970 by this machine, and whole hours that a demonstration's home is ahead."""
    return Timestamp(max(0, int(time.time())) + 3600 * _hours_ahead(profile))


def elapsed() -> float:
    """Seconds since some moment, never set back, and running on while the machine sleeps."""
    boot = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(boot)


def _hours_ahead(profile: Profile) -> int:
    try:
        text = profile.demo_hours.read_text("ascii").strip()
    except FileNotFoundError:
        return 0
    if not text.isdigit() or len(text) > _MOST_DIGITS:
        msg = f"{profile.demo_hours} does not hold a number of hours."
        raise ClientError(msg, f"remove {profile.demo_hours}")
    return int(text)
