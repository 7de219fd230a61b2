"""Attack class 56: an answer means that the disk has it."""

import os
import threading
import time
from pathlib import Path

import httpx
import pytest

from backchannel.protocol.types import Hour
from backchannel.server.repository import Repository
from tests.server.inside import Inside
from tests.support.relay import (
    DropClient,
    RelayProcess,
    noise,
)


def test_attack_56_the_writer_waits_for_the_disk(inside: Inside) -> None:
    def pragmas(store: Repository, _hour: Hour) -> list[object]:
        names = ("synchronous", "journal_mode", "secure_delete", "foreign_keys")
        return [store._driver.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert inside.write(pragmas) == [2, "wal", 1, 1]


@pytest.mark.slow
def test_attack_56_acknowledged_blocks_survive_kill_9(tmp_path: Path) -> None:
    relay = RelayProcess.make(tmp_path / "relay").start()
    client = DropClient.connect(relay.url)
    client.create(relay.voucher())
    acknowledged: list[bytes] = []
    for _ in range(6):
        client.url = relay.url
        threads = [
            threading.Thread(target=keep_writing, args=(client, acknowledged)) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.2 + os.urandom(1)[0] / 1000)
        relay.kill()
        for thread in threads:
            thread.join()
        relay.start()
    client.url = relay.url
    found = everything(client)
    relay.stop()
    assert len(acknowledged) > 8
    assert set(acknowledged) <= set(found)
    assert len(found) == len(set(found))


def keep_writing(client: DropClient, acknowledged: list[bytes]) -> None:
    while True:
        (block,) = noise()
        try:
            client.append(block)
        except httpx.HTTPError:
            return
        acknowledged.append(block)


def everything(client: DropClient) -> list[bytes]:
    blocks: list[bytes] = []
    position, more = 1, True
    while more:
        page = client.read(position=position)
        blocks += [row.block for row in page.rows]
        position, more = page.following, page.more
    return blocks
