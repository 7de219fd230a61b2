"""Targets: files of a vault or relay that somebody else may have written to."""

from functools import cache
from unittest.mock import patch

import msgspec

from backchannel.client.errors import UsageMistake, VaultDamaged, VaultTooNew
from backchannel.client.keeping import backup
from backchannel.client.vault.head import USUAL, Cost, Head, VaultKey, _derive
from backchannel.protocol.errors import StateError
from backchannel.protocol.expiry import ExpiryKeys, Place, PlaceKind, expiry_name
from backchannel.protocol.labels import Label
from backchannel.protocol.primitives import hash_
from backchannel.protocol.types import Hour
from tests.fuzz.target import Bytes, decoder
from tests.fuzz.vectors import recorded
from tests.support import cast
from tests.support.entropy import ScriptedEntropy


def _body(take: Bytes) -> bytes:
    """The 480 bytes of a place that may be: kinds, hours and lives near one another."""
    hour = cast.HOUR + take.byte() - 128 if take.byte() % 8 else abs(take.number())
    extra = take.byte() if take.byte() % 8 else abs(take.number())
    kind, name = take.byte() % 7, take.take(2).ljust(16, b"n").ljust(24, b"\0")
    if kind == PlaceKind.HEADER:
        name, extra = b"backchannel/1 expiry".ljust(24, b"\0"), 0
    if kind == PlaceKind.EXPIRY:
        name, extra = expiry_name(Hour(max(0, hour - take.byte() % 24)), Hour(hour)), 0
    fields = bytes([kind]) + name + hour.to_bytes(4) + extra.to_bytes(4) + take.take(1) * 32
    return fields.ljust(480, take.take(1) if take.byte() == 1 else b"\0")


def _laid(take: Bytes) -> bytes:
    """512 bytes: a place with a right checksum, or noise."""
    if take.byte() % 8 == 0:
        return take.some().ljust(512, b"\0")
    body = _body(take)
    return body + hash_(Label.PLACE, body)


def _place(data: bytes) -> None:
    """What is read is written the same, or it is empty."""
    take = Bytes(data)
    laid = _laid(take) if take.byte() % 2 else data[:512].ljust(512, b"\0")
    place = Place.read(laid)
    assert place.kind is PlaceKind.EMPTY or place.pack() == laid


def _expiry(data: bytes) -> None:
    """A whole file, and a life with it: what is erased is gone after the next reading, too."""
    take = Bytes(data)
    disk = bytearray(b"".join(_laid(take) for _ in range(take.byte() % 9)))
    keys = ExpiryKeys(bytes(disk))
    hour = min(Hour(keys.highest + take.byte()), Hour(2**32 - 9))
    _, writes = keys.add(hour, Hour(max(hour, keys.highest) + 5), ScriptedEntropy())
    for write in [*writes, *keys.advance(hour)]:
        disk.extend(bytes(max(0, write.offset - len(disk))))  # as a file system does
        disk[write.offset : write.offset + len(write.data)] = write.data
    again = ExpiryKeys(bytes(disk))
    assert again.highest == max(hour, keys.highest)
    for kind in PlaceKind:
        assert again.names(kind) == keys.names(kind)
        for name in again.names(kind):
            again.erase(kind, name)
        assert not again.names(kind)


def _places() -> list[bytes]:
    return [b"\0" + place for place in recorded("expiry", "place")()]


def _files() -> list[bytes]:
    """Two headers, and keys of each kind."""
    header = bytes([1, 1, 128, 1, 0, 1, 0, 0, 0, 0, 0])
    kinds = [bytes([1, 1, 140 + k, 1, k, k, k, k, k, k, 0]) for k in range(2, 6)]
    return [bytes([6]) + header * 2 + b"".join(kinds)]


@cache
def _derived(passphrase: str, cost: Cost, salt: bytes) -> tuple[VaultKey, bytes]:
    """Argon2id once, not once an attempt."""
    return _derive(passphrase, cost, salt)


def _backup(data: bytes) -> None:
    """Whatever its plaintext is, under the passphrase; or whatever the file is."""
    with patch("backchannel.client.vault.head._derive", _derived):
        if data[:1] == b"\0":
            backup.open_(data[1:], "words")
            return
        drawn = ScriptedEntropy()
        with patch("msgspec.json.encode", lambda _: data):
            made = backup.seal(backup.new((), {}, ""), "words", drawn, Cost(64, 1))
        backup.open_(made, "words")


def _backups() -> list[bytes]:
    place = backup.Place(bytes(16), "North", "Fox", "observer", ("Owl",), (), ("0" * 64,))
    whole = backup.new((place,), {"https://relay.example": (bytes(16),)}, "proxy = 'x'")
    return [msgspec.json.encode(whole)]


def _heads() -> list[bytes]:
    drawn = ScriptedEntropy().draw
    return [Head(USUAL, drawn(16), drawn(32), drawn(32)).pack()]


TARGETS = [
    decoder("place", _place, _places, longest=520),
    decoder("expiry file", _expiry, _files, StateError, longest=600),
    decoder("backup file", _backup, _backups, UsageMistake, VaultDamaged, VaultTooNew),
    decoder(
        "vault head", Head.read, _heads, VaultDamaged, VaultTooNew, write=Head.pack, longest=200
    ),
]
