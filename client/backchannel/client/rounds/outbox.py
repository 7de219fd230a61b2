"""What is owed to relays: effects become requests that the vault keeps until their relay has them,
in order, but what fills a line for long after all else.

Sending twice does no harm: blocks are known by their hash, a drop that stands is not paid for
again. So a process may die at any point, and whoever comes next sends the rest. Knows no channel.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from itertools import takewhile
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, final

from backchannel.client.errors import (
    ClientError,
    DropFull,
    DropSealed,
    NotYet,
    NoVoucher,
    RateLimited,
    RelayError,
    RelayKeyChanged,
    TooFast,
    UnknownDrop,
    VoucherRefused,
)
from backchannel.client.rounds.relays import Relays
from backchannel.client.rounds.verdict import worth_telling
from backchannel.client.vault.outbox import Owed
from backchannel.client.wire.lanes import Sending
from backchannel.client.wire.respite import refuse_before
from backchannel.protocol.drop import Create, Operation
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
    *,
    bulk: bool = False,
) -> int:
    """Keep what an effect asks for, in the caller's transaction; the request's number. `bulk` is
    for what may wait: so does what ends a drop that is to take some of it.
    """
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
    if operation in _CLOSING:
        bulk = vault.outbox.fills(effect.relay, drop.id)
    key = drop.relay.value
    content = effect.hash if isinstance(effect, Append) else b""
    label = ALONE if isinstance(effect, Alone) else label
    owed = Owed(owner, effect.relay, key, drop.id, access, operation, payload, label, hour)
    return vault.outbox.add(owed._replace(content=content, message=message, bulk=int(bulk)))


class Refusal(NamedTuple):
    """A drop that takes no more blocks, or none for now."""

    relay: str
    drop: DropId
    error: DropFull | DropSealed | TooFast


Tell = Callable[[int, int], object]


class Delivered(NamedTuple):
    """What became of a delivery."""

    sent: int
    problem: ClientError | None
    """Why something is still owed, where a person should know; see `verdict`."""
    refused: tuple[Refusal, ...] = ()
    """Whose requests stay owed until `refusals` says what becomes of them."""
    errors: Mapping[str, ClientError] = MappingProxyType({})
    """The first of each relay."""


def _always() -> bool:
    return True


@final
class Delivery:
    """Attempts to send what is owed: in order at each relay, and at all relays side by side."""

    def __init__(
        self,
        vault: "Vault",
        relays: Relays,
        now: Callable[[], Timestamp],
        held: Callable[[bytes], bool] = lambda _: False,
    ) -> None:
        """`held`: whether what an owner posts waits for turns of cover."""
        self._held = held
        self._vault = vault
        self._relays = relays
        self._now = now
        self._flying: dict[str, list[Owed]] = {}
        """What is under way, also from an attempt before."""
        self._rest: Callable[[], bool] = _always
        """Whether bulk goes, too."""
        self._turn: dict[str, Owed] | None = None
        """While it is one's turn: what goes to each relay, and nothing else."""
        self._begin()

    def _begin(self) -> None:
        self._sent: Counter[str] = Counter()
        self._stuck: set[tuple[str, bytes]] = set()
        self._errors: dict[str, ClientError] = {}
        self._refused: list[Refusal] = []

    def run(
        self,
        owner: bytes | None = None,
        tell: Tell | None = None,
        enough: Callable[[], bool] = lambda: False,
        relays: Collection[str] = (),
        rest: Callable[[], bool] = _always,
    ) -> Delivered:
        """Send what one owner owes, or all; what fails holds up only its own drop, a relay that is
        down all of its. Once it is `enough`, slow relays are left behind. `tell` hears after each
        answer how many requests went to the fastest relay, and of how many. `relays` are those that
        will do for each other. Where there is no `rest`, no request is begun with bulk, though one
        that is not full takes some: else a relay could tell what is none.
        """
        self._begin()
        self._rest = rest
        owners = self._vault.outbox.owners() if owner is None else [owner]
        for each in owners:
            self._relays.speak_for(each)
            self._deliver(each, tell, enough)
        problem = worth_telling(self._errors, relays or self._errors)
        return Delivered(self._sent.total(), problem, tuple(self._refused), self._errors)

    def turn(self, rows: Mapping[str, Owed], enough: Callable[[], bool]) -> Delivered:
        """Send these, each alone over a connection of its own, and nothing else."""
        self._turn = dict(rows)
        try:
            return self.run(next(iter(rows.values())).owner, None, enough, rows)
        finally:
            self._turn = None

    def _deliver(self, owner: bytes, tell: Tell | None, enough: Callable[[], bool]) -> None:
        most = max(self._vault.outbox.relays(owner).values(), default=0) if tell else 0
        self._fill(owner)
        for heard in self._relays.hear(self._relays.writes, enough):
            url = heard.ask.url
            error = heard.said if isinstance(heard.said, ClientError) else None
            self._answered(self._flying.pop(url), error)
            if tell:
                tell(max(self._sent.values(), default=0), most)
            self._fill(owner)
        for url in self._flying:  # what is under way there may come to something another time
            out = self._relays.out(url)
            if out is not None:
                self._errors.setdefault(url, out)

    def _fill(self, owner: bytes) -> None:
        """Give every relay that waits for nothing its next requests; where bytes are counted, one
        after another, and first the one that soonest has all.
        """
        frugal, busy = self._relays.frugal, self._relays.writes.busy
        owed = self._vault.outbox.relays(owner)
        if self._turn is not None:
            owed = dict.fromkeys(self._turn, 1)
        for url in sorted(owed.keys() - busy, key=owed.__getitem__):
            if frugal and busy:
                return
            while batch := self._next(owner, url):
                if self._asked(batch):
                    busy = self._relays.writes.busy
                    break

    def _next(self, owner: bytes, url: str) -> list[Owed]:
        """One request, or as many blocks for one drop as the link to its relay carries at once."""
        without = [drop for relay, drop in self._stuck if relay == url]
        if b"" in without:
            return []
        if self._turn is not None:
            row = self._turn.pop(url, None)
            return [] if row is None else [row]
        most, held = self._relays.batch(url), self._held(owner)
        rows = self._vault.outbox.pending(owner, url, most, without, held=held)
        if rows and rows[0].bulk and not self._rest():
            return []
        if not rows or rows[0].operation != Operation.APPEND or rows[0].label == ALONE:
            return rows[:1]
        return list(takewhile(lambda row: _same(row, rows[0]), rows))

    def _asked(self, batch: list[Owed]) -> bool:
        """Whether it is under way now."""
        first = batch[0]
        try:
            refuse_before(first.after, self._now())
        except NotYet as error:
            return self._hold_up(batch, error)
        out = self._relays.out(first.relay)
        if out is not None:
            return self._hold_up(batch, out)
        payload = b"".join(row.payload for row in batch)
        alone = first.label == ALONE or self._turn is not None
        key, operation = X25519Public(first.relay_key), Operation(first.operation)
        self._flying[first.relay] = batch
        self._relays.writes.ask(
            Sending(first.relay, key, operation, first.drop, first.access, payload, alone)
        )
        return True

    def _answered(self, batch: list[Owed], error: ClientError | None) -> None:
        first = batch[0]
        closes = first.operation in _CLOSING
        match error:
            case UnknownDrop() if first.label == PASSING or closes:
                self._done(batch)
            case DropSealed() | DropFull() | TooFast() if first.operation != Operation.SEAL:
                self._refused.append(Refusal(first.relay, first.drop, error))
                self._failed(batch, error)
            case None | DropSealed() | DropFull() | TooFast():
                self._done(batch)
            case VoucherRefused() if self._pay_again(first):
                pass
            case _:
                self._failed(batch, error)

    def _done(self, batch: list[Owed]) -> None:
        first = batch[0]
        with self._vault.exclusive(self._now()), self._vault.transaction():
            self._vault.outbox.done(*(row.id for row in batch))
            for message in {row.message for row in batch if row.message}:
                self._vault.outbox.taken(first.owner, first.relay, message)
        self._sent[first.relay] += len(batch)

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
        """Always false: this was not sent."""
        first = batch[0]
        whole_relay = isinstance(error, RelayError | RelayKeyChanged)
        self._stuck.add((first.relay, b"" if whole_relay else first.drop))
        if first.operation == Operation.CREATE and first.label != PASSING:
            # Nobody is sent to a drop that is not there.
            drops = self._vault.outbox.drops(first.owner, first.relay)
            self._stuck |= {(first.relay, drop) for drop in drops}
        self._errors.setdefault(first.relay, error)
        return False

    def _failed(self, batch: list[Owed], error: ClientError) -> None:
        after = self._now() + error.retry_after if isinstance(error, RateLimited) else 0
        with self._vault.exclusive(self._now()), self._vault.transaction():
            self._vault.outbox.tried(batch[0].id, after)
        self._hold_up(batch, error)


def _same(row: Owed, first: Owed) -> bool:
    parts = attrgetter("relay", "drop", "operation", "label")
    return bool(parts(row) == parts(first))
