"""The main path of a relay: a real process, real sockets, both ends authenticated."""

import threading
import time

import pytest

from backchannel.protocol.drop import Stored
from backchannel.protocol.types import hour_of
from backchannel.server.clock import Clock
from tests.support.relay import HTTP, DropClient, RefusedError, RelayProcess, noise

pytestmark = pytest.mark.stores


def test_the_relay_describes_itself(process: RelayProcess) -> None:
    said = HTTP.get(f"{process.url}/v1/relay")
    assert said.status_code == 200
    description = said.json()
    assert description["protocol"] == "backchannel/1"
    assert description["classes"] == [24, 72, 168, 336, 720, 2160]
    assert description["max_blocks"] == 64
    assert abs(description["hour"] - hour_of(Clock(process.data / "none").now())) <= 1
    assert len(bytes.fromhex(description["static_key"])) == 32


def test_answers_say_nothing_of_the_program(process: RelayProcess) -> None:
    headers = HTTP.get(f"{process.url}/v1/relay").headers
    assert "server" not in headers
    assert "date" not in headers


def test_what_is_appended_is_read_by_everybody(client: DropClient) -> None:
    blocks = noise(3)
    stored = client.append(*blocks)
    assert [row.position for row in stored] == [1, 2, 3]
    page = client.read()
    assert [row.block for row in page.rows] == blocks
    assert [row[:2] for row in page.rows] == [row[:2] for row in stored]
    assert (page.following, page.more) == (4, False)


def test_appending_again_answers_the_old_position(client: DropClient) -> None:
    blocks = noise(2)
    first = client.append(*blocks)
    (extra,) = noise()
    assert client.append(blocks[1], extra, blocks[1]) == (
        first[1],
        Stored(3, first[0].hour),
        first[1],
    )
    assert len(client.read().rows) == 3


def test_one_append_may_hold_the_same_block_twice(client: DropClient) -> None:
    (block,) = noise()
    first, second = client.append(block, block)
    assert first == second
    assert client.read().following == 2


def test_sixty_four_blocks_go_and_come_at_once(client: DropClient) -> None:
    blocks = noise(64)
    client.append(*blocks)
    assert [row.block for row in client.read().rows] == blocks


def test_pages_continue_where_they_ended(client: DropClient) -> None:
    blocks = noise(5)
    client.append(*blocks)
    first = client.read(most=2)
    assert (first.following, first.more, len(first.rows)) == (3, True, 2)
    second = client.read(position=first.following, most=3)
    assert (second.following, second.more) == (6, False)
    assert [row.block for row in (*first.rows, *second.rows)] == blocks


def test_a_read_from_a_later_hour_is_empty(client: DropClient) -> None:
    client.append(*noise())
    assert client.read(hour=client.hour() + 1).rows == ()
    assert len(client.read(hour=client.hour() - 1).rows) == 1


def test_a_waiting_read_is_woken_by_an_append(client: DropClient) -> None:
    (block,) = noise()
    began = time.monotonic()
    threading.Timer(0.5, client.append, (block,)).start()
    page = client.read(wait=30)
    assert [row.block for row in page.rows] == [block]
    assert time.monotonic() - began < 25


def test_a_waiting_read_ends_with_its_time(client: DropClient) -> None:
    began = time.monotonic()
    page = client.read(wait=1)
    assert (page.rows, page.following, page.more) == ((), 1, False)
    assert 0.9 < time.monotonic() - began < 25


def test_a_read_that_finds_something_does_not_wait(client: DropClient) -> None:
    client.append(*noise())
    began = time.monotonic()
    assert len(client.read(wait=30).rows) == 1
    assert time.monotonic() - began < 25


def test_a_sealed_drop_is_read_and_not_appended_to(client: DropClient) -> None:
    client.append(*noise())
    client.seal()
    client.seal()
    with pytest.raises(RefusedError, match="409 sealed"):
        client.append(*noise())
    assert len(client.read().rows) == 1


def test_a_deleted_drop_is_unknown(client: DropClient) -> None:
    client.append(*noise())
    client.delete()
    for attempt in (client.read, client.delete, lambda: client.append(*noise())):
        with pytest.raises(RefusedError, match="404 unknown-drop"):
            attempt()


def test_a_deletion_wakes_and_refuses_the_waiting(client: DropClient) -> None:
    threading.Timer(0.5, client.delete).start()
    with pytest.raises(RefusedError, match="404 unknown-drop"):
        client.read(wait=30)


def test_a_voucher_pays_for_one_drop(process: RelayProcess) -> None:
    voucher = process.voucher()
    client = DropClient.connect(process.url)
    client.create(voucher)
    client.create(voucher)
    client.create(bytes(16))
    other = DropClient.connect(process.url)
    with pytest.raises(RefusedError, match="403 voucher-refused"):
        other.create(voucher)


def test_an_id_that_stands_with_other_keys_is_refused_and_costs_nothing(
    process: RelayProcess, client: DropClient
) -> None:
    voucher = process.voucher()
    other = DropClient.connect(process.url)
    other.drop = client.drop
    with pytest.raises(RefusedError, match="403 voucher-refused"):
        other.create(voucher)
    with pytest.raises(RefusedError, match="403 voucher-refused"):
        client.create(voucher, keep=3)
    DropClient.connect(process.url).create(voucher)


@pytest.mark.parametrize("ahead", [-1, 1])
def test_a_clock_an_hour_off_is_served(client: DropClient, ahead: int) -> None:
    client.ahead = ahead
    client.append(*noise())


@pytest.mark.parametrize("ahead", [-2, 2])
def test_a_clock_two_hours_off_is_told(client: DropClient, ahead: int) -> None:
    client.ahead = ahead
    with pytest.raises(RefusedError, match="409 wrong-hour"):
        client.append(*noise())
    with pytest.raises(RefusedError, match="409 wrong-hour"):
        client.read()


def test_the_access_key_does_not_close(client: DropClient) -> None:
    client.close = client.access
    for attempt in (client.seal, client.delete):
        with pytest.raises(RefusedError, match="404 unknown-drop"):
            attempt()
    client.append(*noise())


def test_a_stopping_relay_lets_the_waiting_go(process: RelayProcess, client: DropClient) -> None:
    pages = []
    waiting = threading.Thread(target=lambda: pages.append(client.read(wait=60)))
    waiting.start()
    time.sleep(0.5)
    began = time.monotonic()
    assert process.stop() == 0
    waiting.join(60)
    assert time.monotonic() - began < 30
    assert [page.rows for page in pages] == [()]
    assert not process.data.joinpath("relay.address").exists()
    process.start()
