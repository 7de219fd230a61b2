"""Who may do what: only the holder of a drop's access key or close key, checked without a
signature: SPEC.md section 18.

An unknown drop and a wrong key take the same way, through the same key exchange, and end in the
same error. Knows no blocks; keeps no keys of clients.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, final

from backchannel.protocol.drop import DropKeys, Operation, Request
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.errors import AuthenticationError, DecodeError
from backchannel.protocol.limits import CLOCK_SKEW
from backchannel.protocol.primitives import X25519Public, x25519_public
from backchannel.protocol.secret import X25519Private
from backchannel.protocol.types import Hour
from backchannel.server.errors import UnknownDropError, WrongHourError
from backchannel.server.limits import FLOOR
from backchannel.server.repository import Repository

_CLOSING: Final = {Operation.SEAL, Operation.DELETE}


@final
class Authorizer:
    """Holds the relay's static key."""

    def __init__(self, private: X25519Private, entropy: Entropy) -> None:
        self._private = private
        self.public = x25519_public(private)
        self._dummy = x25519_public(X25519Private(entropy.draw(32)))
        """Stands for the key of a drop that is not there."""

    def of_drop(self, repository: Repository, request: Request) -> DropKeys:
        """The keys of a request to a drop that exists; `UnknownDropError` for any reason."""
        row = repository.drop(request.drop)
        if row is None:
            public = self._dummy
        else:
            public = X25519Public(row.close if request.operation in _CLOSING else row.access)
        keys = self.of_key(request, public)
        if row is None:
            raise UnknownDropError
        return keys

    def of_key(self, request: Request, public: X25519Public) -> DropKeys:
        """The keys of a request under `public`; `UnknownDropError` unless its MAC is right."""
        try:
            keys = DropKeys.of_relay(request.drop, public, self._private, self.public)
            request.verify(keys)
        except (AuthenticationError, DecodeError):
            raise UnknownDropError from None
        return keys


def check_hour(request: Request, hour: Hour) -> None:
    """`WrongHourError` when the client's clock is more than an hour from ours."""
    if abs(request.hour - hour) > CLOCK_SKEW:
        raise WrongHourError


@final
class Floor:
    """Holds a refusal back until it tells nothing by its time."""

    def __init__(
        self,
        seconds: float = FLOOR,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._sleep = sleep

    def mark(self) -> float:
        """When a request had arrived whole."""
        return self._monotonic()

    async def wait(self, mark: float) -> None:
        """Until the floor is over."""
        await self._sleep(max(0.0, mark + self._seconds - self._monotonic()))
