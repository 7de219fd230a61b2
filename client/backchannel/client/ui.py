"""The only place of the client that prints or asks. Knows no verb.

Standard output has what was asked for, as sentences or, with `--json`, as a line for each document;
everything else goes to standard error, in the same form. All text is made harmless here (`filter`),
whoever wrote it, and in documents too: what a script takes out of them often ends on a terminal.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO, final

from backchannel.client.aim import aimed
from backchannel.client.errors import Locked, Problem, UsageMistake
from backchannel.client.filter import clean, one_line
from backchannel.protocol.types import Timestamp

SCHEMA_VERSION = 1
WIDTH = 80
_NARROWEST = 40
_BOLD, _PLAIN = "\033[1m", "\033[0m"
_INK = "\033[30;107m"
_LABEL = 14  # columns
_BAR = 40
_HEAD = re.compile(r"(?:note )?(?: *\S+ {2,}){0,2} *(?:- )?")
"""Labels and indentation, below whose end the rest of a long line is put."""
_ADVICE = re.compile(r"(?:^|\W)(?:next|Next|See): ")


def iso(moment: Timestamp) -> str:
    """`2026-01-31T09:00Z`: no finer than people need."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%MZ")


@final
class Ui:
    """One run's output and questions."""

    def __init__(
        self,
        *,
        json_output: bool = False,
        out: TextIO | None = None,
        err: TextIO | None = None,
        channel: str | None = None,
    ) -> None:
        """`channel`: as a person named it; what they are told to type next names it, too."""
        self.json = json_output
        self._channel = channel
        self._out = out or sys.stdout
        self._err = err or sys.stderr

    def show(self, document: Mapping[str, Any], *lines: str) -> None:
        """What was asked for: `document` with `--json`, else `lines`."""
        if self.json:
            print(_document(document), file=self._out, flush=True)
            return
        for line in lines:
            self.say(line)

    def say(self, text: str = "") -> None:
        """A sentence on standard output; not with `--json`."""
        self._print(aimed(text, self._channel) if _ADVICE.search(text) else text)

    def _print(self, text: str) -> None:
        if not self.json:
            print(_flowed(_printable(text, self._out), self._out), file=self._out, flush=True)

    def title(self, text: str) -> None:
        """The same, bold where the terminal can and wants to."""
        if self.json:
            return
        shown = _printable(one_line(text), self._out)
        bold = f"{_BOLD}{shown}{_PLAIN}" if self._styled() else shown
        print(bold, file=self._out, flush=True)

    def quote(self, text: str, indent: str = "    ") -> None:
        """What somebody wrote, wrapped and indented, so that it cannot pose as a line of ours."""
        for line in wrapped(text, indent):
            self._print(line)

    def field(self, label: str, text: str) -> None:
        """A label and what belongs to it, wrapped beside it."""
        first, *more = wrapped(one_line(text), " " * _LABEL)
        self.say(f"{label:<{_LABEL - 1}} {first[_LABEL:]}")
        for line in more:
            self.say(line)

    def picture(self, rows: list[str]) -> None:
        """Rows of block characters, for a camera: dark on light whatever the terminal's colours
        are.
        """
        for row in rows:
            print(f"    {_INK}{row}{_PLAIN}" if self._styled() else f"    {row}", file=self._out)

    @property
    def has_screen(self) -> bool:
        """Whether somebody looks at standard output, and wants sentences."""
        return self._out.isatty() and not self.json

    @property
    def can_ask(self) -> bool:
        """Whether somebody sits at the terminal and can answer."""
        return sys.stdin.isatty() and not self.json

    def note(self, text: str, **more: Any) -> None:
        """Something worth knowing beside the answer: on standard error; `more` for programs, and
        of it `next` for people too.
        """
        if more.get("next"):
            more["next"] = aimed(more["next"], self._channel)
        if self.json:
            print(_document({"note": text, **more}), file=self._err, flush=True)
            return
        text = f"{text}\nnext: {more['next']}" if more.get("next") else text
        print(_flowed(_printable(text, self._err), self._err), file=self._err, flush=True)

    def fail(self, problem: Problem) -> None:
        """An error and its next step: on standard error."""
        step = aimed(problem.next_step, self._channel)
        if self.json:
            error: dict[str, str | int] = {
                "code": problem.code,
                "message": problem.message,
                "next": step,
            }
            if problem.retry_after is not None:
                error["retry_after"] = problem.retry_after
            print(_document({"error": error}), file=self._err, flush=True)
            return
        called = "error: " if problem.status else ""  # what only waits for its turn is none
        self.note(one_line(f"{called}{problem.message}"))
        if step:
            self.note(one_line(f"next: {step}"))

    @contextmanager
    def progress(self, what: str) -> Iterator[Callable[[int, int], None]]:
        """A bar on standard error while something takes long; nothing where nobody looks."""
        shown = self._err.isatty() and not self.json

        def told(done: int, total: int) -> None:
            if shown:
                filled = _BAR * done // max(1, total)
                bar = f"{'#' * filled}{'-' * (_BAR - filled)}"
                percent = 100 * done // max(1, total)
                print(f"\r{what:<11} {bar} {percent:>3} %", end="", file=self._err, flush=True)

        try:
            yield told
        finally:
            if shown:
                print(file=self._err, flush=True)

    @contextmanager
    def countdown(self, text: str, seconds: int) -> Iterator[Callable[[int], None]]:
        """A wait of `seconds`: what is waited for, and where somebody looks how long still."""
        shown = self._err.isatty() and not self.json
        self.note(text, retry_after=seconds)

        def told(left: int) -> None:
            if shown:
                print(f"\r{left:>4} s ", end="", file=self._err, flush=True)

        try:
            yield told
        finally:
            if shown:
                print("\r", " " * 8, end="\r", file=self._err, flush=True)

    def pasted(self, what: str, most: int) -> str:
        """Standard input to its end, at most so many characters; who sits there is told so."""
        if self.can_ask:
            self.note(f"Type or paste {what}, then press Enter and Ctrl-D.")
        return sys.stdin.read(most)

    def ask_secret(self, question: str) -> str:
        """Something typed unseen at the terminal; `Locked` where there is none."""
        if not _has_terminal():
            msg = "The vault's passphrase is needed, and there is no terminal to ask for it."
            raise Locked(msg, "backchannel unlock, or give --passphrase-file FILE")
        import getpass

        return getpass.getpass(question + " ", stream=self._err)

    def ask(self, question: str, otherwise: str | None = None) -> str:
        """One line, from the terminal or from what is piped in; `UsageMistake` at its end, which
        says what to do `otherwise`.
        """
        if sys.stdin.isatty():
            print(_printable(question, self._err), end=" ", file=self._err, flush=True)
        try:
            line = sys.stdin.readline()
        except UnicodeDecodeError:
            msg = f"What was given is not text in UTF-8, for: {question}"
            raise UsageMistake(msg) from None
        if not line:
            msg = f"Nothing was given for: {question}"
            raise UsageMistake(msg, otherwise)
        return line.strip()

    def confirm(self, question: str) -> bool:
        """Yes or no; anything but a clear yes is no."""
        asked = f"{question} [y/N]"
        return self.ask(asked, "the same with --yes, if you mean it").lower() in {"y", "yes"}

    def _styled(self) -> bool:
        return self._out.isatty() and not os.environ.get("NO_COLOR")


