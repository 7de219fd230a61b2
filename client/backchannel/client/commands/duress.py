"""`duress`: a second passphrase that destroys, for whoever may be forced to open the vault."""

from pathlib import Path

import click

from backchannel.client.app import App
from backchannel.client.errors import Declined
from backchannel.client.options import verb, verbs

_TOLD = """\
Typed where your own is asked for, the duress passphrase erases the keys of everything that is here,
at once and for good, and opens an empty vault instead.
Nobody can see from the files whether one is set. Whoever copied them before, keys and all, and is
given your own passphrase, opens that copy.
To erase what somebody has a right to may itself be an offence: ask a lawyer first."""


@verbs("duress")
def duress(_app: App) -> None:
    """Set a passphrase that erases everything and opens an empty vault.

    For whoever may be forced to type a passphrase. It must be quite another than your own, so that
    no slip of the fingers can do it.
    """


@verb("set")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--duress-passphrase-file", "file", type=click.Path(path_type=Path), metavar="FILE",
    help="Read the duress passphrase from this file.",
)  # fmt: skip
def set_(app: App, *, yes: bool, file: Path | None) -> None:
    """Set the duress passphrase, in place of one that was set before.

    \b
    Example:
      backchannel duress set
    """
    from backchannel.client.keeping import duress as noun

    app.refuse_in_memory("What is in memory only has a passphrase that nobody knows.")
    app.refuse_without_vault()
    if not app.json:
        app.ui.note(_TOLD)
    if not yes and not app.ui.confirm("Set one?"):
        msg = "Nothing was set."
        raise Declined(msg)
    passphrase = app.passphrases.known("Your own passphrase:")
    app.key_of(passphrase)
    chosen = app.passphrases.new("Choose a duress passphrase:", file)
    noun.refuse_near(passphrase, chosen)
    noun.put(app.profile, chosen, app.now(), app.entropy)
    app.ui.show(
        {"state": "set"},
        "It is set. Typed where your own is asked for, it erases everything.",
        "To take it away: backchannel duress clear",
    )


@verb("clear")
def clear(app: App) -> None:
    """Take the duress passphrase away, whether or not one is set.

    \b
    Example:
      backchannel duress clear
    """
    from backchannel.client.keeping import duress as noun

    app.refuse_in_memory("What is in memory only has a passphrase that nobody knows.")
    app.refuse_without_vault()
    app.key_of(app.passphrases.known("Your own passphrase:"))
    noun.take_away(app.profile, app.now(), app.entropy)
    app.ui.show({"state": "clear"}, "No passphrase but your own opens anything here now.")


duress.add_command(set_)
duress.add_command(clear)
