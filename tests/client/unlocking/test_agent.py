"""The agent: a real process that holds the key for a while, and lets nobody else have it."""

import hashlib
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backchannel.client.machine.memory import LockedPage
from backchannel.client.machine.profile import Profile
from backchannel.client.unlocking import agent, unlocked
from backchannel.client.vault.head import VaultKey, VolatileKey
from tests.support.people import PASSPHRASE, make_vault, passphrase_file, program

KEY = VaultKey(hashlib.sha256(b"a key that stands nowhere else").digest())
PROC = Path("/proc")
linux = pytest.mark.skipif(not PROC.is_dir(), reason="looks into /proc")


@pytest.fixture
def profile(tmp_path: Path) -> Iterator[Profile]:
    profile = Profile.at(tmp_path / "home")
    yield profile
    unlocked.end(profile)


def agent_of(profile: Profile) -> int:
    """The process that was started with this profile's socket."""
    wanted = os.fsencode(unlocked.socket_path(profile))
    (found,) = (
        int(process.name)
        for process in PROC.iterdir()
        if process.name.isdigit() and wanted in arguments_of(process)
    )
    return found


def arguments_of(process: Path) -> bytes:
    """Its command line; nothing for a process that has just ended."""
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def wait_until_gone(process: int) -> None:
    """A process descriptor becomes readable when its process ends."""
    import select

    descriptor = os.pidfd_open(process)
    try:
        assert select.select([descriptor], [], [], 20)[0], "the agent is still there"
    finally:
        os.close(descriptor)


def test_without_an_agent_there_is_no_key(profile: Profile) -> None:
    assert unlocked.ask(profile) is None
    assert unlocked.seconds_left(profile) is None
    assert not unlocked.end(profile)


def test_it_holds_the_key_until_it_is_locked(profile: Profile) -> None:
    unlocked.start(profile, KEY, 600)
    assert unlocked.ask(profile) == KEY
    assert unlocked.ask(profile) == KEY
    assert 590 < (unlocked.seconds_left(profile) or 0) <= 600
    process = agent_of(profile)
    assert unlocked.end(profile)
    wait_until_gone(process)
    assert unlocked.ask(profile) is None
    assert not unlocked.socket_path(profile).exists()


@linux
def test_it_ends_when_its_time_is_over(profile: Profile) -> None:
    unlocked.start(profile, KEY, 1)
    wait_until_gone(agent_of(profile))
    assert unlocked.ask(profile) is None
    assert not unlocked.socket_path(profile).exists()


@linux
def test_it_ends_when_nobody_has_asked_for_the_key_for_too_long(profile: Profile) -> None:
    """Asking how long it will be there is no use of it."""
    unlocked.start(profile, KEY, 600, idle=1)
    process = agent_of(profile)
    while unlocked.seconds_left(profile) is not None:
        pass
    wait_until_gone(process)
    assert unlocked.ask(profile) is None
    assert unlocked.volatile(profile) is None
    assert not unlocked.socket_path(profile).exists()


def test_asking_for_the_key_is_use_and_nothing_else_is(
    profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent's own loop, on a clock that stands until it is moved."""
    clock = [0.0]
    monkeypatch.setattr(agent, "elapsed", lambda: clock[0])
    profile.make(profile.runtime)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(unlocked.socket_path(profile)))
        listener.listen()
        running = agent.Agent(listener, LockedPage(), 100, 10, lambda: None)
        thread = threading.Thread(target=running.run)
        thread.start()
        assert unlocked.seconds_left(profile) == 10
        clock[0] = 9.0
        assert unlocked.ask(profile) == VaultKey(bytes(32))
        clock[0] = 18.0
        assert unlocked.volatile(profile) == VolatileKey(bytes(32))
        assert unlocked.seconds_left(profile) == 1
        assert unlocked.ask(profile, aside=True) == VaultKey(bytes(32)), "a timer gets it"
        assert unlocked.seconds_left(profile) == 1, "and keeps nothing open that nobody uses"
        assert unlocked.ask(profile) is not None
        assert unlocked.seconds_left(profile) == 10
        clock[0] = 95.0
        with socket.socket(socket.AF_UNIX) as knock:  # or it looks at its clock in five seconds
            knock.connect(str(unlocked.socket_path(profile)))
        thread.join(60)
        assert not thread.is_alive()


def test_its_volatile_key_is_of_this_agent_alone(profile: Profile) -> None:
    unlocked.start(profile, KEY, 600)
    first = unlocked.volatile(profile)
    assert first is not None
    assert first != VolatileKey(KEY.expose())
    unlocked.end(profile)
    assert unlocked.volatile(profile) is None
    unlocked.start(profile, KEY, 600)
    assert unlocked.volatile(profile) not in (None, first)


