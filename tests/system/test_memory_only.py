"""A whole conversation of people who keep it in memory only: nothing of it touches a disk.

Where the kernel can (Landlock), the programs run forbidden to write anywhere but in the folder in
memory: whatever tried to would fail. And every file in their reach is compared.
"""

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from backchannel.client.cli import _VERBS
from backchannel.client.machine import memory_home
from backchannel.protocol.drop import show_voucher
from tests.support import landlock
from tests.support.member import Member
from tests.support.people import PROGRAM
from tests.support.relay import RelayProcess, running_relay, until

SHARED = Path("/dev/shm")  # noqa: S108 - private folders below it
pytestmark = [
    pytest.mark.system,
    pytest.mark.slow,
    pytest.mark.skipif(not memory_home.in_memory(SHARED), reason="needs memory files"),
]
CANARY = "wxyz-canary-of-the-quayside"


@dataclass
class Visitor(Member):
    """Somebody at a machine whose disk is to know nothing."""

    memory: Path = SHARED
    restrict: Callable[[], None] | None = None

    @property
    def command(self) -> list[str]:
        return [*PROGRAM]

    @property
    def env(self) -> dict[str, str]:
        gone = ("BACKCHANNEL_", "XDG_", "COVERAGE_")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(gone)}
        places = {"HOME": str(self.home), "TMPDIR": str(self.home / "tmp")}
        named = {"XDG_RUNTIME_DIR": str(self.memory), "BACKCHANNEL_MEMORY_ONLY": "1"}
        return kept | places | named | {"PYTHONDONTWRITEBYTECODE": "1"}

    def run(self, *arguments: str, give: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, *arguments], capture_output=True, text=True, timeout=60, check=False,
            input=give, env=self.env, start_new_session=True, cwd=self.home,
            preexec_fn=self.restrict,
        )  # fmt: skip

    def files(self) -> dict[str, tuple[Any, ...]]:
        """Everything in this person's reach: what it is, when it was changed, what is in it."""
        found: dict[str, tuple[Any, ...]] = {}
        for path in sorted(self.home.rglob("*")):
            about = path.lstat()
            held = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            found[str(path)] = (about.st_mode, about.st_mtime_ns, about.st_ctime_ns, held)
        return found

    def in_memory(self) -> list[str]:
        """Names below the runtime folder."""
        return [path.name for path in self.memory.iterdir()]


@pytest.fixture
def relay() -> Iterator[RelayProcess]:
    with running_relay() as made:
        yield made


@pytest.fixture
def visitors(tmp_path: Path) -> Iterator[list[Visitor]]:
    """Two people, each with a home on the disk that has a settings file, and a folder in memory."""
    with tempfile.TemporaryDirectory(prefix="visitors-", dir=SHARED) as name:
        made = []
        for alias in ("Fox", "Heron"):
            home, memory = tmp_path / alias.lower(), Path(name) / alias.lower()
            for folder in (home, home / "tmp", home / ".config" / "backchannel", memory):
                folder.mkdir(0o700, parents=True)
            settings = home / ".config" / "backchannel" / "config.toml"
            settings.touch(0o600)
            settings.write_text('unlock-for = "1m"\n')
            (home / "report.txt").write_text("seals\n" * 99)
            restrict = landlock.writes_only(memory) if landlock.can() else None
            made.append(Visitor(alias, home, memory=memory, restrict=restrict))
        yield made
        for each in made:
            each.run("lock")


def converse(fox: Visitor, heron: Visitor, relay: RelayProcess) -> None:
    """Found, invite, join, admit, talk, send a file: each a command of its own."""
    vouchers = "\n".join(map(show_voucher, relay.mint(6)))
    more = ("--vouchers", "-", "--alias", "Fox")
    fox.do("channel", "new", "North", "--relay", relay.url, *more, give=vouchers)
    words = fox.json("invite", "Heron", "--party", "North")["words"]
    heron.do("join", relay.url, "--yes", give=words + "\n")
    fox.do("admit", "Heron")
    for _ in range(2):
        heron.do("sync")
        fox.do("sync")
    fox.do("thread", "new", f"About {CANARY}")
    assert fox.json("say", "-", give=f"{CANARY} from Fox")["state"] == "at-relay"
    assert f"{CANARY} from Fox" in heron.texts()
    heron.do("say", "-", give=f"{CANARY} from Heron")
    assert f"{CANARY} from Heron" in fox.texts()
    fox.do("file", "send", "report.txt")
    heron.do("file", "list")
    heron.do("verify", "--compared")
    fox.do("status")


