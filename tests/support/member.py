"""A person with a home of their own who uses the client as a program, over a real relay."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from backchannel.client.machine.entropy import SystemEntropy
from backchannel.client.machine.profile import Profile
from backchannel.client.vault.vault import Vault
from backchannel.protocol.drop import show_voucher
from backchannel.protocol.types import Timestamp
from tests.support import forks
from tests.support import relay as relays
from tests.support.people import CHEAP, PASSPHRASE, PROGRAM, passphrase_file
from tests.support.relay import RelayProcess

LATER = (
    "import datetime, sys, time_machine\n"
    "ahead = datetime.timedelta(hours=int(sys.argv.pop(1)))\n"
    "time_machine.travel(datetime.datetime.now(datetime.UTC) + ahead, tick=True).start()\n"
)
"""Before a program's own lines: its system clock is some hours ahead."""
_PLAIN = {PROGRAM[2], LATER + PROGRAM[2]}
_PATIENCE = 60


@dataclass
class Member:
    """A home with a vault that opens cheaply, and the commands run in it."""

    name: str
    home: Path
    ahead: int = 0
    """Hours by which this person's system clock is ahead."""
    whole: ClassVar[bool] = False
    """Whether each command starts an interpreter of its own: see `tests.support.forks`."""

    @classmethod
    def make(cls, name: str, folder: Path) -> "Member":
        """A new home below `folder`."""
        home = folder / name.lower()
        Vault.create(Profile.at(home), PASSPHRASE, _now(), SystemEntropy(), CHEAP)
        passphrase_file(home)
        return cls(name, home)

    @property
    def command(self) -> list[str]:
        """What runs the program in this home."""
        if not self.ahead:
            return [*PROGRAM, "--home", str(self.home)]
        program = LATER + PROGRAM[2]
        return [sys.executable, "-c", program, str(self.ahead), "--home", str(self.home)]

    @property
    def env(self) -> dict[str, str]:
        """Nothing of whoever runs the tests, but coverage."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("BACKCHANNEL_")}
        return kept | {"BACKCHANNEL_PASSPHRASE_FILE": str(self.home / "passphrase")}

    def run(self, *arguments: str, give: str = "") -> subprocess.CompletedProcess[str]:
        """One command, to its end, whatever that is; no terminal to ask at."""
        command = [*self.command, *arguments]
        if not self.whole and command[2] in _PLAIN:
            return forks.run(command, env=self.env, give=give, timeout=_PATIENCE)
        return subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE,
            check=False, input=give, env=self.env, start_new_session=True,
        )  # fmt: skip

    def do(self, *arguments: str, give: str = "") -> str:
        """One command that must succeed; its standard output."""
        done = self.run(*arguments, give=give)
        assert done.returncode == 0, (self.name, arguments, done.stdout, done.stderr)
        return done.stdout

    def lines(self, *arguments: str, give: str = "") -> list[dict[str, Any]]:
        """The documents that a command prints, each of the known schema."""
        found = [json.loads(line) for line in self.do(*arguments, "--json", give=give).splitlines()]
        assert all(each["schema_version"] == 1 for each in found)
        return found

    def json(self, *arguments: str, give: str = "") -> dict[str, Any]:
        """The one document that a command prints."""
        (found,) = self.lines(*arguments, give=give)
        return found

    def fails(self, *arguments: str, give: str = "") -> tuple[int, dict[str, Any]]:
        """A command that must fail: its exit code, and the error it tells."""
        done = self.run(*arguments, "--json", give=give)
        assert done.returncode, (self.name, arguments, done.stdout)
        error: dict[str, Any] = json.loads(done.stderr.splitlines()[-1])["error"]
        assert error["next"], error
        return done.returncode, error

    def texts(self, *more: str) -> list[str]:
        """What `read` shows."""
        return [each["text"] for each in self.lines("read", *more)]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command that goes on; end it."""
        return subprocess.Popen(
            [*self.command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=self.env, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def killed(self, seconds: float, *arguments: str) -> tuple[int, str]:
        """A command that is killed after some time, if it is not done by then."""
        process = self.start(*arguments)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        out, _ = process.communicate(timeout=_PATIENCE)
        return process.returncode, out

    def vault(self) -> Vault:
        """The vault, open beside the program."""
        profile = Profile.at(self.home)
        now = Timestamp(_now() + 3600 * self.ahead)
        return Vault(profile, Vault.key(profile, PASSPHRASE, now, SystemEntropy()), now)


def _now() -> Timestamp:
    return Timestamp(int(time.time()))  # noqa: TID251 - the programs beside us read the same clock


@dataclass
class Channel:
    """A relay, a facilitator, and who was admitted."""

    relay: RelayProcess
    folder: Path
    facilitator: Member
    people: dict[str, Member]

    def invite(self, alias: str, party: str = "North") -> dict[str, Any]:
        """An invite for somebody."""
        return self.facilitator.json("invite", alias, "--party", party)

    def admit(self, alias: str, party: str = "North") -> Member:
        """Somebody new, all the way in."""
        guest = Member.make(alias, self.folder)
        words = self.invite(alias, party)["words"]
        guest.do("join", self.relay.url, "--yes", give=words + "\n")
        self.facilitator.do("admit", alias)
        self.people[alias] = guest
        self.settle()
        return guest

    def settle(self) -> None:
        """Everybody syncs until nobody owes anybody an answer."""
        for _ in range(2):
            for person in self.people.values():
                person.do("sync")

    def come_back(self, *more: str, program: Sequence[str] = relays.PROGRAM) -> None:
        """Start the relay again at the address it had."""
        port = self.relay.url.rpartition(":")[2]
        self.relay.start("--port", port, *more, program=program)


@contextlib.contextmanager
def channel(*guests: str, expires: str = "7d", ahead: int = 0) -> Iterator[Channel]:
    """A channel `North` on a relay of its own, with Fox and some guests in it."""
    with tempfile.TemporaryDirectory(prefix="channel-") as name, relays.running_relay() as relay:
        folder = Path(name)
        fox = Member.make("Fox", folder)
        vouchers = "\n".join(map(show_voucher, relay.mint(12)))
        more = ("--relay", relay.url, "--vouchers", "-", "--expires", expires, "--alias", "Fox")
        fox.do("channel", "new", "North", *more, give=vouchers)
        made = Channel(relay, folder, fox, {"Fox": fox})
        for guest in guests:
            made.admit(guest)
        yield made
