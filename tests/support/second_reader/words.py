"""Owns SPEC 10: invite words, roster words and check words."""

import hashlib
from typing import Any

from mnemonic import Mnemonic

from tests.support.second_reader.primitives import argon2id, label_hash, u8
from tests.support.second_reader.refused import need

LIST = Mnemonic("english").wordlist


def invite_words(entropy: bytes) -> list[str]:
    """SPEC 10: twelve words of 16 bytes: 128 bits and the first 4 of their SHA-256."""
    need(len(entropy) == 16, "size", "entropy")
    checksum = hashlib.sha256(entropy).digest()[0] >> 4
    bits = int.from_bytes(entropy, "big") << 4 | checksum
    return [LIST[bits >> (121 - 11 * at) & 2047] for at in range(12)]


def typed(text: str) -> list[str]:
    """SPEC 11: words as a person types them: in any case and spacing, cut after four letters."""
    return [_complete(word) for word in text.lower().split()]


def _complete(word: str) -> str:
    meant = [known for known in LIST if len(word) >= 4 and known.startswith(word)]
    return meant[0] if word not in LIST and meant else word


def invite_entropy(words: list[str]) -> bytes:
    """SPEC 10: the 16 bytes of twelve words."""
    need(len(words) == 12, "size", "words")
    need(all(word in LIST for word in words), "encoding", "not a word of the list")
    bits = 0
    for word in words:
        bits = bits << 11 | LIST.index(word)
    entropy = (bits >> 4).to_bytes(16, "big")
    need(invite_words(entropy) == words, "encoding", "checksum of the words")
    return entropy


def words_of(data: bytes, count: int) -> list[str]:
    """SPEC 10: the first 11-bit groups of the slow hash."""
    digest = argon2id(label_hash("words", data), label_hash("words salt", data)[:16])
    bits = int.from_bytes(digest, "big")
    return [LIST[bits >> (245 - 11 * at) & 2047] for at in range(count)]


def _named(alias: str) -> bytes:
    return u8(len(alias.encode())) + alias.encode()


def roster_words(channel_id: bytes, entries: list[dict[str, Any]]) -> list[str]:
    """SPEC 10: ten words; entries: dicts with slot, alias, identity_hash, as in a roster."""
    data = b"roster" + channel_id
    for entry in sorted(entries, key=lambda entry: int(entry["slot"])):
        data += u8(entry["slot"]) + _named(entry["alias"]) + entry["identity_hash"]
    return words_of(data, 10)


def check_words(
    channel_id: bytes, facilitator: tuple[int, str, bytes], newcomer: tuple[str, bytes]
) -> list[str]:
    """SPEC 10: six words; facilitator: slot, alias, identity hash; newcomer: alias, hash."""
    slot, facilitator_alias, facilitator_hash = facilitator
    newcomer_alias, newcomer_hash = newcomer
    data = b"check" + channel_id + u8(slot) + _named(facilitator_alias) + facilitator_hash
    return words_of(data + _named(newcomer_alias) + newcomer_hash, 6)
