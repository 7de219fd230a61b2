"""`remove` and `compromised`: somebody goes, and everybody else has new keys."""

from typing import TYPE_CHECKING, Literal

import click

from backchannel.client.aim import quoted
from backchannel.client.app import App
from backchannel.client.errors import Declined
from backchannel.client.options import channel_option, verb

if TYPE_CHECKING:
    from backchannel.client.deed import Changed
    from backchannel.protocol.command import Remove
    from backchannel.protocol.state import ChannelState

_yes = click.option("--yes", is_flag=True, help="Do not ask.")
_THIEF = (
    "Who holds that device can still read, and show to others, what it had received and what has "
    "not expired; it can also have written in their name until now."
)


@verb("remove")
@click.argument("alias")
@_yes
@channel_option
def remove(app: App, *, alias: str, yes: bool, channel: str | None) -> None:
    """Take somebody out of the channel, at once and for good.

    A new epoch begins, with a drop and keys that they do not have: they find and read nothing that
    is said from then on. What they have read already, they have. Costs a voucher.

    \b
    Example:
      backchannel remove Heron
    """
    question = "Remove {} for good?"
    changed = _go(app, channel, alias, "removed", "" if yes else question)
    _tell(app, changed, alias, f"{alias} is out of {changed.done.name}; new keys hold from now on.")


@verb("compromised")
@click.argument("alias")
@_yes
@channel_option
def compromised(app: App, *, alias: str, yes: bool, channel: str | None) -> None:
    """Somebody's device was lost, taken or opened: remove it, renew all keys, warn everybody.

    Do it at once, and ask afterwards: whoever was removed can be invited again, under new keys.
    Costs a voucher.

    \b
    Example:
      backchannel compromised Heron
    """
    question = "Is the device of {} lost, taken or opened? Everybody will be told so."
    changed = _go(app, channel, alias, "compromised", "" if yes else question)
    if not app.ui.json:
        app.ui.note(_THIEF)
    _tell(
        app,
        changed,
        alias,
        f"{alias} is out of {changed.done.name}; new keys hold from now on, and everybody is "
        "warned with their next sync.",
        f"To have {alias} back on a clean device: backchannel invite {quoted(alias)}",
    )


def _go(
    app: App,
    channel: str | None,
    alias: str,
    reason: Literal["removed", "compromised"],
    question: str,
) -> "Changed":
    from backchannel.client.deed import change
    from backchannel.client.telling.people import named
    from backchannel.protocol.command import Remove

    def make(state: "ChannelState") -> "Remove":
        entry = named(state, alias)
        if question and not app.ui.confirm(question.format(entry.alias)):
            msg = f"{entry.alias} stays. Nothing was done."
            raise Declined(msg)
        return Remove(entry.alias, reason)

    return change(app, channel, make)


def _tell(app: App, changed: "Changed", alias: str, *said: str) -> None:
    from backchannel.client.deed import conclude

    conclude(
        app,
        changed,
        {"alias": alias},
        *said,
        "next: backchannel epoch     shows who has the new keys already",
    )
