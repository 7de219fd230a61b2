"""Matrix Synapse with its own defaults, rate limits off: events in one room over HTTP."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import quote

import httpx

from bench.relay.installing import do, from_pypi
from bench.relay.load import Address, Http
from bench.relay.peers.peer import Peer
from bench.relay.place import folder, free_port, serving

_NO_LIMIT = {"per_second": 1_000_000, "burst_count": 1_000_000}
_WORDS = ["-u", "bench", "-p", "bench", "--no-admin"]


@contextmanager
def synapse() -> Iterator[Peer]:
    """One server, one room."""
    programs, port = from_pypi("synapse", "matrix-synapse==1.163.2"), free_port()
    python = str(programs / "python")
    with folder() as where:
        files = _configure(python, where, port)
        command = [python, "-m", "synapse.app.homeserver", *files]
        with serving(command, port, where / "log") as pid:
            register = [str(programs / "register_new_matrix_user"), *_WORDS, "-c"]
            do([*register, str(where / "homeserver.yaml"), f"http://127.0.0.1:{port}"])
            yield Peer(Address(port, Http, pid), _sending(f"http://127.0.0.1:{port}"), 150)


def _configure(python: str, where: Path, port: int) -> list[str]:
    own, more = where / "homeserver.yaml", where / "more.yaml"
    asked = ["--server-name", "bench.invalid", "--config-path", str(own), "--report-stats=no"]
    generate = ["--generate-config", "--data-directory", str(where)]
    do([python, "-m", "synapse.app.homeserver", *asked, *generate], where)
    listener = {
        "port": port,
        "bind_addresses": ["127.0.0.1"],
        "type": "http",
        "resources": [{"names": ["client"]}],
    }
    chosen = {"listeners": [listener], "rc_message": _NO_LIMIT}
    more.write_text(json.dumps(chosen))  # which is YAML too
    return ["--config-path", str(own), "--config-path", str(more)]


def _sending(url: str) -> Callable[[int], list[bytes]]:
    """Requests that each put an event into a room of one's own."""
    with httpx.Client(base_url=f"{url}/_matrix/client/v3", trust_env=False, timeout=60) as http:
        who = {"type": "m.id.user", "user": "bench"}
        login = {"type": "m.login.password", "identifier": who, "password": "bench"}
        token = http.post("/login", json=login).raise_for_status().json()["access_token"]
        bearer = {"authorization": f"Bearer {token}"}
        made = http.post("/createRoom", json={}, headers=bearer).raise_for_status()
    path = f"/_matrix/client/v3/rooms/{quote(made.json()['room_id'])}/send/m.room.message"
    numbers = count()

    def requests(wanted: int) -> list[bytes]:
        return [_put(f"{path}/{next(numbers)}", token) for _ in range(wanted)]

    return requests


def _put(path: str, token: str) -> bytes:
    body = json.dumps({"msgtype": "m.text", "body": os.urandom(2048).hex()}).encode("ascii")
    head = (
        f"PUT {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body
