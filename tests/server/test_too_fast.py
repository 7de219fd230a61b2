"""Attack class 52 by those who may: what one drop takes in a while, one store in all, and who is
told what instead.
"""

import time
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from backchannel.protocol import limits
from backchannel.protocol.drop import Create, Operation
from backchannel.protocol.primitives import x25519_public
from backchannel.protocol.types import Hour
from backchannel.server import room, service
from backchannel.server.authorize import Door
from backchannel.server.limits import NO_BLOCKS_AFTER, NO_DROPS_AFTER
from backchannel.server.relay import Call
from backchannel.server.repository import Repository
from backchannel.server.settings import Settings
from tests.server.inside import Inside, Opener
from tests.support.people import ENTROPY
from tests.support.relay import DropClient, RefusedError, noise, until

pytestmark = pytest.mark.stores
MOST = limits.MOST_BLOCKS


def refusal(work: Callable[[], object]) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        work()
    return caught.value


def test_attack_52_a_drop_takes_so_many_blocks_in_a_minute(open_inside: Opener) -> None:
    inside = open_inside(rate_blocks=MOST)
    client, other = inside.drop(), inside.drop()
    client.append(*noise(MOST))
    refused = refusal(lambda: client.append(*noise(2)))
    assert (refused.status, refused.code) == (429, f"too-fast {refused.retry_after}")
    assert refused.retry_after in {1, 2}
    other.append(*noise(MOST))
    assert client.read().following == MOST + 1


def test_what_was_told_is_kept(open_inside: Opener) -> None:
    client = open_inside(rate_blocks=MOST).drop()
    client.append(*noise(MOST))
    (block,) = noise()
    after = refusal(lambda: client.append(block)).retry_after
    assert after is not None
    time.sleep(after)
    assert client.append(block)[0].position == MOST + 1


def test_attack_52_who_knows_a_drops_id_cannot_use_up_what_its_members_may(
    open_inside: Opener,
) -> None:
    """Not even with requests of the right shape and length: what is not proved costs nothing."""
    client = open_inside(rate_blocks=MOST, rate_requests=2).drop()
    stranger = client.with_wrong_key()
    for _ in range(3):
        with pytest.raises(RefusedError, match="404 unknown-drop"):
            stranger.append(*noise(MOST))
    client.append(*noise(MOST))


def test_a_request_of_another_hour_costs_nothing(open_inside: Opener) -> None:
    client = open_inside(rate_blocks=MOST).drop()
    client.ahead = 5
    with pytest.raises(RefusedError, match="409 wrong-hour"):
        client.append(*noise(MOST))
    client.ahead = 0
    client.append(*noise(MOST))


def test_attack_71_who_keeps_a_drop_busy_keeps_nobody_from_ending_it(open_inside: Opener) -> None:
    client = open_inside(rate_blocks=MOST, rate_requests=1).drop()
    client.append(*noise(MOST))
    assert refusal(lambda: client.append(*noise())).status == 429
    assert refusal(client.read).status == 429
    last = client.request(Operation.SEAL, b"".join(noise(MOST)))
    assert len(client.send(last)) == MOST * 12
    client.delete()


def test_attack_52_a_drop_is_asked_so_often_in_a_minute(open_inside: Opener) -> None:
    inside = open_inside(rate_requests=30)
    client, other = inside.drop(), inside.drop()
    for _ in range(30):
        client.read()
    refused = refusal(lambda: [client.read() for _ in range(30)])  # a slow machine earns some
    assert refused.code == f"too-fast {refused.retry_after}"
    assert refused.retry_after in {1, 2}
    other.read()


def test_nothing_is_counted_where_nothing_is_bounded(open_inside: Opener) -> None:
    client = open_inside(rate_blocks=0, rate_requests=0).drop()
    for _ in range(3):
        client.append(*noise(MOST))
        client.read()


@pytest.mark.parametrize(("blocks", "fits"), [(0, True), (1, False), (63, False), (64, True)])
def test_a_rate_that_no_whole_request_fits_is_refused(blocks: int, fits: bool) -> None:
    if fits:
        assert Settings(rate_blocks=blocks).rate_blocks == blocks
        return
    with pytest.raises(ValidationError, match="64 blocks would never fit"):
        Settings(rate_blocks=blocks)


def test_a_full_drop_says_when_its_blocks_may_end(open_inside: Opener) -> None:
    inside = open_inside(quota=1)
    client = inside.drop()
    client.append(*noise())
    refused = refusal(lambda: client.append(*noise()))
    left = 3600 - inside.relay.clock.now() % 3600
    assert (refused.status, refused.code) == (507, "quota")
    assert refused.retry_after in {left, left + 1}


