"""`channel leave`: go of one's own accord."""

import click

from backchannel.client.app import App
from backchannel.client.choosing import channel_option, pick_channel
from backchannel.client.errors import Declined
from backchannel.client.options import verb


@verb("leave")
@click.option("--yes", is_flag=True, help="Do not ask.")
@channel_option
def leave(app: App, *, yes: bool, channel: str | None) -> None:
    """Leave a channel for good. Everybody sees that you went.

    A facilitator's program then renews the keys without you. What you have received stays readable
    on this machine until it expires.

    \b
    Example:
      backchannel channel leave --channel North
    """
    from backchannel.client.deed import perform
    from backchannel.protocol.command import Leave

    with app.vault() as vault:
        name = pick_channel(vault, channel).name
    if not yes and not app.ui.confirm(f"Leave {name} for good? You come back only by an invite."):
        msg = f"You are still in {name}. Nothing was sent."
        raise Declined(msg)
    done = perform(app, name, lambda _state: Leave())
    app.ui.show(
        {"channel": done.name, "state": done.sent},
        *([] if done.problem else [f"You have left {done.name}; everybody sees it."]),
        "What you have received stays readable here until it expires.",
    )
    done.owe("It goes with the next sync.")
