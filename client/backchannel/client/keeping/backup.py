"""A backup: one file that says where one was, and holds nothing that was said.

Owns what stands in it, and how it is sealed under the vault's passphrase, with a salt of its own.
No key of an identity, a chain, an epoch or the vault is in it: who has the file and the passphrase
learns in which channels one was and under which names, and opens nothing.

```
backup
  0    magic 24      "backchannel/1 backup" and zeros
  24   head 116      as a vault's; its second check is random
  140  nonce 24 | ciphertext | tag 16
plain                JSON and blanks: 4096 * 2^n
```
"""

import hmac
from typing import Annotated, Final

import msgspec

from backchannel.client.errors import UsageMistake, WrongPassphrase
from backchannel.client.vault.head import SIZE, USUAL, Cost, Head, VaultKey
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.errors import AuthenticationError
from backchannel.protocol.expiry import open_item, seal_item
from backchannel.protocol.secret import ItemKey

MOST: Final = 1 << 24
"""Bytes of a file: more than thousands of channels and vouchers take."""
_MAGIC = b"backchannel/1 backup".ljust(24, b"\0")
_HEADED = len(_MAGIC) + SIZE
_CLASS = 4096
_KEY = b"backchannel/1 backup key"
_VERSION = 1

Text = Annotated[str, msgspec.Meta(max_length=1000)]
Hex = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A channel that one was in."""

    id: Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
    name: Text
    alias: Text
    """One's own."""
    role: Text
    facilitators: tuple[Text, ...]
    """The others: whom to ask for an invite."""
    relays: tuple[tuple[Text, Hex], ...]
    """Address and pinned key."""
    compared: tuple[Hex, ...]
    """Whose words were compared, by the hashes of their identities."""


class Backup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that stands in the file."""

    version: Annotated[int, msgspec.Meta(ge=1, le=_VERSION)]
    places: tuple[Place, ...]
    vouchers: dict[str, tuple[Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)], ...]]
    """Unspent ones, by the relay's address."""
    settings: str
    """The text of the settings file."""
    proxied: bool
    """Whether the vault was used through a proxy."""


def new(
    places: tuple[Place, ...],
    vouchers: dict[str, tuple[bytes, ...]],
    settings: str,
    *,
    proxied: bool = False,
) -> Backup:
    """One of this version."""
    return Backup(_VERSION, places, vouchers, settings, proxied)


def seal(backup: Backup, passphrase: str, entropy: Entropy, cost: Cost = USUAL) -> bytes:
    """The file. Takes most of a second on purpose, as each guess at it does."""
    head, key = Head.new(passphrase, cost, entropy)
    plain, size = msgspec.json.encode(backup), _CLASS
    while size < len(plain):
        size *= 2
    headed = _MAGIC + head.pack()
    return headed + seal_item(_item_key(key), plain.ljust(size), headed, entropy)


def open_(data: bytes, passphrase: str) -> Backup:
    """What a file says; `UsageMistake` for one that is none or was changed, `WrongPassphrase`."""
    if data[: len(_MAGIC)] != _MAGIC or len(data) < _HEADED:
        raise _damaged("This file is no backup of Backchannel.")
    headed = data[:_HEADED]
    try:
        key, _ = Head.read(headed[len(_MAGIC) :]).key(passphrase)
    except WrongPassphrase:
        msg = "That passphrase does not open this backup: it has that of the day it was made."
        raise WrongPassphrase(msg) from None
    try:
        plain = open_item(_item_key(key), data[_HEADED:], headed)
        return msgspec.json.decode(plain, type=Backup)
    except (AuthenticationError, msgspec.DecodeError, ValueError):  # halves of characters, too
        raise _damaged("This backup is damaged, or of a later version.") from None


def _item_key(key: VaultKey) -> ItemKey:
    return ItemKey(hmac.digest(key.expose(), _KEY, "sha256"))


def _damaged(message: str) -> UsageMistake:
    return UsageMistake(f"{message} Nothing was done.", "give the FILE that `backup` wrote")
