"""`watch`: stays, keeps every channel going, and tells what changes, as `status` would put it."""

import os
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import click

from backchannel.client.aim import aimed
from backchannel.client.app import App
from backchannel.client.commands.status import add_hotlines
from backchannel.client.errors import Declined, Refused, caught
from backchannel.client.machine.timer import program, quoted
from backchannel.client.options import Duration, channel_option, verb
from backchannel.client.telling import overview
from backchannel.client.telling.bulletin import lines
from backchannel.client.telling.choosing import pick_channel
from backchannel.client.ui import iso

if TYPE_CHECKING:
    from backchannel.client.rounds.sync import Sync
    from backchannel.client.vault.vault import Vault

_ROUND: Final = 20
"""Seconds in which each channel has its turn; where there is one, a relay tells at once."""
_EVERY: Final = Duration("10s", "1h")
_PAUSES: Final = (0, 1, 2, 5, 10, 20)  # seconds after so many rounds that failed


@verb("watch")
@click.option("--unit", is_flag=True, help="Print a service for systemd that runs this.")
@click.option(
    "--private", "every", type=_EVERY, metavar="TIME",
    help="Ask for a whole page at this interval, whatever there is: 1m, 10m.",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="With --private: do not ask whether it may cost that.")
@channel_option
def watch(app: App, *, unit: bool, every: int | None, yes: bool, channel: str | None) -> None:
    """Stay, keep the line going, and tell what changes; Ctrl-C ends.

    While it runs, heartbeats go out, tests are echoed, and what others lack is brought to them. It
    says in a line what `status` would say, as soon as it would, and marks nothing as read. With
    --json each change is a document of one line. Where a channel has cover it takes your turns.

    \b
    Examples:
      backchannel watch
      backchannel watch --json | while read -r line; do notify-send "$line"; done
      backchannel watch --unit > ~/.config/systemd/user/backchannel-watch.service
    """
    if unit:
        text = _unit(app)
        app.ui.show({"unit": text}, text)
        return
    from backchannel.client.rounds.sync import Sync

    with app.vault() as vault, Sync(app, vault, whole=every is not None) as rounds:
        chosen = pick_channel(vault, channel).name if channel else None
        if every is not None:
            _show_cost(app, _names(vault, chosen), vault, every, yes=yes)
        _stay(app, vault, rounds, chosen, every)


def _show_cost(app: App, names: list[str], vault: "Vault", every: int, *, yes: bool) -> None:
    from backchannel.client.telling.traffic import of_pages

    drops = sum(len(vault.channels.get(name).summary["drops"]) for name in names)
    for line in of_pages(every, drops).lines:
        app.ui.note(line)
    if not yes and not app.ui.confirm("Begin?"):
        msg = "Nothing was asked of any relay."
        raise Declined(msg)


def _names(vault: "Vault", chosen: str | None) -> list[str]:
    return [chosen] if chosen else [row.name for row in vault.channels.list()]


def _stay(
    app: App, vault: "Vault", rounds: "Sync", chosen: str | None, every: int | None
) -> NoReturn:
    told: dict[str, list[str]] = {}
    failures = 0
    while True:
        left = app.awake()
        names = _names(vault, chosen)
        if not names and not vault.joins.list():
            msg = "There is no channel here to watch."
            raise Refused(msg, "backchannel join URL")
        problem = None if chosen else caught(rounds.lobbies.ask_all)
        for name in names:
            # What stands is told at once; then a relay is waited for.
            turn = 0 if every or name not in told else min(_ROUND // len(names), left)
            problem = caught(partial(rounds.channel, name, turn)) or problem
            told[name] = _tell(app, vault, name, told.get(name), several=len(names) > 1)
        if problem is not None and not failures:
            again = f"{problem.message} Trying again until it is there."
            app.ui.note(again, next=problem.next_step)
        failures = failures + 1 if problem is not None else 0
        if every:
            rounds.turns.pause(names, every)
        else:
            time.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)] if names else _ROUND)


def _tell(
    app: App, vault: "Vault", name: str, before: list[str] | None, *, several: bool
) -> list[str]:
    """What was not so a moment ago; at first, all."""
    now = app.now()
    each = overview.of_channel(vault.channels.get(name), vault.hour(now))
    add_hotlines(app, vault, [each])
    said = [aimed(line, name if several else None) for line in lines(each)]
    new = [line for line in said if line not in (before or ())]
    if before is None or new:
        app.ui.show({"at": iso(now), "told": new, **each}, *(f"{name}: {line}" for line in new))
    return said


def _unit(app: App) -> str:
    """It goes by the agent of `unlock`: no passphrase stands in a file, and while the vault is
    locked it tries once a minute.
    """
    home = app.flags.get("home") or os.environ.get("BACKCHANNEL_HOME")
    where = ["--home", str(Path(home).expanduser().absolute())] if home else []
    words = [*program(), *where, *app.settings.way, "watch", "--json"]
    start = " ".join(map(quoted, words))
    return (
        "[Unit]\nDescription=Keeps a line open\n\n"
        f"[Service]\nExecStart={start}\nRestart=always\nRestartSec=60\n\n"
        "[Install]\nWantedBy=default.target"
    )
