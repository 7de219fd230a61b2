"""`incident`: report what happened, acknowledge it, go on with it, have done with it."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from backchannel.client.app import App
from backchannel.client.commands.incident_shown import list_, show
from backchannel.client.errors import Refused, UsageMistake
from backchannel.client.options import Duration, channel_option, verb, verbs
from backchannel.client.telling import phrases

if TYPE_CHECKING:
    from backchannel.client.commands.desk import Desk
    from backchannel.client.hotline.board import Board
    from backchannel.client.hotline.incidents import Ticket
    from backchannel.protocol.hotline import Incident

_SEVERITY = ("low", "medium", "high")  # as the protocol has them; loading it takes too long
_SPAN = Duration("1m", "3d")
_MINUTE = 60
_ID = re.compile(r"[0-9a-fA-F]{4,32}(-[0-9]{1,2})?")
_Command = Callable[..., Any]


@verbs("incident")
def incident(_app: App) -> None:
    """Report an incident to the other side, and see it through to its end.

    An incident is closed when both sides have closed it. It expires like what is said: it lives on
    while people update it.

    \b
    Examples:
      backchannel incident open 'Shots at the bridge.' --sev high --place P7
      backchannel incident ack
      backchannel incident list --check
    """


def _asked(required: bool) -> Callable[[_Command], _Command]:
    """Options that say what is asked; what is not given stays as it was."""

    def add(function: _Command) -> _Command:
        for name, kind, usual, text in reversed(_ASKED):
            shown = f"{text}  [default: {usual}]" if required else text
            meta = "|".join(_SEVERITY) if name == "--sev" else "TIME" if kind is _SPAN else "CODE"
            function = click.option(name, type=kind, metavar=meta, help=shown)(function)
        hold = "--hold-fire/--no-hold-fire"
        return click.option(hold, default=None, help="Ask that fire is held meanwhile.")(function)

    return add


_ASKED: tuple[tuple[str, Any, str, str], ...] = (
    ("--sev", click.Choice(_SEVERITY), "medium", "How grave it is."),
    ("--ack", _SPAN, "30m", "Within which the other side is to acknowledge it."),
    ("--respond", _SPAN, "6h", "Within which it is to answer."),
    ("--place", str, "none", "A code for the place, as it was agreed."),
)


@verb("open")
@click.argument("text", required=False)
@_asked(required=True)
@click.option(
    "--ago", type=Duration("0h", "3d", hours=True), default="0h", metavar="TIME",
    help="How long ago it happened, in hours.",
)  # fmt: skip
@channel_option
def open_(app: App, *, text: str | None, ago: int, channel: str | None, **asked: Any) -> None:
    """Report what happened, in one line; asks for it if it is not given.

    Whoever is on duty on the other side is called at once, and while nobody acknowledges it, one
    more of the ladder each time that the time for it passes.

    \b
    Examples:
      backchannel incident open 'Shots at the bridge.'
      backchannel incident open 'Shots.' --sev high --ack 10m --hold-fire
    """
    from backchannel.client.commands.desk import desk
    from backchannel.protocol import limits
    from backchannel.protocol.hotline import Incident
    from backchannel.protocol.types import hour_of

    text = _line(text or app.ui.ask("What happened, in one line?", "incident open TEXT"))
    when = hour_of(app.now()) - ago
    usual = Incident((), 0, 0, 1, "", when, 30, 360, 0, text)
    with desk(app, channel) as (line, _):
        before = line.board()
        mine = [e for e in before.live if e.cases[0].opener == before.state.me]
        if len(mine) >= limits.INCIDENTS_OF_ONE:
            msg = f"You have opened {len(mine)} that are not closed: the others would not see more."
            raise Refused(f"{msg} Nothing was done.", "backchannel incident close ID")
        seen, ticket = _ring(line, _as_asked(usual, asked))
    called = _called(seen, ticket)
    _tell(app, line, seen, ticket, f"Opened as {seen.id(ticket)}. {called}")


def _as_asked(usual: "Incident", asked: dict[str, Any]) -> "Incident":
    from msgspec.structs import replace

    from backchannel.protocol.hotline import SEVERITY

    given = {key: value for key, value in asked.items() if value is not None}
    found: dict[str, Any] = {}
    if "sev" in given:
        found["severity"] = SEVERITY.index(given["sev"])
    if "place" in given:
        found["place"] = given["place"].strip()
    if "hold_fire" in given:
        found["hold"] = int(given["hold_fire"])
    for key in ("ack", "respond"):
        if key in given:
            found[key] = -(-given[key] // _MINUTE)
    return replace(usual, **found)


def _line(text: str) -> str:
    """One line of some words."""
    from backchannel.client.filter import one_line

    text = " ".join(text.split())
    if not text or one_line(text) != text:
        msg = "What happened is said in one line of text. Nothing was sent."
        raise UsageMistake(msg, "backchannel incident open TEXT")
    return text


def _ring(line: "Desk", signal: Any) -> "tuple[Board, Ticket]":
    """Say it; the board after, and the incident that it is about."""
    from backchannel.protocol.command import Ring
    from backchannel.protocol.hotline import Attend, Named

    rang = line.ring(Ring(signal))
    named = (signal.of,) if isinstance(signal, Attend) else signal.of
    name = named[0] if named else Named(rang.author, rang.id)
    seen = line.board()
    return seen, next(e for e in seen.tickets if any(case.name == name for case in e.cases))


def _called(seen: "Board", ticket: "Ticket") -> str:
    from backchannel.client.telling.people import alias

    names = [alias(seen.state, slot) for slot in seen.due(ticket).called]
    return f"Called: {phrases.listed(names)}." if names else "Nobody of another side is here."


def _tell(app: App, line: "Desk", seen: "Board", ticket: "Ticket", said: str) -> None:
    from backchannel.client.hotline import urgent

    app.ui.show(urgent.of_ticket(seen, ticket) | {"sent": line.sent}, said)
    line.owe()


@verb("ack")
@click.argument("words", metavar="[ID] [TEXT]", nargs=-1)
@channel_option
def ack(app: App, *, words: tuple[str, ...], channel: str | None) -> None:
    """Say that you know of an incident of another side, and see to it.

    Without an id, the only one that is not closed. It calls nobody further.

    \b
    Examples:
      backchannel incident ack
      backchannel incident ack 3f2a 'We are asking our people.'
    """
    seen, ticket, line = _attend(app, channel, words, "ack")
    if ticket.reached < 1:
        said = "Noted. It is for the other side to acknowledge: this does not count as that."
    else:
        name = seen.id(ticket)
        said = f"{name} is acknowledged. next: backchannel incident update {name} TEXT"
    _tell(app, line, seen, ticket, said)


@verb("close")
@click.argument("words", metavar="[ID] [TEXT]", nargs=-1)
@channel_option
def close(app: App, *, words: tuple[str, ...], channel: str | None) -> None:
    """Have done with an incident, for your side. It is closed when the other side has, too.

    Who updates it later takes that back for its own side.

    \b
    Examples:
      backchannel incident close
      backchannel incident close 3f2a 'Both sides have gone home.'
    """
    seen, ticket, line = _attend(app, channel, words, "close")
    said = "is closed" if ticket.closed else "is closed for your side; the other side has not yet"
    _tell(app, line, seen, ticket, f"{seen.id(ticket)} {said}.")


def _split(words: tuple[str, ...]) -> tuple[str | None, str]:
    """An id and a text, each of which may be left out."""
    ident = words[0] if words and _ID.fullmatch(words[0]) else None
    texts = words[1:] if ident else words
    if len(texts) > 1:
        msg = "The text came in several pieces; put it between quotes. Nothing was sent."
        raise UsageMistake(msg, "backchannel incident list")
    return ident, _line(texts[0]) if texts else ""


def _attend(
    app: App, channel: str | None, words: tuple[str, ...], act: Any
) -> "tuple[Board, Ticket, Desk]":
    from backchannel.client.commands.desk import desk
    from backchannel.protocol.hotline import Attend

    ident, text = _split(words)
    with desk(app, channel) as (line, _):
        before = line.board()
        name = before.pick(ident).name
        seen, ticket = _ring(line, Attend(name, act, (), text))
    return seen, ticket, line


@verb("merge")
@click.argument("one")
@click.argument("other")
@channel_option
def merge(app: App, *, one: str, other: str, channel: str | None) -> None:
    """Take two incidents for the same event.

    One of them must be of your own side, unless you facilitate. They go on as one, as grave as the
    graver. It cannot be taken back.

    \b
    Example:
      backchannel incident merge 3f2a 81c0
    """
    from backchannel.client.commands.desk import desk
    from backchannel.protocol.hotline import Attend

    with desk(app, channel) as (line, _):
        before = line.board()
        names = [before.pick(each).name for each in (one, other)]
        if names[0] == names[1]:
            msg = "They are one incident already. Nothing was done."
            raise Refused(msg, "backchannel incident list")
        seen, ticket = _ring(line, Attend(names[0], "merge", (names[1],), ""))
    if not ticket.cases[1:]:
        msg = "Neither was opened by your side, so it does not count."
        raise Refused(msg, "ask whoever facilitates to merge them")
    _tell(app, line, seen, ticket, f"They are one now: {seen.id(ticket)}.")


@verb("update")
@click.argument("words", metavar="[ID] TEXT", nargs=-1)
@_asked(required=False)
@channel_option
def update(app: App, *, words: tuple[str, ...], channel: str | None, **asked: Any) -> None:
    """Go on with an incident: say what is new. From the other side it is the answer.

    It repeats what was said before, so that the incident lives on. What is asked for is changed by
    the side that opened it; of the other only the words count.

    \b
    Examples:
      backchannel incident update 'Our people hold fire.'
      backchannel incident update 3f2a 'It goes on.' --sev high
    """
    from msgspec.structs import replace

    from backchannel.client.commands.desk import desk

    ident, text = _split(words)
    if not text:
        msg = "What is new, in one line? Nothing was sent."
        raise UsageMistake(msg, "backchannel incident update TEXT")
    with desk(app, channel) as (line, _):
        ticket = line.board().pick(ident)
        case = ticket.cases[0]
        begun = replace(
            case.asked, of=(case.name,), opened=case.opened, reached=case.reached, text=text
        )
        seen, ticket = _ring(line, _as_asked(begun, asked))
    _tell(app, line, seen, ticket, f"{seen.id(ticket)} goes on; it is {ticket.state}.")


for command in (open_, ack, update, close, merge, list_, show):
    incident.add_command(command)
