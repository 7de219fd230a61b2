"""The vault's header: how its key comes from a passphrase. Holds no secret; knows no database.

```
head 84
  0   magic 24      "backchannel/1 vault" and zeros
  24  version 4
  28  memory 4      MiB for Argon2id
  32  passes 4
  36  salt 16
  52  check 32      tells a wrong passphrase from a damaged vault
```
"""

import hmac
import unicodedata
from typing import TYPE_CHECKING, NamedTuple, final

from backchannel.client.errors import VaultDamaged, VaultTooNew, WrongPassphrase
from backchannel.protocol.secret import Secret

if TYPE_CHECKING:
    from backchannel.protocol.entropy import Entropy

SIZE = 84
VERSION = 1
_MAGIC = b"backchannel/1 vault".ljust(24, b"\0")
_SALT = 16
_KEY = b"backchannel/1 vault key"
_CHECK = b"backchannel/1 vault check"


@final
class VaultKey(Secret):
    """Opens the database; what the agent holds. 32 bytes."""


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

    @classmethod
    def new(cls, passphrase: str, cost: Cost, entropy: "Entropy") -> tuple["Head", VaultKey]:
        """A header for a new vault, and the vault's key."""
        salt = entropy.draw(_SALT)
        key, check = _derive(passphrase, cost, salt)
        return cls(cost, salt, check), key

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
        cost = Cost(memory, passes)
        if version != VERSION or len(data) != SIZE or not _bearable(cost):
            msg = "The vault's header asks for what no vault of ours asks."
            raise VaultDamaged(msg)
        return cls(cost, data[36:52], data[52:])

    def pack(self) -> bytes:
        """84 bytes."""
        numbers = b"".join(number.to_bytes(4) for number in (VERSION, *self.cost))
        return _MAGIC + numbers + self.salt + self.check

    def key(self, passphrase: str) -> VaultKey:
        """The vault's key; `WrongPassphrase` for another. Takes most of a second on purpose."""
        key, check = _derive(passphrase, self.cost, self.salt)
        if not hmac.compare_digest(check, self.check):
            msg = "That passphrase does not open this vault."
            raise WrongPassphrase(msg)
        return key


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
