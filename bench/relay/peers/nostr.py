"""`nostr-relay` with its own defaults: events over WebSocket.

What a Nostr event needs to be valid is made beforehand by the peer's own library, in the peer's own
environment (`nostr_events.py`): this project makes nothing of the kind.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import final

from bench.relay.installing import from_pypi
from bench.relay.load import Address, Dialect, Refused
from bench.relay.peers.peer import Peer
from bench.relay.place import folder, free_port, serving

_SCRIPT = Path(__file__).with_name("nostr_events.py")
_UPGRADE = (
    b"GET / HTTP/1.1\r\nhost: bench\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
_CONFIG = """\
storage:
  sqlalchemy.url: sqlite+aiosqlite:///{where}/nostr.sqlite3
  num_concurrent_reqs: 10
  num_concurrent_adds: 2
  validators:
    - nostr_relay.validators.is_not_too_large
    - nostr_relay.validators.is_signed
    - nostr_relay.validators.is_recent
    - nostr_relay.validators.is_not_hellthread
gunicorn:
  bind: 127.0.0.1:{port}
"""


@final
class WebSocket(Dialect):
    """An event is a frame, and so is its answer."""

    def __init__(self) -> None:
        self._data = b""
        self._greeted = False

    def greeting(self) -> bytes:
        return _UPGRADE

    def feed(self, data: bytes) -> bool:
        self._data += data
        if not self._greeted:
            whole = self._greeted = self._data.endswith(b"\r\n\r\n")
        else:
            whole = len(self._data) >= 2 and len(self._data) == 2 + self._data[1]
            if whole and b"true" not in self._data:
                raise Refused(self._data.decode("latin-1"))
        if whole:
            self._data = b""
        return whole


@contextmanager
def nostr() -> Iterator[Peer]:
    """One relay."""
    programs, port = from_pypi("nostr", "nostr-relay==1.14"), free_port()
    with folder() as where:
        config = where / "config.yaml"
        config.write_text(_CONFIG.format(where=where, port=port))
        command = [str(programs / "nostr-relay"), "--config", str(config), "serve"]
        with serving(command, port, where / "log") as pid:
            yield Peer(Address(port, WebSocket, pid), partial(_events, programs), 1000)


def _events(programs: Path, wanted: int) -> list[bytes]:
    done = subprocess.run(
        [str(programs / "python"), str(_SCRIPT), str(wanted)],
        stdout=subprocess.PIPE,
        check=True,
        timeout=120,
    )
    return [_frame(line) for line in done.stdout.splitlines()]


def _frame(text: bytes) -> bytes:
    """Of a client: masked, with zeros."""
    return b"\x81\xfe" + len(text).to_bytes(2) + bytes(4) + text
