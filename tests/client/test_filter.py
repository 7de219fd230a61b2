"""Text of others on a terminal (attacks 38 to 40): nothing is obeyed, and it stays readable."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backchannel.client.filter import REPLACEMENT, clean, one_line

ATTACKS = {
    "CSI clears the screen (attack 38)": "\x1b[2J\x1b[H",
    "CSI as one C1 byte (attack 38)": "\x9b2J",
    "OSC sets the title (attack 38)": "\x1b]0;root\x07",
    "OSC 52 writes the clipboard (attack 39)": "\x1b]52;c;cm0gLXJm\x07",
    "OSC 52 ended by ST (attack 39)": "\x1b]52;c;cm0gLXJm\x1b\\",
    "OSC 8 hides a link's target (attack 38)": "\x1b]8;;https://bad\x1b\\good\x1b]8;;\x1b\\",
    "backspaces and a carriage return overwrite (attack 38)": "yes\b\b\bno \rmaybe",
    "override of the direction (attack 40)": "user\u202etxt.exe",
    "isolates (attack 40)": "\u2066a\u2069\u2067b\u2069\u2068c\u2069",
    "embeddings and marks (attack 40)": "\u202aa\u202c\u202bb\u202c\u200e\u200f\u061c",
    "zero-width space, no-break and word joiner": "pass\u200bword\ufeff\u2060",
    "joiners between Latin letters": "ad\u200dmin ad\u200cmin",
    "line and paragraph separators": "a\u2028b\u2029c",
    "tags": "\U000e0041\U000e0042",
    "NUL and DEL": "\x00\x7f",
}


@pytest.mark.parametrize("text", ATTACKS.values(), ids=ATTACKS.keys())
def test_attack_38_39_40_nothing_is_left_for_a_terminal_to_obey(text: str) -> None:
    shown = clean(text)
    assert REPLACEMENT in shown
    assert shown.isprintable()


@given(st.text())
def test_whatever_is_written_only_printable_characters_and_line_feeds_are_left(text: str) -> None:
    shown = clean(text)
    assert all(char == "\n" or char.isprintable() or char in "\u200c\u200d" for char in shown)
    assert not any(
        unicodedata.category(char) in {"Cc", "Co", "Cs"} for char in shown if char != "\n"
    )
    assert clean(shown) == shown


@given(st.text(st.characters(categories=["L", "M", "N", "P", "S"], max_codepoint=0xFFFF)))
def test_ordinary_words_stay_as_they_are(text: str) -> None:
    assert clean(text) == "".join(char if char.isprintable() else REPLACEMENT for char in text)


def test_lines_stay_lines_and_spaces_spaces() -> None:
    assert clean("a\r\nb\n\tc\u00a0d\u3000e\u202ff") == "a\nb\n    c d e f"


@pytest.mark.parametrize("word", ["می\u200cخواهم", "क्\u200dष", "نامه\u200cها"])
def test_persian_and_hindi_keep_the_joiners_they_are_written_with(word: str) -> None:
    assert clean(word) == word


@pytest.mark.parametrize("text", ["\u200cم", "م\u200c", "م\u200c\u200cم", "م\u200d ", "a\u200dم"])
def test_a_joiner_that_joins_nothing_is_shown(text: str) -> None:
    assert REPLACEMENT in clean(text)


def test_a_name_cannot_start_a_line_of_its_own() -> None:
    assert one_line("Ana\n[09:00] Boris: yes\x1b[A") == f"Ana [09:00] Boris: yes{REPLACEMENT}[A"
