"""`--memory-only`: begun, found again by every command, ended; and nobody slips into its place."""

import json
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from backchannel.client.errors import NoVault, Refused, UnsafeFile
from backchannel.client.machine import memory_home, swap
from backchannel.client.machine.profile import Profile
from backchannel.client.settings import Settings
from backchannel.client.unlocking import memory_only, unlocked
from backchannel.client.unlocking.agent import KEY
from backchannel.client.vault.vault import Vault
from tests.support.people import ENTROPY, NOON, PROGRAM, program
from tests.support.relay import until

SHARED = Path("/dev/shm")  # noqa: S108 - private folders below it
pytestmark = pytest.mark.skipif(not memory_home.in_memory(SHARED), reason="needs memory files")


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's runtime folder in memory."""
    with tempfile.TemporaryDirectory(prefix="runtime-", dir=SHARED) as name:
        monkeypatch.setenv("XDG_RUNTIME_DIR", name)
        yield Path(name)


@pytest.fixture
def begun(runtime: Path, tmp_path: Path) -> Iterator[Profile]:
    """A vault in memory, with its agent."""
    profile = memory_home.profile(Profile.at(tmp_path))
    memory_only.begin(profile, NOON, ENTROPY)
    assert profile.data.parent == runtime
    yield profile
    memory_only.end(profile)


