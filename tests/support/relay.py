"""A real relay as a process on loopback, over real files: start it, speak to it, stop it, kill it,
move its clock.
"""

import atexit
import contextlib
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from backchannel.protocol.drop import (
    MAC,
    Create,
    DropKeys,
    Operation,
    Page,
    Read,
    Request,
    Stored,
    read_stored,
    read_voucher,
)
from backchannel.protocol.primitives import X25519Public, x25519_public
from backchannel.protocol.secret import AnswerKey, RequestKey, X25519Private
from backchannel.protocol.types import Block, DropId, Hour
from backchannel.server.authorize import Door
from backchannel.server.home import Home
from backchannel.server.operate import setup, vouchers
from backchannel.server.repository import Repository

PROGRAM = (sys.executable, "-c", "from backchannel.server.cli import main; main()")
_READY = 60.0  # seconds; a machine may be busy
_AUTHENTIC = {200, 403, 409, 429, 507}


# One for all: making one reads the system's certificates, which takes longer than most tests.
HTTP = httpx.Client(timeout=70, trust_env=False)
atexit.register(HTTP.close)


class RefusedError(Exception):
    """What a relay said instead of 200."""

    def __init__(self, status: int, code: str, after: str | None = None) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code
        self.retry_after = None if after is None else int(after)
        """As the header says it."""


def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """One command of `backchannel-relay`, to its end."""
    return subprocess.run(
        [*PROGRAM, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **(env or {})},
    )


@dataclass
class RelayProcess:
    """One relay's data directory, and the process that serves it when one does."""

    data: Path
    options: tuple[str, ...] = ()
    process: subprocess.Popen[str] | None = None
    url: str = ""
    port: tuple[str, ...] = ("--port", "0")
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.data.parent / f"{self.data.name}.log"
        """Everything that all processes of this relay wrote."""

    @classmethod
    def make(cls, data: Path, *options: str) -> "RelayProcess":
        """A new relay in `data`, not yet started; `options` are for `serve`."""
        setup.make(Home(data))
        return cls(data, options)

    def start(self, *more: str, program: Sequence[str] = PROGRAM, **popen: Any) -> "RelayProcess":
        """Serve on a free port; returns when it listens. `popen` is how the process begins."""
        command = [*program, "serve", "--data", str(self.data), *self.port, *self.options, *more]
        with self.log.open("a") as log:
            popen = {"stdout": subprocess.PIPE, "stderr": log, "text": True, **popen}
            self.process = subprocess.Popen(command, **popen)
        atexit.register(self.process.kill)  # a test that fails leaves none behind
        self.url = self.listening()
        return self

    def listening(self) -> str:
        """The address that it says next."""
        assert self.process is not None
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            line = self.process.stdout.readline() if selector.select(_READY) else ""
        with self.log.open("a") as log:
            log.write(line)
        if not line.startswith("listening on "):
            self.kill()
            raise AssertionError(f"the relay does not start: {self.log.read_text()}")
        return line.removeprefix("listening on ").strip()

    def begin_anew(self) -> None:
        """HUP; returns when it listens again."""
        assert self.process is not None
        self.process.send_signal(signal.SIGHUP)
        self.url = self.listening()

    def stop(self) -> int:
        """Ask it to end, and wait; its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """kill -9."""
        return self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> int:
        if self.process is None:
            return 0
        self.process.send_signal(how)
        code = self.process.wait(60)
        if self.process.stdout is not None:
            with self.log.open("a") as log:
                log.write(self.process.stdout.read())
            self.process.stdout.close()
        self.process = None
        return code

    def restart(self, *more: str) -> "RelayProcess":
        """End and start again, on another port."""
        self.stop()
        return self.start(*more)

    def move_clock(self, hours: int) -> None:
        """Set the demo clock `hours` ahead of the system's; a running relay follows."""
        file = self.data / "demo-hours"
        fresh = file.with_suffix(".new")
        fresh.write_text(str(hours))
        fresh.replace(file)

    def mint(self, count: int) -> list[bytes]:
        """Vouchers, whether or not it runs."""
        return [read_voucher(line) for line in vouchers.mint(Home(self.data), count)]

    def voucher(self) -> bytes:
        """One of them."""
        return self.mint(1)[0]


