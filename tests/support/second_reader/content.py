"""Owns SPEC 15: the parts of a group post, joining them, and what they say."""

import unicodedata
from typing import Any

from tests.support.second_reader import hotline, shapes
from tests.support.second_reader.drops import content_hash
from tests.support.second_reader.epoch import check_core, open_part
from tests.support.second_reader.identity import check_kept, check_name
from tests.support.second_reader.messagepack import read
from tests.support.second_reader.primitives import kdf, number, unpad
from tests.support.second_reader.refused import need
from tests.support.second_reader.roster import (
    HASH,
    LIFETIME,
    POLICY,
    ROLE,
    SLOT,
    check_policy,
)

PIECE = 2758
MOST_PARTS = 16

REASONS = ("removed", "compromised", "left", "replaced")
FLAG = shapes.uint(0, 1)
BURN = shapes.uint(0, 2160)
ID = shapes.binary(16)

CONTENT = shapes.union(
    text=shapes.record(
        thread=ID,
        lifetime=LIFETIME,
        authority=shapes.uint(0, 2),
        release=shapes.uint(0, 2),
        carried=FLAG,
        about=shapes.binary(0, 16),
        quote=shapes.text(most_characters=500),
        text=shapes.text(least=1),
        burn=BURN,
        off=FLAG,
    ),
    threads=shapes.record(
        threads=shapes.array(
            shapes.record(
                thread=shapes.binary(16),
                lifetime=LIFETIME,
                topic=shapes.text(most_characters=120, least=1),
                burn=BURN,
                off=FLAG,
            ),
            1,
            64,
        )
    ),
    roster=shapes.record(
        version=shapes.uint(),
        roster_hash=HASH,
        pieces=shapes.array(HASH, 1, 64),
        epoch_core=shapes.binary(0, 32),
        gone=shapes.array(shapes.record(slot=SLOT, reason=shapes.one_of(*REASONS)), 0, 64),
    ),
    echo=shapes.record(version=shapes.uint(), roster_hash=HASH),
    ask=shapes.record(
        cores=shapes.array(HASH, 0, 32),
        generations=shapes.array(shapes.record(slot=SLOT, generation_id=shapes.binary(16)), 0, 32),
        steps=shapes.array(shapes.record(slot=SLOT, step=shapes.uint()), 0, 32),
    ),
    prekey=shapes.record(prekey=shapes.binary(1216)),
    leave=shapes.record(),
    digest=shapes.record(
        asks=FLAG,
        since=shapes.uint(),
        version=shapes.uint(),
        rows=shapes.array(
            shapes.record(
                hour=shapes.uint(), version=shapes.uint(), count=shapes.uint(), digest=HASH
            ),
            0,
            42,
        ),
        refused=shapes.array(HASH, 0, 16),
    ),
    compared=shapes.record(words=HASH),
    proposal=shapes.record(policy=POLICY),
    consent=shapes.record(policy_hash=HASH, yes=FLAG),
    paraphrase=shapes.record(about=ID, text=shapes.text(least=1)),
    release=shapes.record(about=ID, words=HASH),
    floor=shapes.record(holders=shapes.array(SLOT, 0, 1)),
    hand=shapes.record(raised=FLAG),
    file=shapes.record(
        thread=ID,
        lifetime=LIFETIME,
        name=shapes.text(most_characters=120, least=1),
        size=shapes.uint(1, 10 * 1024 * 1024),
        key=HASH,
        index=shapes.array(HASH, 1, 24),
        burn=BURN,
    ),
    candidate=shapes.record(
        alias=shapes.text(), party=shapes.text(), role=ROLE, identity_hash=HASH
    ),
    vouch=shapes.record(identity_hash=HASH),
    **hotline.SHAPES,
)
UNATTRIBUTED = shapes.record(thread=ID, lifetime=LIFETIME, text=shapes.text(least=1))
CHUNK = 3986
INDEX = CHUNK // 32


def read_part(part: bytes) -> dict[str, Any]:
    """SPEC 15: message_id, order, index (from 0), count, piece."""
    need(22 < len(part) <= 22 + PIECE, "size", "part")
    index, count = part[20], part[21]
    need(1 <= count <= MOST_PARTS and index < count, "rules", "number of a part")
    return {
        "message_id": part[:16],
        "order": number(part[16:20]),
        "index": index,
        "count": count,
        "piece": part[22:],
    }


def join_parts(some: list[dict[str, Any]]) -> dict[str, Any]:
    """SPEC 15: the content of a whole message from its parts (of `read_part`) in any order."""
    need(len(some) > 0, "rules", "a part is missing")
    for field in ("message_id", "count"):
        need(all(part[field] == some[0][field] for part in some), "rules", f"another {field}")
    ordered = sorted(some, key=lambda part: int(part["index"]))
    indexes = [part["index"] for part in ordered]
    need(indexes == list(range(some[0]["count"])), "rules", "a part is missing")
    content = decode_content(b"".join(part["piece"] for part in ordered))
    need(content["tag"] != "roster" or len(some) == 1, "rules", "an announcement is one part")
    return content


