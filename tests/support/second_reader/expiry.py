"""Owns SPEC 19: reading the places of the expiry file, and opening an item of the store."""

from typing import Any

from tests.support.second_reader.primitives import kdf, label_hash, number, parts, xaead_open
from tests.support.second_reader.refused import need

PLACE = 512
KINDS = ("empty", "header", "expiry key", "thread key", "clock", "base key")
HEADER_NAME = b"backchannel/1 expiry" + bytes(4)
EMPTY: dict[str, Any] = {"kind": "empty"}


def read_place(place: bytes) -> dict[str, Any]:
    """SPEC 19: kind (a word of KINDS), name, hour, extra, value; for an expiry key also day.

    A place whose checksum fails, and what is not read, gives an empty one.
    """
    body, checksum = parts(place, 480, 32)
    if label_hash("place", body) != checksum or not 0 < body[0] < len(KINDS):
        return EMPTY
    kind = KINDS[body[0]]
    found = {
        "kind": kind,
        "name": body[1:25],
        "hour": number(body[25:29]),
        "extra": number(body[29:33]),
        "value": body[33:65],
    }
    sound = body[65:] == bytes(415) and (kind == "clock" or found["extra"] == 0)
    if not sound or not _is_name(kind, body[1:25], body[25:29]):
        return EMPTY
    return found | ({"day": number(body[1:5])} if kind == "expiry key" else {})


def _is_name(kind: str, name: bytes, hour: bytes) -> bool:
    if kind == "header":
        return name == HEADER_NAME
    if kind == "expiry key":
        return name[4:] == hour + bytes(16)
    return name[16:] == bytes(8)


def read_file(data: bytes) -> dict[str, Any]:
    """SPEC 19: highest (hour), id (of the store), and keys: those that count, by (kind, name)."""
    whole = len(data) - len(data) % PLACE
    places = [read_place(data[at : at + PLACE]) for at in range(0, whole, PLACE)]
    headers = [place for place in places[:2] if place["kind"] == "header"]
    need(len(headers) > 0, "rules", "header of the expiry file")
    header = max(headers, key=lambda place: int(place["hour"]))
    keys: dict[tuple[str, bytes], dict[str, Any]] = {}
    for place in places[2:]:
        if place["kind"] in ("empty", "header"):
            continue
        name = (place["kind"], place["name"])
        if name not in keys or place["hour"] > keys[name]["hour"]:
            keys[name] = place
    return {"highest": header["hour"], "id": header["value"], "keys": keys}


def item_key(store_key: bytes, expiry_key: bytes, thread_key: bytes = bytes(32)) -> bytes:
    """SPEC 19: the key of one stored item; without a thread key zeros stand for it."""
    need(all(len(key) == 32 for key in (store_key, expiry_key, thread_key)), "size", "key")
    return kdf(store_key + expiry_key + thread_key, b"", "item key", b"", 32)


def open_item(key: bytes, associated: bytes, item: bytes) -> bytes:
    """SPEC 19: nonce 24 | XAEAD."""
    need(len(item) >= 40, "size", "item")
    return xaead_open(key, item[:24], associated, item[24:])
