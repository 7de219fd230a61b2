"""How long erasing takes: everything, as a command; one thread; the daily renewal of a vault's key.
For a vault of many messages.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from backchannel.client.machine.profile import Profile
from backchannel.client.vault.folder import DATABASE
from backchannel.client.vault.vault import Vault
from backchannel.protocol.types import MAIN_THREAD, Timestamp
from tests.support.people import ENTROPY, NOON, NORTH, add_channel, make_vault, message

_MESSAGES = 10_000
_TEXT = "A sentence of ordinary length, as people say them. " * 8
_DAY = 24 * 3600


def _filled(home: Path) -> tuple[Profile, Vault]:
    profile, key = make_vault(home)
    vault = Vault(profile, key, NOON)
    add_channel(vault)
    with vault.exclusive(NOON), vault.transaction():
        for number in range(_MESSAGES):
            vault.messages.add(message(number, lifetime=720, text=_TEXT), NOON, ENTROPY)
    vault.fold()
    return profile, vault


def _timed(action: object, *arguments: object) -> float:
    began = time.perf_counter()
    action(*arguments)  # type: ignore[operator]
    return round(time.perf_counter() - began, 3)


def _purge_thread(vault: Vault) -> None:
    with vault.exclusive(NOON), vault.transaction():
        vault.messages.purge(NORTH, MAIN_THREAD)
    vault.forget_keys()


def measure() -> dict[str, object]:
    """Seconds of the wall clock, for a vault of ten thousand messages."""
    with tempfile.TemporaryDirectory() as folder:
        profile, vault = _filled(Path(folder) / "home")
        megabytes = round((profile.vault / DATABASE).stat().st_size / 1e6, 1)
        renewal = _timed(vault.sweep, Timestamp(NOON + _DAY), ENTROPY)
        thread = _timed(_purge_thread, vault)
        vault.close()
        command = (sys.executable, "-c", "from backchannel.client.cli import main; main()",
                   "--home", str(profile.data), "purge", "--all", "--yes")  # fmt: skip
        click = (sys.executable, "-c", "import click")
        nothing = _timed(lambda: subprocess.run(click, check=True))
        everything = _timed(lambda: subprocess.run(command, check=True, capture_output=True))
    return {
        "messages": _MESSAGES,
        "database_megabytes": megabytes,
        "daily_renewal_s": renewal,
        "purge_thread_s": thread,
        "import_click_s": nothing,
        "purge_all_command_s": everything,
    }


if __name__ == "__main__":
    for name, value in measure().items():
        print(f"{name:>22}  {value}")
