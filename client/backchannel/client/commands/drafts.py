"""`drafts`: what waits to be said unattributed, and taking it back."""

import click

from backchannel.client.app import App
from backchannel.client.choosing import channel_option, pick_channel
from backchannel.client.errors import NotFound
from backchannel.client.options import verb
from backchannel.client.ui import iso


@verb("drafts")
@click.option("--drop", type=int, metavar="N", help="Take number N back, unsaid.")
@channel_option
def drafts(app: App, *, drop: int | None, channel: str | None) -> None:
    """Show what waits to be said unattributed, or take one back.

    \b
    Example:
      backchannel drafts --drop 1
    """
    from backchannel.client import session

    with app.vault() as vault:
        name, now = pick_channel(vault, channel).name, app.now()
        if drop is not None:
            if all(each.number != drop for each in session.drafts(vault, name, now)):
                msg = f"No draft {drop} waits in {name}; it may have been sent."
                raise NotFound(msg, "backchannel drafts")
            session.drop_draft(vault, name, drop, now)
        left = session.drafts(vault, name, now)
    rows = [
        {
            "number": each.number,
            "from": iso(each.start),
            "until": iso(each.end),
            "refused": each.refused,
        }
        for each in left
    ]
    lines = [_line(each) for each in rows] or ["Nothing waits to be said unattributed."]
    app.ui.show({"channel": name, "drafts": rows}, *lines)


def _line(each: dict[str, object]) -> str:
    if each["refused"]:
        return f"{each['number']}  not sent: {each['refused']}"
    return f"{each['number']}  goes between {each['from']} and {each['until']}"
