"""The vault's header: how keys come from passphrases. Holds no secret; knows no database.

```
head 116
  0    magic 24      "backchannel/1 vault" and zeros
  24   version 4
  28   memory 4      MiB for Argon2id
  32   passes 4
  36   salt 16
  52   check 32      tells a wrong passphrase from a damaged vault
  84   check 32      of a duress passphrase, or random: nobody sees which
```
"""

import hmac
import unicodedata
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, final

from backchannel.client.errors import VaultDamaged, VaultTooNew, WrongPassphrase
from backchannel.protocol.secret import BaseKey, Secret

if TYPE_CHECKING:
    from backchannel.protocol.entropy import Entropy

SIZE = 116
VERSION = 2
_MAGIC = b"backchannel/1 vault".ljust(24, b"\0")
_SALT = 16
_KEY = b"backchannel/1 vault key"
_CHECK = b"backchannel/1 vault check"
_CHECK_SIZE = 32
_DATABASE = b"backchannel/1 database"


@final
class VaultKey(Secret):
    """What a passphrase gives and the agent holds. 32 bytes."""


@final
class VolatileKey(Secret):
    """In memory alone, and gone with the agent: seals what is off the record. 32 bytes."""


@final
class DatabaseKey(Secret):
    """Opens the database. 32 bytes."""


def database_key(key: VaultKey, base: BaseKey) -> DatabaseKey:
    """Neither opens the database alone: the base key can be erased, the passphrase cannot."""
    return DatabaseKey(hmac.digest(key.expose(), _DATABASE + base.expose(), "sha256"))


class Way(Enum):
    """Which of its passphrases opened a vault."""

    OWN = "own"
    DURESS = "duress"


class Cost(NamedTuple):
    """What one guess at a passphrase costs, also an attacker's."""

    memory: int = 256
    """MiB."""
    passes: int = 3


USUAL = Cost()
_LEAST, _MOST = Cost(64, 1), Cost(1024, 10)  # a header from elsewhere may not ask for 100 GiB


class Head(NamedTuple):
    """What stands in the header file."""

    cost: Cost
    salt: bytes
    check: bytes
    duress: bytes
    """The check of a duress passphrase, or random."""

    @classmethod
    def new(cls, passphrase: str, cost: Cost, entropy: "Entropy") -> tuple["Head", VaultKey]:
        """A header for a new vault, and the vault's key."""
        salt = entropy.draw(_SALT)
        key, check = _derive(passphrase, cost, salt)
        return cls(cost, salt, check, entropy.draw(_CHECK_SIZE)), key

    def with_duress(self, passphrase: str) -> tuple["Head", VaultKey]:
        """The same with a duress passphrase, and the key that it gives."""
        key, check = _derive(passphrase, self.cost, self.salt)
        return self._replace(duress=check), key

    def without_duress(self, entropy: "Entropy") -> "Head":
        """The same with none."""
        return self._replace(duress=entropy.draw(_CHECK_SIZE))

    def surrendered(self, entropy: "Entropy") -> "Head":
        """The same where the duress passphrase is the only one: the other is wrong from now on."""
        return self._replace(check=self.duress).without_duress(entropy)

    @classmethod
    def read(cls, data: bytes) -> "Head":
        """`VaultTooNew` for a later version, `VaultDamaged` for what is no header."""
        if len(data) < SIZE or data[:24] != _MAGIC:
            msg = "The vault's header is damaged."
            raise VaultDamaged(msg)
        version, memory, passes = (int.from_bytes(data[at : at + 4]) for at in (24, 28, 32))
        if version > VERSION:
            msg = f"This vault is of version {version}; this program knows {VERSION}."
            raise VaultTooNew(msg)
        if version == 1:
            msg = "This vault was made by a program from before the first release."
            raise VaultDamaged(msg, "backchannel purge --all, then begin anew")
        cost = Cost(memory, passes)
        if version != VERSION or len(data) != SIZE or not _bearable(cost):
            msg = "The vault's header asks for what no vault of ours asks."
            raise VaultDamaged(msg)
        return cls(cost, data[36:52], data[52:84], data[84:])

    def pack(self) -> bytes:
        """116 bytes."""
        numbers = b"".join(number.to_bytes(4) for number in (VERSION, *self.cost))
        return _MAGIC + numbers + self.salt + self.check + self.duress

    def key(self, passphrase: str) -> tuple[VaultKey, Way]:
        """The key that a passphrase gives, and which passphrase it is; `WrongPassphrase` for
        another. Takes most of a second on purpose.
        """
        key, check = _derive(passphrase, self.cost, self.salt)
        own, duress = (hmac.compare_digest(check, each) for each in (self.check, self.duress))
        if own or duress:
            return key, Way.OWN if own else Way.DURESS
        msg = "That passphrase does not open this vault."
        raise WrongPassphrase(msg)


def _bearable(cost: Cost) -> bool:
    return (
        _LEAST.memory <= cost.memory <= _MOST.memory
        and _LEAST.passes <= cost.passes <= _MOST.passes
    )


def _derive(passphrase: str, cost: Cost, salt: bytes) -> tuple[VaultKey, bytes]:
    from nacl import bindings as sodium

    # One keyboard composes an accented letter, another does not.
    spelled = unicodedata.normalize("NFC", passphrase).encode()
    stretched = sodium.crypto_pwhash_alg(
        32, spelled, salt, cost.passes, cost.memory << 20, sodium.crypto_pwhash_ALG_ARGON2ID13
    )
    return (
        VaultKey(hmac.digest(stretched, _KEY, "sha256")),
        hmac.digest(stretched, _CHECK, "sha256"),
    )
