"""`present`, `vouch`, `object`: what members say of somebody who waits, before the door opens."""

from typing import TYPE_CHECKING

import click

from backchannel.client.app import App
from backchannel.client.errors import NotFound
from backchannel.client.options import channel_option, verb
from backchannel.client.telling import phrases

if TYPE_CHECKING:
    from backchannel.protocol.proposal import Vouched
    from backchannel.protocol.state import ChannelState


@verb("present")
@click.argument("alias")
@channel_option
def present(app: App, *, alias: str, channel: str | None) -> None:
    """Ask the members about somebody who waits in the lobby. Only a facilitator can.

    They see alias, party and role, and answer with `vouch` or `object`.

    \b
    Example:
      backchannel present Wren
    """
    from backchannel.client.deed import perform
    from backchannel.protocol.command import Present

    done = perform(app, channel, lambda _state: Present(alias))
    wanted = done.state.policy.vouches
    app.ui.show(
        {"channel": done.name, "alias": alias, "vouches": wanted, "state": done.sent},
        f"The members are asked about {alias}.",
        f"Before you may admit, {phrases.count(wanted, 'member')} must vouch.",
        "next: backchannel lobby     shows what they say",
    )
    done.owe("The question goes with the next sync.")


@verb("vouch")
@click.argument("alias")
@channel_option
def vouch(app: App, *, alias: str, channel: str | None) -> None:
    """Stand up for somebody whom a facilitator presents. Everybody here sees it; no outsider can be
    shown it.

    \b
    Example:
      backchannel vouch Wren
    """
    from backchannel.client.deed import perform
    from backchannel.protocol.command import Vouch

    done = perform(app, channel, lambda state: Vouch(_candidate(state, alias).alias))
    count = len(_candidate(done.state, alias).vouched)
    app.ui.show(
        {"channel": done.name, "alias": alias, "vouched": count, "state": done.sent},
        f"You vouch for {alias}. So far: {count} of {done.state.policy.vouches}.",
    )
    done.owe("Your word goes with the next sync.")


@verb("object")
@click.argument("alias")
@channel_option
def object_(app: App, *, alias: str, channel: str | None) -> None:
    """Object to somebody whom a facilitator presents, quietly.

    Only the facilitators learn that somebody objects; neither the other members nor the person. It
    keeps the door shut.

    \b
    Example:
      backchannel object Wren
    """
    from backchannel.client.deed import perform
    from backchannel.protocol.command import Objection

    done = perform(app, channel, lambda state: Objection(_candidate(state, alias).alias))
    app.ui.show(
        {"channel": done.name, "alias": alias, "state": done.sent},
        f"The facilitators, and nobody else, are told that you object to {alias}.",
    )
    done.owe("It goes with the next sync.")


def _candidate(state: "ChannelState", alias: str) -> "Vouched":
    from backchannel.protocol.alias import alike

    for each in state.candidates.values():
        if alike(each.alias, alias):
            return each
    msg = f"Nobody called {alias} is presented here. Nothing was done."
    raise NotFound(msg, "backchannel status")
