"""Appends per second of a real relay over loopback HTTP, each on the disk before its answer.

The floor beside each figure is the bare store: rows of 4 KiB into SQLite, WAL, synchronous=FULL,
one commit for as many rows as there are writers. Prints one JSON document.
"""

import asyncio
import json
import os
import sqlite3
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from backchannel.protocol.drop import Operation
from tests.support.relay import DropClient, running_relay

SECONDS = 3.0
WRITERS = (1, 32)


def floor(rows: int, seconds: float = SECONDS) -> float:
    """Rows per second of the bare store, `rows` a commit."""
    with tempfile.TemporaryDirectory(prefix="floor-") as folder:
        store = sqlite3.connect(Path(folder) / "floor.db", isolation_level=None)
        store.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
        store.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, block BLOB)")
        done, end = 0, time.perf_counter() + seconds
        began = time.perf_counter()
        while time.perf_counter() < end:
            store.execute("BEGIN IMMEDIATE")
            store.executemany(
                "INSERT INTO rows (block) VALUES (?)", [(os.urandom(4096),) for _ in range(rows)]
            )
            store.execute("COMMIT")
            done += rows
        elapsed = time.perf_counter() - began
        store.close()
    return done / elapsed


def appends(writers: int, seconds: float = SECONDS) -> float:
    """Blocks per second that a relay acknowledges to `writers` connections, a block a request."""
    with running_relay() as relay:
        vouchers = relay.mint(writers)
        clients = [DropClient.connect(relay.url) for _ in range(writers)]
        for client, voucher in zip(clients, vouchers, strict=True):
            client.create(voucher)
        return asyncio.run(_drive(clients, relay.url, seconds))


async def _drive(clients: list[DropClient], url: str, seconds: float) -> float:
    # Requests are made beforehand: what is measured is the relay, on a machine that it shares.
    made = [_requests(client, int(seconds * 2000 / len(clients)) + 50) for client in clients]
    began = time.perf_counter()
    counts = await asyncio.gather(*(_write(requests, url, began + seconds) for requests in made))
    return sum(counts) / (time.perf_counter() - began)


def _requests(client: DropClient, count: int) -> list[bytes]:
    hour, keys = client.hour(), client.keys(Operation.APPEND)
    head = b"POST /v1/append HTTP/1.1\r\nhost: relay\r\ncontent-length: %d\r\n\r\n"
    bodies = (
        client.request_at(Operation.APPEND, os.urandom(4096), hour, keys).pack()
        for _ in range(count)
    )
    return [head % len(body) + body for body in bodies]


async def _write(requests: list[bytes], url: str, end: float) -> int:
    reader, writer = await asyncio.open_connection(urlsplit(url).hostname, urlsplit(url).port)
    done = 0
    for request in requests:
        if time.perf_counter() >= end:
            break
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode("ascii", "replace"))
        await reader.readexactly(32 + 12)
        done += 1
    writer.close()
    return done


def measure() -> dict[str, object]:
    """Everything, as one document."""
    return {
        "schema_version": 1,
        "unit": "blocks of 4,096 bytes per second, durable",
        "relay": [
            {"writers": n, "appends": round(appends(n)), "floor": round(floor(n))} for n in WRITERS
        ],
    }


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
