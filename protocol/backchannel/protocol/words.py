"""Words that people say to each other: SPEC.md section 10.

Twelve carry a secret; six and ten compare identities. Knows no roster and no invite.
"""

import unicodedata
from functools import cache

from mnemonic import Mnemonic

from backchannel.protocol import limits
from backchannel.protocol.errors import DecodeError
from backchannel.protocol.labels import Label
from backchannel.protocol.primitives import argon2id, hash_

INVITE = 12
ROSTER = 10
CHECK = 6
_BITS = 11
_MASK = 2**_BITS - 1
_PREFIX = 4  # letters after which every word of the list is known


@cache
def _list() -> Mnemonic:
    return Mnemonic("english")


def invite_words(entropy: bytes) -> tuple[str, ...]:
    """Twelve words for 16 bytes."""
    return tuple(_list().to_mnemonic(entropy).split(" "))


def invite_entropy(text: str) -> bytes:
    """16 bytes for twelve words, in any case and spacing, each whole or cut after four letters.

    `DecodeError` for another number of words, a word that is not on the list, or a wrong checksum.
    """
    words = unicodedata.normalize("NFKD", text.lower()).replace(",", " ").split()
    if len(words) != INVITE:
        msg = f"an invite has {INVITE} words, not {len(words)}"
        raise DecodeError(msg)
    whole = " ".join(_complete(word, place) for place, word in enumerate(words, 1))
    try:
        return bytes(_list().to_entropy(whole))
    except ValueError:
        msg = "one of the words is mistyped, or stands in another's place"
        raise DecodeError(msg) from None


def _complete(word: str, place: int) -> str:
    for known in _list().wordlist:
        if known == word or (len(word) >= _PREFIX and known.startswith(word)):
            return str(known)
    msg = f"word {place} is not on the list"
    raise DecodeError(msg)


def spoken(data: bytes, count: int) -> tuple[str, ...]:
    """`words(data, n)`: slow on purpose (256 MiB, about a second)."""
    digest = argon2id(hash_(Label.WORDS, data), hash_(Label.WORDS_SALT, data)[: limits.SALT])
    bits, total = int.from_bytes(digest), 8 * len(digest)
    groups = [bits >> (total - _BITS * place) & _MASK for place in range(1, count + 1)]
    return tuple(_list().wordlist[group] for group in groups)
