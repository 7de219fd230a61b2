"""`backup` and `restore`: a file that says where one was, and holds nothing that was said."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from backchannel.client.app import App
from backchannel.client.errors import UsageMistake
from backchannel.client.options import verb
from backchannel.client.telling import overview, phrases
from backchannel.client.wire.route import mark

if TYPE_CHECKING:
    from backchannel.client.keeping.backup import Backup
    from backchannel.client.keeping.recovery import Restored

_FILE = click.Path(path_type=Path, dir_okay=False)
_MOST_SETTINGS = 1 << 16  # characters


@verb("backup")
@click.argument("file", type=_FILE)
def backup(app: App, file: Path) -> None:
    """Write where you are, and nothing that was said, to FILE.

    In it are your channels with their relays, your names, the facilitators, whose words you have
    compared, unspent vouchers, your settings, and whether you went through a proxy. There is no
    message and no key in it: who restores it asks for a new invite. It opens with the passphrase
    that the vault has today.

    \b
    Example:
      backchannel backup where-i-am.backup
    """
    import msgspec

    from backchannel.client.keeping import backup as backups
    from backchannel.client.keeping import files, recovery

    app.refuse_in_memory("What is in memory only is not written to a disk. Nothing was done.")
    app.refuse_without_vault()
    passphrase = app.passphrases.known()
    with app.opened(app.key_of(passphrase)) as vault:
        found = recovery.gather(vault, _settings(app), app.now(), app.entropy)
    found = msgspec.structs.replace(found, proxied=app.profile.proxied.exists())
    files.write(file, backups.seal(found, passphrase, app.entropy), "backchannel backup FILE")
    _written(app, file, found)


def _written(app: App, file: Path, found: "Backup") -> None:
    vouchers = sum(map(len, found.vouchers.values()))
    held = f"{phrases.count(len(found.places), 'channel')}, {phrases.count(vouchers, 'voucher')}"
    app.ui.show(
        {"file": str(file), "channels": [each.name for each in found.places], "vouchers": vouchers},
        f"Written to {file}: {held}. Nothing that was said is in it.",
        "Keep it away from this machine, and make another when you have joined or left a channel.",
        "It opens with the passphrase of today. next: backchannel passphrase practise",
    )


def _settings(app: App) -> str:
    try:
        return app.profile.settings_file.read_text("utf-8")[:_MOST_SETTINGS]
    except FileNotFoundError:
        return ""


@verb("restore")
@click.argument("file", type=_FILE)
def restore(app: App, file: Path) -> None:
    """List again the channels that a backup names; each is entered by a new invite.

    Makes a vault under the backup's passphrase, or adds what is missing to the one that is here.
    Nothing that was said comes back, expired or not.

    \b
    Example:
      backchannel restore where-i-am.backup
    """
    from backchannel.client.keeping import backup as backups
    from backchannel.client.keeping import recovery

    sealed = _read(file)
    passphrase = app.passphrases.known("Passphrase of the backup:")
    found = backups.open_(sealed, passphrase)
    key = app.key() if app.profile.has_vault else app.make_vault(passphrase)
    with app.opened(key) as vault:
        done = recovery.restore(vault, found, app.now())
    if found.proxied:
        mark(app.profile)
    wrote = _put_settings(app, found.settings)
    _restored(app, done, wrote=wrote)


def _read(file: Path) -> bytes:
    from backchannel.client.keeping.backup import MOST

    try:
        with file.open("rb") as opened:
            return opened.read(MOST)
    except OSError as error:
        msg = f"{file} cannot be read: {error.strerror}. Nothing was done."
        raise UsageMistake(msg, "give the FILE that `backup` wrote") from None


def _put_settings(app: App, text: str) -> bool:
    """Where there are none yet; whether they were written."""
    from backchannel.client.keeping import files

    target = app.profile.settings_file
    if not text or target.exists() or app.settings.memory_only:
        return False
    app.profile.make(app.profile.config)
    files.write(target, text.encode(), "backchannel restore FILE")
    return True


def _restored(app: App, done: "Restored", *, wrote: bool) -> None:
    lost = [overview.of_lost(row) for row in done.places]
    lines = [overview.lost_line(each) for each in lost]
    if done.vouchers:
        lines.append(f"Kept again: {phrases.count(done.vouchers, 'unspent voucher')}.")
    lines += [f"Your settings were written to {app.profile.settings_file}."] if wrote else []
    app.ui.show(
        {"lost": lost, "vouchers": done.vouchers, "settings_written": wrote},
        *(lines or ["Everything in this backup is here already."]),
        *(f"next: {each['next']}" for each in lost[:1]),
    )
