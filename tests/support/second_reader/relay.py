"""Owns SPEC 18: the MACs of requests and answers, the pages of a read, vouchers."""

import base64
import binascii
from typing import Any

from tests.support.second_reader.drops import BLOCK
from tests.support.second_reader.primitives import (
    check_x25519,
    dh,
    kdf,
    label_hash,
    mac,
    number,
    parts,
    same,
    u8,
    u16,
)
from tests.support.second_reader.refused import Refused, need

OPERATIONS = {"create": 1, "append": 2, "read": 3, "seal": 4, "delete": 5}
CLASSES = (24, 72, 168, 336, 720, 2160)
MOST_BLOCKS = 64
BASE32 = "abcdefghijklmnopqrstuvwxyz234567"


def relay_keys(
    private: bytes, public: bytes, relay_key: bytes, drop_id: bytes
) -> tuple[bytes, bytes]:
    """SPEC 18: (request key, answer key) on the client's side; private and public: k and K."""
    context = drop_id + public + relay_key
    both = kdf(dh(private, relay_key), b"", "relay keys", context, 64)
    return both[:32], both[32:]


def check_request(request_key: bytes, operation: str, request: bytes) -> dict[str, Any]:
    """SPEC 18: drop_id, hour, nonce, mac and the payload of `read_request`."""
    need(len(request) >= 68, "size", "request")
    drop_id, hour, nonce, found = parts(request[:68], 16, 4, 16, 32)
    covered = u8(OPERATIONS[operation]) + request[:36] + request[68:]
    need(same(mac(request_key, "relay request", covered), found), "mac", "request")
    payload = read_request(operation, request[68:])
    head = {"drop_id": drop_id, "hour": number(hour), "nonce": nonce, "mac": found}
    return head | {"payload": payload}


def read_request(operation: str, payload: bytes) -> dict[str, Any]:
    """SPEC 18: create: voucher, access_public, close_public, class; append, seal: blocks;
    read: position, hour, most, wait; delete: nothing."""
    if operation == "create":
        voucher, access, close, index = parts(payload, 16, 32, 32, 1)
        check_x25519(access)
        check_x25519(close)
        need(index[0] < len(CLASSES), "rules", "class")
        keys = {"access_public": access, "close_public": close}
        return {"voucher": voucher, "class": index[0]} | keys
    if operation in {"append", "seal"}:
        blocks = _rows(payload, BLOCK)
        least = 1 if operation == "append" else 0
        need(least <= len(blocks) <= MOST_BLOCKS, "rules", "number of blocks")
        return {"blocks": blocks}
    if operation == "read":
        position, hour, most, wait = (number(field) for field in parts(payload, 8, 4, 2, 2))
        need(1 <= most <= MOST_BLOCKS and wait <= 60, "rules", "most or wait")
        return {"position": position, "hour": hour, "most": most, "wait": wait}
    need(payload == b"", "size", "payload")
    return {}


def check_answer(answer_key: bytes, request_mac: bytes, status: int, answer: bytes) -> bytes:
    """SPEC 18: the payload of an answer with a MAC."""
    need(len(answer) >= 32, "size", "answer")
    covered = request_mac + u16(status) + answer[32:]
    need(same(mac(answer_key, "relay answer", covered), answer[:32]), "mac", "answer")
    return answer[32:]


def read_appended(payload: bytes, blocks: int) -> list[tuple[int, int]]:
    """SPEC 18: (position, hour) of each block appended, or sealed with."""
    rows = [parts(row, 8, 4) for row in _rows(payload, 12)]
    need(len(rows) == blocks, "size", "number of positions")
    need(all(number(position) >= 1 for position, _ in rows), "rules", "position")
    return [(number(position), number(hour)) for position, hour in rows]


def read_page(payload: bytes, position: int, hour: int, most: int) -> dict[str, Any]:
    """SPEC 18: next_position, more (bool), blocks: list of (position, hour, block).

    position, hour, most: as in the request; a page outside of them is refused.
    """
    need(len(payload) >= 9, "size", "page")
    following, more = number(payload[:8]), payload[8]
    need(more <= 1, "rules", "more")
    blocks = []
    for row in _rows(payload[9:], 12 + BLOCK):
        place, stamp, block = parts(row, 8, 4, BLOCK)
        blocks.append((number(place), number(stamp), block))
    need(len(blocks) <= most, "rules", "more blocks than asked for")
    positions = [block[0] for block in blocks]
    need(positions == sorted(set(positions)), "rules", "positions do not rise")
    need(all(place >= max(position, 1) for place in positions), "rules", "position")
    need(all(block[1] >= hour for block in blocks), "rules", "hour")
    need(not positions or following > positions[-1], "rules", "next position")
    return {"next_position": following, "more": more == 1, "blocks": blocks}


def _rows(data: bytes, size: int) -> list[bytes]:
    need(len(data) % size == 0, "size", "rows")
    return [data[at : at + size] for at in range(0, len(data), size)]


def voucher_text(voucher: bytes) -> str:
    """SPEC 18: `bc-` and 26 characters."""
    need(len(voucher) == 16, "size", "voucher")
    return "bc-" + base64.b32encode(voucher).decode().lower().rstrip("=")


def read_voucher(text: str) -> bytes:
    """SPEC 18: the 16 bytes of a voucher as somebody types it."""
    text = text.strip().lower()
    need(len(text) == 29 and text.startswith("bc-"), "size", "voucher")
    need(all(character in BASE32 for character in text[3:]), "encoding", "voucher")
    try:
        voucher = base64.b32decode(text[3:].upper() + "======")
    except binascii.Error as error:
        raise Refused("encoding", "voucher") from error
    need(voucher_text(voucher) == text, "encoding", "voucher")
    return voucher


def voucher_hash(voucher: bytes) -> bytes:
    """SPEC 18: what a relay keeps of a voucher."""
    return label_hash("voucher", voucher)
