"""The floors: `floor_app` under uvicorn, and its bare inserts; both on the server's core."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator

from bench.relay.load import Address, Http
from bench.relay.ours import http_post
from bench.relay.place import SERVER, folder, free_port, on, serving

_QUIET = ("--no-access-log", "--log-level", "warning")
_UVICORN = ("--loop", "uvloop", "--http", "httptools", *_QUIET)


@contextlib.contextmanager
def floor(url: str = "") -> Iterator[Address]:
    """The bare endpoints, over an empty file, or an empty database of PostgreSQL."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "bench.relay.floor_app:app", *_UVICORN]
    with folder() as where:
        env = {"FLOOR_STORE": url or str(where / "floor.db")}
        with serving([*command, "--port", str(port)], port, where / "log", env) as pid:
            yield Address(port, Http, pid)


def appends(count: int) -> list[bytes]:
    """Requests of a block each."""
    return [http_post("/append", os.urandom(4096)) for _ in range(count)]


def pages(path: str, count: int) -> list[bytes]:
    """Requests for a page each."""
    return [http_post(path, b"")] * count


def bare_inserts(rows: int, batch: int) -> float:
    """Rows a second of `sqlite3` alone, in transactions of `batch`; by a process of its own."""
    with folder() as where:
        words = (str(where / "bare.db"), str(rows), str(batch))
        command = on([SERVER], sys.executable, "-m", "bench.relay.floor_app", *words)
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=120)
    return float(json.loads(done.stdout))
