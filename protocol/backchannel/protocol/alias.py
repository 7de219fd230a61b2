"""Names that people choose, and when two look alike: SPEC.md section 17.

An alias belongs to one channel. Knows no roster.
"""

import unicodedata

from backchannel.protocol import limits
from backchannel.protocol.errors import DecodeError

_PUNCTUATION = frozenset(" -'.")
_EAST_ASIAN = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HANGUL"})  # written together
_INVISIBLE = (
    (0x034F, 0x034F),  # combining grapheme joiner
    (0x115F, 0x1160),  # Hangul fillers
    (0x17B4, 0x17B5),  # Khmer inherent vowels
    (0x180B, 0x180F),  # Mongolian variation selectors
    (0x3164, 0x3164),  # Hangul filler
    (0xFE00, 0xFE0F),  # variation selectors
    (0xFFA0, 0xFFA0),  # halfwidth Hangul filler
    (0xE0100, 0xE01EF),  # variation selectors supplement
)
"""Letters and marks of Unicode's Default_Ignorable_Code_Point: two names would differ unseen."""


def check_alias(text: str) -> str:
    """The alias itself; `DecodeError` for one that misleads a reader or troubles a screen."""
    size = len(text.encode("utf-8", "replace"))
    if not 1 <= len(text) <= limits.ALIAS or size > limits.ALIAS_BYTES:
        msg = f"a name has 1 to {limits.ALIAS} characters"
        raise DecodeError(msg)
    if unicodedata.normalize("NFC", text) != text or text != " ".join(text.split()):
        msg = "a name has no space at its ends or doubled, and composed accents"
        raise DecodeError(msg)
    if not all(_allowed(character) for character in text) or not any(map(str.isalnum, text)):
        msg = "a name has letters, digits, spaces, hyphens, apostrophes and full stops"
        raise DecodeError(msg)
    if len({_script(character) for character in text if character.isalpha()}) > 1:
        msg = "the letters of a name are of one script"
        raise DecodeError(msg)
    return text


def alike(one: str, other: str) -> bool:
    """Whether two aliases would be taken for each other."""
    return _folded(one) == _folded(other)


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _allowed(character: str) -> bool:
    category = unicodedata.category(character)
    visible = not any(first <= ord(character) <= last for first, last in _INVISIBLE)
    return character in _PUNCTUATION or (visible and (category[0] in "LM" or category == "Nd"))


def _script(letter: str) -> str:
    first = unicodedata.name(letter, "?").split(" ")[0]
    return "CJK" if first in _EAST_ASIAN else first
