"""What `--memory-only` keeps, from its beginning to its end: a home in memory, a vault in it whose
passphrase nobody knows, and the agent that has the key and takes all of it away.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from backchannel.client.errors import NoVault
from backchannel.client.machine import memory_home, swap
from backchannel.client.machine.profile import Profile
from backchannel.client.unlocking import unlocked
from backchannel.protocol.types import Timestamp

if TYPE_CHECKING:
    from backchannel.client.vault.head import VaultKey
    from backchannel.protocol.entropy import Entropy

_VARIABLE = "BACKCHANNEL_MEMORY_ONLY"
USUAL = 8 * 3600  # seconds: a working day; what is over is gone, so that a coffee must not end it
_PASSPHRASE = 32  # random bytes; nobody types them, and guessing needs no slowing down


def begin(profile: Profile, now: Timestamp, entropy: "Entropy", seconds: int = USUAL) -> "VaultKey":
    """A fresh vault in memory that lives as long as its agent; or the one that another command has
    begun meanwhile.
    """
    from backchannel.client.vault.head import Cost
    from backchannel.client.vault.vault import Vault

    home = profile.data
    with memory_home.made(home):
        if profile.has_vault:
            return key(profile)
        nobodys = entropy.draw(_PASSPHRASE).hex()
        made = Vault.create(profile, nobodys, now, entropy, Cost(64, 1))
        unlocked.start(profile, made, seconds, home)
    return made


def prolong(profile: Profile, seconds: int) -> bool:
    """Let it live so long from now; whether the key's memory is locked."""
    return unlocked.start(profile, key(profile), seconds, profile.data)


def key(profile: Profile) -> "VaultKey":
    """The vault's key; `NoVault` when all of it has ended."""
    held = unlocked.ask(profile) if profile.has_vault else None
    if held is None:
        msg = "Nothing is kept in memory: it was locked, its time was over, or it never began."
        raise NoVault(msg, "backchannel --memory-only join URL")
    return held


def tidy(profile: Profile) -> None:
    """Take away what an agent has left that was killed, or ended with the machine's session."""
    memory_home.remove(profile.data, lambda: unlocked.gone(profile))


def end(profile: Profile) -> bool:
    """End all of it; whether there was any. Nothing is left when this returns."""
    held = unlocked.end(profile)
    return memory_home.remove(profile.data, lambda: True) or held


def told() -> Iterator[str]:
    """What whoever begins should know: none of it can be helped from here."""
    yield (
        f"Nothing is written to a disk. All of it ends in {USUAL // 3600} hours, with `backchannel "
        "--memory-only lock`, or when this machine stops; `unlock --for 24h` gives it longer."
    )
    yield f"Give --memory-only with each command, or type once: export {_VARIABLE}=1"
    yield (
        "A shell may keep what stands in its command line: `backchannel say -` reads the text from "
        "its standard input."
    )
    if places := swap.on_disk():
        yield (
            f"This machine may move memory to a disk ({', '.join(places)}), unencrypted unless "
            "somebody saw to it. To be sure, switch that off: swapoff -a"
        )
