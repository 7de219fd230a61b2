"""Homes and vaults of people who do not exist, and the client run as a program."""

import os
import subprocess
import sys
import time
from pathlib import Path

from backchannel.client.machine.entropy import SystemEntropy
from backchannel.client.machine.profile import Profile
from backchannel.client.vault.database import Database
from backchannel.client.vault.folder import KEYS
from backchannel.client.vault.head import Cost, VaultKey, database_key
from backchannel.client.vault.messages import Message
from backchannel.client.vault.vault import Vault
from backchannel.protocol.secret import BaseKey
from backchannel.protocol.types import (
    MAIN_THREAD,
    ChannelId,
    ContentHash,
    Hour,
    MessageId,
    Slot,
    Timestamp,
    hour_of,
)

PROGRAM = (sys.executable, "-c", "from backchannel.client.cli import main; main()")
PASSPHRASE = "four plain words here"
CHEAP = Cost(64, 1)
"""The least that a header may ask for: one guess costs 50 ms, not 500."""
ENTROPY = SystemEntropy()
NOON = Timestamp(500_000 * 3600)
NORTH = ChannelId(b"north".ljust(16, b"."))


def make_vault(home: Path, now: Timestamp = NOON) -> tuple[Profile, VaultKey]:
    """A fresh vault that opens with `PASSPHRASE`."""
    profile = Profile.at(home)
    return profile, Vault.create(profile, PASSPHRASE, now, ENTROPY, CHEAP)


def stolen(database: Path, key: VaultKey, keys: bytes | None = None) -> Database:
    """A database as a thief opens it who has the vault's key, and this file of expiry keys, or the
    one beside it. Whatever stands in its places is tried.
    """
    found = (database.parent / KEYS).read_bytes() if keys is None else keys
    places = [BaseKey(found[at + 33 : at + 65]) for at in range(0, len(found) - 65, 512)]
    bases = [each for each in places if any(each.expose())]
    return Database(database, lambda: [database_key(key, base) for base in bases])


def add_channel(vault: Vault, now: Timestamp = NOON) -> None:
    """The channel `north`."""
    with vault.exclusive(now), vault.transaction():
        vault.channels.add(NORTH, "north", b"state 0", {"count": 0, "ended": ""})


def message(number: int, now: Timestamp = NOON, lifetime: int = 24, text: str = "hello") -> Message:
    """The `number`-th message of slot 1, in `north`'s own thread."""
    hour = hour_of(now)
    return Message(
        channel=NORTH,
        content=ContentHash(number.to_bytes(32)),
        id=MessageId(number.to_bytes(16)),
        author=Slot(1),
        thread=MAIN_THREAD,
        hour=hour,
        order=number,
        expires=Hour(hour + lifetime),
        plain=text.encode(),
    )


def program(
    *arguments: str,
    home: Path,
    give: str | None = None,
    env: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """One command of `backchannel`, to its end."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("BACKCHANNEL_")}
    return subprocess.run(
        [*PROGRAM, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        input=give,
        env={**inherited, "BACKCHANNEL_HOME": str(home), **(env or {})},
        start_new_session=True,  # no terminal to ask at
    )


def put_ahead(profile: Profile, hours: int) -> None:
    """This home's clock shows so many hours after `NOON`, whenever the test runs."""
    this = int(time.time()) // 3600  # noqa: TID251 - the program reads the same clock
    profile.demo_hours.write_text(str(hour_of(NOON) + hours - this))


def passphrase_file(folder: Path, text: str = PASSPHRASE) -> Path:
    """A private file that holds a passphrase."""
    path = folder / "passphrase"
    path.touch(0o600)
    path.write_text(text + "\n")
    return path
