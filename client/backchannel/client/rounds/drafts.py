"""What is to be said as nobody in particular: it waits in the vault for a moment of its own, and
can be taken back until then.

Knows when; `sync` says it.
"""

import json
from typing import Final

from backchannel.client.errors import NotFound
from backchannel.client.rounds.session import allowed, look
from backchannel.client.telling import summary
from backchannel.client.vault.channels import ChannelRow
from backchannel.client.vault.drafts import Draft
from backchannel.client.vault.vault import Vault
from backchannel.protocol.command import SayUnattributed
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.types import ChannelId, Hour, ThreadId, Timestamp, hour_of, start_of

HOURS_AHEAD: Final = 3  # in one of so many that begin next it goes


def longest(lifetime: int) -> int:
    """Hours that a text may wait where content is kept for so long: its keys stand beside the vault
    and name when they die, which is to be no other hour than that of what anybody says now.
    """
    return max(lifetime, HOURS_AHEAD + 1)


def wait(
    vault: Vault, name: str, thread: ThreadId, text: str, now: Timestamp, entropy: Entropy
) -> Draft:
    """Keep a text until its moment; `Refused` where it could not be said now."""
    with vault.exclusive(now), vault.transaction():
        session = look(vault, name, now, entropy)  # nothing of what it does is saved
        with allowed():
            session.channel.act(SayUnattributed(thread, text), session.now, entropy)
        due = _moment(session.now, entropy)
        plain = json.dumps({"thread": thread.hex(), "text": text}, ensure_ascii=False).encode()
        ends = Hour(hour_of(session.now) + longest(session.state.lifetime))
        vault.drafts.add(session.row.id, plain, due, ends, session.now, entropy)
        _note(vault, session.row)
    return Draft(0, due, "")


def _moment(now: Timestamp, entropy: Entropy) -> Timestamp:
    """A second of one of the hours that begin next."""
    drawn = int.from_bytes(entropy.draw(8))
    hour = Hour(hour_of(now) + 1 + drawn % HOURS_AHEAD)
    return Timestamp(start_of(hour) + drawn // HOURS_AHEAD % 3600)


def left(vault: Vault, channel: ChannelId, now: Timestamp) -> float | None:
    """Seconds until one goes, 0 once it is due; none where none waits."""
    due = [each.due for each in vault.drafts.list(channel) if not each.refused]
    return max(0.0, min(due) - now) if due else None


def drop(vault: Vault, name: str, number: int, now: Timestamp) -> None:
    """Let go of a text that waits or was refused; nothing opens it any more."""
    with vault.exclusive(now):
        with vault.transaction():
            row = vault.channels.get(name)
            if not vault.drafts.remove(row.id, number):
                msg = f"There is no draft {number}; it may have been sent."
                raise NotFound(msg, "backchannel drafts")
            _note(vault, row)
        vault.forget_keys()


def refuse(vault: Vault, name: str, number: int, why: str, now: Timestamp) -> None:
    """Note why a text could not be said."""
    with vault.exclusive(now), vault.transaction():
        row = vault.channels.get(name)
        vault.drafts.refuse(number, why)
        _note(vault, row)


def _note(vault: Vault, row: ChannelRow) -> None:
    told = row.summary | summary.of_drafts(vault.drafts.list(row.id))
    vault.channels.put_state(row.id, row.state, told)
