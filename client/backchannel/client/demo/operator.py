"""The relay of the play: a real process on loopback, started and ended by its own commands, and its
files as whoever seizes the machine would see them. Knows no channel.
"""

import json
import selectors
import shlex
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import NamedTuple, final

from backchannel.client.demo.person import Run
from backchannel.client.errors import ClientError, NotFound

_READY = 20.0  # seconds
_LISTENING = "listening on "


class Holdings(NamedTuple):
    """What the relay keeps."""

    drops: int
    blocks: frozenset[bytes]
    """Of each the digest by which the relay knows it again."""
    sample: bytes
    """The first bytes of a block, as they stand on the disk."""


@final
class Operator:
    """One data directory and the process that serves it."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "relay"
        self.log = folder / "relay.log"
        self.url = ""
        self._program = _program()
        self._process: subprocess.Popen[str] | None = None

    def prepare(self, vouchers: int) -> tuple[Run, list[str]]:
        """Make the relay, and vouchers for it."""
        made = self._run("init", "--data", str(self.data))
        minted = self._run("vouchers", "mint", str(vouchers), "--data", str(self.data), "--json")
        found: list[str] = json.loads(minted.output)["vouchers"]
        return made, found

    def serve(self) -> Run:
        """Start the process; returns when it listens."""
        arguments = ("serve", "--data", str(self.data), "--port", "0")
        with self.log.open("w") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [self._program, *arguments], stdout=subprocess.PIPE, stderr=log, text=True
            )
        line = self._first_line(self._process)
        if not line.startswith(_LISTENING):
            self.end()
            msg = f"The relay did not start: {self.log.read_text('utf-8').strip()}"
            raise ClientError(msg)
        self.url = line.removeprefix(_LISTENING).strip()
        return Run("operator", f"backchannel-relay {shlex.join(arguments)}", line.strip())

    def end(self) -> None:
        """End the process."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None

    def holdings(self) -> Holdings:
        """Counted in its database, beside the running process."""
        address = f"{(self.data / 'relay.db').as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as database:
            (drops,) = database.execute("SELECT count(*) FROM drops").fetchone()
            blocks = dict(database.execute("SELECT digest, sealed FROM blocks"))
        return Holdings(drops, frozenset(blocks), next(iter(blocks.values()), b"")[:64])

    def files(self) -> dict[str, bytes]:
        """Every byte that it left on the disk, its log included."""
        paths = [path for path in sorted(self.data.rglob("*")) if path.is_file()]
        return {path.name: path.read_bytes() for path in (*paths, self.log)}

    def by_hand(self) -> str:
        """How somebody in the play's folder starts it again, at the same address."""
        return (
            f"backchannel-relay serve --data {self.data.name} --port {self.url.rpartition(':')[2]}"
        )

    def _run(self, *arguments: str) -> Run:
        done = subprocess.run(  # noqa: S603 - our own program
            [self._program, *arguments], capture_output=True, text=True, timeout=60, check=False
        )
        command = f"backchannel-relay {shlex.join(arguments)}"
        if done.returncode:
            msg = f"{command} ended with {done.returncode}: {done.stderr.strip()}"
            raise ClientError(msg)
        return Run("operator", command, done.stdout.strip())

    @staticmethod
    def _first_line(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            return process.stdout.readline() if selector.select(_READY) else ""


def _program() -> str:
    """The relay of this very installation, else the one on the path."""
    beside = Path(sys.executable).with_name("backchannel-relay")
    found = str(beside) if beside.is_file() else shutil.which("backchannel-relay")
    if found is None:
        msg = "The demonstration needs the relay, and backchannel-relay is not installed here."
        raise NotFound(msg, "in the copy of the repository: pip install '.[client,relay]'")
    return found
