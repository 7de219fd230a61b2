"""`passphrase`: practise it, so that it is there when it is needed."""

from backchannel.client.app import App
from backchannel.client.options import verb, verbs


@verbs("passphrase")
def passphrase(_app: App) -> None:
    """Practise the vault's passphrase."""


@verb("practise")
def practise(app: App) -> None:
    """Ask for the passphrase, and say whether it is right. Opens and changes nothing.

    \b
    Example:
      backchannel passphrase practise
    """
    from backchannel.client.vault.folder import Folder

    app.refuse_in_memory("What is in memory only has a passphrase that nobody knows.")
    app.refuse_without_vault()
    # Not `Vault.key`: a passphrase that does more than open does nothing of it here.
    Folder(app.profile.vault).head().key(app.passphrases.known())
    app.ui.show({"right": True}, "That is right. Practise it again in a week, and in a month.")


passphrase.add_command(practise)
