"""`members`: who is in a channel, and the ten words that say so."""

import click

from backchannel.client.app import App
from backchannel.client.choosing import channel_option
from backchannel.client.options import verb
from backchannel.client.verdict import stale


@verb("members")
@click.option("--offline", is_flag=True, help="Show what was fetched before.")
@channel_option
def members(app: App, *, offline: bool, channel: str | None) -> None:
    """Show the roster, and ten words that are the same for everybody who sees the same roster.

    Read them aloud together once: then each of you is sure of all the others.
    """
    from backchannel.client.session import allowed, look
    from backchannel.client.sync import Sync
    from backchannel.protocol.words import ROSTER, spoken

    with app.vault() as vault, Sync(app, vault) as sync:
        row, problem = sync.fresh(channel, offline=offline)
        state = look(vault, row.name, app.now(), app.entropy).state
    with allowed():
        roster = state.current()
    people = [
        {"alias": each.alias, "party": each.party, "role": each.role, "you": each.slot == state.me}
        for each in roster.entries
    ]
    words = " ".join(spoken(roster.spoken(), ROSTER))
    lines = [
        f"{each['alias']} ({each['party']}, {each['role']}){', you' if each['you'] else ''}"
        for each in people
    ]
    said = ["", "The ten words of this roster, the same on every screen:", f"    {words}"]
    app.ui.show(
        {"channel": row.name, "version": roster.version, "roster_words": words, "members": people},
        *lines,
        *said,
    )
    if problem is not None:
        raise stale(problem)
