"""`sync`: fetch and deliver."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from backchannel.client.app import App
from backchannel.client.errors import ClientError, Enough, caught
from backchannel.client.options import channel_option, verb
from backchannel.client.telling import overview, phrases
from backchannel.client.telling.choosing import pick_channel
from backchannel.client.telling.summary import unread
from backchannel.client.wire.budget import KB, LEAST, Budget

if TYPE_CHECKING:
    from backchannel.client.rounds.sync import Round, Sync
    from backchannel.client.vault.channels import ChannelRow
    from backchannel.client.vault.vault import Vault


@verb("sync")
@channel_option
@click.option(
    "--max-kb",
    type=click.IntRange(min=LEAST),
    metavar="N",
    help="Move no more than N kB; the next run goes on from there.",
)
def sync(app: App, channel: str | None, max_kb: int | None) -> None:
    """Fetch what is new and deliver what is owed; show nothing of it.

    \b
    Examples:
      backchannel sync
      backchannel sync --channel North --max-kb 50
    """
    from backchannel.client.rounds.sync import Sync

    if max_kb is not None:
        app.budget = Budget(max_kb * KB)
    with app.vault() as vault, Sync(app, vault) as rounds:
        before = {row.id for row in vault.channels.list()}
        done, problem = rounds_of(app, vault, rounds, channel, rounds.whole)
        owed, rows = vault.outbox.count(), vault.channels.list()
        late = overview.unanswered(rows, vault.outbox.relays, vault.health.all())
        covered = overview.covered(rows, vault.outbox.relays)
        joins = [overview.of_join(row) for row in vault.joins.list()]
    joined = [row for row in rows if row.id not in before]
    names = [row.name for row in joined]
    lines = [
        f"{each['channel']}: {phrases.count(each['new'], 'new message')}."
        for each in done
        if each["new"] or each["channel"] not in names
    ]
    lines += [
        f"{each['channel']}: {phrases.soon(each['unread_soon'])}"
        for each in done
        if each["unread_soon"]
    ]
    lines += overview.outbox_lines(owed, late, covered)
    lines += [overview.join_line(each) for each in joins]
    lines = lines or ["There is no channel here yet."] * (not rows)
    lines += [line for row in joined for line in overview.arrived(row, several=len(rows) > 1)]
    more = app.budget.stopped
    if more:
        lines += [f"Stopped at {max_kb} kB; more is waiting: backchannel sync"]
    apart = {"outbox": owed, "outbox_unanswered": late, "outbox_covered": covered}
    app.ui.show({"channels": done, "joined": names, **apart, "more": more}, *lines)
    if problem is not None and not isinstance(problem, Enough):
        raise problem


def rounds_of(
    app: App, vault: "Vault", rounds: "Sync", channel: str | None, turn: Callable[[str], "Round"]
) -> tuple[list[dict[str, Any]], ClientError | None]:
    """A round with each channel that is meant; the first problem, after all had their turn."""
    from backchannel.client.keeping.leaving import let_go

    for over in let_go(app, vault):
        app.ui.note(
            f"{over} was closed, and what was said there has expired: nothing of it is here."
        )
    done: list[dict[str, Any]] = []
    problem = None if channel else caught(rounds.lobbies.ask_all)
    rows = [pick_channel(vault, channel)] if channel else urgent_first(vault.channels.list())
    if app.budget.bounded:  # what is owed lets others go on
        for row in rows:
            rounds.deliver(row.id)
    for name in (row.name for row in rows):
        try:
            found = turn(name)
            soon = unread(vault.channels.get(name).summary, vault.hour(app.now())).soon
            done.append({"channel": name, **found._asdict(), "unread_soon": soon})
        except ClientError as error:
            problem = problem or error
    return done, problem


def urgent_first(rows: "list[ChannelRow]") -> "list[ChannelRow]":
    """Crisis lines before all others."""
    return sorted(rows, key=lambda row: row.summary["policy"]["format"] != "hotline")
