"""What is owed to relays: effects become requests that the vault keeps until a relay has them, in
order.

Sending twice does no harm: blocks are known by their hash, a drop that stands is not paid for
again. So a process may die at any point, and whoever comes next sends the rest. Knows no channel.
"""

from collections.abc import Callable
from itertools import takewhile
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple, final

from backchannel.client.errors import (
    ClientError,
    DropFull,
    DropSealed,
    NoVoucher,
    RateLimited,
    RelayError,
    RelayGarbage,
    RelayKeyChanged,
    UnknownDrop,
    VoucherRefused,
)
from backchannel.client.relays import Relays
from backchannel.client.vault.outbox import Owed
from backchannel.protocol import limits
from backchannel.protocol.drop import Create, Operation, read_stored
from backchannel.protocol.errors import DecodeError
from backchannel.protocol.outcome import Alone, Append, DeleteDrop, OpenDrop, SealDrop
from backchannel.protocol.primitives import X25519Public, x25519_public
from backchannel.protocol.types import DropId, Hour, Timestamp

if TYPE_CHECKING:
    from backchannel.client.vault.vault import Vault

Request = OpenDrop | Append | Alone | SealDrop | DeleteDrop
"""Effects that a relay is asked for."""

LASTING, PASSING, ALONE = "channel", "lobby", "alone"
"""Labels: whether the request is for a channel's own drop, or for a lobby, which may be gone by
now; or for a channel's drop, and with nothing beside it.
"""

_CLOSING = {Operation.SEAL, Operation.DELETE}
"""Where the drop is gone, this is done."""

_VOUCHER = slice(0, 16)  # of a request to create


def owe(
    vault: "Vault",
    owner: bytes,
    effect: Request,
    label: str,
    hour: Hour,
    message: bytes = b"",
) -> int:
    """Keep what an effect asks for, in the caller's transaction; the request's number."""
    drop, access = effect.drop, effect.drop.access
    match effect:
        case OpenDrop():
            voucher = vault.vouchers.take(effect.relay)
            if voucher is None:
                msg = f"There is no voucher left for {effect.relay}. Nothing was done."
                raise NoVoucher(msg)
            operation = Operation.CREATE
            payload = Create(voucher, x25519_public(access), effect.close, effect.keep).pack()
        case Append() | Alone():
            operation, payload = Operation.APPEND, bytes(effect.block)
        case SealDrop():
            operation, payload, access = Operation.SEAL, b"".join(effect.blocks), effect.close
        case DeleteDrop():
            operation, payload, access = Operation.DELETE, b"", effect.close
    key = drop.relay.value
    content = effect.hash if isinstance(effect, Append) else b""
    label = ALONE if isinstance(effect, Alone) else label
    owed = Owed(owner, effect.relay, key, drop.id, access, operation, payload, label, hour)
    return vault.outbox.add(owed._replace(content=content, message=message))


class Refusal(NamedTuple):
    """A drop that takes no more blocks."""

    relay: str
    drop: DropId
    error: DropFull | DropSealed


Tell = Callable[[int, int], object]


class Delivered(NamedTuple):
    """What became of a delivery."""

    sent: int
    problem: ClientError | None
    """Why something is still owed."""
    refused: tuple[Refusal, ...] = ()
    """Whose requests stay owed until `refusals` says what becomes of them."""


@final
class Delivery:
    """One attempt to send everything that is owed."""

    def __init__(self, vault: "Vault", relays: Relays, now: Callable[[], Timestamp]) -> None:
        self._vault = vault
        self._relays = relays
        self._now = now
        self._stuck: set[tuple[str, bytes]] = set()
        self._problem: ClientError | None = None
        self._refused: list[Refusal] = []

    def run(self, owner: bytes | None = None, tell: Tell | None = None) -> Delivered:
        """Send in order; what fails holds up only its own drop, a relay that is down all of its.
        `tell` hears after each answer how many requests were sent, and of how many.
        """
        sent, owed = 0, self._vault.outbox.count(owner) if tell else 0
        while batch := self._next(owner):
            if self._send(batch):
                sent += len(batch)
            if tell:
                tell(sent, owed)
        return Delivered(sent, self._problem, tuple(self._refused))

    def _next(self, owner: bytes | None) -> list[Owed]:
        """One request, or as many blocks for one drop as a relay takes at once."""
        rows = self._vault.outbox.pending(owner, without=self._stuck)
        if not rows or rows[0].operation != Operation.APPEND or rows[0].label == ALONE:
            return rows[:1]
        return list(takewhile(lambda row: _same(row, rows[0]), rows))[: limits.MOST_BLOCKS]

    def _send(self, batch: list[Owed]) -> bool:
        first = batch[0]
        try:
            self._exchange(batch)
        except UnknownDrop as error:
            if first.label != PASSING and first.operation not in _CLOSING:
                return self._hold_up(batch, error)
        except (DropSealed, DropFull) as error:
            if first.operation != Operation.SEAL:
                self._refused.append(Refusal(first.relay, first.drop, error))
                return self._hold_up(batch, error)
        except VoucherRefused as error:
            if not self._pay_again(first):
                return self._hold_up(batch, error)
            return False
        except ClientError as error:
            return self._hold_up(batch, error)
        with self._vault.exclusive(self._now()), self._vault.transaction():
            self._vault.outbox.done(*(row.id for row in batch))
        return True

    def _exchange(self, batch: list[Owed]) -> None:
        first = batch[0]
        self._relays.speak_for(first.owner)
        key = X25519Public(first.relay_key)
        operation, payload = Operation(first.operation), b"".join(row.payload for row in batch)
        if first.label == ALONE:  # nothing else of this person's ever went this way
            with self._relays.another(first.relay, key) as relay:
                answer = relay.exchange(operation, first.drop, first.access, payload)
        else:
            relay = self._relays.get(first.relay, key)
            answer = relay.exchange(operation, first.drop, first.access, payload)
        if operation is Operation.APPEND:
            _check_stored(answer, len(batch))

    def _pay_again(self, row: Owed) -> bool:
        """Put another voucher in place of one that the relay does not take, unless another process
        has done so, or has paid.
        """
        with self._vault.exclusive(self._now()), self._vault.transaction():
            if self._vault.outbox.payload(row.id) != row.payload:
                return True
            voucher = self._vault.vouchers.take(row.relay)
            if voucher is not None:
                self._vault.outbox.replace(row.id, voucher + row.payload[_VOUCHER.stop :])
        return voucher is not None

    def _hold_up(self, batch: list[Owed], error: ClientError) -> bool:
        first = batch[0]
        if isinstance(error, RelayError):
            self._relays.down(first.relay, error)
        whole_relay = isinstance(error, RelayError | RelayKeyChanged | RateLimited)
        self._stuck.add((first.relay, b"" if whole_relay else first.drop))
        if first.operation == Operation.CREATE and first.label != PASSING:
            # Nobody is sent to a drop that is not there.
            drops = self._vault.outbox.drops(first.owner, first.relay)
            self._stuck |= {(first.relay, drop) for drop in drops}
        self._problem = self._problem or error
        with self._vault.exclusive(self._now()), self._vault.transaction():
            self._vault.outbox.tried(first.id)
        return False


def _check_stored(answer: bytes, count: int) -> None:
    try:
        read_stored(answer, count)
    except DecodeError:
        msg = "The relay does not say where it put what was sent."
        raise RelayGarbage(msg) from None


def _same(row: Owed, first: Owed) -> bool:
    parts = attrgetter("relay", "drop", "operation", "label")
    return bool(parts(row) == parts(first))
