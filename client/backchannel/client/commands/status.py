"""`status`: where things stand, and what to do next; with `--check`, for a machine that looks."""

from typing import TYPE_CHECKING

import click

from backchannel.client.app import App
from backchannel.client.commands.sync import rounds_of
from backchannel.client.errors import ClientError
from backchannel.client.exits import Exit
from backchannel.client.options import verb
from backchannel.client.rounds.verdict import stale
from backchannel.client.telling import alive, check, overview, phrases

if TYPE_CHECKING:
    from backchannel.client.vault.vault import Vault


@verb("status")
@click.option("--offline", is_flag=True, help="Show what was fetched before, at once.")
@click.option("--members", is_flag=True, help="Who was heard when, one by one.")
@click.option("--check", "checks", is_flag=True, help="Say only what is wrong, by exit code too.")
def status(app: App, *, offline: bool, members: bool, checks: bool) -> int:
    """Show where things stand, and what to do next.

    Of each party it says whether it is alive, late or silent, by how often programs in that channel
    tell that they are there: late after one heartbeat that did not come, silent after three.

    With --check it says nothing while all is well, and exits with 0; so a timer may run it. Else
    with what is gravest: 13 an alarm, 7 you were away too long, 4 a relay is not the one that you
    trusted, 12 a party is silent or a hotline calls you, 14 something expired unread, 15 something
    of yours is with no relay yet; 3 if no relay answered and nothing graver is known from before.

    \b
    Examples:
      backchannel status --members
      backchannel status --check || mail -s 'look at the channel' me
    """
    found, problem = _found(app, offline=offline)
    if checks:
        return _check(app, found, problem)
    _show(app, found, members=members)
    if problem is not None:
        raise stale(problem)
    return Exit.DONE


def _check(app: App, found: overview.Document, problem: ClientError | None) -> int:
    wrong = check.findings(found, problem)
    app.ui.show(check.document(wrong), *map(check.line, wrong))
    return check.verdict(wrong)


def _found(app: App, *, offline: bool) -> tuple[overview.Document, ClientError | None]:
    """Where things stand; and why that may be of earlier."""
    problem = None
    with app.vault() as vault:
        if not offline:
            problem = _refresh(app, vault)
        now = vault.hour(app.now())
        rows, failing = vault.channels.list(), vault.health.all()
        channels = [
            overview.of_channel(row, now)
            | {"relays": overview.relays(row, failing)}
            | {"unpaid": overview.unpaid(row, vault.vouchers.count)}
            for row in rows
        ]
        add_hotlines(app, vault, channels)
        joins = [overview.of_join(row) for row in vault.joins.list()]
        lost = [overview.of_lost(row) for row in vault.lost.list()]
        owed = vault.outbox.count()
        late = overview.unanswered(rows, vault.outbox.relays, failing)
        queued = sum(len(vault.outbox.queued(row.id)) for row in rows)
        covered = overview.covered(rows, vault.outbox.relays)
        taken = any(row.summary.get("stays", 0) > app.now() for row in rows)
    turns = covered > 0 and not taken
    step = overview.next_step(channels, joins, owed - late - covered, lost, turns=turns)
    found = {"channels": channels, "joins": joins, "lost": lost, "outbox": owed, "next": step}
    return found | {"queued": queued, "outbox_unanswered": late, "outbox_covered": covered}, problem


def _show(app: App, found: overview.Document, *, members: bool) -> None:
    channels, joins, lost = found["channels"], found["joins"], found["lost"]
    app.ui.show(found)
    for each in channels:
        _tell(app, each, members=members, several=len(channels) > 1)
    for each in joins:
        app.ui.say(overview.join_line(each))
        if not each["ended"] and each["check_words"]:
            app.ui.say(f"  Compare with the facilitator, by voice: {each['check_words']}")
    for each in lost:
        app.ui.say(overview.lost_line(each))
    if not (channels or joins or lost):
        app.ui.say("There is no channel here yet.")
    late, covered = found["outbox_unanswered"], found["outbox_covered"]
    for line in overview.outbox_lines(found["outbox"], late, covered):
        app.ui.say(line)
    if found["queued"]:
        app.ui.say(f"No relay has {phrases.count(found['queued'], 'message')} of yours yet.")
    app.ui.say(f"next: {found['next']}")


def _refresh(app: App, vault: "Vault") -> ClientError | None:
    from backchannel.client.rounds.sync import Sync

    with Sync(app, vault) as rounds:
        return rounds_of(app, vault, rounds, None, rounds.channel)[1]


def add_hotlines(app: App, vault: "Vault", channels: list[overview.Document]) -> None:
    """What comes first there stands in messages, which only a hotline has opened for this."""
    for each in channels:
        each["hotline"] = None
        if each["policy"]["format"] == "hotline":
            from backchannel.client.keeping.foremost import document

            each["hotline"] = document(app, vault, vault.channels.get(each["channel"]))


def _tell(app: App, each: overview.Document, *, members: bool, several: bool) -> None:
    """One channel, in as few lines as there is news; what is wrong comes first."""
    from backchannel.client.aim import aimed
    from backchannel.client.telling.bulletin import lines

    role = f", {each['role']}" if each["role"] not in {"", "participant"} else ""
    count = phrases.count(each["members"], "member")
    if each["ended"]:
        app.ui.title(f"{each['channel']}: you were {each['alias']}{role}")
    else:
        app.ui.title(f"{each['channel']}: {count}; you are {each['alias']}{role}")
    for line in lines(each):
        app.ui.say(f"  {aimed(line, each['channel'] if several else None)}")
    for other in each["alive"]["others"] if members else ():
        app.ui.say(f"  {alive.line(other['alias'], other)}")
