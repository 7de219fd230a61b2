"""`members` and `whoami`: who is in a channel, what is known of each, and who one is oneself."""

from typing import TYPE_CHECKING, Any

import click

from backchannel.client.app import App
from backchannel.client.options import channel_option, verb
from backchannel.client.rounds.verdict import stale
from backchannel.client.telling import phrases

if TYPE_CHECKING:
    from backchannel.protocol.state import ChannelState
    from backchannel.protocol.types import Hour


@verb("members")
@click.option("--offline", is_flag=True, help="Show what was fetched before.")
@channel_option
def members(app: App, *, offline: bool, channel: str | None) -> None:
    """Show everybody who can read what is said here, and ten words that are the same for all who
    see the same list.

    Who is not verified is marked: compare the words, then `backchannel verify --compared`.

    \b
    Example:
      backchannel members
    """
    from backchannel.client.rounds.session import allowed
    from backchannel.client.rounds.sync import Sync
    from backchannel.protocol.words import ROSTER, spoken

    with app.vault() as vault, Sync(app, vault) as sync:
        row, problem = sync.fresh(channel, offline=offline)
        state = sync.state(row.name)
    with allowed():
        roster = state.current()
    found = everybody(state)
    words = " ".join(spoken(roster.spoken(), ROSTER))
    app.ui.show(
        {
            "channel": row.name,
            "version": roster.version,
            "epoch": state.epoch.number,
            "roster_words": words,
            "members": found,
        }
    )
    for each in found:
        _tell(app, each)
    app.ui.say()
    app.ui.quote(_readers(found), "")
    app.ui.say()
    app.ui.say("The ten words of this list, the same on every screen:")
    app.ui.say(f"    {words}")
    if not all(each["verified"] for each in found):
        app.ui.say("next: backchannel verify     once you can hear each other")
    if problem is not None:
        raise stale(problem)


def everybody(state: "ChannelState") -> list[dict[str, Any]]:
    """Each member, oneself included."""
    from backchannel.client.telling.people import member
    from backchannel.protocol.record import Agreement, agreement
    from backchannel.protocol.types import Slot

    found, known = [], agreement(state)
    for entry in state.current().entries:
        upto, differs = known.get(Slot(entry.slot), Agreement())
        record = {"agreed_until": _stamp(upto), "differs_from": _stamp(differs)}
        found.append(member(state, entry) | record)
    return found


def _stamp(hour: "Hour | None") -> str | None:
    return None if hour is None else phrases.stamp(hour)


def _tell(app: App, each: dict[str, Any]) -> None:
    if app.ui.json:
        return
    mark = f" ({each['mark']})" if each["mark"] else ""
    you = ", you" if each["you"] else ""
    app.ui.say(f"{each['alias']}{mark}: {each['party']}, {each['role']}{you}")
    for line in _more(each):
        app.ui.say(f"    {line}")


def _more(each: dict[str, Any]) -> list[str]:
    lines = []
    if not each["here"]:
        lines.append("has not come along to the newest keys yet")
    if each["differs_from"]:
        lines.append(f"has another record than you from {each['differs_from']} on")
    elif each["agreed_until"]:
        lines.append(f"has the same record as you up to {each['agreed_until']}")
    for fits, text in (
        (each["floor"], "has the floor"),
        (each["hand"], "asks for the floor"),
        (each["leaving"], "wants to go"),
    ):
        if fits:
            lines.append(text)
    return lines


def _readers(found: list[dict[str, Any]]) -> str:
    if len(found) == 1:
        return "You alone can read what is said here."
    facilitators = [each["alias"] for each in found if each["role"] == "facilitator"]
    return (
        f"These {len(found)} can read what is said here, {phrases.listed(facilitators)} who "
        f"facilitate{'s' if len(facilitators) == 1 else ''} included. Nobody else can: not the "
        "relay, not who was here before."
    )


@verb("whoami")
@channel_option
def whoami(app: App, channel: str | None) -> None:
    """Show who you are in a channel, and what you may do there. Asks no relay.

    \b
    Example:
      backchannel whoami --channel North
    """
    from backchannel.client.rounds.session import allowed, look
    from backchannel.client.telling.choosing import pick_channel
    from backchannel.client.telling.people import member
    from backchannel.client.telling.rules import UNATTRIBUTED, table

    with app.vault() as vault:
        row = pick_channel(vault, channel)
        state = look(vault, row.name, app.now(), app.entropy).state
    with allowed():
        entry = state.current().entry(state.me)
    you = member(state, entry)
    may = [deed for deed, roles in table() if roles[entry.role]]
    if not state.policy.unattributed:
        may = [deed for deed in may if deed != UNATTRIBUTED]
    about = {key: you[key] for key in ("alias", "party", "role", "floor", "hand")}
    app.ui.show({"channel": row.name, **about, "ended": state.ended, "may": may})
    if app.ui.json:
        return
    article = "an" if entry.role[0] in "aeiou" else "a"
    app.ui.say(f"In {row.name} you are {entry.alias}, of {entry.party}, {article} {entry.role}.")
    app.ui.say("This name and its keys are used here and nowhere else.")
    if state.ended:
        app.ui.say(phrases.over(state.ended))
        return
    app.ui.field("you may", "; ".join(may))
