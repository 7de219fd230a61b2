"""`handover`: an invite for whoever takes somebody's place; when the one is in, the other goes."""

from typing import TYPE_CHECKING

import click

from backchannel.client.app import App
from backchannel.client.commands.invite import VALID, show
from backchannel.client.options import channel_option, verb

if TYPE_CHECKING:
    from backchannel.protocol.command import Invite
    from backchannel.protocol.state import ChannelState


@verb("handover")
@click.argument("alias")
@click.argument("new")
@click.option(
    "--valid", type=VALID, default=24, metavar="TIME",
    help="How long the invite is good: 1h to 30d.  [default: 24h]",
)  # fmt: skip
@channel_option
def handover(app: App, *, alias: str, new: str, valid: int, channel: str | None) -> None:
    """Let NEW take the place of ALIAS, with the same party and role.

    Prints the relay's address and twelve words for NEW, as `invite` does. Once NEW is admitted,
    ALIAS goes by itself, under new keys. NEW reads nothing of what was said before. Costs two
    vouchers: one for the invite, one for the new keys.

    \b
    Example:
      backchannel handover Heron Wren
    """
    from backchannel.client.deed import perform
    from backchannel.client.telling.people import named
    from backchannel.protocol.command import Invite
    from backchannel.protocol.outcome import Invited

    def make(state: "ChannelState") -> "Invite":
        entry = named(state, alias)
        return Invite(new, entry.party, entry.role, valid, successor=entry.alias)

    done = perform(app, channel, make, Invited)
    show(app, new, done.event, done.sent)
    app.ui.say(f"When {new} is admitted, {alias} goes.")
    done.owe("The words above hold, and the invite opens with the next sync.")
