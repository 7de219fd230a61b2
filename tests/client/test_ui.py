"""What is printed and asked: harmless on a terminal, one document for a script."""

import io
import json
import os
import pty
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backchannel.client.errors import Locked, Problem, UsageMistake
from backchannel.client.exits import Exit
from backchannel.client.ui import Ui, iso, wrapped
from backchannel.protocol.types import Timestamp

OSC_52 = "\x1b]52;c;cm0gLXJm\x07"


class Screen:
    """A `Ui` whose output is kept."""

    def __init__(self, *, json_output: bool = False, encoding: str = "utf-8") -> None:
        self._raw = (io.BytesIO(), io.BytesIO())
        streams = [io.TextIOWrapper(raw, encoding, write_through=True) for raw in self._raw]
        self.ui = Ui(json_output=json_output, out=streams[0], err=streams[1])

    @property
    def out(self) -> str:
        return self._raw[0].getvalue().decode()

    @property
    def err(self) -> str:
        return self._raw[1].getvalue().decode()


def test_people_read_sentences_and_scripts_documents() -> None:
    for_people, for_scripts = Screen(), Screen(json_output=True)
    for screen in (for_people, for_scripts):
        screen.ui.show({"state": "locked"}, "Locked.")
        screen.ui.say("more")
        screen.ui.title("Title")
        screen.ui.note("beside")
    assert (for_people.out, for_people.err) == ("Locked.\nmore\nTitle\n", "beside\n")
    assert json.loads(for_scripts.out) == {"schema_version": 1, "state": "locked"}
    assert json.loads(for_scripts.err) == {"schema_version": 1, "note": "beside"}


def test_an_error_says_what_to_do_next() -> None:
    problem = Problem("gone", "It has expired.", "backchannel sync", Exit.GONE)
    for_people, for_scripts = Screen(), Screen(json_output=True)
    for_people.ui.fail(problem)
    for_scripts.ui.fail(problem)
    assert for_people.err == "error: It has expired.\nnext: backchannel sync\n"
    assert for_people.out == for_scripts.out == ""
    assert json.loads(for_scripts.err) == {
        "schema_version": 1,
        "error": {"code": "gone", "message": "It has expired.", "next": "backchannel sync"},
    }


PRINTERS: dict[str, Callable[[Ui, str], None]] = {
    "say": lambda ui, text: ui.say(text),
    "title": lambda ui, text: ui.title(text),
    "quote": lambda ui, text: ui.quote(text),
    "note": lambda ui, text: ui.note(text),
    "show": lambda ui, text: ui.show({"text": text, "nested": [{text: text}]}, text),
    "fail": lambda ui, text: ui.fail(Problem("c", text, text, Exit.DONE)),
}


@pytest.mark.parametrize("printer", PRINTERS)
@pytest.mark.parametrize("as_json", [False, True])
@given(text=st.text() | st.just(OSC_52) | st.just("\u202e\x9b2J"))
def test_attack_38_39_40_no_way_to_print_lets_anything_through(
    printer: str, as_json: bool, text: str
) -> None:
    screen = Screen(json_output=as_json)
    PRINTERS[printer](screen.ui, text)
    shown = screen.out + screen.err
    assert all(char == "\n" or char.isprintable() or char in "\u200c\u200d" for char in shown)


def test_attack_39_what_a_script_takes_out_of_a_document_is_harmless_too() -> None:
    screen = Screen(json_output=True)
    screen.ui.show({"text": OSC_52, "list": [OSC_52], "number": 1, "none": None, "true": True})
    found = json.loads(screen.out)
    assert "\x1b" not in found["text"] + found["list"][0]
    assert (found["number"], found["none"], found["true"]) == (1, None, True)


def test_what_somebody_wrote_cannot_pose_as_a_line_of_ours() -> None:
    screen = Screen()
    screen.ui.quote("hello\nerror: the vault is broken\n\n[09:00] Ana: yes")
    assert all(line.startswith("    ") or not line for line in screen.out.split("\n"))


def test_long_words_are_wrapped_to_80_columns() -> None:
    lines = wrapped("word " * 100 + "x" * 300, "  ")
    assert max(map(len, lines)) <= 80
    assert "".join(lines).count("word") == 100


def test_a_terminal_that_knows_only_ascii_is_not_a_reason_to_fail() -> None:
    screen = Screen(encoding="ascii")
    screen.ui.say("Genève — да")
    assert screen.out == "Gen?ve ? ??\n"


def test_bold_only_on_a_terminal_that_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert on_terminal(lambda ui: ui.title("North")) == "\033[1mNorth\033[0m\r\n"
    monkeypatch.setenv("NO_COLOR", "1")
    assert on_terminal(lambda ui: ui.title("North")) == "North\r\n"


@pytest.mark.parametrize(
    ("line", "second"),
    [
        ("note proxy     none: " + "word " * 20, " " * 15 + "word"),
        ("2026-11-22T21:00Z  Heron " + "word " * 20, " " * 19 + "word"),
        ("  - what " + "word " * 20, "    word"),
        ("error: what " + "word " * 20, "word"),
    ],
)
def test_what_a_screen_has_no_room_for_goes_on_below_the_text(line: str, second: str) -> None:
    shown = on_terminal(lambda ui: ui.say(line)).split("\r\n")
    assert shown[1].startswith(second)


def on_terminal(action: Callable[[Ui], None]) -> str:
    """What a terminal is sent."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as terminal:
        action(Ui(out=terminal, err=terminal))
        shown = os.read(ours, 1000).decode()
    os.close(ours)
    return shown


def test_answers_come_from_what_is_piped_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(" twelve words \nyes\nY\nno\n\n"))
    screen = Screen()
    assert screen.ui.ask("Words:") == "twelve words"
    assert [screen.ui.confirm("Sure?") for _ in range(4)] == [True, True, False, False]
    with pytest.raises(UsageMistake, match="Nothing was given for: Name:"):
        screen.ui.ask("Name:")
    with pytest.raises(UsageMistake) as nobody_answers:
        screen.ui.confirm("Sure?")
    assert "--yes" in nobody_answers.value.next_step
    assert screen.out == screen.err == ""


def test_without_a_terminal_no_passphrase_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("secret\n"))
    real = os.open

    def no_terminal(path: str, flags: int) -> int:
        if path == "/dev/tty":
            raise OSError(6, "no such device")
        return real(path, flags)

    monkeypatch.setattr(os, "open", no_terminal)
    with pytest.raises(Locked) as caught:
        Screen().ui.ask_secret("Passphrase:")
    assert "--passphrase-file" in caught.value.next_step


def test_times_are_no_finer_than_people_need() -> None:
    assert iso(Timestamp(1_800_000_059)) == "2027-01-15T08:00Z"
