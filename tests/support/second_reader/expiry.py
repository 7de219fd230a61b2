"""Owns SPEC 19: reading the places of the expiry file, and opening an item of the store."""

from typing import Any

from tests.support.second_reader.primitives import kdf, label_hash, number, parts, xaead_open
from tests.support.second_reader.refused import need

PLACE = 512
KINDS = ("empty", "header", "expiry key", "thread key", "clock")
HEADER_NAME = b"backchannel/1 expiry" + bytes(4)
EMPTY: dict[str, Any] = {"kind": "empty"}


def read_place(place: bytes) -> dict[str, Any]:
    """SPEC 19: kind (a word of KINDS), name, hour, extra, value; for an expiry key also day.

    A place whose checksum fails reads as an empty one.
    """
    body, checksum = parts(place, 480, 32)
    if label_hash("place", body) != checksum:
        return EMPTY
    need(body[0] < len(KINDS), "rules", "kind of a place")
    kind = KINDS[body[0]]
    if kind == "empty":
        need(body == bytes(480), "rules", "an empty place that is not")
        return EMPTY
    need(body[65:] == bytes(415), "rules", "zeros of a place")
    found = {
        "kind": kind,
        "name": body[1:25],
        "hour": number(body[25:29]),
        "extra": number(body[29:33]),
        "value": body[33:65],
    }
    need(kind == "clock" or found["extra"] == 0, "rules", "extra")
    return found | _check_name(kind, body[1:25], number(body[25:29]))


def _check_name(kind: str, name: bytes, hour: int) -> dict[str, int]:
    if kind == "header":
        need(name == HEADER_NAME, "rules", "name of the header")
    elif kind == "expiry key":
        day, expiry, zeros = parts(name, 4, 4, 16)
        need(zeros == bytes(16) and number(expiry) == hour, "rules", "name of an expiry key")
        return {"day": number(day)}
    else:
        need(name[16:] == bytes(8), "rules", "name of a thread key or a clock")
    return {}


def read_file(data: bytes) -> list[dict[str, Any]]:
    """SPEC 19: all places; place 0, and no other, is the header."""
    need(len(data) >= PLACE and len(data) % PLACE == 0, "size", "expiry file")
    places = [read_place(data[at : at + PLACE]) for at in range(0, len(data), PLACE)]
    headers = [at for at, place in enumerate(places) if place["kind"] == "header"]
    need(headers == [0], "rules", "header of the expiry file")
    return places


def item_key(store_key: bytes, expiry_key: bytes, thread_key: bytes = bytes(32)) -> bytes:
    """SPEC 19: the key of one stored item; without a thread key zeros stand for it."""
    need(all(len(key) == 32 for key in (store_key, expiry_key, thread_key)), "size", "key")
    return kdf(store_key + expiry_key + thread_key, b"", "item key", b"", 32)


def open_item(key: bytes, associated: bytes, item: bytes) -> bytes:
    """SPEC 19: nonce 24 | XAEAD."""
    need(len(item) >= 40, "size", "item")
    return xaead_open(key, item[:24], associated, item[24:])
