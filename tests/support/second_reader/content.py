"""Owns SPEC 15: the parts of a group post, joining them, and what they say."""

from typing import Any

from tests.support.second_reader import shapes
from tests.support.second_reader.messagepack import read
from tests.support.second_reader.primitives import kdf, number
from tests.support.second_reader.refused import need
from tests.support.second_reader.roster import HASH, LIFETIME, SLOT

PIECE = 2758
MOST_PARTS = 16

CONTENT = shapes.union(
    text=shapes.record(thread=shapes.binary(16), lifetime=LIFETIME, text=shapes.text(least=1)),
    threads=shapes.record(
        threads=shapes.array(
            shapes.record(
                thread=shapes.binary(16),
                lifetime=LIFETIME,
                topic=shapes.text(most_characters=120, least=1),
            ),
            1,
            64,
        )
    ),
    roster=shapes.record(version=shapes.uint(), roster_hash=HASH, pieces=shapes.array(HASH, 1, 64)),
    ask=shapes.record(
        cores=shapes.array(HASH, 0, 32),
        generations=shapes.array(shapes.record(slot=SLOT, generation_id=shapes.binary(16)), 0, 32),
        steps=shapes.array(shapes.record(slot=SLOT, step=shapes.uint()), 0, 32),
    ),
)


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
    if content["tag"] == "ask":
        asked = sum(len(content[field]) for field in ("cores", "generations", "steps"))
        need(1 <= asked <= 32, "rules", "how much is asked for")
    return content


def expires(hours: tuple[int, int, int], lifetimes: list[int]) -> int:
    """SPEC 15: the hour; hours: of the core, the relay, first seen; lifetimes: all that bind."""
    return min(hours) + min(lifetimes)
