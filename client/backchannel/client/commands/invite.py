"""`invite`: a relay's address and twelve words, for one person."""

from typing import TYPE_CHECKING, Any

import click

from backchannel.client.app import App
from backchannel.client.options import Duration, channel_option, verb
from backchannel.client.rounds.sync import Sync
from backchannel.client.rounds.verdict import queued
from backchannel.client.telling import phrases
from backchannel.client.telling.choosing import pick_channel
from backchannel.client.telling.terms import ROLES

if TYPE_CHECKING:
    from backchannel.protocol.outcome import Invited

VALID = Duration("1h", "30d", hours=True)
"""How long an invite may be good."""

_DAY = 24


@verb("invite")
@click.argument("alias")
@click.option("--party", default="Participants", metavar="NAME", help="The side they stand for.")
@click.option("--role", type=click.Choice(ROLES), default="participant", show_default=True)
@click.option(
    "--valid", type=VALID, default=_DAY, metavar="TIME",
    help="How long the invite is good: 1h to 30d.  [default: 24h]",
)  # fmt: skip
@click.option("--relay", metavar="URL", help="Where it is held.  [default: one that answers]")
@channel_option
def invite(app: App, *, alias: str, relay: str | None, channel: str | None, **asked: Any) -> None:
    """Invite one person: prints the relay's address and twelve words.

    Tell both by voice, or hand them over on paper. Good for one person, once. Costs a voucher.

    \b
    Examples:
      backchannel invite Heron --party North
      backchannel invite Wren --party South --role observer --valid 48h
    """
    from backchannel.client.convening.places import for_invite
    from backchannel.protocol.command import Invite
    from backchannel.protocol.outcome import Invited

    with app.vault() as vault, Sync(app, vault) as sync:
        row = pick_channel(vault, channel)
        state = sync.state(row.name)
        place = for_invite(vault, state, relay)
        invited = sync.act(row.name, Invite(alias, **asked, relay=place), Invited)
        assert invited is not None  # noqa: S101 - an invite that is made says its words
        problem = sync.send(row.name)
    show(app, alias, invited, "at-relay" if problem is None else "queued")
    if problem is not None:
        raise queued(problem, "The words above hold, and the invite opens with the next sync.")


def show(app: App, alias: str, invited: "Invited", state: str) -> None:
    """Relay and words, for a camera too where there is a screen."""
    words = " ".join(invited.words)
    expires = phrases.stamp(invited.last)
    document = {
        "relay": invited.relay,
        "words": words,
        "alias": alias,
        "expires_at": expires,
        "state": state,
    }
    if app.ui.has_screen:  # first, so that on a small screen the words stay in sight
        app.ui.picture(_picture(f"{invited.relay} {words}"))
        app.ui.say()
    app.ui.show(document, f"For {alias}, once, until {phrases.hour_of_day(invited.last)}:", "")
    app.ui.field("  relay", invited.relay)
    for number, part in enumerate((invited.words[:6], invited.words[6:])):
        app.ui.field("  words" if number == 0 else "", " ".join(part))
    app.ui.say()
    app.ui.say(f"They type: backchannel join {invited.relay}")
    app.ui.say("next: backchannel lobby     once they say that they have answered")


def _picture(text: str) -> list[str]:
    """A QR code in half blocks: two modules a character."""
    import segno

    rows = [bytes(row) for row in segno.make(text, error="l", micro=False).matrix_iter(border=2)]
    rows += [bytes(len(rows[0]))] * (len(rows) % 2)
    return [
        "".join(" ▀▄█"[upper + 2 * lower] for upper, lower in zip(*pair, strict=True))
        for pair in zip(rows[::2], rows[1::2], strict=True)
    ]
