"""Going for good and keeping nothing: the word that one leaves is written down first, then all else
is erased, then that word is sent, if a relay can be reached. Knows no screen.
"""

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from backchannel.client.errors import ClientError, VaultBusy
from backchannel.client.rounds.relays import forget_strangers
from backchannel.client.rounds.session import change, look
from backchannel.protocol import limits
from backchannel.protocol.command import Leave
from backchannel.protocol.types import DropId, Hour

if TYPE_CHECKING:
    from backchannel.client.app import App
    from backchannel.client.rounds.sync import Sync
    from backchannel.client.vault.channels import ChannelRow, Summary
    from backchannel.client.vault.vault import Vault


class Left(NamedTuple):
    """What came of it. Nothing of the channel is here any more."""

    lifetime: int
    """Hours for which others may keep what was said, from when it was said."""
    problem: ClientError | None
    """Why the others were not told."""


def leave(app: "App", vault: "Vault", sync: "Sync", row: "ChannelRow") -> Left:
    """Leave, unless that was done before, and erase all of the channel; needs no network."""
    owed, problem = _written(app, vault, row)
    lifetime = _erase(app, vault, row, owed)
    if owed:
        problem = sync.deliver(row.id).problem
        _erase_owed(app, vault, row)
    return Left(lifetime, problem)


def let_go(app: "App", vault: "Vault") -> list[str]:
    """Erase the channels that are closed and of which nothing can be read any more; their names."""
    now = vault.hour(app.now())
    over = [row for row in vault.channels.list() if _is_over(row.summary, now)]
    for row in over:
        _erase(app, vault, row, [])
    return [row.name for row in over]


def _is_over(about: "Summary", now: Hour) -> bool:
    """The last word was said in the hour of the roster that closed it, or the next."""
    last = about["standing_since"] + about["lifetime"] + limits.CLOCK_SKEW
    return bool(about["ended"] == "closed" and now > last)


def _written(app: "App", vault: "Vault", row: "ChannelRow") -> tuple[list[int], ClientError | None]:
    """The requests that tell the others; or why there are none."""
    if row.summary["ended"]:
        return [], None
    try:
        with change(vault, row.name, app.now(), app.entropy) as session:
            session.act(Leave())
    except ClientError as error:
        return [], error
    return session.owed, None


def _erase(app: "App", vault: "Vault", row: "ChannelRow", but: list[int]) -> int:
    now = app.now()
    with vault.exclusive(now):
        with vault.transaction():
            session = look(vault, row.name, now, app.entropy)
            for poll in session.channel.polls():
                vault.cursors.remove(poll.relay, poll.drop.id)
            for relay, drop in session.summary.get("drops", ()):
                vault.cursors.remove(relay, DropId(bytes.fromhex(drop)))
            vault.outbox.forget(row.id, but)
            vault.channels.remove(row.id)
            forget_strangers(vault)
        vault.forget_keys()
        with suppress(VaultBusy):  # another command is reading: then its next day closes them
            vault.close_copies(now, app.entropy)
        vault.fold()
    return session.state.lifetime


def _erase_owed(app: "App", vault: "Vault", row: "ChannelRow") -> None:
    with vault.exclusive(app.now()):
        with vault.transaction():
            vault.outbox.forget(row.id)
        vault.fold()
