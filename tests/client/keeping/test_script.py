"""A conversation written down to be forged: what a script says, and at which line it is wrong."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backchannel.client.errors import UsageMistake
from backchannel.client.keeping import script
from backchannel.client.keeping.script import Line
from backchannel.protocol.types import Hour

NOW = Hour(494_992)  # 2026-06-20, 16:00 UTC


def known(name: str) -> bool:
    return name in {"Fox", "Heron", "Old Wren"}


def lines(text: str, otherwise: str | None = None) -> list[Line]:
    return script.parse(text, known, otherwise, NOW)


def refused(text: str, number: int, match: str, otherwise: str | None = None) -> None:
    with pytest.raises(UsageMistake) as told:
        lines(text, otherwise)
    assert told.value.message.startswith(f"Line {number} of the script: ")
    assert match in told.value.message
    assert "Nothing was written" in told.value.message
    assert told.value.next_step


def test_each_line_is_somebodys() -> None:
    assert lines("Fox: One.\nOld Wren:Two: three.\n") == [
        Line(1, "Fox", "One.", NOW),
        Line(2, "Old Wren", "Two: three.", NOW),
    ]


def test_empty_lines_and_comments_say_nothing_and_count() -> None:
    assert lines("# what never happened\n\nFox: One.\n   \nHeron: Two.") == [
        Line(3, "Fox", "One.", NOW),
        Line(5, "Heron", "Two.", NOW),
    ]


def test_a_line_that_begins_with_a_space_goes_on() -> None:
    assert lines("Fox: One.\n  Two.\n\tThree.") == [Line(1, "Fox", "One.\nTwo.\nThree.", NOW)]


def test_an_hour_holds_until_the_next() -> None:
    text = "[2026-06-20 08] Fox: a\nHeron: b\n[2026-06-20 09:00] Fox: c\n[2026-06-20 10 UTC] Fox: d"
    assert [each.hour for each in lines(text)] == [
        Hour(NOW - 8),
        Hour(NOW - 8),
        Hour(NOW - 7),
        Hour(NOW - 6),
    ]


def test_lines_of_nobody_are_whose_the_option_says() -> None:
    assert lines("I say: no.\nFox: Why?\nBecause.", "Heron") == [
        Line(1, "Heron", "I say: no.", NOW),
        Line(2, "Fox", "Why?", NOW),
        Line(3, "Heron", "Because.", NOW),
    ]


@pytest.mark.parametrize(
    ("text", "number", "match"),
    [
        ("Fox: One.\nNobody: Two.", 2, "does not begin with the name of a member"),
        ("Fox One.", 1, "does not begin with the name of a member"),
        ("[2026-11-22 08:30] Fox: One.", 1, "in brackets is no whole hour"),
        ("\n  Goes on.", 2, "nothing before it to go on"),
        ("Fox:   ", 1, "it says nothing"),
        ("[2026-06-20 17] Fox: One.", 1, "its hour has not come"),
        ("[2026-06-20 09] Fox: a\n[2026-06-20 08] Fox: b", 2, "before that of the line above"),
        ("Fox: now\n[2026-06-20 08] Fox: then", 2, "before that of the line above"),
        ("[2026-02-30 08] Fox: One.", 1, "no hour of any day"),
        ("[2026-06-20 24] Fox: One.", 1, "no hour of any day"),
    ],
)
def test_a_wrong_line_is_named(text: str, number: int, match: str) -> None:
    refused(text, number, match)


@given(st.text())
def test_a_script_is_read_or_refused_by_the_line(text: str) -> None:
    try:
        found = lines(text)
    except UsageMistake as told:
        assert "of the script: " in str(told)  # noqa: PT017 - or it is read
    else:
        assert all(known(each.alias) and each.text and each.hour <= NOW for each in found)


def test_a_file_that_is_no_script_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "script"
    for data, match in (
        (b"", "says nothing"),
        (b"# only a comment", "says nothing"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"#" * (script.MOST + 1), "longer than a script may be"),
    ):
        path.write_bytes(data)
        with pytest.raises(UsageMistake, match=match):
            script.read(path, known, None, NOW)
    with pytest.raises(UsageMistake, match="cannot be read"):
        script.read(tmp_path / "nowhere", known, None, NOW)
    path.write_bytes(b"Fox: One.")
    assert script.read(path, known, None, NOW) == [Line(1, "Fox", "One.", NOW)]
