"""Letting go of what is kept here, before its hour: of one thread, or of everything.

Keys first, rows after: what is erased opens in no older copy of the database either. Knows no
screen and no network.
"""

import json
from typing import TYPE_CHECKING, NamedTuple

from backchannel.client import unlocked
from backchannel.client.errors import NoVault
from backchannel.client.profile import Profile
from backchannel.client.vault.folder import Folder
from backchannel.protocol.types import ContentHash, Hour, ThreadId, Timestamp

if TYPE_CHECKING:
    from backchannel.client.vault.sealed import Message
    from backchannel.client.vault.vault import Vault
    from backchannel.protocol.entropy import Entropy


class Purged(NamedTuple):
    """What is gone."""

    messages: int
    lifetime: int
    """Hours for which others may keep it, from when it was said."""


def purge_thread(
    vault: "Vault", channel: str, thread: ThreadId, now: Timestamp, entropy: "Entropy"
) -> Purged:
    """Erase the key of a thread, and all that stands in it. Said in it again, it is kept again."""
    from backchannel.client.session import (  # slow to load, and `purge_all` is in haste
        look,
        name_of,
    )

    with vault.exclusive(now):
        with vault.transaction():
            session = look(vault, channel, now, entropy)
            row, state = session.row, session.state
            gone = vault.messages.list(row.id, now, thread)
            vault.cores.remove(row.id, _cores(gone))
            count = vault.messages.purge(row.id, thread)
            names = {name_of(each.content) for each in gone}
            unread = {k: v for k, v in row.summary["unread"].items() if k not in names}
            vault.channels.put_state(row.id, row.state, row.summary | {"unread": unread})
        vault.forget_keys()
        vault.fold()
    lasts = [Hour(each.expires - each.hour) for each in gone]
    return Purged(count, max([state.thread_lifetime(thread), *lasts]))


def purge_all(profile: Profile) -> None:
    """Destroy the vault, locked or not: no passphrase, no network, no waiting for another command.

    `NoVault` where there is none.
    """
    if not profile.has_vault:
        msg = "There is no vault here: nothing was erased."
        raise NoVault(msg)
    Folder(profile.vault).destroy()
    unlocked.end(profile)
    profile.lock.unlink(missing_ok=True)


def _cores(gone: "list[Message]") -> list[ContentHash]:
    """Those that carried texts, part by part. What carried a file opens with the file's key, which
    stood in its message.
    """
    names = [each.content for each in gone]
    for each in gone:
        leaves = json.loads(each.plain).get("leaves", ())
        names += [ContentHash(bytes.fromhex(core)) for core, _ in leaves]
    return names
