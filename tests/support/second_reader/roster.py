"""Owns SPEC 9: the roster, its package and pieces, and when a member adopts one."""

from typing import Any

from tests.support.second_reader import shapes
from tests.support.second_reader.epoch import check_core, epoch_commitment, open_part
from tests.support.second_reader.identity import (
    BUNDLE,
    ROLES,
    check_distinct,
    check_name,
    identity_hash,
    likeness,
    read_bundle,
)
from tests.support.second_reader.messagepack import read
from tests.support.second_reader.primitives import check_x25519, label_hash, number, unpad
from tests.support.second_reader.refused import need

PIECE = 3986
MOST_ROSTER = 20480
MOST_LIFETIME = 2160
MOST_PIECES = 64

SLOT = shapes.uint(0, 63)
ROLE = shapes.one_of(*ROLES)
HASH = shapes.binary(32)
LIFETIME = shapes.uint(1, MOST_LIFETIME)
URL = shapes.text(most_characters=256, least=1)
RELAYS = shapes.array(shapes.record(url=URL, static_key=HASH), 1, 8)
FORMATS = ("plenary", "bilateral", "shuttle", "hotline", "workshop")
PARTIES = {"bilateral": 2, "shuttle": 1}
POLICY = shapes.record(
    lifetime=LIFETIME,
    format=shapes.one_of(*FORMATS),
    unattributed=shapes.uint(0, 64),
    vouches=shapes.uint(0, 8),
    pulse=shapes.uint(0, 168),
    cover=shapes.uint(0, 86_400),
    standing=shapes.one_of("open", "suspended", "dormant", "closed"),
)
WEIGHT = {"facilitator": 3, "participant": 2, "note-taker": 1, "observer": 0}

ROSTER = shapes.record(
    channel_id=shapes.binary(16),
    version=shapes.uint(1),
    previous=HASH,
    merged=shapes.array(HASH, 0, 4),
    issuer=SLOT,
    hour=shapes.uint(),
    epoch=shapes.uint(),
    commitment=HASH,
    relays=RELAYS,
    policy=POLICY,
    charter=HASH,
    disclosure=HASH,
    heads=shapes.array(HASH, 0, 64),
    entries=shapes.array(
        shapes.record(
            slot=SLOT, alias=shapes.text(), party=shapes.text(), role=ROLE, identity_hash=HASH
        ),
        1,
        64,
    ),
)


def decode_roster(encoded: bytes) -> dict[str, Any]:
    """SPEC 9: the fields by the names above; `relays` and `entries` are lists of dicts."""
    need(len(encoded) <= MOST_ROSTER, "size", "roster")
    roster: dict[str, Any] = ROSTER(read(encoded))
    first = roster["version"] == 1
    need((roster["previous"] == bytes(32)) == first, "rules", "previous roster")
    check_relays(roster["relays"])
    _check_entries(roster["entries"])
    check_policy(roster["policy"])
    return roster


def check_policy(policy: dict[str, Any]) -> None:
    """SPEC 9: too few people, and a guess names an author."""
    need(policy["unattributed"] == 0 or policy["unattributed"] >= 4, "rules", "people too few")


def check_format(roster: dict[str, Any]) -> None:
    """SPEC 9: whom the format lets sit together, and what it does not have."""
    policy, entries = roster["policy"], roster["entries"]
    hosts = {likeness(e["party"]) for e in entries if e["role"] == "facilitator"}
    sides = {
        likeness(entry["party"])
        for entry in entries
        if entry["role"] == "participant"
        or (entry["role"] != "facilitator" and likeness(entry["party"]) not in hosts)
    }
    need(len(sides) <= PARTIES.get(policy["format"], 64), "rules", "parties of the format")
    if policy["format"] == "hotline":
        need(policy["lifetime"] <= 72, "rules", "lifetime of a hotline")
        need(policy["unattributed"] == 0, "rules", "unattributed posts in a hotline")


def policy_hash(encoded: bytes) -> bytes:
    """SPEC 9: of an encoded policy."""
    check_policy(POLICY(read(encoded)))
    return label_hash("policy", encoded)


def check_relays(relays: list[dict[str, Any]]) -> None:
    """SPEC 9 and 2: a static key is an X25519 public key, not zero; none stands there twice."""
    for relay in relays:
        check_x25519(relay["static_key"])
        need(any(relay["static_key"]), "rules", "the key of courier files")
    for field in ("url", "static_key"):
        need(len({relay[field] for relay in relays}) == len(relays), "rules", f"{field} twice")


