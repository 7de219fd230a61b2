"""The duress passphrase: set beside one's own, or taken away. Nobody can see whether there is one,
this program included.

Knows no screen. What it does when somebody types it is the vault's own business.
"""

from typing import TYPE_CHECKING

from backchannel.client.errors import UsageMistake
from backchannel.client.machine.profile import Profile
from backchannel.client.unlocking.passphrases import near
from backchannel.client.vault.folder import Folder
from backchannel.client.vault.head import Head, VaultKey
from backchannel.client.vault.lock import Lock
from backchannel.protocol.types import Timestamp, hour_of

if TYPE_CHECKING:
    from backchannel.protocol.entropy import Entropy


def refuse_near(passphrase: str, duress: str) -> None:
    """`UsageMistake` where a slip could take one for the other."""
    if near(passphrase, duress):
        msg = "It is too near your own passphrase: a slip would erase everything. Nothing was set."
        raise UsageMistake(msg, "choose quite another, of four or five words")


def put(profile: Profile, duress: str, now: Timestamp, entropy: "Entropy") -> None:
    """Let `duress` destroy the vault and open an empty one, in place of any that did so before."""
    head, key = Folder(profile.vault).head().with_duress(duress)
    _plant(profile, head, key, now, entropy)


def take_away(profile: Profile, now: Timestamp, entropy: "Entropy") -> None:
    """From now on no passphrase but one's own opens anything."""
    head = Folder(profile.vault).head().without_duress(entropy)
    _plant(profile, head, VaultKey(entropy.draw(VaultKey.LENGTH)), now, entropy)


def _plant(profile: Profile, head: Head, key: VaultKey, now: Timestamp, entropy: "Entropy") -> None:
    folder = Folder(profile.vault)
    with Lock(profile.lock):
        folder.put_head(head.without_duress(entropy))  # none while the spare half changes
        folder.plant(key, hour_of(now), entropy)
        folder.put_head(head)
        folder.blend()
