"""The peer: sender keys and pairwise sessions of `@signalapp/libsignal-client`, through Node.

The package goes into the environment's own folder, never into the repository. Where Node, npm or
the package cannot be had, the peer is missing, and `Missing` says why; it is not beaten then.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Self, final

from bench.side_by_side import Round

VERSION = "0.103.0"
FOLDER = Path(sys.prefix) / "peers"
SCRIPT = Path(__file__).parent / "peers" / "libsignal.mjs"


class Missing(Exception):
    """Why the peer cannot be measured here."""


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        msg = f"{name} is not installed"
        raise Missing(msg)
    return path


def _install() -> None:
    package = FOLDER / "node_modules" / "@signalapp" / "libsignal-client" / "package.json"
    if package.is_file() and json.loads(package.read_text())["version"] == VERSION:
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = f"@signalapp/libsignal-client@{VERSION}"
    command = [_program("npm"), "install", "--no-audit", "--no-fund", "--prefix", str(FOLDER)]
    done = subprocess.run([*command, wanted], capture_output=True, text=True, check=False)
    if done.returncode:
        msg = f"npm could not install {wanted}"
        raise Missing(msg)


@final
class Libsignal:
    """A process that measures a round whenever it is asked."""

    def __init__(self, peers: int, length: int) -> None:
        """With sessions to `peers` others, for messages of `length` bytes."""
        node = _program("node")
        _install()
        command = [node, str(SCRIPT), str(FOLDER), str(peers), str(length)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        )
        self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def round(self, what: str, times: int) -> Round:
        """`encrypt`, `decrypt` or `pairwise`, so many times."""

        def measure() -> float:
            assert self._process.stdin is not None  # noqa: S101 - a pipe
            print(json.dumps([what, times]), file=self._process.stdin, flush=True)
            return float(self._answer())

        return measure

    def _answer(self) -> Any:
        assert self._process.stdout is not None  # noqa: S101 - a pipe
        line = self._process.stdout.readline()
        if not line:
            self._process.communicate()
            msg = "it does not run here"
            raise Missing(msg)
        return json.loads(line)
