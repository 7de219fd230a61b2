"""Somebody in the play: a home, a vault, and the ordinary commands, each as a process of its own.

Knows nothing of the plot.
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, final

from backchannel.client.errors import ClientError
from backchannel.client.machine.profile import Profile

PASSPHRASE = "four words for play"  # noqa: S105 - of homes that the play makes and removes
_PROGRAM = (sys.executable, "-c", "from backchannel.client.cli import main; main()")
_COLUMNS = "75"  # so that the narrator can draw a bar beside it
_PATIENCE = 60  # seconds


class Run(NamedTuple):
    """One command, and what it printed."""

    who: str
    command: str
    output: str

    @property
    def document(self) -> dict[str, Any]:
        """What a command with `--json` said."""
        found: dict[str, Any] = json.loads(self.output)
        return found

    @property
    def documents(self) -> list[dict[str, Any]]:
        """What a command with `--json` said line by line."""
        return [json.loads(line) for line in self.output.splitlines()]


@final
class Person:
    """One home."""

    def __init__(self, name: str, home: Path) -> None:
        self.name = name
        self.home = home
        self.passphrase = home.parent / f"{home.name}.passphrase"
        self.profile = Profile.at(home)

    def enter(self) -> None:
        """Make the home; the first command makes the vault."""
        self.home.mkdir(mode=0o700)
        self.passphrase.touch(mode=0o600)
        self.passphrase.write_text(PASSPHRASE + "\n", "utf-8")

    def run(self, *arguments: str, give: str | None = None) -> Run:
        """One command, to its end; `ClientError` with what it said when it fails."""
        done = subprocess.run(  # noqa: S603 - this very program
            [*_PROGRAM, "--home", str(self.home), *arguments],
            env=self._environment(),
            input=give,
            stdin=subprocess.DEVNULL if give is None else None,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        command = "backchannel " + shlex.join(arguments)
        if done.returncode:
            msg = f"{self.name}: {command} ended with {done.returncode}: {done.stderr.strip()}"
            raise ClientError(msg)
        return Run(self.name, command, done.stdout.rstrip("\n"))

    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("BACKCHANNEL_")}
        return kept | {
            "BACKCHANNEL_PASSPHRASE_FILE": str(self.passphrase),
            "PYTHONIOENCODING": "utf-8",
            "COLUMNS": _COLUMNS,
        }

    def by_hand(self) -> str:
        """How somebody in the play's folder goes on as this person."""
        return f"backchannel --home {self.home.name} --passphrase-file {self.passphrase.name} read"


def together(people: Iterable[Person], *arguments: str) -> list[Run]:
    """The same command of several people at once."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda person: person.run(*arguments), people))
