"""Letting go of what is kept here, before its hour: of one thread, or of everything.

What is erased opens in no older copy of the database either: its keys go as well. Knows no
screen and no network.
"""

import json
from typing import TYPE_CHECKING, NamedTuple

from backchannel.client.errors import NoVault
from backchannel.client.machine.profile import Profile
from backchannel.client.unlocking import unlocked
from backchannel.client.vault.folder import Folder
from backchannel.protocol.types import ChannelId, Hour, ThreadId, Timestamp

if TYPE_CHECKING:
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
    """Erase the key of a thread, and all that stands in it, also what waits to be said there by
    nobody in particular. Said in it again, it is kept again.
    """
    # Slow to load, and `purge_all` is in haste.
    from backchannel.client.rounds.session import look
    from backchannel.client.telling.documents import cores_of
    from backchannel.client.telling.summary import name_of, of_drafts

    with vault.exclusive(now):
        with vault.transaction():
            session = look(vault, channel, now, entropy)
            row, state = session.row, session.state
            known = vault.messages.list(row.id, now, thread)
            gone = vault.messages.purge(row.id, thread)
            vault.cores.remove(row.id, cores_of(known).union(gone))
            names = {name_of(each) for each in gone}
            unread = {k: v for k, v in row.summary["unread"].items() if k not in names}
            _drop_drafts(vault, row.id, thread, session.now)
            told = {"unread": unread} | of_drafts(vault.drafts.list(row.id))
            vault.channels.put_state(row.id, row.state, row.summary | told)
        vault.forget_keys()
        vault.fold()
    lasts = [Hour(each.expires - each.hour) for each in known]
    return Purged(len(gone), max([state.thread_lifetime(thread), *lasts]))


def _drop_drafts(vault: "Vault", channel: ChannelId, thread: ThreadId, now: Timestamp) -> None:
    for draft in vault.drafts.list(channel):
        plain = vault.drafts.open(draft.number, now)
        if plain is not None and json.loads(plain)["thread"] == thread.hex():
            vault.drafts.remove(channel, draft.number)


def purge_all(profile: Profile) -> None:
    """Destroy the vault, locked or not: no passphrase, no network, no waiting for another command.

    `NoVault` where there is none.
    """
    if not profile.has_vault:
        msg = "There is no vault here: nothing was erased."
        raise NoVault(msg)
    try:
        Folder(profile.vault).destroy()
    finally:
        unlocked.end(profile)
    profile.lock.unlink(missing_ok=True)
