"""`epoch`: how old the keys are, who has not come along, and a turn on request."""

from typing import TYPE_CHECKING, Any

import click

from backchannel.client.app import App
from backchannel.client.options import channel_option, verb, verbs
from backchannel.client.rounds.verdict import stale
from backchannel.client.telling import phrases

if TYPE_CHECKING:
    from backchannel.protocol.state import ChannelState
    from backchannel.protocol.types import Hour


@verbs("epoch", invoke_without_command=True)
@click.option("--offline", is_flag=True, help="Show what was fetched before.")
@channel_option
@click.pass_context
def epoch(context: click.Context, app: App, *, offline: bool, channel: str | None) -> None:
    """Show how old the channel's keys are, and who has not come along to them.

    An epoch is a drop on the relay with keys of its own. A new one begins every week, and whenever
    somebody goes.

    \b
    Examples:
      backchannel epoch
      backchannel epoch turn
    """
    if context.invoked_subcommand is None:
        _show(app, offline=offline, channel=channel)


def _show(app: App, *, offline: bool, channel: str | None) -> None:
    from backchannel.client.rounds.session import allowed
    from backchannel.client.rounds.sync import Sync

    with app.vault() as vault, Sync(app, vault) as sync:
        row, problem = sync.fresh(channel, offline=offline)
        state = sync.state(row.name)
        hour = vault.hour(app.now())
    with allowed():
        document = about(state, hour)
    app.ui.show({"channel": row.name, **document}, *_lines(document))
    if problem is not None:
        raise stale(problem)


def about(state: "ChannelState", now: "Hour") -> dict[str, Any]:
    """Number and age of the epoch, and who lags behind."""
    from backchannel.client.telling.people import not_here
    from backchannel.protocol import limits

    age = max(0, now - state.epoch.began)
    return {
        "epoch": state.epoch.number,
        "began_at": phrases.stamp(state.epoch.began),
        "age_hours": age,
        "old": age > limits.EPOCH_HOURS,
        "roster_version": state.current().version,
        "not_here": not_here(state),
        "leaving": [each.alias for each in state.current().entries if each.slot in state.leavers],
    }


def _lines(about: dict[str, Any]) -> list[str]:
    lines = [f"Epoch {about['epoch']}, {_age(about['age_hours'])}."]
    if about["old"]:
        lines.append(
            "It is more than a week old: no facilitator has come online to begin the next, or "
            "vouchers are lacking."
        )
    if about["not_here"]:
        names = ", ".join(about["not_here"])
        lines.append(f"Not here yet: {names}. They come along with their next sync.")
    else:
        lines.append("Everybody has come along.")
    if about["leaving"]:
        lines.append(f"Wants to go: {', '.join(about['leaving'])}.")
    return lines


def _age(hours: int) -> str:
    return "begun within the last hour" if hours < 1 else f"{phrases.lifetime(hours)} old"


@verb("turn")
@channel_option
def turn(app: App, channel: str | None) -> None:
    """Begin a new epoch now: a new drop on the relay, under new keys.

    It happens by itself every week and at every removal. Ask for it when a drop is full, or when
    you feel watched. Costs a voucher. Only a facilitator can.

    \b
    Example:
      backchannel epoch turn
    """
    from backchannel.client.deed import change, conclude
    from backchannel.protocol.command import Turn

    changed = change(app, channel, lambda _state: Turn())
    number = changed.done.state.epoch.number
    conclude(
        app,
        changed,
        {"epoch": number},
        f"Epoch {number} has begun. Everybody comes along with their next sync.",
        "next: backchannel epoch     shows who has come along",
    )


epoch.add_command(turn)
