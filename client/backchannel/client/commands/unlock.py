"""`unlock` and `lock`: whether an agent holds the vault's key, and for how long."""

import click

from backchannel.client import unlocked
from backchannel.client.app import App
from backchannel.client.options import Duration, verb

_FOR = Duration("1s", "24h")


@verb("unlock")
@click.option("--for", "duration", metavar="TIME", help="How long: 90s, 15m, 8h.  [default: 15m]")
def unlock(app: App, duration: str | None) -> None:
    """Type the passphrase once; commands do not ask for it until the time is over.

    A small process of your own holds the vault's key in memory. `lock` ends it at once.
    """
    from backchannel.client.vault.vault import Vault

    seconds = _FOR.convert(duration or app.settings.unlock_for, None, None)
    key = app.typed_key() if app.profile.has_vault else app.make_vault()
    Vault(app.profile, key, app.now()).close()
    if not unlocked.start(app.profile, key, seconds):
        app.ui.note("The key's memory could not be locked; it might be swapped to disk.")
    app.ui.show({"state": "unlocked", "seconds": seconds}, f"Unlocked for {_said(seconds)}.")


@verb("lock")
def lock(app: App) -> None:
    """Forget the vault's key now."""
    held = unlocked.end(app.profile)
    said = "Locked." if held else "Locked; it was locked before."
    app.ui.show({"state": "locked", "was_unlocked": held}, said)


def _said(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{seconds} s" if rest else f"{minutes} min"
