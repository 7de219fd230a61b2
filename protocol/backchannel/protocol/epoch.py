"""The epoch secret and the epoch clock: SPEC.md section 5.

Owns where a channel's drops are and what its hours open. Does not know who may have them.
"""

from typing import final

from backchannel.protocol import limits
from backchannel.protocol.errors import StaleError
from backchannel.protocol.labels import Label
from backchannel.protocol.primitives import hash_, kdf
from backchannel.protocol.secret import (
    ClockValue,
    CoreSecret,
    EpochSecret,
    EpochSeed,
    IntroKey,
    Secret,
)
from backchannel.protocol.types import EpochId, Hour

KEPT_BEHIND = 2  # hours below the window: a reader's clock may be one behind, a relay's another


def begin(seed: EpochSeed) -> tuple[EpochSecret, ClockValue]:
    """The two independent values that an epoch starts from: where, and what."""
    return (
        EpochSecret(kdf(seed.expose(), b"", Label.EPOCH_SECRET)),
        ClockValue(kdf(seed.expose(), b"", Label.EPOCH_CLOCK)),
    )


def epoch_id(secret: EpochSecret) -> EpochId:
    """16 bytes that name an epoch to its members, and say nothing to others."""
    return EpochId(kdf(secret.expose(), b"", Label.EPOCH_ID, length=limits.ID))


def unattributed_secret(secret: EpochSecret) -> CoreSecret:
    """Secret of the epoch's unattributed cores."""
    return CoreSecret(kdf(secret.expose(), b"", Label.UNATTRIBUTED))


def intro_key(secret: EpochSecret) -> IntroKey:
    """Salt of the epoch's intros."""
    return IntroKey(kdf(secret.expose(), b"", Label.INTRO_KEY))


def roster_secret(secret: EpochSecret) -> CoreSecret:
    """Secret of the epoch's roster cores."""
    return CoreSecret(kdf(secret.expose(), b"", Label.ROSTER_BODY))


def commitment(secret: EpochSecret, hour: Hour, clock: ClockValue) -> bytes:
    """32 bytes that bind secret and clock at `hour` into a roster."""
    return hash_(Label.EPOCH_COMMITMENT, secret.expose() + hour.to_bytes(4) + clock.expose())


def next_hour(value: Secret) -> ClockValue:
    """E(t+1) of E(t)."""
    return ClockValue(kdf(value.expose(), b"", Label.NEXT_HOUR))


def advance(value: ClockValue, hours: int) -> ClockValue:
    """E(t + hours) of E(t)."""
    for _ in range(hours):
        value = next_hour(value)
    return value


@final
class EpochClock:
    """E from one hour on; hours below are gone for good.

    `hour` and `value` are what is kept; later values are derived when asked for and remembered only
    as long as this object lives, since whoever has `value` has them all.
    """

    MOST_AHEAD = 24 * 365 * 2  # no window is that long: an absurd hour must not cost minutes

    def __init__(self, hour: Hour, value: ClockValue) -> None:
        self.hour = hour
        self._values = [value]

    @property
    def value(self) -> ClockValue:
        """E at the oldest hour kept."""
        return self._values[0]

    def __call__(self, hour: Hour) -> ClockValue:
        """E at `hour`; `StaleError` for an hour that is gone or absurdly far."""
        index = hour - self.hour
        if not 0 <= index <= self.MOST_AHEAD:
            msg = "the keys of that hour are gone or far away"
            raise StaleError(msg)
        while len(self._values) <= index:
            self._values.append(next_hour(self._values[-1]))
        return self._values[index]

    def forget_before(self, hour: Hour) -> None:
        """Drop every value below `hour`; only forwards, but however far: the absent forget too."""
        known = min(hour - self.hour, len(self._values) - 1)
        if hour > self.hour:
            value = advance(self._values[known], hour - self.hour - known)
            self._values = [value, *self._values[known + 1 :]]
            self.hour = hour
