"""A client and a relay, each with the system's own TCP, over a line that delays, throttles and
loses IP packets: how long some blocks take there and back, and bytes for each byte of a block: as
the client hands them to its socket and takes them from there, and as they go over the line, where
TCP sends again what was lost, acknowledges, and puts 40 to 60 bytes before each segment.

Real time, and much of it. Needs Linux, root, `ip` and /dev/net/tun; makes a network namespace for
the relay, and removes it. The line is this program: netem is not in every kernel, and what nftables
and tbf do knows no delay.
"""

import argparse
import contextlib
import fcntl
import heapq
import json
import os
import random  # noqa: TID251 - chance of a line, and no secret
import select
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from backchannel.client.errors import RelayError
from backchannel.client.machine.entropy import SystemEntropy
from backchannel.client.wire.budget import Budget
from backchannel.client.wire.pace import Paces
from backchannel.client.wire.relay import Relay, describe
from backchannel.protocol import limits
from backchannel.protocol.drop import Drop
from backchannel.protocol.primitives import x25519_public
from backchannel.protocol.secret import DropSecret, X25519Private
from backchannel.protocol.types import Block, Hour, Timestamp
from tests.support.poor_link import Link
from tests.support.relay import PROGRAM, RelayProcess

_NET = f"10.99.{os.getpid() % 256}"  # so that several may run at once
HERE, THERE = f"{_NET}.1", f"{_NET}.2"
_QUEUE = 20.0  # seconds of a router's memory
_TUNSETIFF, _TUN_NO_PI = 0x400454CA, 0x1001


def _tun(name: str) -> int:
    found = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(found, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TUN_NO_PI))
    return found


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)  # noqa: S607 - wherever the system keeps it


class Wire:
    """Packets between two devices, each direction by itself."""

    def __init__(self, ends: tuple[int, int], seed: int) -> None:
        self.link = Link(delay=0.0, rate=1e9, loss=0.0)
        self._other = {ends[0]: ends[1], ends[1]: ends[0]}
        self._free = dict.fromkeys(ends, 0.0)
        self._chance = random.Random(seed)  # noqa: S311 - a line's
        self._due: list[tuple[float, int, int, bytes]] = []
        self.packets = self.lost = self.bytes = 0

    def run(self) -> None:
        """Until the devices are gone."""
        with contextlib.suppress(OSError):
            self._run()

    def _run(self) -> None:
        while True:
            wait = max(0.0, self._due[0][0] - time.monotonic()) if self._due else 1.0
            for end in select.select([*self._other], [], [], wait)[0]:
                self._take(end, os.read(end, 2048), time.monotonic())
            while self._due and self._due[0][0] <= time.monotonic():
                _, _, end, packet = heapq.heappop(self._due)
                with contextlib.suppress(OSError):
                    os.write(end, packet)

    def _take(self, end: int, packet: bytes, now: float) -> None:
        begins = max(now, self._free[end])
        if begins > now + _QUEUE:
            return
        self._free[end] = begins + len(packet) / self.link.rate
        self.packets += 1
        self.bytes += len(packet)
        if self._chance.random() < self.link.loss:
            self.lost += 1
            return
        arrives = self._free[end] + self.link.delay
        heapq.heappush(self._due, (arrives, self.packets, self._other[end], packet))


@contextlib.contextmanager
def wired(seed: int) -> Iterator[tuple[Wire, tuple[str, ...]]]:
    """A line to a namespace of its own, and the words before a command that is to run there."""
    space = f"poor-wire-{os.getpid()}"
    here, there = f"here-{os.getpid()}", f"there-{os.getpid()}"
    ends = _tun(here), _tun(there)
    _ip("netns", "add", space)
    inside = ("ip", "netns", "exec", space)
    try:
        _ip("link", "set", there, "netns", space)
        _ip("addr", "add", HERE, "peer", THERE, "dev", here)
        _ip("link", "set", here, "up", "mtu", "1500")
        _ip("-n", space, "addr", "add", THERE, "peer", HERE, "dev", there)
        _ip("-n", space, "link", "set", there, "up", "mtu", "1500")
        wire = Wire(ends, seed)
        threading.Thread(target=wire.run, daemon=True).start()
        yield wire, inside
    finally:
        _ip("netns", "del", space)


def _now() -> Timestamp:
    return Timestamp(int(time.time()))  # noqa: TID251 - the relay beside us reads the same clock


def measure(link: Link, count: int, seed: int) -> dict[str, object]:
    """So many blocks there, and back again."""
    with tempfile.TemporaryDirectory(prefix="wire-") as folder, wired(seed) as (wire, inside):
        relay = RelayProcess.make(Path(folder) / "relay", "--host", THERE)
        relay.start(program=(*inside, *PROGRAM))
        try:
            key = describe(relay.url, allow_http=True).key
            drop = Drop(DropSecret(os.urandom(32)), key)
            made = Relay(relay.url, key, _now, SystemEntropy(), allow_http=True)
            with made:
                close = x25519_public(X25519Private(os.urandom(32)))
                made.create(drop, close, relay.voucher(), 2)
            wire.link = link
            meter, paces = Meter(Budget(), wire), Paces()
            more = (meter.budget, paces)
            with Relay(relay.url, key, _now, SystemEntropy(), *more, allow_http=True) as poor:
                pace = paces.of(relay.url, reads=False)
                send = meter.timed(count, lambda left: _sent(poor, drop, min(left, pace.blocks)))
                read = meter.timed(count, Reader(poor, drop).read)
            lost = round(wire.lost / wire.packets, 2)
            return {"send": send, "read": read, "packets": wire.packets, "lost": lost}
        finally:
            relay.stop()


def _sent(relay: Relay, drop: Drop, count: int) -> int:
    """As many at once as the outbox would send."""
    return len(relay.append(drop, [Block(os.urandom(limits.BLOCK)) for _ in range(count)]))


class Reader:
    """Goes on where it was."""

    def __init__(self, relay: Relay, drop: Drop) -> None:
        self._relay = relay
        self._drop = drop
        self._position = 0

    def read(self, most: int) -> int:
        """How many blocks came."""
        page = self._relay.read(self._drop, self._position, Hour(0), most)
        self._position = page.following
        return len(page.rows)


class Meter:
    """Counts at the socket, and on the line."""

    def __init__(self, budget: Budget, wire: Wire) -> None:
        self.budget = budget
        self._wire = wire

    def timed(self, count: int, step: Callable[[int], int]) -> dict[str, float]:
        """Until so many blocks have gone."""
        began, done, failed = time.monotonic(), 0, 0
        socket, line = self.budget.spent, self._wire.bytes
        while done < count:
            try:
                done += step(count - done)
            except RelayError:
                failed += 1
        size = count * limits.BLOCK
        return {
            "seconds": round(time.monotonic() - began),
            "ratio": round((self.budget.spent - socket) / size, 3),
            "ratio_on_the_line": round((self._wire.bytes - line) / size, 3),
            "failed": failed,
        }


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("--blocks", type=int, default=20)
    options.add_argument("--delay", type=float, default=2.0)
    options.add_argument("--rate", type=float, default=2000.0)
    options.add_argument("--loss", type=float, default=0.3)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    asked = Link(delay=chosen.delay, rate=chosen.rate, loss=chosen.loss)
    print(json.dumps(measure(asked, chosen.blocks, chosen.seed), indent=2))