def test_who_unlocks_the_same_vault_for_longer_keeps_the_volatile_key(profile: Profile) -> None:
    """And who unlocks another does not get it: the duress passphrase opens another."""
    unlocked.start(profile, KEY, 600)
    first = unlocked.volatile(profile)
    unlocked.start(profile, KEY, 900)
    assert unlocked.volatile(profile) == first
    unlocked.start(profile, VaultKey(bytes(32)), 900)
    assert unlocked.volatile(profile) not in (None, first)


@linux
def test_a_second_agent_takes_the_place_of_the_first(profile: Profile) -> None:
    unlocked.start(profile, KEY, 600)
    first = agent_of(profile)
    unlocked.start(profile, VaultKey(bytes(32)), 600)
    wait_until_gone(first)
    assert unlocked.ask(profile) == VaultKey(bytes(32))


@linux
def test_a_signal_ends_it_and_leaves_no_socket(profile: Profile) -> None:
    unlocked.start(profile, KEY, 600)
    process = agent_of(profile)
    os.kill(process, signal.SIGTERM)
    wait_until_gone(process)
    assert not unlocked.socket_path(profile).exists()


@linux
def test_an_agent_that_was_killed_is_not_in_the_way(profile: Profile) -> None:
    unlocked.start(profile, KEY, 600)
    process = agent_of(profile)
    os.kill(process, signal.SIGKILL)
    wait_until_gone(process)
    assert unlocked.ask(profile) is None
    unlocked.start(profile, KEY, 600)
    assert unlocked.ask(profile) == KEY


def test_its_socket_is_private(profile: Profile) -> None:
    unlocked.start(profile, KEY, 600)
    path = unlocked.socket_path(profile)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


ASK_AS_NOBODY = """
import os, socket, sys
os.setgid(65534); os.setuid(65534)
line = socket.socket(socket.AF_UNIX)
line.connect(sys.argv[1])
try:
    line.sendall(b"k")
    print(len(line.recv(32)))
except (BrokenPipeError, ConnectionResetError):  # it hangs up before or after it was asked
    print(0)
"""


@linux
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_who_reaches_the_socket_is_told_nothing(profile: Profile) -> None:
    import tempfile

    unlocked.start(profile, KEY, 600)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        door = Path(folder) / "door"
        os.link(unlocked.socket_path(profile), door)
        door.chmod(0o666)
        asked = [sys.executable, "-c", ASK_AS_NOBODY, str(door)]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "0", done.stderr
    assert unlocked.ask(profile) == KEY


@linux
def test_a_caller_who_says_nothing_does_not_keep_others_out(profile: Profile) -> None:
    unlocked.start(profile, KEY, 600)
    with socket.socket(socket.AF_UNIX) as mute:
        mute.connect(str(unlocked.socket_path(profile)))
        assert unlocked.ask(profile) == KEY


def test_two_vaults_with_one_runtime_folder_have_two_agents(tmp_path: Path) -> None:
    one = Profile.at(tmp_path / "one")
    two = Profile.at(tmp_path / "two")._replace(runtime=one.runtime)
    unlocked.start(one, KEY, 600)
    try:
        assert unlocked.ask(two) is None
    finally:
        unlocked.end(one)


def test_a_home_with_a_very_long_name_has_an_agent_too(tmp_path: Path) -> None:
    profile = Profile.at(tmp_path / ("long" * 40))
    unlocked.start(profile, KEY, 600)
    try:
        assert len(str(unlocked.socket_path(profile))) > 150
        assert unlocked.ask(profile) == KEY
    finally:
        assert unlocked.end(profile)


@linux
def test_attack_35_no_core_dump_and_no_other_process_may_look_into_it(profile: Profile) -> None:
    assert unlocked.start(profile, KEY, 600)
    process = agent_of(profile)
    assert resource.prlimit(process, resource.RLIMIT_CORE) == (0, 0)
    # Not dumpable: the kernel gives its entries to root, whoever runs it.
    status = (PROC / str(process) / "status").read_text()
    assert f"VmLck:\t{resource.getpagesize() // 1024:8} kB" in status
    page = next(area for area in smaps(process) if "Locked:" in area and "Locked: 0" not in area)
    assert " dd" in page, "left out of core dumps"
    assert " lo" in page, "locked"
    assert " dc" in page, "not given to children"


