"""The outbox: in order, in batches, once, whatever a relay does meanwhile."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import cast

import pytest

from backchannel.client.app import App
from backchannel.client.errors import (
    ClientError,
    DropFull,
    DropSealed,
    NoVoucher,
    RelayDown,
    UnknownDrop,
    VoucherRefused,
)
from backchannel.client.rounds.outbox import (
    LASTING,
    PASSING,
    Delivered,
    Delivery,
    Refusal,
    Request,
    owe,
)
from backchannel.client.rounds.relays import Relays
from backchannel.client.vault.outbox import APPEND
from backchannel.client.vault.vault import Vault
from backchannel.client.wire.budget import Budget
from backchannel.client.wire.pace import Paces
from backchannel.protocol import limits
from backchannel.protocol.drop import Drop, Operation
from backchannel.protocol.outcome import Alone, Append, DeleteDrop, OpenDrop, SealDrop
from backchannel.protocol.primitives import X25519Public, x25519_public
from backchannel.protocol.secret import DropSecret, X25519Private
from backchannel.protocol.types import Block, ContentHash, DropId, Hour, hour_of
from tests.support.people import NOON, NORTH

URL = "https://relay.example"
KEY = x25519_public(X25519Private(bytes(range(32))))
CLOSE = X25519Private(bytes([7] * 32))
HASH = ContentHash(bytes(32))
HERE = hour_of(NOON)


@dataclass
class FakeRelay:
    """Notes what it is asked, and answers or fails as it is told."""

    asked: list[tuple[Operation, DropId, bytes]] = field(default_factory=list)
    fail: Callable[[Operation, DropId, bytes], ClientError | None] = lambda *_: None
    url: str = URL
    doors: list[int] = field(default_factory=list)
    """Over which connection each of them came."""
    opened: int = 0
    budget: Budget = field(default_factory=Budget)
    paces: Paces = field(default_factory=lambda: Paces(limits.MOST_BLOCKS))
    """As if the link were known to be fast."""

    def awake(self) -> int:
        """As `App`, too."""
        return 1

    @contextmanager
    def relay(self, url: str, key: X25519Public) -> Iterator["Door"]:
        """As `App`."""
        assert (url, key) == (self.url, KEY)
        self.opened += 1
        yield Door(self, self.opened)


@dataclass
class Door:
    """A connection."""

    to: FakeRelay
    number: int

    def exchange(
        self, operation: Operation, drop: DropId, private: X25519Private, payload: bytes
    ) -> bytes:
        self.to.doors.append(self.number)
        self.to.asked.append((operation, drop, payload))
        error = self.to.fail(operation, drop, payload)
        if error is not None:
            raise error
        return b""


def drop(number: int) -> Drop:
    return Drop(DropSecret(bytes([number] * 32)), KEY)


def put(vault: Vault, *effects: Request, label: str = LASTING) -> None:
    with vault.exclusive(NOON), vault.transaction():
        for effect in effects:
            owe(vault, NORTH, effect, label, HERE)


def block(number: int, to: Drop) -> Append:
    return Append(URL, to, Block(number.to_bytes(2) * 2048), HASH)


def deliver(vault: Vault, relay: FakeRelay) -> Delivered:
    with closing(Relays(cast("App", relay))) as relays:
        return Delivery(vault, relays, lambda: NOON).run()


def give(vault: Vault, *vouchers: bytes) -> None:
    with vault.exclusive(NOON), vault.transaction():
        vault.vouchers.add_many(URL, list(vouchers))


def test_blocks_for_one_drop_go_together_and_in_order(vault: Vault) -> None:
    one, two, relay = drop(1), drop(2), FakeRelay()
    put(vault, *(block(n, one) for n in range(70)), block(70, two), block(71, one))
    assert deliver(vault, relay)[:2] == (72, None)
    assert [(each[1], len(each[2]) // 4096) for each in relay.asked] == [
        (one.id, 64), (one.id, 6), (two.id, 1), (one.id, 1),
    ]  # fmt: skip
    sent = b"".join(payload for _, _, payload in relay.asked)
    assert [int.from_bytes(sent[at : at + 2]) for at in range(0, len(sent), 4096)] == [*range(72)]
    assert vault.outbox.count() == 0


def test_a_drop_is_opened_before_anything_is_put_in_it(vault: Vault) -> None:
    give(vault, b"v" * 16)
    relay, fresh = FakeRelay(), drop(1)
    put(vault, OpenDrop(URL, fresh, x25519_public(CLOSE), 2), block(1, fresh))
    assert vault.vouchers.count(URL) == 0
    assert deliver(vault, relay)[:2] == (2, None)
    assert [each[0] for each in relay.asked] == [Operation.CREATE, Operation.APPEND]


def test_a_relay_that_is_down_keeps_everything_and_the_voucher(vault: Vault) -> None:
    give(vault, b"v" * 16)
    fresh, down = drop(1), FakeRelay(fail=lambda *_: RelayDown("It is down."))
    put(vault, OpenDrop(URL, fresh, x25519_public(CLOSE), 2), block(1, fresh), block(2, drop(2)))
    sent, problem, *_ = deliver(vault, down)
    assert (sent, type(problem), len(down.asked)) == (0, RelayDown, 1)
    assert vault.outbox.pending()[0].attempts == 1
    up = FakeRelay()
    assert deliver(vault, up)[:2] == (3, None)
    assert up.asked[0] == down.asked[0]


def test_a_drop_that_is_full_holds_up_nobody_else(vault: Vault) -> None:
    full, other = drop(1), drop(2)
    relay = FakeRelay(fail=lambda _, to, __: DropFull("Full.") if to == full.id else None)
    put(vault, block(1, full), block(2, other), block(3, full))
    sent, problem, *_ = deliver(vault, relay)
    assert (sent, type(problem)) == (1, DropFull)
    assert [row.drop for row in vault.outbox.pending()] == [full.id, full.id]


@pytest.mark.parametrize(("label", "left"), [(PASSING, 0), (LASTING, 1)])
def test_only_a_lobby_may_be_gone(vault: Vault, label: str, left: int) -> None:
    put(vault, block(1, drop(1)), label=label)
    _, problem, *_ = deliver(vault, FakeRelay(fail=lambda *_: UnknownDrop("None such.")))
    assert vault.outbox.count() == left
    assert isinstance(problem, UnknownDrop) is bool(left)


def test_to_delete_what_is_gone_is_done(vault: Vault) -> None:
    put(vault, DeleteDrop(URL, drop(1), CLOSE))
    relay = FakeRelay(fail=lambda *_: UnknownDrop("None such."))
    assert deliver(vault, relay)[:2] == (1, None)
    assert vault.outbox.count() == 0


def test_a_voucher_that_is_refused_is_replaced_in_its_place(vault: Vault) -> None:
    bad, good = b"bad".ljust(16), b"good".ljust(16)
    give(vault, bad, good)
    refused = VoucherRefused("No such voucher.")
    relay = FakeRelay(fail=lambda _, __, payload: refused if payload[:16] == bad else None)
    fresh = drop(1)
    put(vault, OpenDrop(URL, fresh, x25519_public(CLOSE), 2), block(1, fresh))
    assert deliver(vault, relay)[:2] == (2, None)
    assert [each[0].name for each in relay.asked] == ["CREATE", "CREATE", "APPEND"]
    assert vault.vouchers.count(URL) == 0


def test_without_another_voucher_it_waits(vault: Vault) -> None:
    give(vault, b"v" * 16)
    fresh, relay = drop(1), FakeRelay(fail=lambda *_: VoucherRefused("No such voucher."))
    put(vault, OpenDrop(URL, fresh, x25519_public(CLOSE), 2), block(1, fresh))
    sent, problem, *_ = deliver(vault, relay)
    assert (sent, type(problem)) == (0, VoucherRefused)
    assert vault.outbox.count() == 2


def test_without_any_voucher_nothing_is_owed(vault: Vault) -> None:
    with pytest.raises(NoVoucher, match="Nothing was done"):
        put(vault, block(1, drop(1)), OpenDrop(URL, drop(1), x25519_public(CLOSE), 2))
    assert vault.outbox.count() == 0


def test_what_nobody_could_open_any_more_is_let_go(vault: Vault) -> None:
    put(vault, block(1, drop(1)))
    with vault.exclusive(NOON), vault.transaction():
        assert vault.outbox.let_go(NORTH, Operation.APPEND, HERE) == 0
        assert vault.outbox.let_go(bytes(16), Operation.APPEND, Hour(HERE + 1)) == 0
        assert vault.outbox.let_go(NORTH, Operation.APPEND, Hour(HERE + 1)) == 1


def test_what_must_go_alone_goes_over_a_connection_of_its_own(vault: Vault) -> None:
    one, relay = drop(1), FakeRelay()
    put(vault, block(1, one), Alone(URL, one, Block(bytes(4096))), block(2, one), block(3, one))
    assert deliver(vault, relay)[:2] == (4, None)
    assert [len(payload) // 4096 for _, _, payload in relay.asked] == [1, 1, 2]
    assert relay.doors == [1, 2, 1]


def test_a_drop_that_is_sealed_already_is_sealed(vault: Vault) -> None:
    put(vault, SealDrop(URL, drop(1), CLOSE, (Block(bytes(4096)),)))
    relay = FakeRelay(fail=lambda *_: DropSealed("Sealed."))
    assert deliver(vault, relay)[:3] == (1, None, ())
    assert vault.outbox.count() == 0


def test_the_last_blocks_go_with_the_seal_under_the_closing_key(vault: Vault) -> None:
    last = (Block(b"1" * 4096), Block(b"2" * 4096))
    put(vault, SealDrop(URL, drop(1), CLOSE, last))
    assert vault.outbox.pending()[0].access.expose() == CLOSE.expose()
    relay = FakeRelay()
    assert deliver(vault, relay)[:2] == (1, None)
    assert relay.asked == [(Operation.SEAL, drop(1).id, b"".join(last))]


@pytest.mark.parametrize("error", [DropSealed("Sealed."), DropFull("Full.")])
def test_what_a_drop_takes_no_more_is_named_and_holds_up_nobody(
    vault: Vault, error: DropSealed | DropFull
) -> None:
    over, other = drop(1), drop(2)
    relay = FakeRelay(fail=lambda _, to, __: error if to == over.id else None)
    put(vault, block(1, over), block(2, other), block(3, over))
    sent, problem, refused, _ = deliver(vault, relay)
    assert (sent, problem, refused) == (1, error, (Refusal(URL, over.id, error),))
    assert [row.content for row in vault.outbox.pending()] == [HASH, HASH]


def test_nobody_is_sent_to_a_drop_that_could_not_be_paid_for(vault: Vault) -> None:
    give(vault, b"v" * 16)
    old, new = drop(1), drop(2)
    relay = FakeRelay(fail=lambda _, to, __: VoucherRefused("No.") if to == new.id else None)
    put(vault, block(1, old), OpenDrop(URL, new, x25519_public(CLOSE), 2), block(2, old))
    sent, problem, *_ = deliver(vault, relay)
    assert (sent, type(problem)) == (1, VoucherRefused)
    assert [row.drop for row in vault.outbox.pending()] == [new.id, old.id]


def test_whoever_waits_hears_how_far_it_is(vault: Vault) -> None:
    one, heard = drop(1), list[tuple[int, int]]()
    put(vault, *(block(n, one) for n in range(70)))
    with closing(Relays(cast("App", FakeRelay()))) as relays:
        Delivery(vault, relays, lambda: NOON).run(NORTH, lambda done, of: heard.append((done, of)))
    assert heard == [(64, 70), (70, 70)]


def test_the_vault_calls_an_append_what_the_protocol_does() -> None:
    assert APPEND == Operation.APPEND
