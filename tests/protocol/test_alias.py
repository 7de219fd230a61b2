"""Names that people choose, and when two look alike: SPEC.md section 17."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backchannel.protocol.alias import alike, check_alias
from backchannel.protocol.errors import DecodeError

IGNORABLE = [
    *(0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFEFF, 0xFFA0),
    *(*range(0x180B, 0x1810), *range(0x200B, 0x2010), *range(0x202A, 0x202F)),
    *(*range(0x2060, 0x2070), *range(0xFE00, 0xFE10), *range(0xFFF0, 0xFFF9)),
    *(*range(0x1BCA0, 0x1BCA4), *range(0x1D173, 0x1D17B), *range(0xE0000, 0xE1000)),
]
"""Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties.txt."""
GOOD = [
    "a",
    "7",
    "Anna",
    "O'Hara-Smith Jr.",
    "Zoë",
    "Ольга",
    "Ἑλένη",
    "山田太郎",
    "さくらサクラ桜",
    "김민수",
    "محمد",
    "नीना",
    "room 101",
    "a" * 32,
    "é" * 32,
]
BAD = {
    "empty": "",
    "a character too long": "a" * 33,
    "bytes too long": "桜" * 22,
    "space before": " anna",
    "space after": "anna ",
    "doubled space": "anna  b",
    "other space": "anna\u00a0b",
    "line end": "anna\n",
    "escape": "anna\x1b[2J",
    "right to left": "anna\u202eb",
    "zero width": "an\u200bna",
    "decomposed": unicodedata.normalize("NFD", "Zoë"),
    "a sign": "anna@home",
    "nothing to call": ".-'",
    "spaces alone": " ",
    "a superscript": "anna²",
    "half of a pair": "anna\ud800",
}


@pytest.mark.parametrize("name", GOOD)
def test_names_people_have(name: str) -> None:
    assert check_alias(name) == name


@pytest.mark.parametrize("why", BAD)
def test_names_that_trouble_a_reader_or_a_screen(why: str) -> None:
    with pytest.raises(DecodeError):
        check_alias(BAD[why])


@pytest.mark.parametrize("mixed", ["аnna", "annα", "раypal", "annａ", "аℓ"])
def test_attack_41_letters_of_two_scripts(mixed: str) -> None:
    with pytest.raises(DecodeError, match="script"):
        check_alias(mixed)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("anna", "ANNA"),
        ("Straße", "STRASSE"),
        ("ﬁnn", "finn"),
        ("ａｎｎａ", "anna"),
        ("room 𝟏", "room 1"),
        ("Zoë", "ZOË"),
        ("ς", "Σ"),
    ],
)
def test_attack_41_homoglyph_aliases_are_alike(one: str, other: str) -> None:
    assert alike(one, other)
    assert alike(other, one)


def test_different_names_are_not_alike() -> None:
    assert not alike("anna", "anne")
    assert not alike("anna", "ann a")


def test_attack_41_nothing_in_a_name_is_invisible() -> None:
    """Else two names would differ, and nobody could see it."""
    for code in IGNORABLE:
        with pytest.raises(DecodeError):
            check_alias("anna" + chr(code))


def _passes(name: str) -> bool:
    try:
        check_alias(name)
    except DecodeError:
        return False
    return True


@pytest.mark.slow
def test_attack_38_40_no_control_and_no_direction_mark_passes() -> None:
    every = map(chr, range(sys.maxunicode + 1))
    never = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    bad = [each for each in every if unicodedata.category(each) in never]
    assert not [each for each in bad if _passes("a" + each)]


@given(st.text(max_size=40))
def test_what_passes_is_printable_and_stays(text: str) -> None:
    try:
        name = check_alias(text)
    except DecodeError:
        return
    assert name == text == unicodedata.normalize("NFC", text)
    assert name.isprintable()
    assert len(name.encode()) <= 64
    assert alike(name, name)
