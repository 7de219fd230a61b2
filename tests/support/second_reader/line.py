"""Owns SPEC 13: opening a line core, as a pure function from a state to the next state.

What a state is, and how one starts, stands in ratchet.py.
"""

import copy
from typing import Any

from tests.support.second_reader import shapes
from tests.support.second_reader.epoch import check_core, open_part
from tests.support.second_reader.identity import check_kept
from tests.support.second_reader.messagepack import read
from tests.support.second_reader.primitives import (
    check_x25519,
    dh,
    kdf,
    kem_open,
    number,
    parts,
    unpad,
)
from tests.support.second_reader.ratchet import (
    State,
    forget,
    receiving_step,
    sending_step,
    take_key,
)
from tests.support.second_reader.refused import Refused, need
from tests.support.second_reader.sender_keys import open_key_core, read_key_core, unmask
from tests.support.second_reader.uses import chain_step, kept, new_export, redeem, spend

HEADER = (21, 53, 2413)
MOST_PIECES = 8
NOTE_PIECE = 1565
CONTENT = shapes.union(
    seeds=shapes.record(
        generation_id=shapes.binary(16), number=shapes.uint(0, 255), chain_key=shapes.binary(32)
    ),
    nothing=shapes.record(),
    close=shapes.record(epoch_id=shapes.binary(16), secret=shapes.binary(32)),
    note=shapes.record(
        id=shapes.binary(16),
        place=shapes.uint(0, MOST_PIECES - 1),
        total=shapes.uint(1, MOST_PIECES),
        piece=shapes.binary(*range(1, NOTE_PIECE + 1)),
    ),
    object=shapes.record(identity_hash=shapes.binary(32)),
    lost=shapes.record(steps=shapes.array(shapes.uint(), 1, 32)),
    reply=shapes.record(ciphertext=shapes.binary(1088)),
)
NOTE = shapes.record(
    roster_hash=shapes.binary(32),
    order=shapes.uint(),
    lifetime=shapes.uint(1, 2160),
    authority=shapes.uint(0, 2),
    about=shapes.binary(0, 16),
    text=shapes.text(least=1),
)


def decode_content(encoded: bytes) -> dict[str, Any]:
    """SPEC 13: the fields of `CONTENT` above, with `tag`."""
    need(len(encoded) <= 1594, "size", "line content")
    content: dict[str, Any] = CONTENT(read(encoded))
    if content["tag"] == "note":
        need(content["place"] < content["total"], "rules", "a piece beyond the last")
    return content


def join_note(pieces: list[dict[str, Any]]) -> dict[str, Any]:
    """SPEC 15: a private note from all its pieces (of `decode_content`), in any order."""
    for field in ("tag", "id", "total"):
        need(all(piece[field] == pieces[0][field] for piece in pieces), "rules", f"other {field}")
    ordered = sorted(pieces, key=lambda piece: int(piece["place"]))
    places = [piece["place"] for piece in ordered]
    need(places == list(range(pieces[0]["total"])), "rules", "a piece is missing")
    encoded = b"".join(piece["piece"] for piece in ordered)
    note: dict[str, Any] = NOTE(read(encoded))
    return note


def answered_export(export_ab: bytes, reply_secret: bytes) -> bytes:
    """SPEC 13: the export of step 1 from A to B."""
    beside = kdf(export_ab, b"", "answered", b"", 32)
    return kdf(beside + reply_secret, b"", "answered", b"", 32)


def read_header(header: bytes) -> dict[str, Any]:
    """SPEC 13: ratchet_x25519, ratchet_kem, fresh, ciphertext, pn, n."""
    x25519, kem, fresh, ciphertext, pn, n = parts(header, 32, 1184, 32, 1088, 4, 4)
    check_kept(x25519, kem)
    check_x25519(fresh)
    names = {"ratchet_x25519": x25519, "ratchet_kem": kem, "fresh": fresh}
    return names | {"ciphertext": ciphertext, "pn": number(pn), "n": number(n)}


