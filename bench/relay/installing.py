"""Peers' programs, from PyPI and from Debian, into a cache outside the checkout; once.

Nothing is installed into the system and nothing needs root: a package of Debian is unpacked. What
cannot be had is `Missing`, with the reason.
"""

import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from bench.libsignal import Missing
from bench.relay.place import CACHE

_PATIENCE = 900
"""Seconds that a download may take."""
_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_DONE = "installed"


def from_pypi(name: str, requirement: str) -> Path:
    """The programs of a Python environment of its own."""
    home = CACHE / name
    if not _stands(home, requirement):
        _tell(f"installing {requirement} into {home}")
        shutil.rmtree(home, ignore_errors=True)
        venv.create(home, with_pip=True)
        do([str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", requirement])
        (home / _DONE).write_text(requirement)
    return home / "bin"


def from_debian(name: str, packages: Sequence[str], suite: str = "") -> Path:
    """Where they are unpacked: those of this machine's release, or of a `suite` of Debian."""
    home = CACHE / name
    if not _stands(home, suite):
        _tell(f"unpacking {' '.join(packages)} into {home}")
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        options = _lists(home / "apt", suite) if suite else []
        do([_program("apt-get"), *options, "download", *packages], home)
        for package in home.glob("*.deb"):
            do([_program("dpkg-deb"), "--extract", str(package), str(home)])
        (home / _DONE).write_text(suite)
    return home


def _lists(folder: Path, suite: str) -> list[str]:
    """Options of apt for a suite that this machine does not have among its sources."""
    if not _KEYS.exists():
        raise Missing("this is no Debian, so its packages cannot be verified")
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    sources = folder / "sources.list"
    sources.write_text(f"deb [signed-by={_KEYS}] http://deb.debian.org/debian {suite} main\n")
    chosen = {
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": folder / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": folder / "cache",
    }
    options = [word for name, value in chosen.items() for word in ("-o", f"{name}={value}")]
    do([_program("apt-get"), *options, "update"])
    return options


def _stands(home: Path, what: str) -> bool:
    done = home / _DONE
    return done.is_file() and done.read_text() == what


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise Missing(f"{name} is not installed")
    return path


def do(command: list[str], folder: Path | None = None) -> None:
    """A command to its end; `Missing` where it fails."""
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=_PATIENCE
        )
    except subprocess.TimeoutExpired:
        raise Missing(f"{command[0]} took too long") from None
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise Missing(f"{' '.join(command[:1] + command[-2:])}: {' '.join(last)}")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
