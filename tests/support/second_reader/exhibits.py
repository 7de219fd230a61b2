"""Owns SPEC 22: a transcript file, read with nothing but itself."""

import hashlib
import hmac
import itertools
import unicodedata
from typing import Any

from tests.support.second_reader import shapes
from tests.support.second_reader.content import join_parts, read_part
from tests.support.second_reader.drops import content_hash
from tests.support.second_reader.epoch import check_core, core_hour
from tests.support.second_reader.identity import check_name
from tests.support.second_reader.messagepack import read
from tests.support.second_reader.primitives import aead_open, prefix, same, unpad
from tests.support.second_reader.refused import Refused, need
from tests.support.second_reader.roster import HASH, ROLE, SLOT
from tests.support.second_reader.sender_keys import read_group

MOST = 64 * 1024 * 1024
LAST_ORDER = 2**32 - 1
MEMBER = shapes.record(slot=SLOT, alias=shapes.text(), party=shapes.text(), role=ROLE)
PIECE = shapes.record(core=shapes.binary(4056), key=HASH)
MESSAGE = shapes.record(
    author=SLOT,
    hour=shapes.uint(),
    order=shapes.uint(),
    topic=shapes.text(most_characters=120),
    text=shapes.text(least=1),
    pieces=shapes.array(PIECE, 1, 16),
)
FILE = shapes.union(
    transcript=shapes.record(
        version=shapes.uint(1, 1),
        channel=shapes.text(),
        members=shapes.array(MEMBER, 1, 64),
        messages=shapes.array(MESSAGE, 1, 10_000),
    )
)


def leaf_key(core: bytes, secret: bytes, clock: bytes) -> bytes:
    """SPEC 3: the first half of the key rule's HKDF; clock: E(core hour)."""
    return hmac.digest(core[5:21], secret + clock, hashlib.sha256)


def open_with_leaf(core: bytes, leaf: bytes) -> bytes:
    """SPEC 3 and 14: the part in a group core, by its leaf key alone."""
    info = prefix("core key") + core[1:5] + core[0:1]
    key = hmac.digest(leaf, info + b"\x01", hashlib.sha256)
    commitment = hmac.digest(leaf, key + info + b"\x02", hashlib.sha256)
    need(same(commitment, core[203:235]), "commitment")
    return unpad(aead_open(key, core[:235], core[235:3032]), 2781)


def read_transcript(data: bytes) -> dict[str, Any]:
    """SPEC 22: channel, members and messages of a file; whatever is wrong with one is `rules`."""
    need(len(data) <= MOST, "size", "file")
    found: dict[str, Any] = FILE(read(data))
    members, messages = found["members"], found["messages"]
    slots = [each["slot"] for each in members]
    need(slots == sorted(set(slots)), "rules", "slots rise")
    names = [name for each in members for name in (each["alias"], each["party"])]
    for name in (found["channel"], *names):
        check_name(name)
    opened = [_message(each, slots) for each in messages]
    ids = [(each["author"], said["id"]) for each, said in zip(messages, opened, strict=True)]
    need(len(set(ids)) == len(ids), "rules", "a message twice")
    topics: dict[bytes, str] = {}
    for each, said in zip(messages, opened, strict=True):
        topic = topics.setdefault(said["thread"], each["topic"])
        need(topic == each["topic"], "rules", "two topics")
    _check_order(messages)
    return found


def _message(message: dict[str, Any], slots: list[int]) -> dict[str, bytes]:
    need(message["author"] in slots, "rules", "author")
    try:
        parts = [_part(message["author"], piece) for piece in message["pieces"]]
        content = join_parts(parts)
    except Refused as error:
        raise Refused("rules", str(error)) from error
    need([part["index"] for part in parts] == list(range(len(parts))), "rules", "order of parts")
    need(content["tag"] == "text" and content["off"] == 0, "rules", "no text on the record")
    hour, order = core_hour(message["pieces"][0]["core"]), max(part["order"] for part in parts)
    need(message["text"] == content["text"], "rules", "text")
    need((message["hour"], message["order"]) == (hour, order), "rules", "hour or order")
    topic = message["topic"]
    need(not any(unicodedata.category(c) == "Cc" for c in topic), "rules", "controls in a topic")
    need((content["thread"] == bytes(16)) == (topic == ""), "rules", "topic of thread zero")
    return {"id": parts[0]["message_id"], "thread": content["thread"]}


def _part(author: int, piece: dict[str, bytes]) -> dict[str, Any]:
    check_core(piece["core"], 1)
    need(read_group(piece["core"])["slot"] == author, "rules", "another sender")
    return read_part(open_with_leaf(piece["core"], piece["key"]))


def _check_order(messages: list[dict[str, Any]]) -> None:
    hashes = [[content_hash(piece["core"]) for piece in each["pieces"]] for each in messages]
    places = [(m["hour"], m["order"], h[0]) for m, h in zip(messages, hashes, strict=True)]
    need(all(a < b for a, b in itertools.pairwise(places)), "rules", "order")
    orders = {name: m["order"] for m, own in zip(messages, hashes, strict=True) for name in own}
    for message, own in zip(messages, hashes, strict=True):
        named = {
            parent for piece in message["pieces"] for parent in read_group(piece["core"])["parents"]
        }
        above = [orders[parent] for parent in named - set(own) if parent in orders]
        highest = message["order"] == LAST_ORDER
        need(highest or all(order < message["order"] for order in above), "rules", "parents")
