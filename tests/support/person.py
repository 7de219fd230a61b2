"""Somebody whose programs are watched while they run. Knows no plot."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from backchannel.client.machine.entropy import SystemEntropy
from backchannel.client.machine.profile import Profile
from backchannel.client.vault.vault import Vault
from backchannel.protocol.types import Timestamp
from tests.support.member import Member
from tests.support.people import CHEAP, PROGRAM
from tests.support.watched import Watch

SOFT = "import backchannel.{}.memory as memory; memory.harden = lambda: None; "
"""Before a program's own lines, where the machine lets nobody look into what hardened itself."""
PASSPHRASE = "lapwing cartwheel dormouse vinegar"


def now() -> Timestamp:
    return Timestamp(int(time.time()))  # noqa: TID251 - the programs beside us read the same clock


@dataclass
class Person(Member):
    """Somebody whose programs are watched; at home in a folder, or wherever XDG says."""

    whole: ClassVar[bool] = True
    """What is watched is what a process has from its start."""
    watch: Watch | None = None
    xdg: bool = False
    soft: bool = False

    @property
    def command(self) -> list[str]:
        lines = SOFT.format("client") * self.soft + PROGRAM[2]
        return [*PROGRAM[:2], lines, *(() if self.xdg else ("--home", str(self.home)))]

    @property
    def env(self) -> dict[str, str]:
        inherited = {k: v for k, v in super().env.items() if not k.startswith("XDG_")}
        own = {"HOME": str(self.home), "BACKCHANNEL_PASSPHRASE_FILE": str(self.secret)}
        return inherited | own | (self.watch.env if self.watch else {})

    @property
    def secret(self) -> Path:
        """The file with the passphrase, outside the home."""
        return self.home.with_name(f"{self.home.name}.passphrase")

    @property
    def profile(self) -> Profile:
        """As this person's programs find it."""
        if not self.xdg:
            return Profile.at(self.home)
        local = self.home / ".local"
        state, data = (local / each / "backchannel" for each in ("state", "share"))
        config, cache = (self.home / each / "backchannel" for each in (".config", ".cache"))
        return Profile(config, data, state, cache, state / "run")

    def enter(self) -> None:
        """A home with a vault in it, and the passphrase at hand."""
        self.home.mkdir(0o700)
        self.secret.touch(0o600)
        self.secret.write_text(PASSPHRASE + "\n")
        Vault.create(self.profile, PASSPHRASE, now(), SystemEntropy(), CHEAP)

    def vault(self) -> Vault:
        key = Vault.key(self.profile, PASSPHRASE, now(), SystemEntropy())
        return Vault(self.profile, key, now())