def _check_entries(entries: list[dict[str, Any]]) -> None:
    slots = [entry["slot"] for entry in entries]
    need(slots == sorted(set(slots)), "rules", "slots do not rise")
    for entry in entries:
        check_name(entry["alias"])
        check_name(entry["party"])
    aliases = {likeness(entry["alias"]) for entry in entries}
    need(len(aliases) == len(entries), "rules", "aliases alike")
    hashes = {entry["identity_hash"] for entry in entries}
    need(len(hashes) == len(entries), "rules", "the same identity twice")


def roster_hash(encoded: bytes) -> bytes:
    """SPEC 9."""
    return label_hash("roster", encoded)


def charter_hash(charter: str) -> bytes:
    """SPEC 9."""
    return label_hash("charter", charter.encode())


def disclosure_hash(encoded: bytes) -> bytes:
    """SPEC 9: of the encoded array of three texts."""
    return label_hash("disclosure", encoded)


def split_package(package: bytes) -> list[bytes]:
    """SPEC 9: the pieces of a package, in order."""
    need(len(package) > 0, "size", "package")
    return [package[at : at + PIECE] for at in range(0, len(package), PIECE)]


def join_package(pieces: list[bytes]) -> bytes:
    """SPEC 9: all pieces but the last are full, none is empty."""
    need(1 <= len(pieces) <= MOST_PIECES, "rules", "number of pieces")
    need(all(len(piece) == PIECE for piece in pieces[:-1]), "size", "piece")
    need(1 <= len(pieces[-1]) <= PIECE, "size", "piece")
    return b"".join(pieces)


def read_package(package: bytes) -> dict[str, Any]:
    """SPEC 9: `encoded`, its `hash`, `roster` (decoded) and `bundles` in the roster's order."""
    need(len(package) >= 4, "size", "package")
    end = 4 + number(package[:4])
    need(end <= 4 + MOST_ROSTER and end <= len(package), "size", "roster in the package")
    encoded = package[4:end]
    roster = decode_roster(encoded)
    if end == len(package):
        return {"encoded": encoded, "hash": roster_hash(encoded), "roster": roster, "bundles": []}
    need(len(package) == end + BUNDLE * len(roster["entries"]), "size", "bundles in the package")
    bundles = [package[at : at + BUNDLE] for at in range(end, len(package), BUNDLE)]
    for entry, bundle in zip(roster["entries"], bundles, strict=True):
        read_bundle(bundle)
        need(identity_hash(bundle) == entry["identity_hash"], "rules", "identity hash")
    check_distinct(bundles)
    return {
        "encoded": encoded,
        "hash": roster_hash(encoded),
        "roster": roster,
        "bundles": bundles,
    }


def open_piece(core: bytes, clock: bytes, roster_secret: bytes) -> bytes:
    """SPEC 9: the piece in a core of kind 7."""
    check_core(core, 7)
    piece = unpad(open_part(core, roster_secret, clock, (21, 53, 4056)), 3987)
    need(len(piece) > 0, "rules", "empty piece")
    return piece


