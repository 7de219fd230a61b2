"""`hotline`: test whether the line carries, and see how it stands."""

from typing import TYPE_CHECKING

import click

from backchannel.client.app import App
from backchannel.client.exits import Exit
from backchannel.client.options import Duration, channel_option, verb, verbs
from backchannel.client.rounds.verdict import stale
from backchannel.client.telling import phrases

if TYPE_CHECKING:
    from backchannel.client.errors import ClientError
    from backchannel.client.hotline.board import Board
    from backchannel.client.hotline.testing import Line


@verbs("hotline")
def hotline(_app: App) -> None:
    """Test a hotline, and see how it stands.

    \b
    Examples:
      backchannel hotline test
      backchannel hotline status --check
    """


@verb("test")
@click.option(
    "--within", type=Duration("1m", "24h"), default="15m", metavar="TIME", show_default=True,
    help="After this time without an echo there is an alarm.",
)  # fmt: skip
@click.option(
    "--wait", type=Duration("0s", "10m"), default="20s", metavar="TIME", show_default=True,
    help="How long to wait here for echoes.",
)  # fmt: skip
@channel_option
def test(app: App, *, within: int, wait: int, channel: str | None) -> None:
    """Send a neutral text that the other sides' programs echo.

    It tests the line. The texts are taken in turn from a list, so nobody reads anything into them.
    Who has sent four within an hour waits for the next. For a timer: --wait 0s.

    \b
    Examples:
      backchannel hotline test
      backchannel hotline test --wait 0s
    """
    from backchannel.client.commands.desk import desk
    from backchannel.client.hotline.testing import CANNED
    from backchannel.protocol.command import Ring
    from backchannel.protocol.hotline import Test

    with desk(app, channel) as (line, _):
        number = line.board().about["turn"]
        rang = line.ring(Ring(Test(number)))
        name = rang.id.hex()
        line.within(name, within)
        echoes = {} if line.problem else line.await_echoes(name, wait)
        missing = [each.party for each in line.board().lines if each.party not in echoes]
    document = {"channel": line.name, "id": name, "text": CANNED[number], "state": line.sent}
    app.ui.show(
        document | {"echo_seconds": echoes, "not_yet": missing, "within_seconds": within},
        f"Sent: “{CANNED[number]}”",
        *(
            f"{party}: echoed after {phrases.count(each, 'second')}."
            for party, each in echoes.items()
        ),
    )
    if missing and not line.problem:
        app.ui.say(
            f"Not echoed yet by {phrases.listed(missing)}; an alarm follows after "
            f"{phrases.minutes(within // 60)}."
        )
        app.ui.say("next: backchannel hotline status")
    line.owe()


@verb("status")
@click.option("--check", is_flag=True, help="Exit 12 where something is wrong: for a timer.")
@click.option("--offline", is_flag=True, help="Do not ask the relay.")
@channel_option
def status(app: App, *, check: bool, offline: bool, channel: str | None) -> int:
    """Show whether the line carries to each side, and who is there.

    With --check it ends with 12 where a side has not echoed a test, where agreed tests have stopped
    coming, or where nobody is on duty for hours of the week.

    \b
    Examples:
      backchannel hotline status
      backchannel hotline status --check || notify-send 'The line'
    """
    from backchannel.client.commands.desk import desk
    from backchannel.client.hotline import urgent

    with desk(app, channel, offline=offline) as (line, problem):
        seen = line.board()
    app.ui.show({"channel": seen.channel, **urgent.document(seen)})
    app.ui.title(seen.channel)
    for text in _lines(seen):
        app.ui.say(text)
    alarms = [each for each in urgent.line_alarms(seen) if each.startswith("ALARM")]
    return checked(app, problem, late=check and bool(alarms))


def checked(app: App, problem: "ClientError | None", *, late: bool) -> Exit:
    """The exit code of a look at a hotline: what is `late` by what is known is graver than that no
    relay told more.
    """
    if problem is not None and not late:
        raise stale(problem)
    if problem is not None:
        app.ui.note(stale(problem).message, next=problem.next_step)
    return Exit.OVERDUE if late else Exit.DONE


def _lines(seen: "Board") -> list[str]:
    from backchannel.client.filter import one_line
    from backchannel.client.hotline import urgent

    duties = seen.state.hotline.duties
    found = [f"{one_line(each.party)}: {_carries(each)}" for each in seen.lines]
    found = found or ["There is no other side here yet."]
    if duties is None:
        found.append("There is no duty list. Whoever facilitates sets one: backchannel duty set")
    elif duties.tests:
        found.append(f"Each side tests every {phrases.lifetime(duties.tests)}.")
    found += urgent.line_alarms(seen)
    count = len(seen.live)
    if count:
        found.append(
            f"{phrases.count(count, 'incident')} not closed. See: backchannel incident list"
        )
    return found


def _carries(line: "Line") -> str:
    last = f"a test of theirs came {_when(line.heard)}" if line.heard else "none of theirs came yet"
    if line.echo is None:
        return f"no test of yours was echoed yet; {last}"
    echo = phrases.count(line.echo, "second")
    return f"your test of {_when(line.at)} was echoed after {echo}; {last}"


def _when(moment: int) -> str:
    from backchannel.client.ui import iso
    from backchannel.protocol.types import Timestamp

    return iso(Timestamp(moment)).replace("T", " ").replace("Z", " UTC")


for command in (test, status):
    hotline.add_command(command)
