"""`hand` and `floor`: who asks to speak, and who may."""

from typing import TYPE_CHECKING

import click

from backchannel.client.app import App
from backchannel.client.errors import UsageMistake
from backchannel.client.options import channel_option, verb, verbs

if TYPE_CHECKING:
    from backchannel.protocol.command import GiveFloor
    from backchannel.protocol.state import ChannelState


@verbs("hand")
def hand(_app: App) -> None:
    """Ask for the floor, or no longer.

    \b
    Examples:
      backchannel hand raise
      backchannel hand lower
    """


@verb("raise")
@channel_option
def raise_(app: App, channel: str | None) -> None:
    """Ask for the floor; everybody sees it.

    \b
    Example:
      backchannel hand raise
    """
    _hand(app, channel, raised=True)


@verb("lower")
@channel_option
def lower(app: App, channel: str | None) -> None:
    """Ask for the floor no longer.

    \b
    Example:
      backchannel hand lower
    """
    _hand(app, channel, raised=False)


def _hand(app: App, channel: str | None, *, raised: bool) -> None:
    from backchannel.client.deed import perform
    from backchannel.protocol.command import RaiseHand

    done = perform(app, channel, lambda _state: RaiseHand(raised))
    said = "Your hand is up; a facilitator gives the floor." if raised else "Your hand is down."
    app.ui.show({"channel": done.name, "hand": raised, "state": done.sent}, said)
    done.owe("It goes with the next sync.")


@verbs("floor")
def floor(_app: App) -> None:
    """Give the floor to one member, or open it to everybody. Only a facilitator can.

    While one has the floor, the others raise their hands or send private notes; what they say all
    the same is marked `out of turn`.
    """


@verb("give")
@click.argument("alias", required=False, default="")
@click.option("--open", "opens", is_flag=True, help="Let everybody speak.")
@channel_option
def give(app: App, *, alias: str, opens: bool, channel: str | None) -> None:
    """Let one member speak, or everybody.

    \b
    Examples:
      backchannel floor give Heron
      backchannel floor give --open
    """
    from backchannel.client.deed import perform
    from backchannel.client.telling.people import named
    from backchannel.protocol.command import GiveFloor

    if bool(alias) == opens:
        msg = "The floor goes to one member or to everybody. Nothing was done."
        raise UsageMistake(msg, "backchannel floor give ALIAS, or: backchannel floor give --open")

    def make(state: "ChannelState") -> "GiveFloor":
        if alias:
            named(state, alias)
        return GiveFloor(alias)

    done = perform(app, channel, make)
    said = f"{alias} has the floor." if alias else "The floor is open: everybody may speak."
    app.ui.show({"channel": done.name, "floor": alias or None, "state": done.sent}, said)
    done.owe("It goes with the next sync.")


floor.add_command(give)
hand.add_command(raise_)
hand.add_command(lower)