@contextlib.contextmanager
def running_relay(*options: str, start: bool = True) -> Iterator[RelayProcess]:
    """A fresh relay that serves, in a folder of its own; without `start` the caller starts it."""
    with tempfile.TemporaryDirectory(prefix="relay-") as folder:
        relay = RelayProcess.make(Path(folder) / "relay", *options)
        try:
            yield relay.start() if start else relay
        finally:
            relay.stop()


@dataclass
class DropClient:
    """Speaks section 18 for one drop, over any httpx client."""

    http: httpx.Client
    relay: X25519Public
    url: str
    drop: DropId = field(default_factory=lambda: DropId(os.urandom(16)))
    access: X25519Private = field(default_factory=lambda: X25519Private(os.urandom(32)))
    close: X25519Private = field(default_factory=lambda: X25519Private(os.urandom(32)))
    ahead: int = 0
    """Hours by which this client's clock differs."""

    @classmethod
    def connect(cls, url: str) -> "DropClient":
        """A stranger with fresh keys; `create` makes its drop."""
        key = HTTP.get(f"{url}/v1/relay").json()["static_key"]
        return cls(HTTP, X25519Public(bytes.fromhex(key)), url)

    def with_wrong_key(self) -> "DropClient":
        """Somebody who knows the drop's id and nothing else."""
        return DropClient(self.http, self.relay, self.url, self.drop)

    def hour(self) -> Hour:
        """The relay's, as it says, or this client's own idea of it."""
        return Hour(self.http.get(f"{self.url}/v1/relay").json()["hour"] + self.ahead)

    def keys(self, operation: Operation) -> DropKeys:
        closing = operation in {Operation.SEAL, Operation.DELETE}
        return DropKeys.of_client(self.drop, self.close if closing else self.access, self.relay)

    def request(self, operation: Operation, payload: bytes) -> Request:
        return self.request_at(operation, payload, self.hour(), self.keys(operation))

    def request_at(
        self, operation: Operation, payload: bytes, hour: Hour, keys: DropKeys
    ) -> Request:
        return Request.write(operation, self.drop, hour, os.urandom(16), payload, keys)

    def send(self, request: Request) -> bytes:
        """The payload of an authentic 200; `RefusedError` for a refusal, its MAC checked where it
        has one.
        """
        url = f"{self.url}/v1/{request.operation.name.lower()}"
        answer = self.http.post(url, content=request.pack())
        after = answer.headers.get("retry-after")
        if answer.status_code not in _AUTHENTIC:
            raise RefusedError(answer.status_code, answer.json()["code"], after)
        assert len(answer.content) >= MAC
        keys = self.keys(request.operation)
        payload = request.read_answer(answer.status_code, answer.content, keys)
        if answer.status_code != 200:
            raise RefusedError(answer.status_code, payload.decode("ascii"), after)
        return payload

    def create(self, voucher: bytes, keep: int = 2) -> None:
        asked = Create(voucher, x25519_public(self.access), x25519_public(self.close), keep)
        assert self.send(self.request(Operation.CREATE, asked.pack())) == b""

    def append(self, *blocks: bytes) -> Sequence[Stored]:
        payload = self.send(self.request(Operation.APPEND, b"".join(blocks)))
        return read_stored(payload, len(blocks))

    def read(self, position: int = 1, hour: int = 0, most: int = 64, wait: int = 0) -> Page:
        asked = Read(position, Hour(hour), most, wait)
        return Page.read(self.send(self.request(Operation.READ, asked.pack())))

    def seal(self) -> None:
        assert self.send(self.request(Operation.SEAL, b"")) == b""

    def delete(self) -> None:
        assert self.send(self.request(Operation.DELETE, b"")) == b""


def door_of(repository: Repository, drop: DropId) -> Door:
    """A member's door to a drop that stands, as if a request had been found authentic."""
    row = repository.drop(drop)
    assert row is not None
    nothing = DropKeys(RequestKey(bytes(32)), AnswerKey(bytes(32)))
    return Door(drop, X25519Public(row.access), nothing)


def noise(count: int = 1) -> list[Block]:
    """Blocks as any member would post them."""
    return [Block(os.urandom(4096)) for _ in range(count)]


def until(seconds: float) -> Iterator[float]:
    """Try again every 50 ms, for at most `seconds`; then fail."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield end - time.monotonic()
        time.sleep(0.05)
    raise AssertionError(f"did not happen within {seconds} seconds")
