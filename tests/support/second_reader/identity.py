"""Owns SPEC 8 and the names of SPEC 17: bundles, their hashes, aliases and parties."""

import unicodedata

from tests.support.second_reader.primitives import check_kem, check_x25519, dh, label_hash, parts
from tests.support.second_reader.refused import need

BUNDLE = 2432
IDENTITY = 1216
ROLES = ("facilitator", "participant", "observer", "note-taker")


# Unicode, DerivedCoreProperties: Default_Ignorable_Code_Point.
IGNORABLE = (
    (0xAD, 0xAD),
    (0x34F, 0x34F),
    (0x61C, 0x61C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)


def check_kept(x25519: bytes, kem: bytes) -> None:
    """SPEC 8: public keys that are kept; an X25519 key of low order is refused at once."""
    check_x25519(x25519)
    dh(bytes(32), x25519)
    check_kem(kem)


def read_identity(identity: bytes) -> dict[str, bytes]:
    """SPEC 8: `identity_x25519` and `identity_kem` of the first 1216 bytes of a bundle."""
    x25519, kem = parts(identity, 32, 1184)
    check_kept(x25519, kem)
    return {"identity_x25519": x25519, "identity_kem": kem}


def read_bundle(bundle: bytes) -> dict[str, bytes]:
    """SPEC 8: the four public keys of a bundle: identity_ and prekey_, x25519 and kem."""
    identity, x25519, kem = parts(bundle, IDENTITY, 32, 1184)
    check_kept(x25519, kem)
    return read_identity(identity) | {"prekey_x25519": x25519, "prekey_kem": kem}


def identity_hash(bundle: bytes) -> bytes:
    """SPEC 8: of a bundle, or of its first 1216 bytes alone."""
    need(len(bundle) in (BUNDLE, IDENTITY), "size", "identity")
    return label_hash("identity", bundle[:IDENTITY])


def prekey_id(bundle: bytes) -> bytes:
    """SPEC 8: 16 bytes."""
    need(len(bundle) == BUNDLE, "size", "bundle")
    return label_hash("prekey", bundle[IDENTITY:])[:16]


def check_distinct(bundles: list[bytes]) -> None:
    """SPEC 8: no two equal identity keys, either half, in one roster."""
    for start, end in ((0, 32), (32, IDENTITY)):
        halves = {bundle[start:end] for bundle in bundles}
        need(len(halves) == len(bundles), "rules", "the same identity key twice")


def check_name(name: str) -> None:
    """SPEC 17: an alias or a party."""
    need(1 <= len(name) <= 32 and len(name.encode()) <= 64, "rules", "length of a name")
    need(unicodedata.is_normalized("NFC", name), "rules", "name not NFC")
    for character in name:
        kind = unicodedata.category(character)
        allowed = kind[0] in "LM" or kind == "Nd" or character in " -'."
        unseen = any(first <= ord(character) <= last for first, last in IGNORABLE)
        need(allowed and not unseen, "rules", "character of a name")
    need(name == " ".join(name.split()), "rules", "spaces of a name")
    need(any(_letter(c) or unicodedata.category(c) == "Nd" for c in name), "rules", "no letter")
    need(len({_script(c) for c in name if _letter(c)}) <= 1, "rules", "scripts of a name")


def _letter(character: str) -> bool:
    return unicodedata.category(character)[0] == "L"


def _script(letter: str) -> str:
    """SPEC 17: the first word of the Unicode name, four of them being one."""
    word = unicodedata.name(letter, "unnamed").split()[0]
    return "CJK" if word in ("CJK", "HIRAGANA", "KATAKANA", "HANGUL") else word


def likeness(alias: str) -> str:
    """SPEC 17: two aliases are alike when these are equal."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", alias).casefold())
