"""The client's relay module against a real relay: every operation, every refusal, a changed key."""

import itertools
import os
from collections.abc import Iterator

import pytest

from backchannel.client.errors import (
    ClockApart,
    DropSealed,
    RelayDown,
    RelayKeyChanged,
    UnknownDrop,
    VoucherRefused,
)
from backchannel.client.wire.pace import Paces
from backchannel.client.wire.relay import Relay, describe
from backchannel.protocol import limits
from backchannel.protocol.drop import Drop
from backchannel.protocol.primitives import x25519_public
from backchannel.protocol.secret import DropSecret, X25519Private
from backchannel.protocol.types import Hour, Timestamp, start_of
from tests.support.people import ENTROPY
from tests.support.relay import RelayProcess, noise, running_relay

pytestmark = [pytest.mark.system, pytest.mark.slow]
CLOSE = X25519Private(bytes(range(32)))
PUBLIC = x25519_public(CLOSE)


@pytest.fixture(scope="module")
def server() -> Iterator[RelayProcess]:
    with running_relay() as relay:
        yield relay


@pytest.fixture
def relay(server: RelayProcess) -> Iterator[Relay]:
    with pinned(server) as relay:
        yield relay


def pinned(server: RelayProcess, ahead: int = 0) -> Relay:
    """A client of that relay, whose clock is some hours ahead of the relay's."""
    found = describe(server.url)
    now = Timestamp(start_of(found.hour) + 3600 * ahead)
    return Relay(server.url, found.key, lambda: now, ENTROPY, paces=Paces(limits.MOST_BLOCKS))


def fresh(relay: Relay, server: RelayProcess) -> Drop:
    drop = Drop(DropSecret(os.urandom(32)), relay.key)
    relay.create(drop, PUBLIC, server.voucher(), 0)
    return drop


def test_what_is_appended_is_read_again(relay: Relay, server: RelayProcess) -> None:
    drop, blocks = fresh(relay, server), noise(3)
    stored = relay.append(drop, blocks)
    assert [row.position for row in stored] == [1, 2, 3]
    assert relay.append(drop, blocks) == stored
    page = relay.read(drop, 1, Hour(0))
    assert [row.block for row in page.rows] == blocks
    assert (page.following, page.more) == (4, False)
    assert relay.read(drop, 1, Hour(0), most=2).more
    assert relay.read(drop, 4, Hour(0), wait=1).rows == ()


def test_creating_twice_costs_one_voucher(relay: Relay, server: RelayProcess) -> None:
    voucher, drop = server.voucher(), Drop(DropSecret(os.urandom(32)), relay.key)
    for _ in range(2):
        relay.create(drop, PUBLIC, voucher, 0)
    with pytest.raises(VoucherRefused):
        relay.create(Drop(DropSecret(os.urandom(32)), relay.key), PUBLIC, voucher, 0)


def test_a_sealed_drop_is_read_and_not_written(relay: Relay, server: RelayProcess) -> None:
    drop = fresh(relay, server)
    relay.append(drop, noise())
    relay.seal(drop.id, CLOSE)
    with pytest.raises(DropSealed):
        relay.append(drop, noise())
    assert len(relay.read(drop, 1, Hour(0)).rows) == 1
    relay.delete(drop.id, CLOSE)
    with pytest.raises(UnknownDrop):
        relay.read(drop, 1, Hour(0))


@pytest.mark.parametrize("ahead", [-3, 3])
def test_a_clock_that_is_hours_wrong_is_told(server: RelayProcess, ahead: int) -> None:
    with pinned(server) as right, pinned(server, ahead) as wrong:
        drop = fresh(right, server)
        with pytest.raises(ClockApart):
            wrong.append(drop, noise())


def test_another_relay_at_the_same_address_is_told_apart(server: RelayProcess) -> None:
    with running_relay() as impostor, pinned(server) as before:
        drop = fresh(before, server)
        now = Timestamp(start_of(describe(server.url).hour))
        with Relay(impostor.url, before.key, lambda: now, ENTROPY) as moved:
            for action in (
                moved.describe,
                lambda: moved.append(drop, noise()),
                lambda: moved.read(drop, 1, Hour(0)),
                lambda: moved.create(drop, PUBLIC, bytes(16), 0),
            ):
                with pytest.raises(RelayKeyChanged):
                    action()


def test_a_relay_that_was_killed_and_came_back_is_the_same(server: RelayProcess) -> None:
    with running_relay() as other:
        with pinned(other) as relay:
            drop, blocks = fresh(relay, other), noise(2)
            relay.append(drop, blocks)
            other.kill()
            with pytest.raises(RelayDown):
                relay.append(drop, noise())
        other.start()
        with pinned(other) as relay:
            page = relay.read(drop, 1, Hour(0))
    assert [row.block for row in page.rows] == blocks
    positions = [row.position for row in page.rows]
    assert all(a < b for a, b in itertools.pairwise(positions))
