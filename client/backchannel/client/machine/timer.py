"""The timer of this user that runs `tick` every hour and when the machine starts: of systemd, of
launchd, or a line of cron, whichever is here.

Owns what is written where and how it is taken back. What runs leaves no log. Knows no vault but by
its folder: each home has a timer of its own.
"""

import hashlib
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from backchannel.client.errors import ClientError, Refused
from backchannel.client.machine.profile import Profile

_PATIENCE = 30  # seconds for a manager of services to answer
_FOLDERS: Final = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")


class Timer(NamedTuple):
    """One of them."""

    kind: str
    """`systemd`, `launchd` or `cron`."""
    where: str
    """What was written, for people."""


class _Job(NamedTuple):
    name: str
    """One a vault."""
    command: list[str]


class _Kind(NamedTuple):
    """What runs timers on some systems."""

    here: Callable[[], bool]
    put: Callable[[_Job], Timer]
    look: Callable[[_Job], Timer | None]
    take: Callable[[_Job], None]


def install(
    profile: Profile, home: str | None, *, sync: bool = False, way: Sequence[str] = ()
) -> Timer:
    """Write and start one; `home` as it was given on the command line, if it was; with `sync` it
    fetches and delivers, too, by the options of `way`.

    `Refused` where there is nothing that runs timers.
    """
    job = _job(profile, home, *(["--sync", *way] if sync else []))
    for kind in _KINDS.values():
        if kind.here():
            return kind.put(job)
    msg = "Nothing here runs timers: no systemd of this user, no launchd and no cron."
    raise Refused(msg, "let something else run this once an hour: backchannel tick")


def remove(profile: Profile) -> list[Timer]:
    """Stop and take back all there are; which."""
    job = _job(profile, None)
    timers = _found(job)
    for timer in timers:
        _KINDS[timer.kind].take(job)
    return timers


def found(profile: Profile) -> Timer | None:
    """The one that is there."""
    return next(iter(_found(_job(profile, None))), None)


def _found(job: _Job) -> list[Timer]:
    timers = [kind.look(job) for kind in _KINDS.values()]
    return [timer for timer in timers if timer is not None]


def _job(profile: Profile, home: str | None, *more: str) -> _Job:
    name = hashlib.sha256(os.fsencode(profile.vault)).hexdigest()[:12]
    settings = [f"{each}={os.environ[each]}" for each in _FOLDERS if os.environ.get(each)]
    command = ["/usr/bin/env", *settings] if settings and home is None else []
    command += program()
    command += ["--home", str(Path(home).expanduser().absolute())] if home is not None else []
    return _Job(f"backchannel-tick-{name}", [*command, "tick", *more])


def program() -> list[str]:
    """The words that start this very installation again."""
    script = Path(sys.executable).with_name("backchannel")
    if script.is_file():
        return [str(script)]
    return [sys.executable, "-P", "-c", "from backchannel.client.cli import main; main()"]


def _run(*command: str, give: str | None = None) -> str | None:
    """What a command says; none where it is not there, or did not do it."""
    try:
        done = subprocess.run(  # noqa: S603 - our own words, and found by the user's own path
            command, input=give, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _do(*command: str, give: str | None = None) -> None:
    if _run(*command, give=give) is None:
        msg = f"{shlex.join(command)} did not do it: there is no timer."
        raise ClientError(msg, "let something else run this once an hour: backchannel tick")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


# systemd.


def _units(job: _Job) -> tuple[Path, Path]:
    """Where the timer and what it starts stand."""
    folder = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"
    return folder / f"{job.name}.timer", folder / f"{job.name}.service"


def _has_systemd() -> bool:
    return _run("systemctl", "--user", "show-environment") is not None


def _put_systemd(job: _Job) -> Timer:
    timer, service = _units(job)
    start = " ".join(quoted(word) for word in job.command)
    _write(
        service,
        f"[Unit]\nDescription=Hourly upkeep\n\n[Service]\nType=oneshot\nExecStart={start}\n"
        "StandardOutput=null\nStandardError=null\n",
    )
    _write(
        timer,
        "[Unit]\nDescription=Hourly upkeep\n\n[Timer]\nOnStartupSec=1min\nOnCalendar=hourly\n"
        "AccuracySec=1s\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n",
    )
    _do("systemctl", "--user", "daemon-reload")
    _do("systemctl", "--user", "enable", "--now", timer.name)
    return Timer("systemd", str(timer))


def quoted(word: str) -> str:
    """For ExecStart=, where percent, dollar and backslash mean something within quotes too."""
    for sign, written in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        word = word.replace(sign, written)
    return f'"{word}"'


def _look_systemd(job: _Job) -> Timer | None:
    timer, _ = _units(job)
    return Timer("systemd", str(timer)) if timer.exists() else None


def _take_systemd(job: _Job) -> None:
    timer, service = _units(job)
    _run("systemctl", "--user", "disable", "--now", timer.name)
    for path in (timer, service):
        path.unlink(missing_ok=True)
    _run("systemctl", "--user", "daemon-reload")


# launchd.


def _agent(job: _Job) -> Path:
    return Path.home() / "Library" / "LaunchAgents" / f"{job.name}.plist"


def _domain() -> str:
    return f"gui/{os.geteuid()}"


def _has_launchd() -> bool:
    return sys.platform == "darwin"


def _put_launchd(job: _Job) -> Timer:
    import plistlib

    path = _agent(job)
    what = {
        "Label": job.name,
        "ProgramArguments": job.command,
        "StartCalendarInterval": {"Minute": 0},
        "RunAtLoad": True,
    }
    _run("launchctl", "bootout", f"{_domain()}/{job.name}")  # the one before
    _write(path, plistlib.dumps(what).decode())
    _do("launchctl", "bootstrap", _domain(), str(path))
    return Timer("launchd", str(path))


def _look_launchd(job: _Job) -> Timer | None:
    return Timer("launchd", str(_agent(job))) if _agent(job).exists() else None


def _take_launchd(job: _Job) -> None:
    _run("launchctl", "bootout", f"{_domain()}/{job.name}")
    _agent(job).unlink(missing_ok=True)


# cron.


def _lines() -> list[str]:
    """The table of this user; empty where there is none yet."""
    return (_run("crontab", "-l") or "").splitlines()


def _without(job: _Job) -> list[str]:
    return [line for line in _lines() if not line.endswith(f"# {job.name}")]


def _has_cron() -> bool:
    import shutil

    return shutil.which("crontab") is not None


def _put_cron(job: _Job) -> Timer:
    command = shlex.join(job.command).replace("%", "\\%")  # a bare one ends the command
    line = f"{command} >/dev/null 2>&1 # {job.name}"
    _do(
        "crontab", "-", give="\n".join([*_without(job), f"0 * * * * {line}", f"@reboot {line}", ""])
    )
    return Timer("cron", "your table of cron")


def _look_cron(job: _Job) -> Timer | None:
    there = len(_without(job)) < len(_lines())
    return Timer("cron", "your table of cron") if there else None


def _take_cron(job: _Job) -> None:
    _do("crontab", "-", give="".join(f"{line}\n" for line in _without(job)))


_KINDS: Final = {
    "systemd": _Kind(_has_systemd, _put_systemd, _look_systemd, _take_systemd),
    "launchd": _Kind(_has_launchd, _put_launchd, _look_launchd, _take_launchd),
    "cron": _Kind(_has_cron, _put_cron, _look_cron, _take_cron),
}
"""The first that is here is chosen."""
