"""`duty`: who is on duty on a hotline, every hour of every week."""

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from backchannel.client.app import App
from backchannel.client.errors import UsageMistake
from backchannel.client.exits import Exit
from backchannel.client.filter import one_line
from backchannel.client.options import Duration, channel_option, verb, verbs
from backchannel.client.rounds.verdict import stale
from backchannel.client.telling import phrases

if TYPE_CHECKING:
    from backchannel.protocol.hotline import Duty
    from backchannel.protocol.state import ChannelState

_SPAN = Duration("0h", "7d", hours=True)
_offline = click.option("--offline", is_flag=True, help="Do not ask the relay.")
Plan = dict[str, Any]


@verbs("duty")
def duty(_app: App) -> None:
    """Say who is on duty on a hotline and when; see who is; check that nobody is missing.

    \b
    Examples:
      backchannel duty set --watch 'Heron: always' --watch 'Wren: mon-fri 06-18'
      backchannel duty now
      backchannel duty check
    """


@verb("set")
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--watch", "watches", multiple=True, metavar="'NAME: HOURS'",
    help="One member's hours, in UTC. May be given several times.",
)  # fmt: skip
@click.option("--ladder", metavar="NAMES", help="Who is called next, in order: 'Ibis, Wren'.")
@click.option("--tests", metavar="TIME", help="How often each side tests the line: 24h; 0h: never.")
@channel_option
def set_(
    app: App,
    *,
    file: Path | None,
    watches: tuple[str, ...],
    ladder: str | None,
    tests: str | None,
    channel: str | None,
) -> None:
    """Set the whole duty list, in place of the one before. Only a facilitator can.

    HOURS are `always`, or parts such as `mon-fri 06-18`, `sat-sun`, `22-06`, with commas between
    them, in UTC. The last hour named is not in it.

    A FILE (TOML) holds the same:

    \b
      tests = "24h"
      ladder = ["Ibis", "Wren"]
      [watch]
      Heron = "mon-fri 06-18"
      Wren = "mon-fri 18-06, sat-sun"

    \b
    Examples:
      backchannel duty set --watch 'Heron: mon-fri 06-18' --ladder 'Ibis, Wren'
      backchannel duty set duty.toml
    """
    from backchannel.client.commands.desk import desk
    from backchannel.client.hotline import duty as lists
    from backchannel.protocol.command import Ring

    plan = _plan(file, watches, ladder, tests)
    with desk(app, channel) as (line, _):
        line.ring(Ring(_drawn_up(line.board().state, plan)))
        state = line.board().state
    app.ui.show({"channel": line.name, "state": line.sent, **lists.document(state)})
    for text in _shown(state):
        app.ui.say(text)
    for text in _gaps(state):
        app.ui.say(f"ALARM: {text}")
    line.owe()


def _plan(
    file: Path | None, watches: tuple[str, ...], ladder: str | None, tests: str | None
) -> Plan:
    """What was asked for, by a file, by options, or by both: options count."""
    plan: Plan = _read(file) if file else {"watch": {}, "ladder": [], "tests": "0h"}
    for each in watches:
        name, colon, hours = each.partition(":")
        if not colon:
            msg = f"{each!r} says no hours. Nothing was done."
            raise UsageMistake(msg, "backchannel duty set --watch 'Heron: mon-fri 06-18'")
        plan["watch"][name.strip()] = hours
    if ladder is not None:
        plan["ladder"] = [name.strip() for name in ladder.split(",") if name.strip()]
    plan["tests"] = tests or plan["tests"]
    if not plan["watch"]:
        msg = "Nobody would be on duty. Nothing was done."
        raise UsageMistake(msg, "backchannel duty set --help")
    return plan


def _read(file: Path) -> Plan:
    try:
        found = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        msg = f"{file} cannot be read: {error.strerror}. Nothing was done."
        raise UsageMistake(msg, "backchannel duty set FILE") from None
    except (ValueError, RecursionError) as error:
        raise UsageMistake(f"{file} is not TOML: {error}. Nothing was done.") from None
    watch, ladder, tests = (found.pop(key, None) for key in ("watch", "ladder", "tests"))
    names = isinstance(ladder, list | None) and all(isinstance(e, str) for e in ladder or ())
    hours = isinstance(watch, dict) and all(isinstance(e, str) for e in watch.values())
    if found or not names or not hours or not isinstance(tests, str | None):
        msg = f"{file} has other lines than tests, ladder and [watch]. Nothing was done."
        raise UsageMistake(msg, "backchannel duty set --help")
    return {"watch": dict(watch or {}), "ladder": list(ladder or ()), "tests": tests or "0h"}


