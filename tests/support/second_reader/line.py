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
from tests.support.second_reader.ratchet import State, forget, receiving_step, take_key
from tests.support.second_reader.refused import Refused, need

HEADER = (21, 53, 2413)
CONTENT = shapes.union(
    seeds=shapes.record(
        generation_id=shapes.binary(16), number=shapes.uint(0, 255), chain_key=shapes.binary(32)
    ),
    nothing=shapes.record(),
)


def answered_export(export_ab: bytes, reply_secret: bytes) -> bytes:
    """SPEC 13: the export of step 1 from A to B."""
    return kdf(export_ab + reply_secret, b"", "answered", b"", 32)


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
    content = CONTENT(read(unpad(padded, size)))
    step = (1 if state["side"] == "A" else 2) + chain["before"] + header["n"]
    block = {"content": content, "export": export, "step": step, "reply": reply, "header": header}
    return after, block


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
