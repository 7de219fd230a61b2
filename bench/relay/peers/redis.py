"""Redis streams with `appendfsync always`: 32 entries sent at once."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

from bench.relay.installing import from_debian
from bench.relay.load import Address, Dialect, Refused
from bench.relay.peers.peer import Peer
from bench.relay.place import folder, free_port, serving

BATCH = 32
_XADD = b"*5\r\n$4\r\nXADD\r\n$6\r\nblocks\r\n$1\r\n*\r\n$1\r\nb\r\n$4096\r\n"
_CONFIG = """\
bind 127.0.0.1
port {port}
dir {where}
appendonly yes
appendfsync always
auto-aof-rewrite-percentage 0
save ""
"""


@final
class Resp(Dialect):
    """Redis' protocol, as far as 32 ids in answer go: two lines each."""

    def __init__(self) -> None:
        self._lines = 0
        self._last = b""

    def feed(self, data: bytes) -> bool:
        seen = self._last + data
        if seen.startswith(b"-") or b"\n-" in seen:
            raise Refused(seen.decode("ascii", "replace"))
        self._lines += seen.count(b"\n")
        self._last = seen[seen.rfind(b"\n") + 1 :]
        if self._lines < 2 * BATCH:
            return False
        self._lines = 0
        return True


@contextmanager
def redis() -> Iterator[Peer]:
    """One server, one stream."""
    program, libraries = _program()
    port = free_port()
    with folder() as where:
        config = where / "redis.conf"
        config.write_text(_CONFIG.format(port=port, where=where))
        with serving([program, str(config)], port, where / "log", libraries) as pid:
            yield Peer(Address(port, Resp, pid), _batches, 256)


def _program() -> tuple[str, dict[str, str]]:
    """This machine's own, or Debian's, with where it finds what it is linked with."""
    if own := shutil.which("redis-server"):
        return own, {}
    home = from_debian("redis", ["redis-server", "redis-tools", "libjemalloc2", "liblzf1"])
    libraries = sorted({str(each.parent) for each in home.glob("usr/lib/**/*.so*")})
    return str(home / "usr/bin/redis-server"), {"LD_LIBRARY_PATH": os.pathsep.join(libraries)}


def _batches(wanted: int) -> list[bytes]:
    return [
        b"".join(_XADD + os.urandom(4096) + b"\r\n" for _ in range(BATCH)) for _ in range(wanted)
    ]
