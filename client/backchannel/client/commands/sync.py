"""`sync` and `status`: fetch and deliver, and where things stand."""

from typing import TYPE_CHECKING, Any

import click

from backchannel.client import phrases, standing
from backchannel.client.app import App
from backchannel.client.choosing import channel_option, pick_channel
from backchannel.client.errors import ClientError, caught
from backchannel.client.options import verb
from backchannel.client.summary import unread
from backchannel.client.verdict import stale

if TYPE_CHECKING:
    from backchannel.client.sync import Sync
    from backchannel.client.vault.vault import Vault


@verb("sync")
@channel_option
def sync(app: App, channel: str | None) -> None:
    """Fetch what is new and deliver what is owed; show nothing of it."""
    from backchannel.client.sync import Sync

    with app.vault() as vault, Sync(app, vault) as rounds:
        done, problem = _all(app, vault, rounds, channel)
        owed = vault.outbox.count()
        joins = [standing.of_join(row) for row in vault.joins.list()]
    lines = [f"{each['channel']}: {phrases.count(each['new'], 'new message')}." for each in done]
    lines += [
        f"{each['channel']}: {phrases.soon(each['unread_soon'])}"
        for each in done
        if each["unread_soon"]
    ]
    lines += [f"{phrases.count(owed, 'request')} to a relay still to be sent."] if owed else []
    lines += [_waiting(each) for each in joins]
    app.ui.show({"channels": done, "outbox": owed}, *(lines or ["There is no channel here yet."]))
    if problem is not None:
        raise problem


def _all(
    app: App, vault: "Vault", rounds: "Sync", channel: str | None
) -> tuple[list[dict[str, Any]], ClientError | None]:
    """A round with each channel that is meant; the first problem, after all had their turn."""
    done: list[dict[str, Any]] = []
    problem = None if channel else caught(rounds.joins)
    names = (
        [pick_channel(vault, channel).name] if channel else [r.name for r in vault.channels.list()]
    )
    for name in names:
        try:
            found = rounds.channel(name)
            soon = unread(vault.channels.get(name).summary, vault.hour(app.now())).soon
            done.append({"channel": name, **found._asdict(), "unread_soon": soon})
        except ClientError as error:
            problem = problem or error
    return done, problem


@verb("status")
@click.option("--offline", is_flag=True, help="Show what was fetched before, at once.")
def status(app: App, *, offline: bool) -> None:
    """Show where things stand, and what to do next."""
    problem = None
    with app.vault() as vault:
        if not offline:
            problem = _refresh(app, vault)
        now = vault.hour(app.now())
        channels = [standing.of_channel(row, now) for row in vault.channels.list()]
        joins = [standing.of_join(row) for row in vault.joins.list()]
        lost = [standing.of_lost(row) for row in vault.lost.list()]
        owed = vault.outbox.count()
    step = standing.next_step(channels, joins, owed, lost)
    found = {"channels": channels, "joins": joins, "lost": lost, "outbox": owed, "next": step}
    app.ui.show(found)
    for each in channels:
        _tell(app, each)
    for each in joins:
        app.ui.say(_waiting(each))
        if not each["ended"] and each["check_words"]:
            app.ui.say(f"  Compare with the facilitator, by voice: {each['check_words']}")
    for each in lost:
        app.ui.say(standing.lost_line(each))
    if not (channels or joins or lost):
        app.ui.say("There is no channel here yet.")
    if owed:
        app.ui.say(f"The outbox holds {phrases.count(owed, 'request')} to a relay.")
    app.ui.say(f"next: {step}")
    if problem is not None:
        raise stale(problem)


def _refresh(app: App, vault: "Vault") -> ClientError | None:
    from backchannel.client.sync import Sync

    with Sync(app, vault) as rounds:
        return _all(app, vault, rounds, None)[1]


def _waiting(each: standing.Document) -> str:
    """A join that was not let in yet, or never will be."""
    return f"{each['channel']}: {phrases.ended(each['ended']) or 'you wait to be admitted.'}"


def _tell(app: App, each: standing.Document) -> None:
    """One channel, in as few lines as there is news; what is wrong comes first."""
    from backchannel.client.bulletin import lines

    role = f", {each['role']}" if each["role"] not in {"", "participant"} else ""
    members = phrases.count(each["members"], "member")
    app.ui.title(f"{each['channel']}: {members}; you are {each['alias']}{role}")
    for line in lines(each):
        app.ui.say(f"  {line}")