def open_line(core: bytes, clock: bytes, state: State) -> tuple[State, dict[str, Any]]:
    """SPEC 13: the next state and the block: content, export, step, reply (bool), header.

    clock: E(core hour). A refusal leaves the given state as it was.
    """
    check_core(core, 4)
    after = copy.deepcopy(state)
    chain, header = _find_chain(core, clock, after)
    message_key = take_key(chain, header["n"])
    first_chain = chain is after["chains"][0]
    reply = state["side"] == "A" and first_chain and header["n"] == 0
    secret = message_key + dh(chain["own_x25519"], header["fresh"])
    secret += kem_open(chain["own_kem"], header["ciphertext"])
    if reply:
        after["reply_secret"] = kem_open(state["identity_kem"], core[2445:3533])
        secret += after["reply_secret"]
    body_secret, export = parts(kdf(secret, b"", "line body", b"", 64), 32, 32)
    start, size = (3533, 507) if reply else (2445, 1595)
    padded = open_part(core, body_secret, clock, (2413, start, 4056), b"body")
    forget(after)
    content = decode_content(unpad(padded, size))
    step = (1 if state["side"] == "A" else 2) + chain["before"] + header["n"]
    after["exports_in"] = kept(after["exports_in"], new_export(step, export))
    if reply:
        confirmed = answered_export(after["export_ab"], after["reply_secret"])
        after["export_out"], after["export_ab"] = new_export(1, confirmed), b""
    block = {"content": content, "export": export, "step": step, "reply": reply, "header": header}
    return after, block


def note_sent(state: State, made: dict[str, bytes]) -> tuple[State, dict[str, Any]]:
    """SPEC 13: the state after an own block, and what it exports: step and export.

    made: private `fresh`; `secret`, of the ciphertext to the peer's newest ratchet key;
    `reply_secret` (empty but in the reply); and, where the block makes a sending step, the new
    private `ratchet_x25519` and `ratchet_kem`.
    """
    after = copy.deepcopy(state)
    reply_secret = made["reply_secret"]
    if after["sending"] is None:
        own = {"x25519": made["ratchet_x25519"], "kem": made["ratchet_kem"]}
        sending_step(after, own, reply_secret)
    sending = after["sending"]
    message_key, sending["chain_key"] = chain_step(sending["chain_key"])
    sending["n"] += 1
    secret = message_key + dh(made["fresh"], after["peer_x25519"]) + made["secret"] + reply_secret
    export = kdf(secret, b"", "line body", b"", 64)[32:]
    step = (2 if state["side"] == "A" else 1) + state["blocks"]
    after["blocks"] += 1
    after["export_out"] = new_export(step, export)
    if reply_secret:
        confirmed = answered_export(after["export_ab"], reply_secret)
        after["exports_in"] = kept(after["exports_in"], new_export(1, confirmed))
        after["export_ab"] = b""
    return after, {"step": step, "export": export}


def spend_use(state: State) -> tuple[State, dict[str, Any]]:
    """SPEC 13: the state after the next use of the newest export, and step, use and secret."""
    export, use, secret = spend(state["export_out"])
    named = {"step": export["step"], "use": use, "secret": secret}
    return state | {"export_out": export}, named


def open_key(core: bytes, clock: bytes, state: State, own: int) -> tuple[State, dict[str, Any]]:
    """SPEC 13 and 14: a key block of the peer's: the next state, and step, use and the keys.

    own: the reader's slot. A use is taken only if the entry opens with it.
    """
    header, refusal = read_key_core(core, own), Refused("stale", "no such step and use")
    for mask_key in state["mask_keys"]:
        named = unmask(core, clock, mask_key, own)
        for exports, secret in redeem(state["exports_in"], named["step"], named["use"]):
            try:
                keys = open_key_core(core, clock, secret, own)
            except Refused as refused:
                refusal = refused
            else:
                return state | {"exports_in": exports}, header | named | keys
    raise refusal


def _find_chain(core: bytes, clock: bytes, state: State) -> tuple[State, dict[str, Any]]:
    for chain in reversed(state["chains"]):
        header = _try_header(core, clock, chain["header_key"])
        if header is not None:
            same = header["ratchet_x25519"] == chain["peer_x25519"]
            same = same and header["ratchet_kem"] == chain["peer_kem"]
            need(same and header["pn"] == chain["pn"], "rules", "another header in one chain")
            return chain, header
    header = _try_header(core, clock, state["next_receiving"])
    if header is None:
        raise Refused("commitment", "no header key of the line")
    return receiving_step(state, header), header


def _try_header(core: bytes, clock: bytes, header_key: bytes) -> dict[str, Any] | None:
    try:
        return read_header(open_part(core, header_key, clock, HEADER, b"header"))
    except Refused as refused:
        if refused.reason == "commitment":
            return None
        raise
