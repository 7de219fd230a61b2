"""`drafts`: what waits to be said unattributed, and taking it back."""

import json
from typing import Any

import click

from backchannel.client.app import App
from backchannel.client.errors import NotFound
from backchannel.client.options import channel_option, verb
from backchannel.client.telling.choosing import pick_channel
from backchannel.client.ui import iso


@verb("drafts")
@click.option("--drop", type=int, metavar="N", help="Take number N back, unsaid.")
@channel_option
def drafts(app: App, *, drop: int | None, channel: str | None) -> None:
    """Show what waits to be said unattributed, or take one back.

    Of each it shows when it goes, and how it begins.

    \b
    Example:
      backchannel drafts --drop 1
    """
    from backchannel.client.rounds import drafts as waiting
    from backchannel.client.telling.shown import excerpt

    with app.vault() as vault:
        row = pick_channel(vault, channel)
        if drop is not None:
            if all(each.number != drop for each in vault.drafts.list(row.id)):
                msg = f"No draft {drop} waits in {row.name}; it may have been sent."
                raise NotFound(msg, "backchannel drafts")
            waiting.drop(vault, row.name, drop, app.now())
        now = app.now()
        rows = [
            {
                "number": each.number,
                "from": iso(each.start),
                "until": iso(each.end),
                "refused": each.refused,
                "text": _text(vault.drafts.open(each.number, now)),
            }
            for each in vault.drafts.list(row.id)
        ]
    app.ui.show({"channel": row.name, "drafts": rows})
    for each in rows:
        app.ui.say(_line(each))
        app.ui.quote(excerpt({"kind": "text", "text": each["text"]}))
    app.ui.say(
        f"next: backchannel drafts --drop {rows[0]['number']}     takes it back, unsaid"
        if rows
        else "Nothing waits to be said unattributed."
    )


def _text(plain: bytes | None) -> str:
    """What one says; nothing where its life has ended."""
    return "" if plain is None else str(json.loads(plain)["text"])


def _line(each: dict[str, Any]) -> str:
    if each["refused"]:
        return f"{each['number']}  not sent: {each['refused']}"
    return f"{each['number']}  goes between {each['from']} and {each['until']}"