def agents(profile: Profile) -> list[int]:
    """Processes that would end this home."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if os.fsencode(profile.data) in words:
            found.append(int(path.parent.name))
    return found


def test_every_command_finds_what_one_has_begun(begun: Profile, tmp_path: Path) -> None:
    again = memory_home.profile(Profile.at(tmp_path))
    memory_only.tidy(again)
    assert again == begun
    with Vault(again, memory_only.key(again), NOON) as vault:
        assert vault.channels.list() == []


@pytest.mark.parametrize("arguments", [["--memory-only", "status"], ["status", "--memory-only"]])
def test_it_is_said_before_or_after_the_verb(
    begun: Profile, tmp_path: Path, arguments: list[str]
) -> None:
    assert program(*arguments, home=tmp_path).returncode == 0
    assert program("status", home=tmp_path).returncode == NoVault.status, "the disk has none"


def test_it_may_be_said_once_for_a_shell(begun: Profile, tmp_path: Path) -> None:
    assert program("status", home=tmp_path, env={"BACKCHANNEL_MEMORY_ONLY": "1"}).returncode == 0


def test_a_second_beginning_is_the_same_vault(begun: Profile) -> None:
    key = memory_only.key(begun)
    assert memory_only.begin(begun, NOON, ENTROPY) == key
    assert len(agents(begun)) == 1


def test_settings_are_read_where_they_are(runtime: Path, tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch(0o600)
    (tmp_path / "config.toml").write_text('proxy = "socks5h://tor:9050"\nmemory-only = true\n')
    settings = Settings({"home": str(tmp_path)})
    assert settings.memory_only
    assert settings.proxy == "socks5h://tor:9050"
    assert settings.profile.config == tmp_path
    assert all(path.is_relative_to(runtime) for path in settings.profile[1:])


def test_the_end_leaves_nothing(begun: Profile, runtime: Path) -> None:
    assert memory_only.end(begun)
    assert list(runtime.iterdir()) == []
    for _ in until(60):
        if not agents(begun):
            break
    assert not memory_only.end(begun)
    with pytest.raises(NoVault, match="time was over"):
        memory_only.key(begun)


def test_the_agent_says_that_it_ended_when_nothing_is_left(begun: Profile, runtime: Path) -> None:
    """`purge --all` asks nobody else to clear up."""
    assert unlocked.end(begun)
    assert list(runtime.iterdir()) == []


def test_a_command_that_runs_on_finds_that_all_has_gone(begun: Profile) -> None:
    with Vault(begun, memory_only.key(begun), NOON) as vault:
        memory_only.end(begun)
        with pytest.raises(NoVault, match="meanwhile"), vault.exclusive(NOON):
            pass
    assert not begun.data.exists()


def test_it_ends_with_its_time(begun: Profile, runtime: Path) -> None:
    memory_only.prolong(begun, 1)
    for _ in until(60):
        if not list(runtime.iterdir()):
            break
    assert list(runtime.iterdir()) == []


def test_it_lives_on_under_a_new_time_and_ends_with_that(begun: Profile, runtime: Path) -> None:
    key, (first,) = memory_only.key(begun), agents(begun)
    assert memory_only.prolong(begun, 7200)
    for _ in until(60):
        if agents(begun) != [first] and first not in agents(begun):
            break
    (second,) = agents(begun)
    assert second != first
    assert memory_only.key(begun) == key
    assert 3600 < (unlocked.seconds_left(begun) or 0) <= 7200
    assert begun.has_vault
    os.kill(second, signal.SIGTERM)
    for _ in until(60):
        if not list(runtime.iterdir()):
            break
    assert list(runtime.iterdir()) == []


def test_attack_what_a_killed_agent_leaves_opens_for_nobody_and_goes_with_the_next_command(
    begun: Profile, runtime: Path, tmp_path: Path
) -> None:
    (process,) = agents(begun)
    os.kill(process, signal.SIGKILL)
    for _ in until(60):
        if unlocked.gone(begun):
            break
    assert begun.has_vault, "nobody was left to take it away"
    with pytest.raises(NoVault):
        memory_only.key(begun)
    done = program("--memory-only", "status", home=tmp_path)
    assert done.returncode == NoVault.status
    assert "backchannel --memory-only join URL" in done.stderr
    assert list(runtime.iterdir()) == []


def test_an_agent_that_is_busy_is_not_taken_for_dead(begun: Profile) -> None:
    (process,) = agents(begun)
    os.kill(process, signal.SIGSTOP)
    with ExitStack() as callers:
        callers.callback(os.kill, process, signal.SIGCONT)
        with suppress(BlockingIOError):  # until there is no room for one more
            while True:
                caller = callers.enter_context(socket.socket(socket.AF_UNIX))
                caller.setblocking(False)
                caller.connect(str(unlocked.socket_path(begun)))
        memory_only.tidy(begun)
    assert begun.has_vault
    assert memory_only.key(begun).LENGTH == KEY


def test_a_vault_on_a_disk_is_left_alone(begun: Profile, tmp_path: Path) -> None:
    own = Profile.at(tmp_path / "own")
    Vault.create(own, "four plain words here", NOON, ENTROPY)
    before = {path: path.read_bytes() for path in own.vault.iterdir()}
    for verb in ("unlock", "status", "lock"):
        assert program("--memory-only", verb, home=own.data).returncode == 0
    assert {path: path.read_bytes() for path in own.vault.iterdir()} == before


def test_the_passphrase_is_nobodys(begun: Profile, tmp_path: Path) -> None:
    """Neither a file nor a terminal is asked; nor does `lock` leave a door."""
    env = {"BACKCHANNEL_PASSPHRASE_FILE": str(tmp_path / "none")}
    assert program("--memory-only", "status", home=tmp_path, env=env).returncode == 0


@pytest.mark.parametrize("when", ["open", "link", "file"])
def test_attack_somebody_sits_in_its_place(runtime: Path, tmp_path: Path, when: str) -> None:
    home = runtime / "backchannel-memory"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(0o700)
    match when:
        case "open":
            home.mkdir()
            home.chmod(0o755)
        case "link":
            home.symlink_to(elsewhere)
        case "file":
            home.touch()
            home.chmod(0o700)
    with pytest.raises(UnsafeFile, match="made it first"):
        memory_home.profile(Profile.at(tmp_path))
    done = program("--memory-only", "unlock", home=tmp_path)
    assert done.returncode == UnsafeFile.status
    assert list(elsewhere.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_attack_the_folder_is_another_users(runtime: Path, tmp_path: Path) -> None:
    home = runtime / "backchannel-memory"
    home.mkdir(0o700)
    os.chown(home, 65_534, 65_534)
    with pytest.raises(UnsafeFile):
        memory_home.profile(Profile.at(tmp_path))


def test_attack_a_link_that_appears_later_is_not_followed(runtime: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir(0o700)
    (kept / "precious").touch()
    (runtime / "backchannel-memory").symlink_to(kept)
    with pytest.raises(OSError, match="backchannel-memory"):
        memory_home.remove(runtime / "backchannel-memory", lambda: True)
    assert (kept / "precious").exists()


def test_a_folder_on_a_disk_is_no_memory(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    device = tmp_path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for kind, expected in (("tmpfs", True), ("ramfs", True), ("ext4", False), ("overlay", False)):
        rows = ("1 0 0:1 / / rw - ext4 /dev/sda rw", f"2 1 {number} / /x rw shared:3 - {kind} x rw")
        table.write_text("\n".join(rows))
        assert memory_home.in_memory(tmp_path, table) is expected
    assert not memory_home.in_memory(tmp_path, tmp_path / "no such table")
    table.write_text("1 0 0:1 / / rw - tmpfs tmpfs rw\n")
    assert not memory_home.in_memory(tmp_path, table), "its own file system is not in the table"


def test_without_memory_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_home, "in_memory", lambda _folder: False)
    with pytest.raises(Refused, match="nothing was begun") as refused:
        memory_home.profile(Profile.at(tmp_path))
    assert "--home DIR" in refused.value.next_step


def test_memory_that_may_go_to_a_disk_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, head = tmp_path / "swaps", "Filename\tType\tSize\tUsed\tPriority\n"
    for rows, places in (
        ("", []),
        ("/dev/zram0 partition 1 0 100\n", []),
        ("/dev/sda2 partition 1 0 -2\n/dev/zram0 partition 1 0 100\n", ["/dev/sda2"]),
        ("/swap\\040file file 1 0 -2\n", ["/swap\\040file"]),
    ):
        table.write_text(head + rows)
        assert swap.on_disk(table) == places
        monkeypatch.setattr(swap, "on_disk", lambda found=places: found)
        assert any("swapoff" in line for line in memory_only.told()) == bool(places)
        monkeypatch.undo()
    assert swap.on_disk(tmp_path / "nothing") is None


def test_many_that_begin_at_once_have_one_vault(runtime: Path, tmp_path: Path) -> None:
    command = [*PROGRAM, "--memory-only", "--home", str(tmp_path), "--json", "unlock"]
    env = {k: v for k, v in os.environ.items() if not k.startswith("BACKCHANNEL_")}
    running = [
        subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for _ in range(4)
    ]
    states = [json.loads(each.communicate(timeout=60)[0])["state"] for each in running]
    assert states == ["in-memory"] * 4
    profile = memory_home.profile(Profile.at(tmp_path))
    try:
        for _ in until(60):
            if len(agents(profile)) == 1:
                break
        assert len(agents(profile)) == 1
        assert profile.has_vault
        assert [path.name for path in runtime.iterdir()] == ["backchannel-memory"]
    finally:
        memory_only.end(profile)
    assert list(runtime.iterdir()) == []
