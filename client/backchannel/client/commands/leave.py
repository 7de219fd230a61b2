"""`channel leave`: go of one's own accord, and, if one wants, keep nothing."""

from typing import TYPE_CHECKING

import click

from backchannel.client.aim import quoted
from backchannel.client.app import App
from backchannel.client.commands.purge import ask_before
from backchannel.client.errors import Declined, NotFound, UsageMistake
from backchannel.client.options import channel_option, verb
from backchannel.client.telling import overview, wiping
from backchannel.client.telling.choosing import pick_channel

if TYPE_CHECKING:
    from backchannel.client.keeping.leaving import Left
    from backchannel.client.vault.channels import ChannelRow, JoinRow
    from backchannel.client.vault.lost import LostRow
    from backchannel.client.vault.vault import Vault

_UNDONE = "Nothing was erased, and nothing was sent."


@verb("leave")
@click.option("--purge", is_flag=True, help="Erase what is here of it, too, at once.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@channel_option
def leave(app: App, *, purge: bool, yes: bool, channel: str | None) -> None:
    """Leave a channel for good. Everybody sees that you went.

    A facilitator's program then renews the keys without you. What you have received stays readable
    on this machine until it expires; with --purge it is erased before anything is sent, whether a
    relay can be reached or not. That works for a channel that you left before, too.

    While you wait to be admitted it takes your answer back, as far as this machine can.

    \b
    Examples:
      backchannel channel leave --channel North
      backchannel channel leave --channel North --purge
    """
    if _withdraw(app, channel, yes=yes):
        return
    if purge:
        _purge(app, channel, yes=yes)
    else:
        _leave(app, channel, yes=yes)


def _leave(app: App, channel: str | None, *, yes: bool) -> None:
    from backchannel.client.deed import perform
    from backchannel.protocol.command import Leave

    with app.vault() as vault:
        name = pick_channel(vault, channel).name
    if not yes and not app.ui.confirm(f"Leave {name} for good? You come back only by an invite."):
        msg = f"You are still in {name}. Nothing was sent."
        raise Declined(msg)
    done = perform(app, name, lambda _state: Leave())
    app.ui.show(
        {"channel": done.name, "state": done.sent},
        *([] if done.problem else [f"You have left {done.name}; everybody sees it."]),
        "What you have received stays readable here until it expires. To erase it now: "
        "backchannel channel leave --purge",
    )
    done.owe("It goes with the next sync.")


def _withdraw(app: App, channel: str | None, *, yes: bool) -> bool:
    """Whether it was a door behind which one waited."""
    from backchannel.client.rounds.joining import withdraw

    with app.vault() as vault:
        row = _waited(vault, channel)
        if row is None:
            return False
        name, alias, over = row.summary["channel"], row.alias, row.summary["over"]
        ask_before(app, f"Wait for {name} no more?", "You wait as before.", yes=yes)
        withdraw(app, vault, row)
    told = f"Tell the facilitator, who types: backchannel refuse {quoted(alias)}"
    app.ui.show(
        {"channel": name, "alias": alias, "state": "withdrawn"},
        f"You wait for {name} no more, and nothing of it is left here.",
        *([] if over else [f"What was sent stays in its lobby until that expires. {told}"]),
    )
    return True


def _waited(vault: "Vault", channel: str | None) -> "JoinRow | None":
    """The join that is meant, where no channel is."""
    try:
        pick_channel(vault, channel)
    except NotFound:
        rows = vault.joins.list()
        found = [row for row in rows if channel in (None, row.summary["channel"])]
        return found[0] if len(found) == 1 else None
    except UsageMistake:  # several: whoever asks says so
        return None
    return None


def _purge(app: App, channel: str | None, *, yes: bool) -> None:
    from backchannel.client.keeping.leaving import leave as go
    from backchannel.client.rounds.sync import Sync

    with app.vault() as vault, Sync(app, vault) as sync:
        lost = _lost(vault, channel)
        if lost is not None:
            _give_up(app, vault, lost, yes=yes)
            return
        row = pick_channel(vault, channel)
        ask_before(app, _question(row), _UNDONE, yes=yes)
        _gone(app, row.name, go(app, vault, sync, row))


def _question(row: "ChannelRow") -> str:
    erase = f"erase all that is here of {row.name}"
    if row.summary["ended"]:
        return f"{erase.capitalize()}?"
    alone = " If nobody else facilitates it, nobody can let anybody in or out any more."
    return f"Leave for good, and {erase}?{alone if row.summary['role'] == 'facilitator' else ''}"


def _gone(app: App, name: str, left: "Left") -> None:
    told = left.problem is None
    document = {"channel": name, "state": "erased", "others_told": told}
    app.ui.show(
        document | wiping.document("channel", left.lifetime),
        f"Nothing of {name} is left here.",
        *wiping.beyond("channel", left.lifetime),
    )
    if left.problem is not None:
        app.ui.note(f"The others were not told that you went: {left.problem.message}")
        app.ui.note("Tell a facilitator by another way, so that the keys are renewed without you.")


def _lost(vault: "Vault", channel: str | None) -> "LostRow | None":
    """A channel that a backup named, and that one is not in."""
    try:
        pick_channel(vault, channel)
    except NotFound:
        rows = vault.lost.list()
        found = [row for row in rows if channel in (None, row.about["name"])]
        if len(found) == 1:
            return found[0]
        raise
    return None


def _give_up(app: App, vault: "Vault", row: "LostRow", *, yes: bool) -> None:
    name = overview.of_lost(row)["channel"]
    ask_before(app, f"Forget that you were in {name}?", _UNDONE, yes=yes)
    with vault.exclusive(app.now()):
        with vault.transaction():
            vault.lost.take(row.id)
        vault.fold()
    document = {"channel": name, "state": "erased", "others_told": True}
    app.ui.show(document | wiping.document("channel"), f"Nothing of {name} is left here.")