def _drawn_up(state: "ChannelState", plan: Plan) -> "Duty":
    from backchannel.client.hotline import duty as lists
    from backchannel.client.telling.people import named
    from backchannel.protocol.hotline import Duty, Watch, week_of

    hours = {named(state, name).slot: lists.hours(said) for name, said in plan["watch"].items()}
    watches = tuple(Watch(slot, week_of(hours[slot])) for slot in sorted(hours))
    rungs = tuple(dict.fromkeys(named(state, name).slot for name in plan["ladder"]))
    try:
        tests = _SPAN.convert(plan["tests"], None, None)
    except click.UsageError as error:
        raise UsageMistake(f"{error.message} Nothing was done.", "--tests 24h") from None
    return Duty(tests, watches, rungs)


def _shown(state: "ChannelState") -> list[str]:
    from backchannel.client.hotline import duty as lists

    duties = state.hotline.duties
    if duties is None:
        return ["There is no duty list yet.", "next: backchannel duty set"]
    lines = [
        f"{one_line(entry.alias)} ({one_line(entry.party)}): {lists.said(when)}"
        for entry, when in lists.watches(state)
    ]
    rungs = [one_line(each.alias) for each in lists.ladder(state)]
    lines.append(f"Called next, in order: {phrases.listed(rungs)}." if rungs else "No ladder.")
    if duties.tests:
        lines.append(f"Each side tests the line every {phrases.lifetime(duties.tests)}.")
    return lines


def _gaps(state: "ChannelState") -> list[str]:
    from backchannel.client.hotline import duty as lists

    return [
        f"Nobody of {one_line(side)} is on duty: {lists.said(when)}."
        for side, when in lists.gaps(state).items()
    ]


@verb("show")
@_offline
@channel_option
def show(app: App, *, offline: bool, channel: str | None) -> None:
    """Show the duty list: hours, ladder, how often the line is tested.

    All hours are UTC.

    \b
    Example:
      backchannel duty show
    """
    from backchannel.client.commands.desk import desk
    from backchannel.client.hotline import duty as lists

    with desk(app, channel, offline=offline) as (line, problem):
        state = line.board().state
    app.ui.show({"channel": line.name, **lists.document(state)}, *_shown(state))
    if problem is not None:
        raise stale(problem)


@verb("now")
@_offline
@channel_option
def now(app: App, *, offline: bool, channel: str | None) -> None:
    """Show who is on duty in this hour, for each side.

    \b
    Example:
      backchannel duty now
    """
    from backchannel.client.commands.desk import desk
    from backchannel.client.hotline.sides import has, sides
    from backchannel.protocol.hotline import hour_of_week
    from backchannel.protocol.types import hour_of
    from backchannel.protocol.watch import on_duty

    with desk(app, channel, offline=offline) as (line, problem):
        seen = line.board()
    slots = on_duty(seen.state, hour_of_week(hour_of(seen.now)))
    entries = seen.state.current().entries
    here = [entry for entry in entries if entry.slot in slots]
    found = {
        side: [entry.alias for entry in here if has([side], entry.party)] for side in sides(entries)
    }
    app.ui.show({"channel": line.name, "on_duty": found})
    for side, names in found.items():
        who = phrases.listed([one_line(name) for name in names]) or "nobody"
        app.ui.say(f"{one_line(side)}: {who}")
    if problem is not None:
        raise stale(problem)


@verb("check")
@_offline
@channel_option
def check(app: App, *, offline: bool, channel: str | None) -> int:
    """See that somebody is on duty for each side in every hour.

    It looks at a whole week, and ends with 12 where somebody is missing.

    \b
    Example:
      backchannel duty check
    """
    from backchannel.client.commands.desk import desk
    from backchannel.client.hotline import duty as lists

    with desk(app, channel, offline=offline) as (line, problem):
        state = line.board().state
    gaps = lists.gaps(state)
    document = {"channel": line.name, "gaps": {each: lists.said(gaps[each]) for each in gaps}}
    app.ui.show(document, *(_gaps(state) or ["Every hour of the week is covered on each side."]))
    if problem is not None:
        raise stale(problem)
    return Exit.OVERDUE if gaps else Exit.DONE


for command in (set_, show, now, check):
    duty.add_command(command)
