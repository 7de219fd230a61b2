"""`log`, `alarms`, `record`: what facilitators did, what went wrong, whether all saw the same."""

import json
from typing import TYPE_CHECKING, Any

import click

from backchannel.client.app import App
from backchannel.client.options import channel_option, verb, verbs
from backchannel.client.rounds.verdict import stale
from backchannel.client.telling import phrases

if TYPE_CHECKING:
    from backchannel.client.vault.messages import Message
    from backchannel.protocol.state import ChannelState

_offline = click.option("--offline", is_flag=True, help="Show what was fetched before.")


@verb("log")
@_offline
@channel_option
def log(app: App, *, offline: bool, channel: str | None) -> None:
    """Show what facilitators did: who came and went, who may do what, which rules changed.

    Everybody here sees the same log. It expires like what is said, and proves nothing outside.

    \b
    Example:
      backchannel log
    """
    from backchannel.client.rounds.sync import Sync

    with app.vault() as vault, Sync(app, vault) as sync:
        row, problem = sync.fresh(channel, offline=offline)
        kept = vault.messages.list(row.id, app.now())
    found = [act for act in map(_act, kept) if act is not None]
    app.ui.show({"channel": row.name, "acts": found})
    for each in found:
        app.ui.say(f"{each['at']}  {each['by']} {each['said']}")
    if not found:
        app.ui.say("No facilitator has changed anything that has not expired.")
    if problem is not None:
        raise stale(problem)


def _act(message: "Message") -> dict[str, Any] | None:
    from backchannel.client.telling.chronicle import acts

    plain = json.loads(message.plain)
    if plain["kind"] != "act":
        return None
    return {
        "at": phrases.stamp(message.hour),
        "by": plain["from"],
        "version": plain["version"],
        "changes": plain["changes"],
        "said": acts(plain["changes"]),
        "expires_at": phrases.stamp(message.expires),
    }


@verb("alarms")
@click.option("--seen", is_flag=True, help="You have dealt with them: show them no more.")
@_offline
@channel_option
def alarms(app: App, *, seen: bool, offline: bool, channel: str | None) -> None:
    """Show what an honest channel does not show, and what else you should know.

    An alarm throws nobody out. It tells you to speak with each other by another way, and compare.

    \b
    Examples:
      backchannel alarms
      backchannel alarms --seen
    """
    from backchannel.client.keeping.seen import mark_seen
    from backchannel.client.rounds.sync import Sync
    from backchannel.client.telling import chronicle, overview

    with app.vault() as vault, Sync(app, vault) as sync:
        row, problem = sync.fresh(channel, offline=offline or seen)
        about = overview.of_channel(row, vault.hour(app.now()))
        if seen:
            mark_seen(vault, row.name, app.now())
    raised = [_dated(each, chronicle.alarm(each)) for each in about["alarms"]]
    known = [_dated(each, chronicle.notice(each)) for each in about["notices"]]
    app.ui.show({"channel": row.name, "alarms": raised, "notices": known, "seen": seen})
    for each in raised:
        app.ui.say(f"ALARM {each['at']}  {each['said']}")
    for each in known:
        app.ui.say(f"note  {each['at']}  {each['said']}")
    if not (raised or known):
        app.ui.say("No alarm, and nothing to note.")
    elif seen:
        app.ui.say("They are not shown any more.")
    elif raised:
        app.ui.say("Speak with each other by voice, and compare: backchannel verify")
        app.ui.say("next: backchannel alarms --seen     once you have dealt with them")
    if problem is not None:
        raise stale(problem)


def _dated(each: dict[str, Any], said: str) -> dict[str, Any]:
    return each | {"at": phrases.stamp(each["at"]), "said": said}


@verbs("record", invoke_without_command=True)
@_offline
@channel_option
@click.pass_context
def record(context: click.Context, app: App, *, offline: bool, channel: str | None) -> None:
    """Show up to where each member has the same record as you.

    Programs tell each other once a day what they hold, as one number for each hour.

    \b
    Examples:
      backchannel record
      backchannel record compare
    """
    if context.invoked_subcommand is not None:
        return
    from backchannel.client.rounds.session import allowed
    from backchannel.client.rounds.sync import Sync

    with app.vault() as vault, Sync(app, vault) as sync:
        row, problem = sync.fresh(channel, offline=offline)
        state = sync.state(row.name)
    with allowed():
        found = _agreement(state)
    missing = len(state.transcript.missing)
    app.ui.show({"channel": row.name, "missing": missing, "members": found})
    for each in found:
        app.ui.say(f"{each['alias']}: {_said(each)}")
    if not found:
        app.ui.say("You alone are here.")
    if missing:
        app.ui.say(phrases.missing(missing))
    if any(not each["agreed_until"] for each in found):
        app.ui.say("next: backchannel record compare     asks everybody")
    if problem is not None:
        raise stale(problem)


def _agreement(state: "ChannelState") -> list[dict[str, Any]]:
    from backchannel.client.telling.people import others
    from backchannel.protocol.record import Agreement, agreement
    from backchannel.protocol.types import Slot

    found, known = [], agreement(state)
    for entry in others(state):
        upto, differs = known.get(Slot(entry.slot), Agreement())
        found.append(
            {
                "alias": entry.alias,
                "agreed_until": None if upto is None else phrases.stamp(upto),
                "differs_from": None if differs is None else phrases.stamp(differs),
            }
        )
    return found


def _said(each: dict[str, Any]) -> str:
    if each["differs_from"]:
        return (
            f"another record than yours from {each['differs_from']} on. It may still be on its "
            "way; if it stays so, you were shown different conversations"
        )
    if each["agreed_until"]:
        return f"the same record as yours up to {each['agreed_until']}"
    return "nothing to compare yet"


@verb("compare")
@channel_option
def compare(app: App, channel: str | None) -> None:
    """Tell everybody what you hold, and ask them for the same.

    Answers come within minutes from those who are there. The hour that is still running, and the
    one before, are not compared.

    \b
    Example:
      backchannel record compare
    """
    from backchannel.client.deed import perform
    from backchannel.protocol.command import Digest

    done = perform(app, channel, lambda _state: Digest(asks=True))
    app.ui.show(
        {"channel": done.name, "state": done.sent},
        "Asked. Whoever is there answers within minutes.",
        "next: backchannel record",
    )
    done.owe("The question goes with the next sync.")


record.add_command(compare)
