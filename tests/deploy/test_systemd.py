"""The units are what systemd understands, and as closed as a relay bears: it is run under the same
restrictions, as far as a machine without systemd at work can.
"""

import ctypes
import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from backchannel.server import exits
from backchannel.server.limits import DESCRIPTORS, SHUTDOWN
from tests.deploy.programs import DEPLOY, program, run, settings
from tests.support.relay import DropClient, RelayProcess, noise

UNITS = DEPLOY / "systemd"
SERVICE = UNITS / "backchannel-relay.service"
SOCKET = UNITS / "backchannel-relay.socket"
SAFE = 1.5  # of 10: what systemd-analyze calls "safe" ends at 2
_MAIN = "from backchannel.server.cli import main; main()"
_MDWE = "import ctypes; assert ctypes.CDLL(None).prctl(65, 1, 0, 0, 0) == 0; "
_ACTIVATE = (
    "import os, sys; os.dup2(int(sys.argv.pop(1)), 3); "
    "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1'); "
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine on which the relay is installed as docs/operators.md says."""
    units = tmp_path / "etc/systemd/system"
    units.mkdir(parents=True)
    for unit in (SERVICE, SOCKET):
        shutil.copy(unit, units)
    for name in ("opt/backchannel/bin/backchannel-relay", "bin/kill"):
        file = tmp_path / name
        file.parent.mkdir(parents=True)
        file.touch(0o755)
    for name in ("sockets", "multi-user", "sysinit", "basic", "shutdown", "time-sync"):
        (units / f"{name}.target").write_text("[Unit]\n")
    return tmp_path


def drop_in(root: Path, name: str) -> None:
    folder = root / "etc/systemd/system/backchannel-relay.service.d"
    folder.mkdir(exist_ok=True)
    shutil.copy(UNITS / name, folder)


def verified(root: Path) -> str:
    units = [f"/etc/systemd/system/{unit.name}" for unit in (SERVICE, SOCKET)]
    done = run("systemd-analyze", "verify", f"--root={root}", "--man=no", *units)
    return done.stdout + done.stderr + ("" if done.returncode == 0 else "failed")


@pytest.mark.parametrize("names", [[], ["network.conf"], ["postgresql.conf"]])
def test_systemd_understands_every_line(root: Path, names: list[str]) -> None:
    for name in names:
        drop_in(root, name)
    assert verified(root) == ""


def test_the_check_of_lines_sees_a_wrong_one(root: Path) -> None:
    unit = root / "etc/systemd/system" / SERVICE.name
    unit.write_text(unit.read_text().replace("ProtectHome=yes", "ProtectHomes=yes"))
    assert "ProtectHomes" in verified(root)


@pytest.mark.parametrize("names", [[], ["network.conf"], ["postgresql.conf"]])
def test_the_unit_is_as_closed_as_promised(root: Path, names: list[str]) -> None:
    for name in names:
        drop_in(root, name)
    threshold = ("--offline=true", f"--threshold={int(SAFE * 10)}", "--no-pager")
    unit = f"/etc/systemd/system/{SERVICE.name}"
    done = run("systemd-analyze", "security", *threshold, f"--root={root}", unit)
    assert done.returncode == 0, done.stdout.splitlines()[-1]


def test_nothing_of_its_memory_reaches_a_disk() -> None:
    said = settings(SERVICE.read_text())
    assert said["LimitCORE"] == ["0"]
    assert said["MemorySwapMax"] == ["0"]
    assert said["UMask"] == ["0077"]
    assert said["StateDirectoryMode"] == ["0700"]


def test_systemd_waits_longer_than_a_relay_takes() -> None:
    said = settings(SERVICE.read_text())
    assert int(said["TimeoutStopSec"][0]) > SHUTDOWN
    assert int(said["LimitNOFILE"][0]) == DESCRIPTORS


def test_what_beginning_again_does_not_mend_is_not_begun_again() -> None:
    (codes,) = settings(SERVICE.read_text())["RestartPreventExitStatus"]
    assert set(map(int, codes.split())) == {exits.USAGE, exits.REFUSED, exits.NOT_FOUND}


def test_only_a_group_may_connect() -> None:
    said = settings(SOCKET.read_text())
    assert said["SocketMode"] == ["0660"]
    (group,) = said["SocketGroup"]
    users = (UNITS / "backchannel-relay.sysusers").read_text()
    assert f"g {group} " in users
    assert f"u {said['SocketUser'][0]} " in users


def test_the_users_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    users = str(UNITS / "backchannel-relay.sysusers")
    done = run("systemd-sysusers", f"--root={tmp_path}", users)
    assert done.returncode == 0, done.stderr
    made = (tmp_path / "etc/passwd").read_text()
    assert made.startswith("backchannel-relay:")
    assert made.strip().endswith(":/usr/sbin/nologin")
    assert "backchannel-proxy:" in (tmp_path / "etc/group").read_text()


def test_the_folders_can_be_made(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    (tmp_path / "etc").mkdir()
    users = str(UNITS / "backchannel-relay.sysusers")
    assert run("systemd-sysusers", f"--root={tmp_path}", users).returncode == 0
    folders = str(UNITS / "backchannel-relay.tmpfiles")
    done = run("systemd-tmpfiles", "--create", f"--root={tmp_path}", folders)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "var/lib/backchannel-relay").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "run/backchannel-relay").stat().st_mode & 0o777 == 0o755


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RelayProcess]:
    relay = RelayProcess.make(tmp_path / "relay")
    yield relay
    relay.stop()


def works(relay: RelayProcess, process: int) -> None:
    """All that a relay does, begins anew, and does it again."""
    client = DropClient.connect(relay.url)
    client.create(relay.voucher())
    client.append(*noise(64))
    os.kill(process, signal.SIGHUP)
    relay.url = relay.listening()
    assert len(client.read().rows) == 64
    client.seal()
    client.delete()


def test_it_runs_without_memory_that_is_written_and_then_executed(relay: RelayProcess) -> None:
    if ctypes.CDLL(None).prctl(66, 0, 0, 0, 0) < 0:
        pytest.skip("the system knows no PR_SET_MDWE")
    relay.start(program=(sys.executable, "-c", _MDWE + _MAIN))
    assert relay.process is not None
    works(relay, relay.process.pid)


def test_it_calls_nothing_that_the_filter_forbids(relay: RelayProcess, tmp_path: Path) -> None:
    """Seen from outside, over a socket that was handed over, as under systemd."""
    allowed = allowed_calls()
    calls = tmp_path / "calls"
    tracer = (program("strace"), "--follow-forks", "--quiet=all", "-o", str(calls))
    with socket.create_server(("127.0.0.1", 0)) as given:
        activated = (sys.executable, "-c", _ACTIVATE + _MAIN, str(given.fileno()))
        relay.start(program=(*tracer, *activated), pass_fds=[given.fileno()])
        process = int(calls.read_text().split(maxsplit=1)[0])
        works(relay, process)
        os.kill(process, signal.SIGTERM)
        assert relay.stop() == 0
    text = calls.read_text()
    used = set(re.findall(r"^\d+ +(\w+)\(", text, re.MULTILINE))
    assert {"execve", "fdatasync", "accept4"} <= used, "it was seen at work"
    if os.geteuid() == 0:
        used -= {"fchown"}  # SQLite, as root only, gives new files to the folder's owner
    assert used <= allowed, used - allowed
    assert set(re.findall(r"^\d+ +socket\((\w+)", text, re.MULTILINE)) <= {"AF_UNIX"}
    assert "PROT_WRITE|PROT_EXEC" not in text


def allowed_calls() -> set[str]:
    """Every system call that the unit's filter lets through."""
    found: set[str] = set()
    for line in settings(SERVICE.read_text())["SystemCallFilter"]:
        calls = set().union(*(expanded(group) for group in line.lstrip("~").split()))
        found = found - calls if line.startswith("~") else found | calls
    return found


def expanded(group: str) -> set[str]:
    if not group.startswith("@"):
        return {group}
    lines = run("systemd-analyze", "syscall-filter", group).stdout.splitlines()
    members = [line.strip() for line in lines[1:] if not line.strip().startswith("#")]
    return set().union(*(expanded(member) for member in members if member))
