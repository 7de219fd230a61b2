"""Owns SPEC 13: the state of a line and its ratchet steps.

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
  sending              chain_key and n of the own chain, None until the next block makes a step
  blocks               number of blocks sent
  mask_keys            of AB0, then of one that gave way: unmask step and use in a key core
  export_ab            AB0, until the reply was opened (A) or made (B); then empty
  export_out           the newest export to the peer (uses.py)
  exports_in           the exports from the peer, steps rising
  chains               receiving chains, oldest first; each a dict of header_key, chain_key, n,
                       own_x25519, own_kem (private, the keys the chain is sent to), peer_x25519,
                       peer_kem (public), pn, before (sum of pn to here), skipped {n: message key}
"""

from typing import Any

from tests.support.second_reader.primitives import dh, kdf, parts
from tests.support.second_reader.refused import need
from tests.support.second_reader.uses import chain_step, new_export

State = dict[str, Any]
MOST_JUMP = 512
MOST_SKIPPED = 512


def _exports(out: bytes, come: bytes, export_ab: bytes) -> State:
    """SPEC 13: both exports of step 0."""
    exports = {"export_out": new_export(0, out), "exports_in": [new_export(0, come)]}
    return exports | {"export_ab": export_ab, "mask_keys": [mask_key(export_ab)]}


def mask_key(export_ab: bytes) -> bytes:
    """SPEC 14: what hides steps and uses of a line, from AB0 of its intro."""
    return kdf(export_ab, b"", "step mask", b"", 32)


def gave_way(state: State, export_ab: bytes) -> State:
    """SPEC 12: the line of the lower slot, which keeps AB0 and mask key of the other's intro."""
    exports = [new_export(0, export_ab), *state["exports_in"]]
    keys = [*state["mask_keys"], mask_key(export_ab)]
    return state | {"exports_in": exports, "mask_keys": keys}


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
        "sending": None,
        "blocks": 0,
        "chains": [],
    } | _exports(keys["export_ab"], keys["export_ba"], keys["export_ab"])


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
        "sending": None,
        "blocks": 0,
        "chains": [],
    } | _exports(keys["export_ba"], keys["export_ab"], keys["export_ab"])


def sending_step(state: State, ratchet: dict[str, bytes], reply_secret: bytes = b"") -> None:
    """SPEC 13: a sending step; changes the (copied) state.

    ratchet: the new private x25519 and kem. reply_secret: for B's first step, that of the reply
    it is about to send; A takes its own from the state.
    """
    need(state["peer_x25519"] != b"", "rules", "no sending step before the peer's first key")
    secret = dh(ratchet["x25519"], state["peer_x25519"])
    if state["side"] == "A" and state["sent"] == 0:
        need(state["reply_secret"] != b"", "rules", "no sending step before the reply")
        secret += state["reply_secret"]
    if state["side"] == "B" and state["sent"] == 0:
        state["reply_secret"] = reply_secret
    state["root"], chain_key, state["next_sending"] = _root_step(secret, state["root"])
    state["own_x25519"], state["own_kem"] = ratchet["x25519"], ratchet["kem"]
    state["sending"] = {"chain_key": chain_key, "n": 0}
    state["sent"] += 1


def _root_step(secret: bytes, root: bytes) -> tuple[bytes, bytes, bytes]:
    root, chain_key, header_key = parts(kdf(secret, root, "ratchet root", b"", 96), 32, 32, 32)
    return root, chain_key, header_key


def receiving_step(state: State, header: dict[str, Any]) -> State:
    """SPEC 13: finish the chain before, begin the next one; changes the (copied) state."""
    chains = state["chains"]
    need(state["own_x25519"] != b"", "rules", "a block before the reply was sent")
    if chains:
        left = header["pn"] - chains[-1]["n"]
        need(left >= 0, "rules", "pn below what was received")
        need(left <= MOST_JUMP, "stale", "jump")
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
    state["sending"] = None
    chains.append(chain)
    return chain


def _skip_to(chain: State, n: int) -> None:
    while chain["n"] < n:
        message_key, chain["chain_key"] = chain_step(chain["chain_key"])
        chain["skipped"][chain["n"]] = message_key
        chain["n"] += 1


def take_key(chain: State, n: int) -> bytes:
    """SPEC 13: take key n out of the chain; what stands before it is skipped and kept."""
    if n < chain["n"]:
        need(n in chain["skipped"], "stale", "a message key already used")
        return bytes(chain["skipped"].pop(n))
    need(n - chain["n"] <= MOST_JUMP, "stale", "jump")
    _skip_to(chain, n)
    message_key, chain["chain_key"] = chain_step(chain["chain_key"])
    chain["n"] += 1
    return message_key


def forget(state: State) -> None:
    """SPEC 13: keep the newest 512 skipped keys of the line; changes the state."""
    skipped = [
        (at, n) for at, chain in enumerate(state["chains"]) for n in sorted(chain["skipped"])
    ]
    for at, n in skipped[: max(0, len(skipped) - MOST_SKIPPED)]:
        del state["chains"][at]["skipped"][n]
