"""Tells the play as it happens, and keeps all of it for a document. Decides nothing."""

from typing import Any, final

from backchannel.client.demo.person import Run
from backchannel.client.ui import Ui, wrapped

_BAR = "  | "


@final
class Narrator:
    """Scenes, one after another."""

    def __init__(self, ui: Ui) -> None:
        self._ui = ui
        self.scenes: list[dict[str, Any]] = []

    def scene(self, title: str, text: str) -> None:
        """A new scene."""
        self.scenes.append({"title": title, "text": text, "runs": []})
        self._ui.say()
        self._ui.title(f"{len(self.scenes)}. {title}")
        for line in wrapped(text, "   "):
            self._ui.say(line)

    def run(self, done: Run, *, lines: int | None = None, hidden: bool = False) -> Run:
        """A command and what it printed, or the last `lines` of it."""
        self.scenes[-1]["runs"].append(done._asdict())
        output = done.output.splitlines()
        shown = output if lines is None else output[-lines:]
        self._ui.say()
        for number, line in enumerate(wrapped(f"{done.who} $ {done.command}", "      ")):
            self._ui.say(line if number else f"  {line.lstrip()}")
        for line in [] if hidden else shown:
            self._ui.say(f"{_BAR}{line}".rstrip())
        return done

    def tell(self, text: str) -> None:
        """A remark."""
        self.scenes[-1].setdefault("remarks", []).append(text)
        self._ui.say()
        for line in wrapped(text, "   "):
            self._ui.say(line)

    def show(self, *lines: str) -> None:
        """Something to look at, line by line."""
        self.scenes[-1].setdefault("shown", []).extend(lines)
        for line in lines:
            self._ui.say(f"     {line}")