def fill(inside: Inside, client: DropClient) -> RefusedError:
    """Until no block is taken."""
    for _ in until(60):
        try:
            client.append(*noise(8))
        except RefusedError as error:
            return error
    raise AssertionError


@pytest.mark.sqlite  # another database's size follows what was deleted only later
def test_attack_52_a_store_takes_no_more_than_its_operator_wants(
    open_inside: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New drops end first; and what is deleted or over makes room for others at once."""
    monkeypatch.setattr(room, "LOOK_EVERY", 0)
    inside = open_inside(most_bytes=2_000_000)
    first, second = inside.drop(), inside.drop()
    second.append(*noise(MOST))
    full = fill(inside, first)
    assert (str(full), full.retry_after) == ("503 busy", NO_BLOCKS_AFTER)
    new = refusal(inside.drop)
    assert (str(new), new.retry_after) == ("503 busy", NO_DROPS_AFTER)
    assert len(second.read().rows) == MOST
    second.delete()
    first.append(*noise(8))
    size = (inside.home.path / "relay.db").stat().st_size
    assert size < 3_000_000


def test_a_store_that_is_larger_than_it_may_be_takes_nobody(open_inside: Opener) -> None:
    inside = open_inside(most_bytes=1)
    assert refusal(inside.drop).retry_after == NO_DROPS_AFTER


def test_who_asks_again_for_a_drop_that_it_made_is_not_new(
    open_inside: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer may have been lost; and blocks wait for it."""
    monkeypatch.setattr(room, "LOOK_EVERY", 0)
    inside = open_inside()
    client = inside.stranger()
    voucher = inside.voucher()
    client.create(voucher)
    monkeypatch.setattr(room, "FREE_DISK", 1 << 62)
    assert refusal(inside.drop).retry_after == NO_DROPS_AFTER
    client.create(voucher)
    client.append(*noise())


def test_attack_53_low_memory_is_for_those_who_are_here(
    open_inside: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "LOOK_EVERY", 0)
    inside = open_inside()
    client = inside.drop()
    monkeypatch.setattr(room, "FREE_MEMORY", 1 << 62)
    refusal(inside.drop)
    client.append(*noise())
    monkeypatch.undo()


# --- Requests that overtake each other ------------------------------------------------------------


@pytest.mark.parametrize("operation", [Operation.APPEND, Operation.SEAL, Operation.DELETE])
def test_attack_114_a_request_let_in_just_before_the_drop_changed_hands_does_nothing(
    inside: Inside, operation: Operation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its key was checked; then the drop was deleted, and made anew with other keys."""
    client, other = inside.drop(), inside.stranger()
    other.drop = client.drop
    keys = x25519_public(other.access), x25519_public(other.close)
    asked = Create(inside.voucher(), *keys, 2)
    relay, authorize = inside.relay, inside.relay.authorize

    def change_hands(store: Repository, _hour: Hour) -> None:
        store.delete_drop(client.drop)
        service.create(store, client.drop, asked, ENTROPY)

    async def overtaken(call: Call) -> Door:
        door = await authorize(call)
        await relay.writer.do(change_hands)
        relay.authorizer.forget(client.drop)
        return door

    payload = b"" if operation is Operation.DELETE else b"".join(noise())
    late = client.request(operation, payload)
    with monkeypatch.context() as patch:
        patch.setattr(relay, "authorize", overtaken)
        with pytest.raises(RefusedError, match="404 unknown-drop"):
            client.send(late)
    assert other.read().rows == ()
    assert other.append(*noise())[0].position == 1


def test_attack_114_a_replayed_delete_ends_a_drop_that_was_made_again_within_the_hour(
    inside: Inside,
) -> None:
    """Whoever stands on the way can do so, once the same keys made the same drop again, which no
    client does: a drop is made once, and not again after its epoch. After the hour nobody can.
    """
    client = inside.drop()
    recorded = client.request(Operation.DELETE, b"")
    client.send(recorded)
    with pytest.raises(RefusedError, match="404 unknown-drop"):
        client.send(recorded)
    client.create(inside.voucher())
    client.send(recorded)
    client.create(inside.voucher())
    inside.move_clock(2)
    with pytest.raises(RefusedError, match="409 wrong-hour"):
        client.send(recorded)
    assert client.read().rows == ()