def test_a110_nothing_of_a_conversation_in_memory_touches_the_disk(
    visitors: list[Visitor], relay: RelayProcess
) -> None:
    fox, heron = visitors
    before = [each.files() for each in visitors]
    converse(fox, heron, relay)
    assert [each.files() for each in visitors] == before
    for each in visitors:
        assert each.in_memory() == ["backchannel-memory"]
        assert each.json("lock")["was_unlocked"]
        assert each.in_memory() == []
        code, error = each.fails("read")
        assert code
        assert error["code"] == "no-vault"
    assert [each.files() for each in visitors] == before


@pytest.mark.skipif(not landlock.can(), reason="needs Landlock")
def test_control_a_vault_on_the_disk_is_seen_by_both_ways_of_looking(
    visitors: list[Visitor], relay: RelayProcess
) -> None:
    """The same commands, told to keep: the kernel refuses, and without it the files differ."""
    fox, _ = visitors
    secret = fox.home / "passphrase"
    secret.touch(0o600)
    secret.write_text("four plain words here\n")
    keep = ("--home", str(fox.home / "kept"), "--passphrase-file", str(secret), "unlock")
    fox.restrict, restricted = None, fox.restrict
    before = fox.files()
    env = {**fox.env, "BACKCHANNEL_MEMORY_ONLY": ""}
    for restrict, expected in ((restricted, False), (None, True)):
        done = subprocess.run(
            [*fox.command, *keep], capture_output=True, text=True, timeout=60, check=False,
            env=env, start_new_session=True, preexec_fn=restrict,
        )  # fmt: skip
        assert (done.returncode == 0) is expected, done.stderr
        assert (fox.files() != before) is expected
    subprocess.run(
        [*fox.command, "--home", str(fox.home / "kept"), "lock"], check=True, env=env, timeout=60
    )


def test_nothing_is_found_in_memory_either_once_the_time_is_over(
    visitors: list[Visitor], relay: RelayProcess
) -> None:
    fox, heron = visitors
    converse(fox, heron, relay)
    fox.do("unlock", "--for", "1s")
    for _ in until(60):
        if not fox.in_memory():
            break
    assert fox.fails("read")[1]["code"] == "no-vault"
    assert heron.texts(), "another's memory is another's"


TRIED = (
    "read", "thread list", "file list", "hand raise", "release", "drafts", "sync", "status",
    "channel list", "channel show", "members", "verify", "whoami", "roles", "policy", "vouch Wren",
    "object Wren", "epoch", "log", "record", "alarms", "invite Wren", "lobby", "present Wren",
    "admit Wren", "refuse Wren", "remove Wren --yes", "compromised Wren --yes",
    "handover Wren Robin --yes", "role Heron observer", "floor Heron", "carry 1 --to Other",
    "paraphrase 1 words", "unlock", "tick", "tick --install", "duress set --yes", "backup FILE",
    "relay list", "relay add http://127.0.0.1:9 --vouchers -", "relay remove http://127.0.0.1:9",
    "relay move http://127.0.0.1:9 --vouchers -", "watch --unit", "incident open", "incident list",
    "convene list", "convene call here soon", "duty show", "duty check", "hotline status",
    "hotline test", "status --check", "doctor --bundle", "tick --sync",
    "retention", "passphrase practise", "doctor", "paths", "purge --all --yes", "lock",
)  # fmt: skip
WRITES = {
    "say": "tried in the conversation",
    "join": "tried in the conversation",
    "courier": "writes the file that was named",
    "transcript": "writes the file that was named",
    "forge": "writes the file that was named",
    "restore": "reads one",
    "demo": "homes of its own",
}


def test_every_verb_was_thought_of() -> None:
    assert {each.split()[0] for each in TRIED} | set(WRITES) == set(_VERBS)


@pytest.mark.skipif(not landlock.can(), reason="needs Landlock")
def test_a110_no_verb_writes_anywhere_else(visitors: list[Visitor], relay: RelayProcess) -> None:
    """Each as far as it gets: it may refuse, but neither fail over a write nor leave one."""
    fox, _ = visitors
    vouchers = "\n".join(map(show_voucher, relay.mint(6)))
    fox.do("channel", "new", "North", "--relay", relay.url, "--vouchers", "-", give=vouchers)
    fox.do("say", "-", give=CANARY)
    before = fox.files()
    for each in TRIED:
        done = fox.run(*each.split())
        assert "Unexpected" not in done.stderr, (each, done.stderr)
        assert "ermission" not in done.stderr, (each, done.stderr)
        assert fox.files() == before, each
    assert fox.in_memory() == []
