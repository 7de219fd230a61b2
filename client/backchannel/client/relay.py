"""One relay as the verbs see it: SPEC.md section 18 over HTTP; only authentic answers are believed.

Owns which refusal means what to a person. Knows nothing of blocks' insides, channels or the vault.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Self, TypedDict, TypeVar, final

from backchannel.client.address import Address
from backchannel.client.errors import (
    ClientError,
    ClockApart,
    DropFull,
    DropSealed,
    RateLimited,
    RelayError,
    RelayGarbage,
    RelayKeyChanged,
    UnknownDrop,
    VoucherRefused,
)
from backchannel.client.transport import Answer, Transport
from backchannel.protocol import limits
from backchannel.protocol.drop import (
    MAC,
    Create,
    Drop,
    DropKeys,
    Operation,
    Page,
    Read,
    Request,
    Stored,
    read_stored,
)
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.errors import AuthenticationError, DecodeError
from backchannel.protocol.primitives import X25519Public, x25519_public
from backchannel.protocol.secret import X25519Private
from backchannel.protocol.types import Block, DropId, Hour, Timestamp, hour_of

T = TypeVar("T")
PATIENCE = 30.0  # seconds for a whole exchange, beyond what a read asked to wait
_MOST_ANSWER = MAC + 9 + limits.MOST_BLOCKS * (12 + limits.BLOCK)
_MOST_DESCRIPTION = 16_384
_OK = 200
_PROTOCOL = "backchannel/1"
_HOURS = 2**32  # that the protocol can name
_BUSY = {429, 503}
_LAST = 2**63 - 1  # the highest position that a vault can note
_AFTER = 30  # seconds, where a busy relay does not say

_REFUSALS: dict[tuple[int, bytes], tuple[type[ClientError], str]] = {
    (403, b"voucher-refused"): (VoucherRefused, "The relay does not take this voucher."),
    (409, b"wrong-hour"): (ClockApart, "This machine's clock and the relay's are hours apart."),
    (409, b"sealed"): (DropSealed, "The drop is sealed: nothing can be added to it."),
    (507, b"quota"): (DropFull, "The drop holds as many blocks as it may."),
}
_AUTHENTIC = {_OK, *(status for status, _ in _REFUSALS)}
_OF_BLOCKS = {Operation.APPEND, Operation.SEAL}


class Description(NamedTuple):
    """What a relay says of itself; nothing vouches for it until its key is pinned."""

    key: X25519Public
    hour: Hour
    classes: tuple[int, ...]
    most_blocks: int


class Way(TypedDict):
    """How connections may be made."""

    proxy: str | None
    allow_http: bool


def describe(
    url: str, *, proxy: str | None = None, allow_http: bool = False, patience: float = PATIENCE
) -> Description:
    """Ask a relay who it is."""
    transport = Transport(Address.parse(url, allow_http=allow_http), proxy)
    try:
        return _description(transport, patience)
    finally:
        transport.close()


@final
class Relay:
    """One pinned relay. Reads and writes go over different connections."""

    def __init__(
        self,
        url: str,
        key: X25519Public,
        now: Callable[[], Timestamp],
        entropy: Entropy,
        *,
        proxy: str | None = None,
        allow_http: bool = False,
        patience: float = PATIENCE,
    ) -> None:
        """`key` is the pinned static key."""
        self.address = Address.parse(url, allow_http=allow_http)
        self.key = key
        self._now = now
        self._entropy = entropy
        self._patience = patience
        self._reads = Transport(self.address, proxy)
        self._writes = Transport(self.address, proxy)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._reads.close()
        self._writes.close()

    def describe(self) -> Description:
        """Ask it who it is; `RelayKeyChanged` when that is not the pinned one."""
        found = _description(self._reads, self._patience)
        if found.key != self.key:
            msg = f"{self.address} has another key than the one you trusted. Nothing was done."
            raise RelayKeyChanged(msg)
        return found

    def create(self, drop: Drop, close: X25519Public, voucher: bytes, keep: int) -> None:
        """Make a drop of class `keep`; once more with the same keys costs nothing."""
        payload = Create(voucher, x25519_public(drop.access), close, keep).pack()
        self.exchange(Operation.CREATE, drop.id, drop.access, payload)

    def append(self, drop: Drop, blocks: list[Block]) -> tuple[Stored, ...]:
        """Add up to 64 blocks; where each stands, whether it was there before or not."""
        payload = self.exchange(Operation.APPEND, drop.id, drop.access, b"".join(blocks))
        return read_stored(payload, len(blocks))

    def read(
        self, drop: Drop, position: int, hour: Hour, most: int = limits.MOST_BLOCKS, wait: int = 0
    ) -> Page:
        """Blocks from a position and hour on; waits up to `wait` seconds for one."""
        asked = Read(position, hour, most, wait).pack()
        payload = self.exchange(Operation.READ, drop.id, drop.access, asked, wait)
        return self._decode(lambda: _forward(Page.read(payload), position))

    def seal(
        self, drop: DropId, close: X25519Private, last: Sequence[Block] = ()
    ) -> tuple[Stored, ...]:
        """Add up to 64 last blocks, quota or not, and no more after them; where each stands."""
        payload = self.exchange(Operation.SEAL, drop, close, b"".join(last))
        return read_stored(payload, len(last))

    def delete(self, drop: DropId, close: X25519Private) -> None:
        """Let go of a drop and all its blocks."""
        self.exchange(Operation.DELETE, drop, close, b"")

    def exchange(
        self,
        operation: Operation,
        drop: DropId,
        private: X25519Private,
        payload: bytes,
        wait: int = 0,
    ) -> bytes:
        """Any request, as the outbox keeps it; the authentic answer's payload, which for blocks
        says of each where it stands.
        """
        keys = DropKeys.of_client(drop, private, self.key)
        hour, nonce = hour_of(self._now()), self._entropy.draw(limits.ID)
        request = Request.write(operation, drop, hour, nonce, payload, keys)
        transport = self._reads if operation is Operation.READ else self._writes
        path = f"/v1/{operation.name.lower()}"
        answer = transport.exchange(
            "POST", path, request.pack(), _MOST_ANSWER, self._patience + wait
        )
        said = self._believe(answer, request, keys)
        if operation in _OF_BLOCKS:
            self._decode(lambda: read_stored(said, len(payload) // limits.BLOCK))
        return said

    def _decode(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except DecodeError:
            msg = f"{self.address} answers with what is not this protocol."
            raise RelayGarbage(msg) from None

    def _believe(self, answer: Answer, request: Request, keys: DropKeys) -> bytes:
        """The payload of an authentic 200; otherwise what to make of a refusal."""
        if answer.status not in _AUTHENTIC:
            raise self._unproved(answer)
        try:
            payload = request.read_answer(answer.status, answer.body, keys)
        except AuthenticationError:
            raise self._strange("Its answer is not authentic.") from None
        if answer.status == _OK:
            return payload
        raise self._refusal(answer.status, payload)

    def _refusal(self, status: int, code: bytes) -> ClientError:
        """What the relay itself said."""
        if (status, code) not in _REFUSALS:
            return self._strange("It refuses for a reason that this program does not know.")
        kind, message = _REFUSALS[status, code]
        return kind(message)

    def _unproved(self, answer: Answer) -> ClientError:
        """What anybody on the way might have said: only that nothing was done."""
        if answer.status in _BUSY:
            return _busy(str(self.address), answer)
        if answer.status != 404:
            return self._strange(f"It answers with status {answer.status}.")
        with suppress(RelayError):
            self.describe()  # a relay with another key knows none of our drops
        return UnknownDrop(f"{self.address} has no such drop: it expired, or never was there.")

    def _strange(self, why: str) -> ClientError:
        """`RelayKeyChanged` is raised when that explains it."""
        with suppress(RelayError):
            self.describe()
        return RelayGarbage(f"{self.address} does not behave like a relay. {why}")


def _forward(page: Page, position: int) -> Page:
    """The page itself; `DecodeError` for blocks before what was asked for, or a place of no drop.

    The next position may be lower than what was asked for: a relay came back from a backup.
    """
    before = bool(page.rows) and page.rows[0].position < position
    if before or page.following > _LAST:
        msg = "not what stands behind that position"
        raise DecodeError(msg)
    return page


def _busy(who: str, answer: Answer) -> ClientError:
    return RateLimited(f"{who} has no room for this now.", answer.retry_after or _AFTER)


def _description(transport: Transport, patience: float) -> Description:
    answer = transport.exchange("GET", "/v1/relay", b"", _MOST_DESCRIPTION, patience)
    if answer.status in _BUSY:
        raise _busy("The relay", answer)
    found = _read_description(answer.body) if answer.status == _OK else None
    if found is None:
        msg = "What answers at this address is not a Backchannel relay."
        raise RelayGarbage(msg, "check the address; then: backchannel doctor")
    return found


def _read_description(body: bytes) -> Description | None:
    try:
        found: dict[str, Any] = json.loads(body)
        key = X25519Public(bytes.fromhex(found["static_key"]))
        classes = tuple(int(hours) for hours in found["classes"])
        description = Description(key, Hour(int(found["hour"])), classes, int(found["max_blocks"]))
        ours = found["protocol"] == _PROTOCOL and 0 <= description.hour < _HOURS
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError, DecodeError):
        return None
    return description if ours else None