def smaps(process: int) -> list[str]:
    """Each area of a process's memory, as one line."""
    areas: list[list[str]] = []
    for line in (PROC / str(process) / "smaps").read_text().splitlines():
        if line.split(" ", 1)[0].count("-") == 1 and ":" not in line.split(" ", 1)[0]:
            areas.append([])
        areas[-1].append(" ".join(line.split()))
    return [" ".join(area) for area in areas]


@linux
def test_attack_35_the_process_is_not_dumpable(profile: Profile) -> None:
    """`PR_SET_DUMPABLE` shows in the owner of its entries when another user than root runs it."""
    script = """
import ctypes
from backchannel.client.machine.memory import harden
harden()
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "0"


@linux
def test_attack_35_the_key_stands_once_in_its_memory(profile: Profile) -> None:
    """Only the locked page holds it: nothing that could be swapped or dumped does."""
    unlocked.start(profile, KEY, 600)
    assert unlocked.ask(profile) == KEY
    assert occurrences(agent_of(profile), KEY.expose()) == 1
    volatile = unlocked.volatile(profile)
    assert volatile is not None
    assert occurrences(agent_of(profile), volatile.expose()) == 1


def occurrences(process: int, wanted: bytes) -> int:
    """How often bytes stand in a process's writable memory."""
    found = 0
    with (PROC / str(process) / "mem").open("rb", buffering=0) as memory:
        for line in (PROC / str(process) / "maps").read_text().splitlines():
            span, mode = line.split()[:2]
            first, last = (int(end, 16) for end in span.split("-"))
            if mode.startswith("rw"):
                memory.seek(first)
                found += memory.read(last - first).count(wanted)
    return found


@linux
def test_attack_43_no_secret_in_its_arguments_or_environment(tmp_path: Path) -> None:
    profile, key = make_vault(tmp_path / "home")
    secret = passphrase_file(tmp_path)
    done = program("unlock", home=profile.data, env={"BACKCHANNEL_PASSPHRASE_FILE": str(secret)})
    assert done.returncode == 0, done.stderr
    try:
        assert unlocked.ask(profile) == key
        process = PROC / str(agent_of(profile))
        seen = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        for text in (key.expose(), key.expose().hex().encode(), PASSPHRASE.encode()):
            assert text not in seen
        assert b"BACKCHANNEL_" not in seen
    finally:
        unlocked.end(profile)


@linux
def test_it_keeps_nothing_of_its_caller_open(tmp_path: Path) -> None:
    """A script that captures the output of `unlock` would wait for the agent's end."""
    profile, _ = make_vault(tmp_path / "home")
    secret = str(passphrase_file(tmp_path))
    done = program("unlock", "--passphrase-file", secret, "--for", "10m", home=profile.data)
    assert (done.returncode, done.stdout) == (0, "Unlocked for 10 min.\n")
    try:
        process = agent_of(profile)
        links = [os.readlink(link) for link in (PROC / str(process) / "fd").iterdir()]  # noqa: PTH115 - a socket is no path
        assert {link for link in links if not link.startswith("socket:")} == {os.devnull}
        assert (PROC / str(process) / "cwd").readlink() == Path("/")
        assert os.getsid(process) != os.getsid(0)
    finally:
        unlocked.end(profile)


def test_how_long_it_may_be_unused_is_said_and_may_stand_in_the_settings(tmp_path: Path) -> None:
    profile, _ = make_vault(tmp_path / "home")
    secret = str(passphrase_file(tmp_path))
    unlock = ("unlock", "--passphrase-file", secret, "--for", "8h")
    try:
        done = program(*unlock, "--idle", "10m", home=profile.data)
        assert done.stdout == "Unlocked for 8 hours, or until nothing was done for 10 min.\n", (
            done.stderr
        )
        assert (unlocked.seconds_left(profile) or 0) <= 600
        (profile.config / "config.toml").write_text('idle = "90s"\n')
        (profile.config / "config.toml").chmod(0o600)
        done = program(*unlock, home=profile.data)
        assert done.stdout == "Unlocked for 8 hours, or until nothing was done for 90 s.\n"
        assert (unlocked.seconds_left(profile) or 0) <= 90
    finally:
        unlocked.end(profile)


def test_it_imports_little() -> None:
    script = "import sys, backchannel.client.unlocking.agent; print(*sys.modules, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    heavy = {"click", "cryptography", "nacl", "httpcore", "sqlcipher3", "subprocess", "msgspec"}
    assert not heavy & set(done.stdout.split())


def test_a_locked_page_is_wiped() -> None:
    page = LockedPage()
    with page.view(32) as view:
        view[:] = KEY.expose()
    page.wipe()
    with page.view(32) as view:
        assert bytes(view) == bytes(32)
