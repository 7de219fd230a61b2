"""Attack class 52 on a removal: whoever is about to be removed fills the drop, and the last blocks
that say so come beyond its quota, once.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backchannel.protocol import limits
from backchannel.protocol.drop import Operation, Stored, read_stored
from backchannel.protocol.types import Block, Hour
from backchannel.server import room
from backchannel.server.repository import Repository
from tests.server.inside import Inside, Opener
from tests.support.relay import DropClient, RefusedError, RelayProcess, noise, running_relay

pytestmark = pytest.mark.stores

DAY = 0  # index of the class that keeps blocks for 24 hours
QUOTA = 3


def seal(client: DropClient, *blocks: bytes) -> Sequence[Stored]:
    """Seal with last blocks; where each stands."""
    payload = client.send(client.request(Operation.SEAL, b"".join(blocks)))
    return read_stored(payload, len(blocks))


def positions(rows: Sequence[Stored]) -> list[int]:
    return [row.position for row in rows]


def refused(refusal: str, attempt: Callable[..., object], *blocks: bytes) -> None:
    with pytest.raises(RefusedError, match=refusal):
        attempt(*blocks)


@pytest.fixture(scope="module")
def narrow() -> Iterator[RelayProcess]:
    """A relay as a program, whose drops hold little."""
    with running_relay(start=False) as relay:
        (relay.data / "relay.toml").write_text(f"quota = {QUOTA}\n")
        yield relay.start()


@pytest.fixture
def flooded(narrow: RelayProcess) -> DropClient:
    """A drop that somebody filled, over real sockets."""
    client = DropClient.connect(narrow.url)
    client.create(narrow.voucher())
    client.append(*noise(QUOTA))
    return client


# --- As a program ---------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, limits.MOST_BLOCKS])
def test_attack_52_quota_filled_by_the_one_about_to_be_removed_does_not_prevent_the_removal(
    flooded: DropClient, count: int
) -> None:
    removal = noise(count)
    refused("507 quota", flooded.append, removal[0])
    stored = seal(flooded, *removal)
    assert positions(stored) == list(range(QUOTA + 1, QUOTA + count + 1))
    page = flooded.read(position=QUOTA + 1)
    assert [row.block for row in page.rows] == removal
    assert [row[:2] for row in page.rows] == [row[:2] for row in stored]
    refused("409 sealed", flooded.append, *noise())


def test_attack_52_no_second_seal_brings_more_beyond_the_quota(flooded: DropClient) -> None:
    seal(flooded, *noise())
    refused("409 sealed", lambda *blocks: seal(flooded, *blocks), *noise())
    assert flooded.read().following == QUOTA + 2


def test_attack_52_the_access_key_brings_nothing_beyond_the_quota(flooded: DropClient) -> None:
    close, flooded.close = flooded.close, flooded.access
    refused("404 unknown-drop", lambda *blocks: seal(flooded, *blocks), *noise())
    flooded.close = close
    assert flooded.read().following == QUOTA + 1
    seal(flooded, *noise())


def test_who_waits_is_woken_by_the_last_blocks(flooded: DropClient) -> None:
    (block,) = noise()
    began = time.monotonic()
    threading.Timer(0.5, seal, (flooded, block)).start()
    page = flooded.read(position=QUOTA + 1, wait=30)
    assert [row.block for row in page.rows] == [block]
    assert time.monotonic() - began < 25


def test_attack_56_a_removal_that_was_answered_survives_kill_9() -> None:
    with running_relay() as relay:
        client = DropClient.connect(relay.url)
        client.create(relay.voucher())
        last = noise(limits.MOST_BLOCKS)
        stored = seal(client, *last)
        relay.kill()
        client.url = relay.start().url
        assert [row.block for row in client.read().rows] == last
        refused("409 sealed", client.append, *noise())
        assert seal(client, *last) == stored, "an answer that was lost can be asked for again"


# --- Sealing again --------------------------------------------------------------------------------


def test_sealing_again_answers_as_before(inside: Inside) -> None:
    client, (first, second) = inside.drop(), noise(2)
    stored = seal(client, first, second)
    assert seal(client, first, second) == stored
    assert seal(client, second, first, second) == (stored[1], stored[0], stored[1])
    assert seal(client) == ()
    assert client.read().following == 3


def test_what_was_said_before_can_be_among_the_last(inside: Inside) -> None:
    """An announcement of which a part came in while there was room."""
    client, (early, late) = inside.drop(), noise(2)
    (before,) = client.append(early)
    assert seal(client, late, early, late) == (
        Stored(2, before.hour),
        before,
        (2, before.hour, b""),
    )
    assert seal(client, early) == (before,)


@pytest.mark.parametrize("early", [0, 1])
def test_a_sealed_drop_takes_nothing_new_and_nothing_of_what_comes_with_it(
    inside: Inside, early: int
) -> None:
    client, said, fresh = inside.drop(), noise(early), noise()
    client.append(*said) if said else None
    seal(client)
    refused("409 sealed", lambda: seal(client, *said, *fresh))
    assert [row.block for row in client.read().rows] == said


def test_a_last_block_that_expired_is_new_to_a_sealed_drop(inside: Inside) -> None:
    client, (block,) = inside.drop(DAY), noise()
    seal(client, block)
    inside.relay.sweeper.poke = lambda: None  # type: ignore[method-assign]
    inside.move_clock(24)
    refused("409 sealed", lambda: seal(client, block))
    assert client.read().rows == ()
    assert seal(client) == ()


def test_what_expired_in_an_open_drop_may_come_again_as_its_last(open_inside: Opener) -> None:
    inside = open_inside(quota=1)
    client, (block, other) = inside.drop(DAY), noise(2)
    client.append(block)
    inside.relay.sweeper.poke = lambda: None  # type: ignore[method-assign]
    inside.move_clock(24)
    assert positions(seal(client, block, other)) == [2, 3]
    assert [row.block for row in client.read().rows] == [block, other]


# --- Refused, and then not half done --------------------------------------------------------------


def still_open(client: DropClient) -> bool:
    """Whether it holds nothing and takes something."""
    return client.append(*noise())[0].position == 1


@pytest.mark.parametrize("extra", [1, limits.BLOCK])
def test_one_more_than_sixty_four_last_blocks_is_too_large(inside: Inside, extra: int) -> None:
    client = inside.drop()
    refused("413 too-large", lambda: seal(client, *noise(limits.MOST_BLOCKS), bytes(extra)))
    assert still_open(client)


@pytest.mark.parametrize("size", [1, limits.BLOCK - 1, limits.BLOCK + 1])
def test_last_blocks_are_whole(inside: Inside, size: int) -> None:
    client = inside.drop()
    refused("422 not-a-block", lambda: seal(client, bytes(size)))
    assert still_open(client)


@pytest.mark.sqlite
def test_attack_53_a_full_disk_does_not_seal_without_the_last_blocks(inside: Inside) -> None:
    """One transaction: a drop sealed without its announcement could never be told of it."""
    client, last = inside.drop(), noise(limits.MOST_BLOCKS)

    def full(store: Repository, _hour: Hour) -> None:
        pages = store._connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        store._connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    inside.write(full)
    refused("503 busy", lambda: seal(client, *last))
    assert client.read().rows == ()
    inside.write(
        lambda store, _: store._connection.exec_driver_sql("PRAGMA max_page_count = 1073741823")
    )
    assert positions(seal(client, *last)) == list(range(1, limits.MOST_BLOCKS + 1))


def test_a_failure_after_the_last_blocks_takes_them_back(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = inside.drop()

    def fail(_store: Repository, _drop: bytes) -> None:
        raise KeyError

    with monkeypatch.context() as patch:
        patch.setattr(Repository, "seal_drop", fail)
        refused("503 busy", lambda: seal(client, *noise()))
    assert still_open(client)


def test_attack_53_a_drop_is_sealed_with_its_last_blocks_where_no_others_are_taken(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once in the life of a drop: what little they take is left for that."""
    monkeypatch.setattr(room, "LOOK_EVERY", 0)
    client = inside.drop()
    monkeypatch.setattr(room, "RESERVED", 1 << 62)
    refused("503 busy", lambda: client.append(*noise()))
    assert positions(seal(client, *noise(64))) == list(range(1, 65))


