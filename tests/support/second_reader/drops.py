"""Owns SPEC 6 and 7: what a drop's keys are, opening a block, content hashes."""

from tests.support.second_reader.epoch import CORE, core_hour
from tests.support.second_reader.primitives import kdf, label_hash, u32, x25519_public, xaead_open
from tests.support.second_reader.refused import Refused, need

BLOCK = 4096
LOBBY_KINDS = (5, 9, 10)
CHANNEL_KINDS = (1, 2, 3, 4, 5, 6, 7, 8, 11)
SLOTS_AT = 3032


def drop_keys(drop_secret: bytes) -> dict[str, bytes]:
    """SPEC 6: `drop_id` 16, `access_key` (private), `access_public`, `outer_secret`."""
    access = kdf(drop_secret, b"", "drop access", b"", 32)
    return {
        "drop_id": kdf(drop_secret, b"", "drop id", b"", 16),
        "access_key": access,
        "access_public": x25519_public(access),
        "outer_secret": kdf(drop_secret, b"", "drop outer", b"", 32),
    }


def channel_drop(epoch_secret: bytes, relay_key: bytes) -> dict[str, bytes]:
    """SPEC 6: `drop_secret` and the keys of `drop_keys`, from S and the relay's static key."""
    drop_secret = kdf(epoch_secret, relay_key, "drop", b"", 32)
    return {"drop_secret": drop_secret} | drop_keys(drop_secret)


def close_key(facilitators_secret: bytes, drop_id: bytes) -> bytes:
    """SPEC 6: the private key that seals and deletes."""
    return kdf(facilitators_secret, b"", "drop close", drop_id, 32)


def outer_key(outer_secret: bytes, hour: int, clock: bytes) -> bytes:
    """SPEC 7: the key of the outer layer at one hour."""
    return kdf(outer_secret + clock, b"", "outer key", u32(hour), 32)


def open_block(block: bytes, outer_secret: bytes, clocks: dict[int, bytes]) -> bytes:
    """SPEC 7: the core 4056 of a block; clocks: hour -> E(hour), in the order to try."""
    need(len(block) == BLOCK, "size", "block")
    for hour, clock in clocks.items():
        try:
            core = xaead_open(outer_key(outer_secret, hour, clock), block[:24], b"", block[24:])
        except Refused:
            continue
        need(core_hour(core) == hour, "rules", "the hour in the core is not the key's")
        return core
    raise Refused("ciphertext", "no hour opens the block")


def check_place(core: bytes, *, lobby: bool) -> None:
    """SPEC 7: refuse a kind that is unknown or does not stand in this sort of drop."""
    need(len(core) == CORE, "size", "core")
    need(core[0] in (LOBBY_KINDS if lobby else CHANNEL_KINDS), "rules", "kind of core")


def content_hash(core: bytes) -> bytes:
    """SPEC 7: what names a core; the slots of a group core are left out."""
    need(len(core) == CORE, "size", "core")
    return label_hash("content", core[:SLOTS_AT] if core[0] == 1 else core)
