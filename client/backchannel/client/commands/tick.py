"""`tick`: what a timer does. Erases what has expired, without passphrase and without network."""

import os
from pathlib import Path

import click

from backchannel.client.app import App
from backchannel.client.errors import Refused, UsageMistake
from backchannel.client.options import verb
from backchannel.client.telling import phrases
from backchannel.protocol.types import hour_of

_LINGERS = Path("/var/lib/systemd/linger")


@verb("tick")
@click.option(
    "--install", is_flag=True, help="Let this machine run it every hour, and at its start."
)
@click.option("--remove", is_flag=True, help="No longer.")
@click.option("--sync", is_flag=True, help="Fetch and deliver then, too, while it is unlocked.")
@click.option("--accept", is_flag=True, help="This machine's clock is right, though it leapt.")
def tick(app: App, *, install: bool, remove: bool, sync: bool, accept: bool) -> None:
    """Erase what has expired, now: no passphrase and no relay is needed.

    Every command does that first. A timer does it too while nobody uses Backchannel: then what has
    expired is gone within the hour, whether somebody looks or not.

    If the clock is more than a day ahead of when the vault was last used, nothing is erased until
    you, or a relay, say that it is right.

    With --sync it also fetches, delivers and tells the others that you are there, as far as the
    vault is unlocked: nothing can be sent from a vault that is locked, and no timer unlocks it.
    Whoever watches your connection, or the relay, sees then that this machine is on.

    \b
    Examples:
      backchannel tick --install
      backchannel tick --install --sync
      backchannel tick --accept
    """
    if install + remove + accept > 1:
        msg = "One thing at a time."
        raise UsageMistake(msg, "backchannel tick --help")
    if install:
        _install(app, sync=sync)
    elif remove:
        _remove(app)
    else:
        _erase(app, accept=accept)
        if sync:
            _sync(app)


def _erase(app: App, *, accept: bool) -> None:
    from backchannel.client.vault.vault import expire

    if not app.profile.has_vault:  # a timer that outlived its vault has nothing to complain of
        app.ui.show({"state": "no-vault"}, "There is no vault here; there is nothing to erase.")
        return
    now = app.now()
    expire(app.profile, now, sure=accept)
    hour = hour_of(now)
    app.ui.show(
        {"state": "erased", "until": phrases.stamp(hour)},
        f"What was to last until {phrases.hour_of_day(hour)} cannot be opened any more.",
    )


def _sync(app: App) -> None:
    """A round with every channel, if the vault is unlocked."""
    vault = app.unlocked_vault()
    if vault is None:
        app.ui.note(
            "The vault is locked: nothing was fetched, and nobody was told that you are there."
        )
        return
    from backchannel.client.commands.sync import rounds_of
    from backchannel.client.rounds.sync import Sync

    with vault, Sync(app, vault, patient=True) as rounds:
        _, problem = rounds_of(app, vault, rounds, None, rounds.channel)
    if problem is not None:
        raise problem


def _install(app: App, *, sync: bool) -> None:
    from backchannel.client.machine import timer

    if app.settings.memory_only:
        msg = "What is in memory only needs no timer: it ends with its agent."
        raise Refused(msg, "backchannel --memory-only lock")
    home = app.flags.get("home") or os.environ.get("BACKCHANNEL_HOME")
    made = timer.install(app.profile, home, sync=sync, way=app.settings.way)
    lines = [
        f"Runs every hour and at the machine's start: {made.where}.",
        "To take it back: backchannel tick --remove",
    ]
    if sync:
        lines.append(
            "It fetches and delivers while the vault is unlocked: backchannel unlock --for 8h"
        )
    if made.kind == "systemd" and not _lingers():
        lines.insert(1, "While you are logged in; for when you are not: loginctl enable-linger")
    app.ui.show({"state": "installed", **made._asdict()}, *lines)


def _lingers() -> bool:
    import getpass

    return (_LINGERS / getpass.getuser()).exists()


def _remove(app: App) -> None:
    from backchannel.client.machine import timer

    gone = timer.remove(app.profile)
    lines = [f"Removed: {each.where}." for each in gone] or ["There was no timer."]
    app.ui.show({"state": "removed", "timers": [each._asdict() for each in gone]}, *lines)
