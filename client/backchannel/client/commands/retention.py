"""`retention`: every place in which this side keeps anything, and for how long."""

from itertools import groupby
from typing import TYPE_CHECKING

from backchannel.client.app import App
from backchannel.client.options import verb

if TYPE_CHECKING:
    from backchannel.client.keeping.holdings import Holding


@verb("retention")
def retention(app: App) -> None:
    """List every place where this machine keeps anything, and for how long.

    For each channel by its own rules; and what is elsewhere, where this program cannot erase it.

    \b
    Example:
      backchannel retention
    """
    from backchannel.client.keeping.holdings import holdings

    with app.vault() as vault:
        held = holdings(vault, app.profile, app.now(), app.entropy)
    app.ui.show({"folder": str(app.profile.data), "holdings": [each._asdict() for each in held]})
    if app.ui.json:
        return
    for channel, group in groupby(held, lambda each: each.channel):
        app.ui.title(channel or "On this machine, and elsewhere")
        for each in group:
            _tell(app, each)


def _tell(app: App, each: "Holding") -> None:
    now = f" ({each.now})" if each.now else ""
    app.ui.say(f"  {each.name}{now}")
    for line in (f"what: {each.what}", f"kept: {each.kept}", f"where: {each.where}"):
        app.ui.quote(line, "      ")