def width() -> int:
    """Columns to write in: 80, or as many as a narrower terminal has."""
    import shutil

    return min(WIDTH, max(_NARROWEST, shutil.get_terminal_size((WIDTH, 24)).columns))


def wrapped(text: str, indent: str = "") -> list[str]:
    """`text` made harmless, in lines that fit, each indented."""
    import textwrap

    lines = []
    for line in clean(text).split("\n"):
        lines += textwrap.wrap(line, width(), initial_indent=indent, subsequent_indent=indent) or [
            ""
        ]
    return lines


def _printable(text: str, stream: TextIO) -> str:
    """Harmless, and writable in the encoding of `stream`."""
    encoding = stream.encoding or "utf-8"
    return clean(text).encode(encoding, "replace").decode(encoding)


def _flowed(text: str, stream: TextIO) -> str:
    """On a screen, lines that are too long for it broken between words, not within one."""
    import shutil
    import textwrap

    if not stream.isatty():
        return text
    columns, lines = shutil.get_terminal_size((WIDTH, 24)).columns, []
    for line in text.split("\n"):
        head = _HEAD.match(line)
        indent = " " * (head.end() if head and head.end() < columns // 2 else 0)
        broken = len(line) > columns and textwrap.wrap(
            line, columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
        lines += broken or [line]
    return "\n".join(lines)


def _document(document: Mapping[str, Any]) -> str:
    return json.dumps(_harmless({"schema_version": SCHEMA_VERSION, **document}))


def _harmless(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {_harmless(key): _harmless(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_harmless(held) for held in value]
    return value


def _has_terminal() -> bool:
    if sys.stdin.isatty():
        return True
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
