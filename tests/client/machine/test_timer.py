"""The timer: what is written for systemd, launchd and cron, and that it is taken back whole.

The managers are scripts that note what they were asked; what they are given is the real thing.
"""

import os
import plistlib
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from backchannel.client.errors import ClientError, Refused
from backchannel.client.machine import timer
from backchannel.client.machine.profile import Profile
from backchannel.client.vault.vault import Vault
from tests.support.people import ENTROPY, NOON, make_vault, message, program, put_ahead

Manager = Callable[..., None]


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return Profile.at(tmp_path / "home")


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Manager:
    """A folder of commands in the place of this machine's, and a person of whom nothing is kept."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for each in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv("PATH", f"{folder}")
    monkeypatch.setenv("HOME", str(tmp_path))

    def put(name: str, does: str = "exit 0") -> None:
        path = folder / name
        path.write_text(
            f'#!/bin/sh\nexport PATH=/usr/bin:/bin\necho "$0 $*" >> "$0.asked"\n{does}\n'
        )
        path.chmod(0o700)

    return put


def asked(tmp_path: Path, name: str) -> list[str]:
    """What a manager was asked, in order."""
    path = tmp_path / "bin" / f"{name}.asked"
    start = f"{tmp_path / 'bin' / name} "
    return [line.removeprefix(start) for line in path.read_text().splitlines()]


def unit_words(line: str) -> list[str]:
    """A command line of a unit as systemd reads it: systemd.syntax(7), systemd.service(5)."""
    words = shlex.split(line.replace("$$", "$"))
    return [word.replace("%%", "%") for word in words]


def crontab(tmp_path: Path, before: str = "") -> str:
    """A cron that keeps its table in a file."""
    table = tmp_path / "table"
    if before:
        table.write_text(before)
    return f'if [ "$1" = -l ]; then cat "{table}" 2>/dev/null; else cat > "{table}"; fi'


def test_systemd_runs_it_every_hour_and_at_the_start(
    profile: Profile, manager: Manager, tmp_path: Path
) -> None:
    manager("systemctl")
    made = timer.install(profile, str(tmp_path / "home"))
    assert made.kind == "systemd"
    unit = Path(made.where)
    assert unit.parent == tmp_path / ".config/systemd/user"
    assert asked(tmp_path, "systemctl")[1:] == [
        "--user daemon-reload",
        f"--user enable --now {unit.name}",
    ]
    text = unit.read_text()
    for rule in ("OnCalendar=hourly", "OnStartupSec=1min", "Persistent=true", "WantedBy=timers"):
        assert rule in text
    assert "StandardOutput=null\nStandardError=null" in unit.with_suffix(".service").read_text()
    assert timer.found(profile) == made


def test_what_systemd_starts_erases_what_is_dead(manager: Manager, tmp_path: Path) -> None:
    """In a home whose name has all that a unit file reads as something else."""
    home = tmp_path / 'a "home" of 100% $USER'
    profile, key = make_vault(home)
    with Vault(profile, key, NOON) as vault, vault.exclusive(NOON), vault.transaction():
        vault.channels.add(message(1).channel, "north", b"", {})
        vault.messages.add(message(1, lifetime=2), NOON, ENTROPY)
    keys = profile.vault / "expiry.keys"
    before = keys.read_bytes()
    manager("systemctl")
    made = timer.install(profile, str(home))
    service = Path(made.where).with_suffix(".service").read_text()
    (start,) = [x for x in service.splitlines() if x.startswith("ExecStart=")]
    put_ahead(profile, 3)
    done = subprocess.run(
        unit_words(start.removeprefix("ExecStart=")), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert keys.read_bytes() != before
    with Vault(profile, key, NOON) as vault:  # the clock is set back
        assert vault.messages.list(message(1).channel, NOON) == []


def test_removing_leaves_nothing(profile: Profile, manager: Manager, tmp_path: Path) -> None:
    manager("systemctl")
    made = timer.install(profile, None)
    assert timer.remove(profile) == [made]
    assert asked(tmp_path, "systemctl")[3:] == [
        f"--user disable --now {Path(made.where).name}",
        "--user daemon-reload",
    ]
    assert list((tmp_path / ".config/systemd/user").iterdir()) == []
    assert timer.found(profile) is None
    assert timer.remove(profile) == []


def test_cron_gets_two_lines_and_keeps_its_own(
    profile: Profile, manager: Manager, tmp_path: Path
) -> None:
    manager("crontab", crontab(tmp_path, before="MAILTO=x\n5 5 * * * mine\n"))
    for _ in range(2):  # doing it again adds nothing
        made = timer.install(profile, str(tmp_path / "100 %"))
    lines = (tmp_path / "table").read_text().splitlines()
    assert lines[:2] == ["MAILTO=x", "5 5 * * * mine"]
    hourly, start = lines[2:]
    assert hourly.startswith("0 * * * * ")
    assert start.startswith("@reboot ")
    command = hourly.removeprefix("0 * * * * ")
    assert command == start.removeprefix("@reboot ")
    assert shlex.split(command.replace("\\%", "%"), comments=True)[-5:] == [
        "--home", str(tmp_path / "100 %"), "tick", ">/dev/null", "2>&1",
    ]  # fmt: skip
    assert timer.found(profile) == made
    assert timer.remove(profile) == [made]
    assert (tmp_path / "table").read_text() == "MAILTO=x\n5 5 * * * mine\n"
    assert timer.found(profile) is None


def test_a_first_table_of_cron(profile: Profile, manager: Manager, tmp_path: Path) -> None:
    manager("crontab", crontab(tmp_path))
    timer.install(profile, None)
    assert len((tmp_path / "table").read_text().splitlines()) == 2


def test_each_home_has_its_own(profile: Profile, manager: Manager, tmp_path: Path) -> None:
    manager("crontab", crontab(tmp_path))
    other = Profile.at(tmp_path / "other")
    timer.install(profile, None)
    timer.install(other, None)
    timer.remove(profile)
    assert timer.found(profile) is None
    assert timer.found(other) is not None


def test_launchd_runs_it_every_hour_and_at_the_start(
    profile: Profile, manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    manager("launchctl")
    made = timer.install(profile, "home")
    assert made.kind == "launchd"
    what = plistlib.loads(Path(made.where).read_bytes())
    assert what["Label"] == Path(made.where).stem
    assert what["StartCalendarInterval"] == {"Minute": 0}
    assert what["RunAtLoad"]
    assert what["ProgramArguments"][-3:] == ["--home", str(Path("home").absolute()), "tick"]
    domain = f"gui/{os.geteuid()}"
    assert asked(tmp_path, "launchctl")[1:] == [f"bootstrap {domain} {made.where}"]
    assert timer.remove(profile) == [made]
    assert asked(tmp_path, "launchctl")[2:] == [f"bootout {domain}/{what['Label']}"]
    assert timer.found(profile) is None


def test_folders_of_the_user_go_along(
    profile: Profile, manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A manager of services does not know what a shell was told."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    manager("crontab", crontab(tmp_path))
    timer.install(profile, None)
    assert f"/usr/bin/env XDG_DATA_HOME={tmp_path / 'data'} " in (tmp_path / "table").read_text()


def test_an_installation_without_a_script_is_started_by_its_interpreter(
    profile: Profile, manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    manager("crontab", crontab(tmp_path))
    timer.install(profile, None)
    words = shlex.split((tmp_path / "table").read_text().splitlines()[0])
    assert words[5:9] == [
        str(tmp_path / "python"), "-P", "-c", "from backchannel.client.cli import main; main()",
    ]  # fmt: skip


def test_where_nothing_runs_timers_it_says_what_to_do(profile: Profile, manager: Manager) -> None:
    with pytest.raises(Refused) as caught:
        timer.install(profile, None)
    assert "backchannel tick" in caught.value.next_step
    assert timer.found(profile) is None


def test_a_manager_that_does_not_do_it_is_no_success(profile: Profile, manager: Manager) -> None:
    manager("systemctl", '[ "$2" != enable ]')
    with pytest.raises(ClientError, match="there is no timer"):
        timer.install(profile, None)


def test_a_machine_whose_systemd_is_not_this_users_takes_cron(
    profile: Profile, manager: Manager, tmp_path: Path
) -> None:
    manager("systemctl", "exit 1")
    manager("crontab", crontab(tmp_path))
    assert timer.install(profile, None).kind == "cron"


def test_the_verb_says_what_it_did(manager: Manager, tmp_path: Path) -> None:
    manager("systemctl")
    env = {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}
    home = make_vault(tmp_path / "home")[0].data
    done = program("tick", "--install", home=home, env=env)
    assert done.returncode == 0, done.stderr
    assert "Runs every hour and at the machine's start" in done.stdout
    assert "backchannel tick --remove" in done.stdout
    checked = program("doctor", home=home, env=env).stdout
    assert "timer     erases what has expired every hour (systemd)" in checked
    assert "Removed: " in program("tick", "--remove", home=home, env=env).stdout
    assert "There was no timer." in program("tick", "--remove", home=home, env=env).stdout
    checked = program("doctor", home=home, env=env).stdout
    assert "next: backchannel tick --install" in checked
    both = program("tick", "--install", "--remove", home=home, env=env)
    assert both.returncode == 2


def test_a_timer_that_syncs_is_asked_for_and_says_when_it_can(
    manager: Manager, tmp_path: Path
) -> None:
    manager("systemctl")
    env = {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}
    home = make_vault(tmp_path / "home")[0].data
    done = program("tick", "--install", "--sync", home=home, env=env)
    assert done.returncode == 0, done.stderr
    assert "while the vault is unlocked" in done.stdout
    (service,) = (tmp_path / ".config/systemd/user").glob("*.service")
    assert '"tick" "--sync"\n' in service.read_text()
    locked = program("tick", "--sync", home=home)
    assert locked.returncode == 0
    assert "The vault is locked: nothing was fetched" in locked.stderr


def test_what_is_in_memory_only_needs_no_timer(tmp_path: Path) -> None:
    done = program("--memory-only", "tick", "--install", home=tmp_path / "home")
    assert done.returncode == 6
    assert "ends with its agent" in done.stderr
