"""Who may do what: only the holder of a drop's access key or close key, checked without a
signature: SPEC.md section 18.

An unknown drop and a wrong key take the same way, through the same key exchange, and end in the
same error. Knows no blocks; keeps no keys of clients.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, final

from backchannel.protocol.drop import DropKeys, Operation, Request
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.errors import AuthenticationError, DecodeError
from backchannel.protocol.limits import CLOCK_SKEW
from backchannel.protocol.primitives import X25519Public, x25519_public
from backchannel.protocol.secret import X25519Private
from backchannel.protocol.types import DropId, Hour
from backchannel.server.errors import UnknownDropError, WrongHourError
from backchannel.server.limits import DOORS, FLOOR
from backchannel.server.repository import Repository

_CLOSING: Final = {Operation.SEAL, Operation.DELETE}


class Door(NamedTuple):
    """One of the two keys of a drop, and what it opens a request and an answer with."""

    drop: DropId
    public: X25519Public
    keys: DropKeys
    closing: bool = False
    """Whether it is the close key."""


@final
class Authorizer:
    """Holds the relay's static key, and in memory the doors that were asked for lately: what they
    hold follows from that key and the store, and saves a key exchange a request.
    """

    def __init__(self, private: X25519Private, entropy: Entropy) -> None:
        self._private = private
        self.public = x25519_public(private)
        self._dummy = x25519_public(X25519Private(entropy.draw(32)))
        """Stands for the key of a drop that is not there."""
        self._known: dict[DropId, Door] = {}
        """Of access keys; the oldest first."""

    def known(self, request: Request) -> Door | None:
        """The door of a request that opens it, where its drop was found before; none for any other,
        a wrong key too: that takes the same way as an unknown drop, and another worker may have
        made the drop anew. What is found may be gone by now: service looks.
        """
        door = None if request.operation in _CLOSING else self._known.get(request.drop)
        return door if door is not None and _fits(request, door.keys) else None

    def of_drop(self, repository: Repository, request: Request) -> Door:
        """The door of a request to a drop that exists; `UnknownDropError` for any reason."""
        row = repository.drop(request.drop)
        closing = request.operation in _CLOSING
        found = row and X25519Public(row.close if closing else row.access)
        door = self.of_key(request, found or self._dummy, closing=closing)
        if row is None:
            raise UnknownDropError
        return door

    def of_key(self, request: Request, public: X25519Public, *, closing: bool = False) -> Door:
        """The door of a request under `public`; `UnknownDropError` unless its MAC is right."""
        try:
            keys = DropKeys.of_relay(request.drop, public, self._private, self.public)
        except (AuthenticationError, DecodeError):
            raise UnknownDropError from None
        if not _fits(request, keys):
            raise UnknownDropError
        return Door(request.drop, public, keys, closing)

    def knows(self, door: Door) -> bool:
        """Whether it was found before, and is kept."""
        kept = self._known.get(door.drop)
        return kept is not None and kept.public == door.public

    def keep(self, door: Door) -> None:
        """Know this door again; the one that is known for longest goes where there are many."""
        if not door.closing:
            self._known.pop(door.drop, None)
            self._known[door.drop] = door
            if len(self._known) > DOORS:
                del self._known[next(iter(self._known))]

    def forget(self, drop: DropId) -> None:
        """It is deleted."""
        self._known.pop(drop, None)


def _fits(request: Request, keys: DropKeys) -> bool:
    try:
        request.verify(keys)
    except AuthenticationError:
        return False
    return True


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
