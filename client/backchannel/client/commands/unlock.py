"""`unlock` and `lock`: whether an agent holds the vault's key, and for how long."""

import click

from backchannel.client.app import App
from backchannel.client.options import Duration, verb
from backchannel.client.unlocking import memory_only, unlocked

_FOR = Duration("1s", "24h")
_HOUR = 3600


@verb("unlock")
@click.option("--for", "duration", metavar="TIME", help="How long: 90s, 15m, 8h.  [default: 15m]")
@click.option("--idle", metavar="TIME", help="Lock sooner, when nothing asked for it so long: 10m.")
def unlock(app: App, duration: str | None, idle: str | None) -> None:
    """Type the passphrase once; commands do not ask for it until the time is over.

    A small process of your own holds the vault's key in memory. `lock` ends it at once, and so does
    a time without any command, if you set one. What is off the record goes with it.

    \b
    Example:
      backchannel unlock --for 8h --idle 10m
    """
    if app.settings.memory_only:
        _prolong(app, duration)
        return
    from backchannel.client.vault.vault import Vault

    seconds = _FOR.convert(duration or app.settings.unlock_for, None, None)
    unused = min(seconds, _FOR.convert(idle or app.settings.idle or seconds, None, None))
    key = app.typed_key() if app.profile.has_vault else app.make_vault()
    Vault(app.profile, key, app.now()).close()
    if not unlocked.start(app.profile, key, seconds, idle=unused):
        app.ui.note("The key's memory could not be locked; it might be swapped to disk.")
    sooner = f", or until nothing was done for {_said(unused)}" if unused < seconds else ""
    app.ui.show(
        {"state": "unlocked", "seconds": seconds, "idle_seconds": unused},
        f"Unlocked for {_said(seconds)}{sooner}.",
    )


def _prolong(app: App, duration: str | None) -> None:
    """What is in memory only: begun if it was not, and kept so long from now."""
    seconds = _FOR.convert(duration, None, None) if duration else memory_only.USUAL
    if not app.profile.has_vault:
        app.make_vault()
    if not memory_only.prolong(app.profile, seconds):
        app.ui.note("The key's memory could not be locked; it might be swapped to disk.")
    app.ui.show(
        {"state": "in-memory", "seconds": seconds},
        f"Kept in memory for {_said(seconds)} from now. Then nothing of it is left.",
    )


@verb("lock")
def lock(app: App) -> None:
    """Forget the vault's key now. What was kept in memory only is gone for good.

    \b
    Example:
      backchannel lock
    """
    if app.settings.memory_only:
        was = memory_only.end(app.profile)
        said = "Nothing of it is left." if was else "Nothing was kept in memory."
        app.ui.show({"state": "gone", "was_unlocked": was}, said)
        return
    held = unlocked.end(app.profile)
    said = "Locked." if held else "Locked; it was locked before."
    app.ui.show({"state": "locked", "was_unlocked": held}, said)


def _said(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    if not seconds % _HOUR and seconds > _HOUR:
        return f"{seconds // _HOUR} hours"
    return f"{seconds} s" if rest else f"{minutes} min"
