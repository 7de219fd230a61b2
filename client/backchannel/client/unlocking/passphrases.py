"""Asking for a passphrase: the file that a script names, else a question that shows nothing.

Knows no vault, and keeps none of them.
"""

import unicodedata
from pathlib import Path
from typing import final

from backchannel.client.errors import Locked, UnsafeFile, WrongPassphrase
from backchannel.client.machine.profile import refuse_unless_private
from backchannel.client.settings import Settings
from backchannel.client.ui import Ui

_SHORTEST = 8  # characters; Argon2id makes each guess cost most of a second
_TRIES = 3
_SLIP = 3  # letters


def _long_enough(passphrase: str) -> str:
    if len(passphrase) < _SHORTEST:
        msg = f"A passphrase has at least {_SHORTEST} characters."
        raise Locked(msg, "take four or five words that nobody can guess")
    return passphrase


def near(one: str, other: str) -> bool:
    """Whether a slip could make one of the other: a few letters, capitals, spaces, words in another
    order, or a beginning or an end that was not typed. What is typed before the question stands
    there is lost.
    """
    pairs = ((each(one), each(other)) for each in (_bare, _as_typed, _in_order))
    return any(_near(*pair) for pair in pairs)


def _near(first: str, second: str) -> bool:
    if first in second or second in first:
        return True
    return _distance(first, second) <= _SLIP


def _bare(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def _in_order(text: str) -> str:
    return " ".join(sorted(unicodedata.normalize("NFKC", text).casefold().split()))


def _as_typed(text: str) -> str:
    """A letter that stands for several others, as the sharp s does, is one slip."""
    return "".join(unicodedata.normalize("NFC", text).split())


def _distance(one: str, other: str) -> int:
    """Letters to add, drop or change, two that are swapped counting as two."""
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, 1):
        before, row = row, [number]
        for at, against in enumerate(other, 1):
            row.append(min(before[at] + 1, row[-1] + 1, before[at - 1] + (letter != against)))
    return row[-1]


@final
class Passphrases:
    """How one run asks."""

    def __init__(self, settings: Settings, ui: Ui) -> None:
        self._settings = settings
        self._ui = ui

    def known(self, question: str = "Passphrase of the vault:") -> str:
        """One that was chosen before."""
        return self._of_file() or self._typed(question)

    def new(
        self, question: str = "Choose a passphrase for a new vault:", path: Path | None = None
    ) -> str:
        """One that is chosen now, typed twice, tried again where somebody sits there; or from the
        file at `path`, or from the usual one.
        """
        given = self._read(path) if path else self._of_file()
        if given is not None:
            return _long_enough(given)
        for _ in range(_TRIES - 1):
            try:
                return self._chosen(question)
            except Locked as error:  # nobody should have to begin anew, with twelve words, for this
                if not self._ui.can_ask:
                    raise
                self._ui.note(f"{error.message} Once more.")
        return self._chosen(question)

    def _chosen(self, question: str) -> str:
        passphrase = _long_enough(self._typed(question))
        if self._typed("The same once more:") != passphrase:
            msg = "The two did not match."
            raise WrongPassphrase(msg)
        return passphrase

    def _typed(self, question: str) -> str:
        try:
            passphrase = self._ui.ask_secret(question)
            passphrase.encode()
        except UnicodeError:  # its text would quote the passphrase
            msg = "What was typed is not text in UTF-8."
            raise Locked(msg, "set the terminal to UTF-8, then try again") from None
        return passphrase

    def _warn_if_open(self, path: Path) -> None:
        """Only a warning: it may be a pipe, or a secret that an orchestrator mounted."""
        try:
            refuse_unless_private(path)
        except UnsafeFile as error:
            self._ui.note(f"{error.message} It holds the passphrase.")

    def _of_file(self) -> str | None:
        path = self._settings.passphrase_file
        return None if path is None else self._read(path)

    def _read(self, path: Path) -> str:
        self._warn_if_open(path)
        try:
            text = path.read_text("utf-8").removesuffix("\n").removesuffix("\r")
        except (OSError, UnicodeDecodeError):
            msg = f"The passphrase file {path} cannot be read."
            raise Locked(msg, "give --passphrase-file FILE") from None
        if not text:
            msg = f"The passphrase file {path} is empty."
            raise Locked(msg, "write the passphrase into it, in one line")
        return text