def partial_key(clock: bytes, content_hash: bytes) -> bytes:
    """SPEC 15: under which the piece of an unfinished message is kept; clock: E(core hour)."""
    return kdf(clock + content_hash, b"", "partial", b"", 32)


def decode_content(encoded: bytes) -> dict[str, Any]:
    """SPEC 15: the fields of `CONTENT` above, with `tag` text, threads, roster or ask."""
    need(len(encoded) <= PIECE * MOST_PARTS, "size", "content")
    content: dict[str, Any] = CONTENT(read(encoded))
    if content["tag"] == "threads":
        named = [entry["thread"] for entry in content["threads"]]
        need(bytes(16) not in named, "rules", "thread zero is the channel's own")
    if content["tag"] == "text" and content["off"]:
        need(len(encoded) <= PIECE, "rules", "more than one block off the record")
        need(content["release"] == 0, "rules", "released, and off the record")
    if content["tag"] == "ask":
        asked = sum(len(content[field]) for field in ("cores", "generations", "steps"))
        need(1 <= asked <= 32, "rules", "how much is asked for")
    _check_lines(content)
    hotline.check(content, len(encoded), PIECE)
    if content["tag"] == "proposal":
        check_policy(content["policy"])
    if content["tag"] == "prekey":
        check_kept(content["prekey"][:32], content["prekey"][32:])
    if content["tag"] == "candidate":
        check_name(content["alias"])
        check_name(content["party"])
    return content


def _check_lines(content: dict[str, Any]) -> None:
    """SPEC 15: what stands in one line of a screen; a file names as many cores as it has."""
    if content["tag"] == "threads":
        for entry in content["threads"]:
            controls = [c for c in entry["topic"] if unicodedata.category(c) == "Cc"]
            need(not controls, "rules", "a control character in a topic")
    if content["tag"] == "file":
        check_file_name(content["name"])
        chunks = (content["size"] + CHUNK - 1) // CHUNK
        needed = (chunks + INDEX - 1) // INDEX
        need(len(content["index"]) == needed, "rules", "another number of index cores")


DEVICES = ("con", "prn", "aux", "nul", "conin$", "conout$", "clock$")
PORTS = tuple(f"{port}{digit}" for port in ("com", "lpt") for digit in range(10))


def check_file_name(name: str) -> None:
    """SPEC 15: one component of a path, on any system."""
    need(len(name.encode()) <= 240, "rules", "length of a file's name")
    unseen = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    need(not any(unicodedata.category(c) in unseen for c in name), "rules", "unseen in a name")
    need(not set(name) & set('/\\:*?"<>|'), "rules", "a separator in a file's name")
    need(name.strip(". ") == name, "rules", "an end of a file's name")
    stem = unicodedata.normalize("NFKC", name.split(".", maxsplit=1)[0]).strip().casefold()
    need(stem not in DEVICES + PORTS, "rules", "the name of a device")


def open_unattributed(core: bytes, clock: bytes, secret: bytes) -> dict[str, Any]:
    """SPEC 15: thread, lifetime and text of a core of kind 2; secret: the unattributed secret."""
    check_core(core, 2)
    post: dict[str, Any] = UNATTRIBUTED(read(_open_piece(core, clock, secret)))
    return post


def open_chunk(core: bytes, clock: bytes, key: bytes) -> bytes:
    """SPEC 15: the piece of a file, or of its index, in a core of kind 3; key: the file's."""
    check_core(core, 3)
    return _open_piece(core, clock, key)


def join_file(post: dict[str, Any], cores: list[bytes], clock: bytes) -> bytes:
    """SPEC 15: the bytes of a file from its post and all its cores, in any order.

    clock: E(core hour), where the cores are of one hour.
    """
    here = {content_hash(core): core for core in cores}
    left, names = (post["size"] + CHUNK - 1) // CHUNK, list[bytes]()
    for name in post["index"]:
        listed = _named_piece(here, name, clock, post["key"])
        need(len(listed) == 32 * min(INDEX, left - len(names)), "rules", "how many names")
        names += [listed[at : at + 32] for at in range(0, len(listed), 32)]
    data = b"".join(_named_piece(here, name, clock, post["key"]) for name in names)
    need(len(data) == post["size"], "rules", "size of a file")
    return data


def _named_piece(here: dict[bytes, bytes], name: bytes, clock: bytes, key: bytes) -> bytes:
    need(name in here, "rules", "a core is missing")
    return open_chunk(here[name], clock, key)


def _open_piece(core: bytes, clock: bytes, secret: bytes) -> bytes:
    return unpad(open_part(core, secret, clock, (21, 53, 4056)), 3987)


def expires(hours: tuple[int, int, int], lifetimes: list[int]) -> int:
    """SPEC 15: the hour; hours: of the core, the relay, first seen; lifetimes: all that bind."""
    return min(hours) + min(lifetimes)
