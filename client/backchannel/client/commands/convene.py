"""`convene`: call everybody together at once, and say whether one comes."""

import re
from typing import TYPE_CHECKING

import click

from backchannel.client.app import App
from backchannel.client.errors import NotFound, UsageMistake
from backchannel.client.filter import one_line
from backchannel.client.options import Duration, channel_option, verb, verbs
from backchannel.client.rounds.verdict import stale

if TYPE_CHECKING:
    from backchannel.client.hotline.board import Board
    from backchannel.client.hotline.convenes import Call
    from backchannel.protocol.types import Hour, Timestamp

_CLOCK = re.compile(r"(?:(\d{4})-(\d\d)-(\d\d)[T ])?(\d\d?)(?::00)?Z?")
_FORMS = "18:00, or 2026-07-02T18:00Z: whole hours, in UTC"


@verbs("convene")
def convene(_app: App) -> None:
    """Call everybody on a hotline together, and say whether you come.

    It is shown first on every screen until its reader has answered.

    \b
    Examples:
      backchannel convene call 'By telephone' 'What happened at P7' --in 2h
      backchannel convene yes
    """


@verb("call")
@click.argument("where")
@click.argument("about")
@click.option("--at", metavar="TIME", help="When, in UTC: 18:00, or 2026-07-02T18:00Z.")
@click.option(
    "--in", "hours", type=Duration("0h", "3d", hours=True), metavar="TIME",
    help="In how many hours; 0h: now.",
)  # fmt: skip
@channel_option
def call(
    app: App, *, where: str, about: str, at: str | None, hours: int | None, channel: str | None
) -> None:
    """Call everybody together: WHERE or how, and ABOUT what.

    \b
    Examples:
      backchannel convene call 'By telephone, the numbers as agreed' 'P7' --in 0h
      backchannel convene call 'Hotel Europa' 'Prisoners' --at 18:00
    """
    from backchannel.client.commands.desk import desk
    from backchannel.client.hotline import urgent
    from backchannel.protocol.command import Ring
    from backchannel.protocol.hotline import Convene
    from backchannel.protocol.types import Hour, hour_of

    if (at is None) == (hours is None):
        msg = "When? Either at an hour, or in some hours. Nothing was sent."
        raise UsageMistake(msg, "add --at 18:00, or --in 2h")
    now = app.now()
    when = _hour(at, now) if at is not None else Hour(hour_of(now) + (hours or 0))
    asked = Convene(when, _line(where), _line(about))
    with desk(app, channel) as (line, _):
        rang = line.ring(Ring(asked))
        seen = line.board()
    made = next(each for each in seen.calls if each.by.id == rang.id)
    app.ui.show(urgent.of_call(seen, made) | {"sent": line.sent})
    for text in urgent.call_lines(made)[:3]:
        app.ui.say(text)
    line.owe()


def _line(text: str) -> str:
    text = " ".join(text.split())
    if not text or one_line(text) != text:
        msg = "Where and about what are a line of text each. Nothing was sent."
        raise UsageMistake(msg, "backchannel convene call WHERE ABOUT --in 2h")
    return text


def _hour(text: str, now: "Timestamp") -> "Hour":
    """The hour that is meant, in UTC; without a day the next one of that name."""
    from datetime import UTC, datetime, timedelta

    from backchannel.protocol.types import Hour, Timestamp, hour_of, start_of

    match, this = _CLOCK.fullmatch(text), datetime.fromtimestamp(start_of(hour_of(now)), UTC)
    if match is None:
        raise _no_hour(text)
    try:
        found = this.replace(hour=int(match[4]))
        if match[1]:
            year, month, day = (int(each) for each in match.groups()[:3])
            found = found.replace(year=year, month=month, day=day)
    except ValueError:
        raise _no_hour(text) from None
    if not match[1] and found < this:
        found += timedelta(days=1)
    if found < this:
        msg = f"{text} is over. Nothing was sent."
        raise UsageMistake(msg, _FORMS)
    return Hour(hour_of(Timestamp(int(found.timestamp()))))


def _no_hour(text: str) -> UsageMistake:
    return UsageMistake(f"{text!r} is no whole hour. Nothing was sent.", _FORMS)


@verb("yes")
@click.argument("id", required=False)
@channel_option
def yes(app: App, *, id: str | None, channel: str | None) -> None:  # noqa: A002
    """Say that you come; of several calls, to the one of that id.

    \b
    Examples:
      backchannel convene yes
      backchannel convene yes 3f2a
    """
    _answer(app, channel, id, comes=True)


@verb("no")
@click.argument("id", required=False)
@channel_option
def no(app: App, *, id: str | None, channel: str | None) -> None:  # noqa: A002
    """Say that you do not come.

    \b
    Example:
      backchannel convene no
    """
    _answer(app, channel, id, comes=False)


def _answer(app: App, channel: str | None, ident: str | None, *, comes: bool) -> None:
    from backchannel.client.commands.desk import desk
    from backchannel.client.hotline import urgent
    from backchannel.protocol.command import Ring
    from backchannel.protocol.hotline import Coming

    with desk(app, channel) as (line, _):
        name = _pick(line.board(), ident).name
        line.ring(Ring(Coming(name, int(comes))))
        seen = line.board()
    made = next(each for each in seen.calls if each.name == name)
    said = "You are coming." if comes else "You are not coming."
    app.ui.show(urgent.of_call(seen, made) | {"sent": line.sent}, said)
    line.owe()


def _pick(seen: "Board", ident: str | None) -> "Call":
    found = [e for e in seen.calls if ident is None or e.by.id.hex().startswith(ident.casefold())]
    if ident is None and len(found) > 1:  # the one that is not answered
        found = [each for each in found if each.mine is None] or found
    if len(found) > 1:
        names = ", ".join(each.by.id.hex()[:8] for each in found)
        msg = f"Several could be meant: {names}. Nothing was sent."
        raise UsageMistake(msg, "backchannel convene list")
    if not found:
        msg = "Nobody calls you together. Nothing was sent."
        raise NotFound(msg, "backchannel convene list")
    return found[0]


@verb("list")
@click.option("--offline", is_flag=True, help="Do not ask the relay.")
@channel_option
def list_(app: App, *, offline: bool, channel: str | None) -> None:
    """Show the calls that are not over, and who comes.

    \b
    Example:
      backchannel convene list
    """
    from backchannel.client.commands.desk import desk
    from backchannel.client.hotline import urgent

    with desk(app, channel, offline=offline) as (line, problem):
        seen = line.board()
    app.ui.show({"channel": line.name, "calls": [urgent.of_call(seen, e) for e in seen.calls]})
    for each in seen.calls:
        for text in urgent.call_lines(each):
            app.ui.say(text)
    if not seen.calls:
        app.ui.say("Nobody calls you together.")
    if problem is not None:
        raise stale(problem)


for command in (call, yes, no, list_):
    convene.add_command(command)
