"""`incident list` and `show`: how incidents stand, and what was said of one."""

from typing import TYPE_CHECKING

import click

from backchannel.client.app import App
from backchannel.client.commands.hotline import checked
from backchannel.client.options import channel_option, verb
from backchannel.client.rounds.verdict import stale
from backchannel.client.telling import phrases

if TYPE_CHECKING:
    from backchannel.client.hotline.incidents import Spoken


@verb("list")
@click.option("--check", is_flag=True, help="Exit 12 where you are called or one is late.")
@click.option("--all", "every", is_flag=True, help="Those that are closed, too.")
@click.option("--offline", is_flag=True, help="Do not ask the relay.")
@channel_option
def list_(app: App, *, check: bool, every: bool, offline: bool, channel: str | None) -> int:
    """Show the incidents that are not closed, and whom they call.

    \b
    Example:
      backchannel incident list --all
    """
    from backchannel.client.commands.desk import desk
    from backchannel.client.hotline import urgent

    with desk(app, channel, offline=offline) as (line, problem):
        seen = line.board()
    tickets = seen.tickets if every else seen.live
    app.ui.show(
        {"channel": seen.channel, "incidents": [urgent.of_ticket(seen, e) for e in tickets]}
    )
    for each in tickets:
        for text in urgent.ticket_lines(seen, each):
            app.ui.say(text)
    if not tickets:
        app.ui.say("No incident is open.")
    due = [seen.due(each) for each in seen.live]
    late = any(each.late or seen.state.me in each.called for each in due)
    return checked(app, problem, late=check and late)


@verb("show")
@click.argument("id", required=False)
@click.option("--offline", is_flag=True, help="Do not ask the relay.")
@channel_option
def show(app: App, *, id: str | None, offline: bool, channel: str | None) -> None:  # noqa: A002
    """Show one incident with all that was said of it.

    \b
    Example:
      backchannel incident show 3f2a
    """
    from backchannel.client.commands.desk import desk
    from backchannel.client.hotline import urgent

    with desk(app, channel, offline=offline) as (line, problem):
        seen = line.board()
        ticket = seen.pick(id)
    said = [_said(each) for each in ticket.said]
    app.ui.show(urgent.of_ticket(seen, ticket) | {"said": said})
    for text in urgent.ticket_lines(seen, ticket):
        app.ui.say(text)
    for each in said:
        words = f": “{each['text']}”" if each["text"] else ""
        app.ui.say(f"  {each['at']}  {each['from']} ({each['party']}) {each['act']}{words}")
    if problem is not None:
        raise stale(problem)


_ACTS = {"ack": "acknowledges", "close": "has done with it", "merge": "takes it for another"}


def _said(spoken: "Spoken") -> dict[str, str]:
    from backchannel.client.filter import one_line
    from backchannel.protocol.hotline import Attend, Incident

    signal = spoken.signal
    act, text = "reports", ""
    if isinstance(signal, Attend):
        act, text = _ACTS[signal.act], signal.text
    elif isinstance(signal, Incident):
        act, text = "goes on" if signal.of else "reports", signal.text
    who = {"from": one_line(spoken.alias), "party": one_line(spoken.party)}
    return {"at": phrases.stamp(spoken.hour), **who, "act": act, "text": one_line(text)}
