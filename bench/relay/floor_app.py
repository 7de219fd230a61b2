"""The floor: bare ASGI endpoints under uvicorn, over one SQLite file, written as fast as an honest
engineer would. They authenticate nothing, seal nothing, and keep no drops apart.

    /append       stores each 4 KiB body: one writer, a commit for all that wait, synchronous=FULL
    /page         as many bytes from memory as a page of 64 blocks has
    /page-mac     the same under one HMAC-SHA256, which section 18 of SPEC.md asks of an answer
    /page-opened  the same, and each of the 64 blocks opened from what lies sealed at rest
    /wait         answers with what is stored from a position on, as soon as there is some

Run by uvicorn; FLOOR_STORE names a file for SQLite, or a database of PostgreSQL by its URL. As a
program (file, rows, batch) it inserts rows without any server, in transactions of a batch, and
prints how many a second.
"""

import asyncio
import hmac
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from queue import Empty, SimpleQueue
from typing import Any

import psycopg
from nacl import bindings as sodium

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

GROUP = 256
_PLACE = bytes(44)
"""As many bytes as a relay answers to an append."""
PAGE = bytes(32 + 9 + 64 * (12 + 4096))
"""As many as it answers to a read of 64 blocks."""
_KEY, _NONCE = bytes(32), bytes(24)
_SEALED = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(bytes(4096), b"", _NONCE, _KEY)
_TABLE = "CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, block BLOB)"


def open_store(file: str) -> sqlite3.Connection:
    """A database as durable as a relay's."""
    store = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    store.execute("PRAGMA journal_mode=WAL")
    store.execute("PRAGMA synchronous=FULL")
    store.execute(_TABLE)
    return store


def _into_file(file: str) -> Callable[[list[bytes]], None]:
    store = open_store(file)

    def commit(blocks: list[bytes]) -> None:
        store.execute("BEGIN IMMEDIATE")
        store.executemany("INSERT INTO rows (block) VALUES (?)", ((block,) for block in blocks))
        store.execute("COMMIT")

    return commit


def _into_postgres(url: str) -> Callable[[list[bytes]], None]:
    store = psycopg.connect(url, autocommit=True)
    store.execute("CREATE TABLE rows (id bigserial PRIMARY KEY, block bytea)")

    def commit(blocks: list[bytes]) -> None:
        rows = b", ".join([b"(%b)"] * len(blocks))
        store.execute(b"INSERT INTO rows (block) VALUES " + rows, blocks)

    return commit


class Writer(threading.Thread):
    """Commits what waits, all at once."""

    def __init__(self, store: str) -> None:
        super().__init__(daemon=True)
        self.waiting: SimpleQueue[tuple[bytes, asyncio.Future[None]]] = SimpleQueue()
        self._commit = (_into_postgres if store.startswith("postgres") else _into_file)(store)
        self._loop = asyncio.get_running_loop()

    def run(self) -> None:
        while True:
            group = [self.waiting.get()]
            try:
                while len(group) < GROUP:
                    group.append(self.waiting.get_nowait())
            except Empty:
                pass
            self._commit([block for block, _ in group])
            self._loop.call_soon_threadsafe(_answer, group)


def _answer(group: list[tuple[bytes, "asyncio.Future[None]"]]) -> None:
    for _, future in group:
        if not future.done():
            future.set_result(None)


class App:
    """The ASGI application."""

    def __init__(self) -> None:
        self._writer: Writer | None = None
        self._stored = asyncio.Event()

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path, body = scope["path"], await _body(receive)
        if path == "/append":
            answer = await self._append(body)
        elif path == "/wait":
            answer = await self._wait(int(body))
        else:
            answer = _PAGES[path]()
        length = str(len(answer)).encode("ascii")
        headers = [(b"content-length", length), (b"content-type", b"application/octet-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    async def _append(self, block: bytes) -> bytes:
        if self._writer is None:
            self._writer = Writer(os.environ["FLOOR_STORE"])
            self._writer.start()
        future = asyncio.get_running_loop().create_future()
        self._writer.waiting.put((block, future))
        await future
        self._stored.set()
        self._stored = asyncio.Event()
        return _PLACE

    async def _wait(self, position: int) -> bytes:
        while True:
            stored = self._stored
            if found := _stored_from(position):
                return b"".join(found)
            await stored.wait()


def _authentic(page: bytes = PAGE[32:]) -> bytes:
    return hmac.digest(_KEY, page, "sha256") + page


def _opened() -> bytes:
    opening = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt
    rows = (bytes(12) + opening(_SEALED, b"", _NONCE, _KEY) for _ in range(64))
    return _authentic(bytes(9) + b"".join(rows))


_PAGES = {"/page": lambda: PAGE, "/page-mac": _authentic, "/page-opened": _opened}

_reading: list[sqlite3.Connection] = []


def _stored_from(position: int) -> list[bytes]:
    if not _reading:
        _reading.append(open_store(os.environ["FLOOR_STORE"]))
    rows = _reading[0].execute(
        "SELECT block FROM rows WHERE id >= ? ORDER BY id LIMIT 64", (position,)
    )
    return [block for (block,) in rows.fetchall()]


async def _body(receive: Receive) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message.get("body", b"")
    return body


app = App()


def insert(file: str, rows: int, batch: int) -> float:
    """Rows a second."""
    store = open_store(file)
    blocks = [(os.urandom(4096),) for _ in range(rows)]
    began = time.perf_counter()
    for first in range(0, rows, batch):
        store.execute("BEGIN IMMEDIATE")
        store.executemany("INSERT INTO rows (block) VALUES (?)", blocks[first : first + batch])
        store.execute("COMMIT")
    return rows / (time.perf_counter() - began)


if __name__ == "__main__":
    print(insert(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
