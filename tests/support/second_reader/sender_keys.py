"""Owns SPEC 14: generations, group cores and key cores on the reader's side."""

from typing import Any

from tests.support.second_reader.content import read_part
from tests.support.second_reader.drops import content_hash
from tests.support.second_reader.epoch import check_core, core_key, epoch_start, open_part
from tests.support.second_reader.primitives import (
    aead_open,
    kdf,
    label_hash,
    mac,
    number,
    same,
    u8,
    unpad,
)
from tests.support.second_reader.refused import need
from tests.support.second_reader.uses import chain_step

MOST_NUMBER = 255
SLOTS_AT = 3032
ENTRIES_AT = 70
ENTRY = 52
NAMED = 4


def generation(chain_seed: bytes) -> dict[str, bytes]:
    """SPEC 14: generation_id 16 and chain_key (0)."""
    return {
        "generation_id": label_hash("generation", chain_seed)[:16],
        "chain_key": kdf(chain_seed, b"", "sender chain", b"", 32),
    }


def mac_seed(use: bytes, generation_id: bytes) -> bytes:
    """SPEC 14: the MAC seed of a reader; use: of its export, or with seeds the export itself."""
    return kdf(use, b"", "mac seed", generation_id, 32)


def slot_mac(seed: bytes, post_number: int, content: bytes) -> bytes:
    """SPEC 14: 16 bytes; content: the content hash."""
    return mac(seed, "slot", u8(post_number) + content)[:16]


def message_key(chain_key: bytes, at: int, wanted: int) -> bytes:
    """SPEC 14: the message key of one number, from the chain key of an earlier or equal one."""
    need(at <= wanted <= MOST_NUMBER, "stale", "number")
    for _ in range(wanted - at):
        chain_key = chain_step(chain_key)[1]
    return chain_step(chain_key)[0]


def read_group(core: bytes) -> dict[str, Any]:
    """SPEC 14: slot, generation_id, number, roster_hash, parents (list), ages (list)."""
    check_core(core, 1)
    need(core[21] < 64, "rules", "slot")
    hashes = [core[71 + 32 * at : 103 + 32 * at] for at in range(4)]
    parents = [parent for parent in hashes if parent != bytes(32)]
    need(hashes[: len(parents)] == parents, "rules", "unused parents stand last")
    need(parents == sorted(set(parents)), "rules", "parents rise")
    ages = list(core[199:203])
    need(not any(ages[len(parents) :]), "rules", "age of no parent")
    return {
        "slot": core[21],
        "generation_id": core[22:38],
        "number": core[38],
        "roster_hash": core[39:71],
        "parents": parents,
        "ages": ages[: len(parents)],
    }


def check_slot(core: bytes, seed: bytes, own_slot: int) -> None:
    """SPEC 14: the reader's own slot of a group core; seed: the MAC seed."""
    at = SLOTS_AT + 16 * own_slot
    wanted = slot_mac(seed, core[38], content_hash(core))
    need(same(wanted, core[at : at + 16]), "mac", "slot")


def open_group(
    core: bytes, clock: bytes, chain: tuple[bytes, int], seed: bytes, own_slot: int
) -> dict[str, Any]:
    """SPEC 14: the header of `read_group`, `content_hash`, and the `part` of content.read_part.

    clock: E(core hour). chain: chain key and the number it stands at. seed: the MAC seed.
    """
    header = read_group(core)
    need(header["slot"] != own_slot, "rules", "a core of the reader's own slot")
    check_slot(core, seed, own_slot)
    secret = message_key(chain[0], chain[1], header["number"])
    part = read_part(unpad(open_part(core, secret, clock, (203, 235, 3032)), 2781))
    return header | {"content_hash": content_hash(core), "part": part}


def read_key_core(core: bytes, own_slot: int) -> dict[str, Any]:
    """SPEC 14: slot, generation_id and roster_hash."""
    check_core(core, 6)
    return _read_entry(core, own_slot)


def _read_entry(core: bytes, own_slot: int) -> dict[str, Any]:
    need(core[21] < 64 and core[21] != own_slot, "rules", "slot")
    return {
        "slot": core[21],
        "generation_id": core[22:38],
        "roster_hash": core[38:70],
    }


def unmask(core: bytes, clock: bytes, mask_key: bytes, own_slot: int) -> dict[str, int]:
    """SPEC 14: step and use named for the reader in a core of kind 6 or 11; clock: E(core hour)."""
    context = core[1:5] + core[0:1] + core[21:22] + u8(own_slot)
    mask = kdf(mask_key + clock, core[5:21], "step mask", context, 4)
    at = ENTRIES_AT + ENTRY * own_slot
    named = bytes(a ^ b for a, b in zip(core[at : at + NAMED], mask, strict=True))
    return {"step": number(named[:3]), "use": named[3]}


def open_key_core(core: bytes, clock: bytes, use: bytes, own_slot: int) -> dict[str, Any]:
    """SPEC 14: `chain_seed`, with `generation_id`, `chain_key` and `mac_seed` for the reader.

    clock: E(core hour). use: the secret of the step and use that `unmask` gives, from the
    sender.
    """
    named = read_key_core(core, own_slot)
    chain_seed = _open_entry(core, clock, use, own_slot)
    keys = generation(chain_seed)
    need(same(keys["generation_id"], named["generation_id"]), "commitment", "generation")
    return {
        "chain_seed": chain_seed,
        "mac_seed": mac_seed(use, named["generation_id"]),
    } | keys


def _open_entry(core: bytes, clock: bytes, use: bytes, own_slot: int) -> bytes:
    context = b"wrap" + u8(core[21]) + u8(own_slot)
    key = core_key(core, use, clock, context)[0]
    at = ENTRIES_AT + ENTRY * own_slot
    associated = core[:ENTRIES_AT] + u8(own_slot) + core[at : at + NAMED]
    return aead_open(key, associated, core[at + NAMED : at + ENTRY])


def read_epoch_core(core: bytes, own_slot: int) -> dict[str, Any]:
    """SPEC 5: as `read_key_core`, of kind 11; generation_id is the seed id."""
    check_core(core, 11)
    return _read_entry(core, own_slot)


def open_epoch_core(core: bytes, clock: bytes, use: bytes, own_slot: int) -> dict[str, bytes]:
    """SPEC 5 and 14: `secret` and `clock` of the epoch that the core begins, as `epoch_start`."""
    named = read_epoch_core(core, own_slot)
    found = epoch_start(_open_entry(core, clock, use, own_slot))
    need(same(found["seed_id"], named["generation_id"]), "commitment", "seed id")
    return found
