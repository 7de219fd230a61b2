"""The duress passphrase: set beside one's own, or taken away. Nobody can see whether there is one,
this program included.

Knows no screen. What it does when somebody types it is the vault's own business.
"""

from typing import TYPE_CHECKING

from backchannel.client.errors import UsageMistake, WrongPassphrase
from backchannel.client.passphrases import near
from backchannel.client.profile import Profile
from backchannel.client.vault.folder import Folder
from backchannel.client.vault.head import Head, VaultKey, Way
from backchannel.client.vault.lock import Lock
from backchannel.protocol.types import Timestamp, hour_of

if TYPE_CHECKING:
    from backchannel.protocol.entropy import Entropy


def own(profile: Profile, passphrase: str) -> Head:
    """The header, for whoever knows the vault's own passphrase; `WrongPassphrase` for any other.

    The duress passphrase is wrong here: nothing is destroyed by asking for one's own.
    """
    head = Folder(profile.vault).head()
    _, way = head.key(passphrase)
    if way is not Way.OWN:
        msg = "That passphrase does not open this vault."
        raise WrongPassphrase(msg)
    return head


def refuse_near(passphrase: str, duress: str) -> None:
    """`UsageMistake` where a slip could take one for the other."""
    if near(passphrase, duress):
        msg = "It is too near your own passphrase: a slip would erase everything. Nothing was set."
        raise UsageMistake(msg, "choose quite another, of four or five words")


def put(profile: Profile, head: Head, duress: str, now: Timestamp, entropy: "Entropy") -> None:
    """Let `duress` destroy the vault and open an empty one, in place of any that did so before."""
    with_it, key = head.with_duress(duress)
    _plant(profile, head, with_it, key, now, entropy)


def take_away(profile: Profile, head: Head, now: Timestamp, entropy: "Entropy") -> None:
    """From now on no passphrase but one's own opens anything."""
    key = VaultKey(entropy.draw(VaultKey.LENGTH))
    _plant(profile, head, head.without_duress(entropy), key, now, entropy)


def _plant(
    profile: Profile,
    head: Head,
    after: Head,
    key: VaultKey,
    now: Timestamp,
    entropy: "Entropy",
) -> None:
    folder = Folder(profile.vault)
    with Lock(profile.lock):
        folder.put_head(head.without_duress(entropy))  # none while the spare half changes
        folder.plant(key, hour_of(now), entropy)
        folder.put_head(after)
        folder.blend()