# --- Whatever the order ---------------------------------------------------------------------------

PALETTE = noise(6)
BLOCKS = st.lists(st.sampled_from(PALETTE), max_size=4)
STEPS = st.lists(st.tuples(st.sampled_from(["append", "seal"]), BLOCKS), max_size=8)


class Model:
    """A drop as section 18 tells it."""

    def __init__(self) -> None:
        self.held: list[Block] = []
        self.sealed = False

    def does(self, step: str, blocks: list[Block]) -> str | list[int]:
        """A refusal, or the positions."""
        fresh = [block for block in dict.fromkeys(blocks) if block not in self.held]
        if self.sealed and (fresh or step == "append"):
            return "sealed"
        if step == "append" and fresh and len(self.held) + len(fresh) > QUOTA:
            return "quota"
        self.held += fresh
        self.sealed = self.sealed or step == "seal"
        return [self.held.index(block) + 1 for block in blocks]


def did(client: DropClient, step: str, blocks: list[Block]) -> str | list[int]:
    try:
        rows = client.append(*blocks) if step == "append" else seal(client, *blocks)
    except RefusedError as refusal:
        return refusal.code
    return positions(rows)


@pytest.fixture(scope="module")
def drops(narrow: RelayProcess) -> Callable[[], DropClient]:
    """Makes drops at the narrow relay."""

    def make() -> DropClient:
        client = DropClient.connect(narrow.url)
        client.create(narrow.voucher())
        return client

    return make


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_appends_and_seals_in_any_order_do_what_the_specification_says(
    drops: Callable[[], DropClient], steps: list[tuple[str, list[Block]]]
) -> None:
    client, model = drops(), Model()
    for step, blocks in steps:
        if blocks or step == "seal":
            assert did(client, step, blocks) == model.does(step, blocks)
    assert [row.block for row in client.read().rows] == model.held