def check_successor(current: bytes, new: bytes, given: dict[str, Any]) -> dict[str, Any]:
    """SPEC 9: may a member with `current` adopt `new` (both encoded)? Gives the new one, decoded.

    given: sender, the slot that announced it; epoch_core, whether the announcement names one; gone,
    the slots that it says go; agreed, whether the reader consented to the new policy; epoch_secret
    and clock, the reader's own S and E at the new roster's hour; now.
    The package's own checks are those of `read_package`.
    """
    old, roster = decode_roster(current), decode_roster(new)
    for same in ("channel_id", "charter", "disclosure"):
        need(roster[same] == old[same], "rules", f"{same} changed")
    direct = roster["previous"] == roster_hash(current)
    need(direct or roster_hash(current) in roster["merged"], "rules", "previous roster")
    ahead = roster["version"] - old["version"]
    need(ahead == 1 if direct else 1 <= ahead <= 64, "rules", "version")
    facilitators = [e["slot"] for e in old["entries"] if e["role"] == "facilitator"]
    need(given["sender"] == roster["issuer"] in facilitators, "rules", "issuer")
    need(roster["hour"] <= given["now"] + 1, "stale", "hour of the roster")
    commitment = epoch_commitment(given["epoch_secret"], roster["hour"], given["clock"])
    need(roster["commitment"] == commitment, "commitment", "epoch")
    before = {entry["slot"]: entry for entry in old["entries"]}
    after = {entry["slot"]: entry for entry in roster["entries"]}
    for slot in before.keys() & after.keys():
        kept = after[slot] | {"role": before[slot]["role"]}
        need(kept == before[slot], "rules", "who stays keeps alias, party and identity")
    roles = [entry["role"] for entry in roster["entries"]]
    need("facilitator" in roles, "rules", "a facilitator remains")
    gone = before.keys() - after.keys()
    need(not direct or gone == set(given["gone"]), "rules", "who goes")
    check_format(roster)
    need(given["agreed"] or not _loosens(old, roster), "rules", "what nobody agreed to")
    need(old["policy"]["standing"] != "closed", "rules", "a successor of a closed one")
    if roster["policy"]["standing"] == "closed":
        same = roster["policy"] | {"standing": old["policy"]["standing"]} == old["policy"]
        need(same, "rules", "closing changes nothing else")
    need(given["epoch_core"] == (roster["epoch"] > old["epoch"]), "rules", "epoch core")
    need(roster["epoch"] >= old["epoch"], "rules", "an epoch back")
    need(direct or roster["epoch"] > old["epoch"], "rules", "a rival ended in its own epoch")
    begins, last = roster["epoch"] > old["epoch"], 2 * (roster["version"] - 1)
    need(not begins or roster["epoch"] <= last, "rules", "an epoch that no branch has")
    if roster["epoch"] == old["epoch"]:
        _check_same_epoch(old, roster, before, after)
    return roster


def _loosens(old: dict[str, Any], new: dict[str, Any]) -> bool:
    a, b = old["policy"], new["policy"]
    return bool(b["lifetime"] > a["lifetime"] or b["format"] != a["format"])


def _check_same_epoch(
    old: dict[str, Any], new: dict[str, Any], before: dict[int, Any], after: dict[int, Any]
) -> None:
    need(before.keys() <= after.keys(), "rules", "everybody stays")
    for slot, entry in before.items():
        lighter = WEIGHT[after[slot]["role"]] < WEIGHT[entry["role"]]
        need(not lighter, "rules", "a lighter role without an epoch")
    need(new["heads"] == [], "rules", "heads")
    need(not _loosens(old, new), "rules", "a looser policy without an epoch")
    need(new["hour"] >= old["hour"], "rules", "an hour back")


def check_first(
    card: dict[str, Any], roster: dict[str, Any], intro_hash: bytes, given: dict[str, Any]
) -> None:
    """SPEC 9: may a newcomer adopt its first roster? roster: decoded, of `read_package`'s `hash`.

    given: hash (of the package), disclosure (encoded), epoch, epoch_secret and clock (E at the
    roster's hour) of the admission, slot, alias, identity_hash (own), now.
    """
    need(given["hash"] == intro_hash, "rules", "roster of the intro")
    for field in ("channel_id",):
        need(roster[field] == card[field], "rules", f"{field} of the card")
    need(roster["policy"]["lifetime"] <= card["lifetime"], "rules", "lifetime of the card")
    need(roster["charter"] == charter_hash(card["charter"]), "rules", "charter of the card")
    need(roster["disclosure"] == disclosure_hash(given["disclosure"]), "rules", "disclosure")
    need(roster["epoch"] == given["epoch"], "rules", "epoch of the admission")
    entries = {entry["slot"]: entry for entry in roster["entries"]}
    own, host = entries.get(given["slot"], {}), entries.get(card["slot"], {})
    need(own.get("alias") == given["alias"], "rules", "own alias")
    need(own.get("identity_hash") == given["identity_hash"], "rules", "own identity")
    need(host.get("identity_hash") == identity_hash(card["bundle"]), "rules", "the card's identity")
    check_format(roster)
    issuer = entries.get(roster["issuer"], {})
    need(issuer.get("role") == "facilitator", "rules", "issuer")
    need(roster["hour"] <= given["now"] + 1, "stale", "hour of the roster")
    commitment = epoch_commitment(given["epoch_secret"], roster["hour"], given["clock"])
    need(roster["commitment"] == commitment, "commitment", "epoch")
