"""Owns SPEC 12: opening an intro on the responder's side."""

from typing import Any

from tests.support.second_reader.epoch import check_core, open_part
from tests.support.second_reader.identity import ROLES, check_kept, prekey_id, read_identity
from tests.support.second_reader.primitives import (
    check_x25519,
    dh,
    kdf,
    kem_open,
    label_hash,
    number,
    parts,
    u8,
    unpad,
)
from tests.support.second_reader.refused import need

PAYLOAD = 1265
ADMISSION = 69


def read_intro(core: bytes) -> dict[str, Any]:
    """SPEC 12: what stands in clear: slot_a, slot_b, roster_hash, prekey_id, ephemeral,
    identity_ciphertext, prekey_ciphertext."""
    check_core(core, 5)
    need(core[21] < 64 and core[22] < 64 and core[21] != core[22], "rules", "slots of an intro")
    check_x25519(core[71:103])
    return {
        "slot_a": core[21],
        "slot_b": core[22],
        "roster_hash": core[23:55],
        "prekey_id": core[55:71],
        "ephemeral": core[71:103],
        "identity_ciphertext": core[103:1191],
        "prekey_ciphertext": core[1191:2279],
    }


def transcript(
    core: bytes, channel_id: bytes, roles: tuple[str, str], identity_a: bytes, bundle_b: bytes
) -> bytes:
    """SPEC 12, T; roles: A's and B's, by their names in the roster."""
    role_a, role_b = (u8(ROLES.index(role)) for role in roles)
    slots = core[21:22] + role_a + core[22:23] + role_b
    keys = identity_a + bundle_b + core[71:2279]
    return label_hash("intro transcript", channel_id + core[23:55] + slots + keys)


def session_keys(ikm: bytes, intro_key: bytes, transcript_hash: bytes) -> dict[str, bytes]:
    """SPEC 12: root, header_ba, next_header_ab, export_ab, export_ba, payload_secret."""
    inner = kdf(ikm, intro_key, "intro", transcript_hash, 32)
    names = ("root", "header_ba", "next_header_ab", "export_ab", "export_ba", "payload_secret")
    return dict(zip(names, parts(kdf(inner, b"", "intro keys", b"", 192), *[32] * 6), strict=True))


def open_intro(
    core: bytes, clock: bytes, intro_key: bytes, context: dict[str, Any], private: dict[str, bytes]
) -> dict[str, Any]:
    """SPEC 12: `keys` (see `session_keys`) and `payload` (see `read_payload`) for B.

    clock: E(core hour), in a lobby the lobby clock. intro_key: of the epoch, in a lobby
    lobby.admission_key. context: channel_id, role_a, role_b, identity_a (1216), bundle_b (2432),
    lobby (bool).
    private: B's identity_x25519, identity_kem, prekey_x25519, prekey_kem; KEM keys as seeds.
    """
    intro = read_intro(core)
    identity_a, bundle_b = context["identity_a"], context["bundle_b"]
    need(intro["prekey_id"] == prekey_id(bundle_b), "rules", "unknown prekey")
    static_a = read_identity(identity_a)["identity_x25519"]
    ikm = dh(private["prekey_x25519"], static_a)
    ikm += dh(private["identity_x25519"], intro["ephemeral"])
    ikm += dh(private["prekey_x25519"], intro["ephemeral"])
    ikm += kem_open(private["identity_kem"], intro["identity_ciphertext"])
    ikm += kem_open(private["prekey_kem"], intro["prekey_ciphertext"])
    roles = (context["role_a"], context["role_b"])
    bound = transcript(core, context["channel_id"], roles, identity_a, bundle_b)
    keys = session_keys(ikm, intro_key, bound)
    padded = open_part(core, keys["payload_secret"], clock, (2279, 2311, 4056))
    payload = read_payload(unpad(padded, 1729), lobby=context["lobby"])
    return {"keys": keys, "payload": payload}


def read_payload(payload: bytes, *, lobby: bool) -> dict[str, Any]:
    """SPEC 12: ratchet_x25519, ratchet_kem, seeds {generation_id, number, chain_key} and, in a
    lobby, admission {epoch, epoch_secret, clock} (else None)."""
    need(len(payload) == PAYLOAD + (ADMISSION if lobby else 0), "size", "payload of an intro")
    x25519, kem, generation, count, chain_key = parts(payload[:PAYLOAD], 32, 1184, 16, 1, 32)
    check_kept(x25519, kem)
    return {
        "ratchet_x25519": x25519,
        "ratchet_kem": kem,
        "seeds": {"generation_id": generation, "number": count[0], "chain_key": chain_key},
        "admission": _admission(payload[PAYLOAD:]) if lobby else None,
    }


def _admission(data: bytes) -> dict[str, Any]:
    one, epoch, secret, clock = parts(data, 1, 4, 32, 32)
    need(one == b"\x01", "rules", "admission")
    return {"epoch": number(epoch), "epoch_secret": secret, "clock": clock}
