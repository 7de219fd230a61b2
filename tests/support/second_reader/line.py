"""Owns SPEC 13: the receiving side of a line, as pure functions from a state to the next state.

A *state* is a dict of
  side                 "A" or "B"
  root                 32
  own_x25519, own_kem  own newest ratchet keys, private (kem: seed 64)
  peer_x25519          the peer's newest ratchet key, public (A before the reply: empty)
  sent                 number of sending steps made
  next_receiving       the header key of the next receiving step
  next_sending         the header key of the next sending step
  identity_kem         A only: seed of its identity key, for the reply
  reply_secret         empty until the reply was opened (A) or made (B)
  chains               receiving chains, oldest first; each a dict of header_key, chain_key, n,
                       own_x25519, own_kem (private, the keys the chain is sent to), peer_x25519,
                       peer_kem (public), pn, before (sum of pn to here), skipped {n: message key}
Functions give new dicts and never change the one given.
"""

import copy
from typing import Any

from tests.support.second_reader import messagepack as mp
from tests.support.second_reader.epoch import check_core, open_part
from tests.support.second_reader.primitives import (
    check_kem,
    check_x25519,
    dh,
    kdf,
    kem_open,
    mac,
    number,
    parts,
    unpad,
)
from tests.support.second_reader.refused import Refused, need

State = dict[str, Any]
MOST_JUMP = 512
HEADER = (21, 53, 2413)
CONTENT = mp.union(
    seeds=mp.record(generation_id=mp.binary(16), number=mp.uint(0, 255), chain_key=mp.binary(32)),
    nothing=mp.record(),
)


def start_a(keys: dict[str, bytes], ratchet: dict[str, bytes], identity_kem: bytes) -> State:
    """SPEC 13: A after its intro; keys as intro.session_keys, ratchet: private x25519, kem."""
    return {
        "side": "A",
        "root": keys["root"],
        "own_x25519": ratchet["x25519"],
        "own_kem": ratchet["kem"],
        "peer_x25519": b"",
        "sent": 0,
        "next_receiving": keys["header_ba"],
        "next_sending": keys["next_header_ab"],
        "identity_kem": identity_kem,
        "reply_secret": b"",
        "chains": [],
    }


def start_b(keys: dict[str, bytes], peer_x25519: bytes) -> State:
    """SPEC 13: B after opening A's intro; peer_x25519: A's first ratchet key from the payload."""
    return {
        "side": "B",
        "root": keys["root"],
        "own_x25519": b"",
        "own_kem": b"",
        "peer_x25519": peer_x25519,
        "sent": 0,
        "next_receiving": keys["next_header_ab"],
        "next_sending": keys["header_ba"],
        "identity_kem": b"",
        "reply_secret": b"",
        "chains": [],
    }


def sending_step(
    state: State, ratchet: dict[str, bytes], reply_secret: bytes = b""
) -> tuple[State, dict[str, bytes]]:
    """SPEC 13: the state after a sending step, and the new `header_key` and `chain_key`.

    ratchet: the new private x25519 and kem. reply_secret: for B's first step, that of the reply
    it is about to send; A takes its own from the state.
    """
    after = copy.deepcopy(state)
    need(state["peer_x25519"] != b"", "rules", "no sending step before the peer's first key")
    secret = dh(ratchet["x25519"], state["peer_x25519"])
    if state["side"] == "A" and state["sent"] == 0:
        need(state["reply_secret"] != b"", "rules", "no sending step before the reply")
        secret += state["reply_secret"]
    if state["side"] == "B" and state["sent"] == 0:
        after["reply_secret"] = reply_secret
    keys = {"header_key": state["next_sending"]}
    after["root"], keys["chain_key"], after["next_sending"] = _root_step(secret, state["root"])
    after["own_x25519"], after["own_kem"] = ratchet["x25519"], ratchet["kem"]
    after["sent"] += 1
    return after, keys


def _root_step(secret: bytes, root: bytes) -> tuple[bytes, bytes, bytes]:
    root, chain_key, header_key = parts(kdf(secret, root, "ratchet root", b"", 96), 32, 32, 32)
    return root, chain_key, header_key


def chain_step(chain_key: bytes) -> tuple[bytes, bytes]:
    """SPEC 13: (message key, the next chain key)."""
    return mac(chain_key, "chain message", b""), mac(chain_key, "chain next", b"")


def answered_export(export_ab: bytes, reply_secret: bytes) -> bytes:
    """SPEC 13: the export of step 1 from A to B."""
    return kdf(export_ab + reply_secret, b"", "answered", b"", 32)


def read_header(header: bytes) -> dict[str, Any]:
    """SPEC 13: ratchet_x25519, ratchet_kem, fresh, ciphertext, pn, n."""
    x25519, kem, fresh, ciphertext, pn, n = parts(header, 32, 1184, 32, 1088, 4, 4)
    check_x25519(x25519)
    check_kem(kem)
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
    message_key = _message_key(chain, header["n"])
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
    content = CONTENT(mp.read(unpad(padded, size)))
    need(not reply or content["tag"] == "seeds", "rules", "a reply without seeds")
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
    return _receiving_step(state, header), header


def _try_header(core: bytes, clock: bytes, header_key: bytes) -> dict[str, Any] | None:
    try:
        return read_header(open_part(core, header_key, clock, HEADER, b"header"))
    except Refused as refused:
        if refused.reason == "commitment":
            return None
        raise


def _receiving_step(state: State, header: dict[str, Any]) -> State:
    """SPEC 13: finish the chain before, begin the next one; changes the (copied) state."""
    chains = state["chains"]
    need(state["own_x25519"] != b"", "rules", "a block before the reply was sent")
    if chains:
        left = header["pn"] - chains[-1]["n"]
        need(left >= 0, "rules", "pn below what was received")
        need(left + header["n"] <= MOST_JUMP, "stale", "jump")
        _skip_to(chains[-1], header["pn"])
    else:
        need(header["pn"] == 0, "rules", "pn of a first chain")
    secret = dh(state["own_x25519"], header["ratchet_x25519"])
    if state["side"] == "B" and not chains:
        secret += state["reply_secret"]
    root, chain_key, following = _root_step(secret, state["root"])
    chain = {
        "header_key": state["next_receiving"],
        "chain_key": chain_key,
        "n": 0,
        "own_x25519": state["own_x25519"],
        "own_kem": state["own_kem"],
        "peer_x25519": header["ratchet_x25519"],
        "peer_kem": header["ratchet_kem"],
        "pn": header["pn"],
        "before": header["pn"] + (chains[-1]["before"] if chains else 0),
        "skipped": {},
    }
    state["root"], state["next_receiving"] = root, following
    state["peer_x25519"] = header["ratchet_x25519"]
    chains.append(chain)
    return chain


def _skip_to(chain: State, n: int) -> None:
    while chain["n"] < n:
        message_key, chain["chain_key"] = chain_step(chain["chain_key"])
        chain["skipped"][chain["n"]] = message_key
        chain["n"] += 1


def _message_key(chain: State, n: int) -> bytes:
    """SPEC 13: take key n out of the chain; what stands before it is skipped and kept."""
    if n < chain["n"]:
        need(n in chain["skipped"], "stale", "a message key already used")
        return bytes(chain["skipped"].pop(n))
    need(n - chain["n"] <= MOST_JUMP, "stale", "jump")
    _skip_to(chain, n)
    message_key, chain["chain_key"] = chain_step(chain["chain_key"])
    chain["n"] += 1
    return message_key
