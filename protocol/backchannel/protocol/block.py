"""The outer layer: SPEC.md section 7. Turns a core into 4,096 bytes of noise, and back.

```
block 4096 = nonce 24 | XChaCha20-Poly1305(outer key of the hour, core 4056) | tag 16
```
"""

from collections.abc import Iterator

from backchannel.protocol import limits
from backchannel.protocol.core import Clock, head_of
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.errors import AuthenticationError, DecodeError, StaleError
from backchannel.protocol.labels import Label
from backchannel.protocol.primitives import kdf, xopen, xseal
from backchannel.protocol.secret import ItemKey, OuterSecret
from backchannel.protocol.types import Block, Core, Hour


def outer_key(secret: OuterSecret, clock: Clock, hour: Hour) -> ItemKey:
    """The outer key of one hour; `StaleError` where the clock is gone."""
    derived = kdf(secret.expose() + clock(hour).expose(), b"", Label.OUTER_KEY, hour.to_bytes(4))
    return ItemKey(derived)


def wrap(core: Core, secret: OuterSecret, clock: Clock, entropy: Entropy) -> Block:
    """One block of `core` under the outer key of the core's own hour."""
    key = outer_key(secret, clock, head_of(core).hour)
    nonce = entropy.draw(limits.NONCE)
    return Block(nonce + xseal(key, nonce, core))


def unwrap(
    block: bytes, secret: OuterSecret, clock: Clock, hint: Hour, window: tuple[Hour, Hour]
) -> Core:
    """The core in `block`; `window` is its first and last hour, `hint` the relay's.

    Tried are the hint, its neighbours, then the rest of the window, newest first. `DecodeError` for
    a wrong size, a core of another hour than its key or of an unknown kind; `AuthenticationError`
    where no hour opens it.
    """
    if len(block) != limits.BLOCK:
        msg = "a block has 4,096 bytes"
        raise DecodeError(msg)
    nonce, sealed = block[: limits.NONCE], block[limits.NONCE :]
    for hour in _guesses(hint, window):
        try:
            core = xopen(outer_key(secret, clock, hour), nonce, sealed)
        except (AuthenticationError, StaleError):
            continue
        if head_of(core).hour != hour:
            msg = "a core names another hour than its key's"
            raise DecodeError(msg)
        return Core(core)
    msg = "a block opens at no hour of the window"
    raise AuthenticationError(msg)


def _guesses(hint: Hour, window: tuple[Hour, Hour]) -> Iterator[Hour]:
    first, last = window
    for hour in (hint, hint - 1, hint + 1):
        if first <= hour <= last:
            yield Hour(hour)
    for hour in range(last, first - 1, -1):
        if abs(hour - hint) > 1:
            yield Hour(hour)
