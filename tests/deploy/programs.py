"""Programs of others that the files under server/deploy are for, where this machine has them."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

DEPLOY: Final = Path(__file__).parents[2] / "server/deploy"
_ELSEWHERE: Final = ("/usr/sbin", "/sbin")  # not in everybody's PATH


def program(name: str) -> str:
    """Where it is; skips where it is not."""
    found = shutil.which(name) or shutil.which(name, path=":".join(_ELSEWHERE))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """To its end."""
    return subprocess.run(
        [program(name), *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def settings(text: str) -> dict[str, list[str]]:
    """`Key=value` lines of a unit; a key may stand there several times."""
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found
