"""One relay as the verbs see it: SPEC.md section 18 over HTTP; only authentic answers are believed.

Owns which refusal means what to a person. Knows nothing of blocks' insides, channels or the vault.
"""

import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, Self, TypedDict, TypeVar, final

from backchannel.client.errors import (
    ClientError,
    ClockApart,
    DropFull,
    DropSealed,
    RateLimited,
    RelayBroke,
    RelayDown,
    RelayError,
    RelayGarbage,
    RelayKeyChanged,
    RelaySlow,
    TooFast,
    UnknownDrop,
    VoucherRefused,
)
from backchannel.client.machine import clock
from backchannel.client.wire.address import Address
from backchannel.client.wire.budget import ROW, Budget
from backchannel.client.wire.pace import Pace, Paces
from backchannel.client.wire.respite import PROVED, UNPROVED, heeded
from backchannel.client.wire.transport import Answer, Transport
from backchannel.protocol import limits
from backchannel.protocol.drop import (
    NEWEST,
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
PATIENCE = 60.0  # seconds of silence, beyond what a read asked to wait: two losses in a row
_LASTING = 2  # times as long, with a relay that has answered before: what it was sent is lost else
_TRIES = 3  # of an exchange that breaks, with a relay that has answered before
_MOST_AROUND = 16_384  # bytes of an answer without blocks; some proxy's apology is one, too
_OK = 200
_PROTOCOL = "backchannel/1"
_NO_DROP = b""
_NAMED_FOR = 600.0  # seconds under one name at a proxy, in a program that stays; Tor's own habit
_HOURS = 2**32  # that the protocol can name
_BUSY = {429, 503}
_LAST = 2**63 - 1  # the highest position that a vault can note
_AFTER = 30  # seconds, where a busy relay does not say

_REFUSALS: dict[tuple[int, bytes], tuple[type[ClientError], str]] = {
    (403, b"voucher-refused"): (VoucherRefused, "The relay does not take this voucher."),
    (409, b"wrong-hour"): (ClockApart, "This machine's clock and the relay's are hours apart."),
    (409, b"sealed"): (DropSealed, "The drop is sealed: nothing can be added to it."),
}
_TOO_FAST, _FULL = 429, (507, b"quota")
_SECONDS = re.compile(rb"too-fast ([0-9]{1,9})")
_AUTHENTIC = {_OK, _TOO_FAST, *(status for status, _ in (_FULL, *_REFUSALS))}
_OF_BLOCKS = {Operation.APPEND, Operation.SEAL}
_PLACE = 12  # bytes of an answer for each block that was sent


class Description(NamedTuple):
    """What a relay says of itself; nothing vouches for it until its key is pinned."""

    key: X25519Public
    hour: Hour
    classes: tuple[int, ...]
    most_blocks: int


class Way(TypedDict):
    """How connections may be made."""

    proxy: str | None
    """`socks5h://HOST:PORT`, or `tor`; none: straight."""
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
    """One pinned relay. Reads and writes go over different connections; through a proxy each drop
    has its own, and the question who it is.
    """

    def __init__(
        self,
        url: str,
        key: X25519Public,
        now: Callable[[], Timestamp],
        entropy: Entropy,
        budget: Budget | None = None,
        paces: Paces | None = None,
        *,
        proxy: str | None = None,
        allow_http: bool = False,
        patience: float = PATIENCE,
    ) -> None:
        """`key` is the pinned static key. What is counted and learned on the way may be shared."""
        self.address = Address.parse(url, allow_http=allow_http)
        self.key = key
        self._now = now
        self._entropy = entropy
        self._patience = patience
        self._proxy = proxy
        self._budget = budget or Budget()
        paces = paces or Paces()
        self._silence = paces.silence
        if proxy is not None:
            self._silence.detour()
        self._reading, self._sending = paces.of(url, reads=True), paces.of(url, reads=False)
        self._heard = False
        """Whether it has proved itself over these connections."""
        self._lines: dict[tuple[bytes, bool], Transport] = {}
        self._line(_NO_DROP, reads=True)  # refuses at once what cannot be reached

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        for line in self._lines.values():
            line.close()

    def _line(self, drop: bytes, *, reads: bool) -> Transport:
        """The connection for a drop and a direction, through a proxy under a name of its own; all
        that goes straight shares an address anyway, and so one for each direction.
        """
        name = (_NO_DROP if self._proxy is None else drop, reads)
        line = self._lines.get(name)
        if line is None or (self._proxy is not None and line.age > _NAMED_FOR):
            if line is not None:
                line.close()
            told = (self._budget.count, self._silence.sign)
            line = Transport(self.address, self._proxy, *told)
            self._lines[name] = line
        return line

    def describe(self) -> Description:
        """Ask it who it is; `RelayKeyChanged` when that is not the pinned one."""
        found = _description(self._line(_NO_DROP, reads=True), self._patience)
        if found.key != self.key:
            msg = f"{self.address} has another key than the one you trusted. Nothing was done."
            raise RelayKeyChanged(msg)
        return found

    def create(self, drop: Drop, close: X25519Public, voucher: bytes, keep: int) -> None:
        """Make a drop of class `keep`; once more with the same keys costs nothing."""
        payload = Create(voucher, x25519_public(drop.access), close, keep).pack()
        self.exchange(Operation.CREATE, drop.id, drop.access, payload)

    def append(self, drop: Drop, blocks: list[Block]) -> tuple[Stored, ...]:
        """Add up to 64 blocks, in one request unless the link is bad; where each stands, whether
        it was there before or not.
        """
        payload = self.exchange(Operation.APPEND, drop.id, drop.access, b"".join(blocks))
        return read_stored(payload, len(blocks))

    def read(
        self, drop: Drop, position: int, hour: Hour, most: int = limits.MOST_BLOCKS, wait: int = 0
    ) -> Page:
        """Blocks from a position and hour on, as many as the link carries in good time and the
        budget has room for; waits up to `wait` seconds for one. From `NEWEST` on it is a whole page
        whatever the link carries, since all who ask so are to look alike.
        """
        pace = self._reading

        def ask() -> Page:
            alike = position == NEWEST
            count = most if alike else self._budget.blocks(min(most, pace.blocks))
            asked, began = Read(position, hour, count, wait).pack(), clock.elapsed()
            said = self._ask(Operation.READ, drop.id, drop.access, asked, count, wait)
            page = self._decode(lambda: _forward(Page.read(said), position))
            pace.took(len(page.rows), clock.elapsed() - began)
            return page

        return ask() if wait else self._persist(ask, pace)

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
    ) -> bytes:
        """Any request but a read, as the outbox keeps it; the authentic answer's payload, which for
        blocks says of each where it stands.
        """
        pace, said = self._sending, b""
        while True:
            send = partial(self._send, operation, drop, private, payload, pace)
            told = self._persist(send, pace)
            said, payload = said + told, payload[len(told) // _PLACE * limits.BLOCK :]
            if operation is not Operation.APPEND or not payload:
                return said

    def _send(
        self,
        operation: Operation,
        drop: DropId,
        private: X25519Private,
        payload: bytes,
        pace: Pace,
    ) -> bytes:
        """Of an append, as many blocks as the link carries in good time."""
        count, began = len(payload) // limits.BLOCK, clock.elapsed()
        if operation is Operation.APPEND:
            count = self._budget.blocks(min(count, pace.blocks))
            payload = payload[: count * limits.BLOCK]
        said = self._ask(operation, drop, private, payload, count)
        if operation in _OF_BLOCKS:
            self._decode(lambda: read_stored(said, count))
        if operation is Operation.APPEND:
            pace.took(count, clock.elapsed() - began)
        return said

    def _persist(self, ask: Callable[[], T], pace: Pace) -> T:
        """Ask again, and for less, where the link breaks: every request may be made twice. Who has
        never answered is asked once.
        """
        for left in reversed(range(_TRIES)):
            try:
                return ask()
            except (RelayBroke, RelayDown, RelaySlow):
                pace.broke()
                if not left or not self._heard:
                    raise
        raise AssertionError

    def _ask(
        self,
        operation: Operation,
        drop: DropId,
        private: X25519Private,
        payload: bytes,
        blocks: int,
        wait: int = 0,
    ) -> bytes:
        """One request and its answer, with so many blocks one way or the other."""
        keys = DropKeys.of_client(drop, private, self.key)
        hour, nonce = hour_of(self._now()), self._entropy.draw(limits.ID)
        request = Request.write(operation, drop, hour, nonce, payload, keys)
        line = self._line(drop, reads=operation is Operation.READ)
        path = f"/v1/{operation.name.lower()}"
        with self._budget.hold(blocks, line.ahead):
            most = _MOST_AROUND + blocks * ROW
            patience = self._patience * _LASTING if self._heard else self._patience
            answer = line.exchange("POST", path, request.pack(), most, patience, wait)
        said = self._believe(answer, request, keys)
        self._heard = True
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
            if answer.status in _BUSY:  # of a proxy before it, say
                raise self._unproved(answer) from None
            raise self._strange("Its answer is not authentic.") from None
        if answer.status == _OK:
            return payload
        raise self._refusal((answer.status, payload), answer.retry_after)

    def _refusal(self, said: tuple[int, bytes], after: int) -> ClientError:
        """What the relay itself said; `after` stands in no MAC, and is only shown."""
        if said[0] == _TOO_FAST and (found := _SECONDS.fullmatch(said[1])):
            seconds = heeded(int(found[1]), PROVED, self._entropy)
            return TooFast(f"{self.address} has taken enough for now, and", seconds)
        if said == _FULL:
            return DropFull("The drop holds as many blocks as it may.", after)
        if said not in _REFUSALS:
            return self._strange("It refuses for a reason that this program does not know.")
        kind, message = _REFUSALS[said]
        return kind(message)

    def _unproved(self, answer: Answer) -> ClientError:
        """What anybody on the way might have said: only that nothing was done."""
        if answer.status in _BUSY:
            seconds = heeded(_after(answer), UNPROVED, self._entropy)
            return _busy(str(self.address), seconds)
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
    before = bool(page.rows) and page.rows[0].position < position != NEWEST
    if before or page.following > _LAST:
        msg = "not what stands behind that position"
        raise DecodeError(msg)
    return page


def _busy(who: str, seconds: int) -> ClientError:
    return RateLimited(f"{who} has no room for this now, and", seconds)


def _after(answer: Answer) -> int:
    return answer.retry_after or _AFTER


def _description(transport: Transport, patience: float) -> Description:
    answer = transport.exchange("GET", "/v1/relay", b"", _MOST_AROUND, patience)
    if answer.status in _BUSY:
        raise _busy("The relay", min(_after(answer), UNPROVED))
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
