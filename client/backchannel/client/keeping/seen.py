"""What a person has looked at on this machine, and what begins with it: read timers.

Knows no screen.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from backchannel.client.telling import summary
from backchannel.client.vault.vault import Vault
from backchannel.protocol.types import ContentHash, Hour, Timestamp

if TYPE_CHECKING:
    from backchannel.protocol.entropy import Entropy


class Looked(NamedTuple):
    """What was not seen in time, until somebody looked."""

    expired: int
    """Messages."""
    missed: int
    """Blocks that the relay let go of before they were fetched."""
    ends: dict[ContentHash, Hour]
    """Messages whose read timer runs from now on."""


def mark_read(
    vault: Vault, name: str, shown: Mapping[ContentHash, int], now: Timestamp, entropy: "Entropy"
) -> Looked:
    """Note that messages were shown, each with its read timer, or 0, by which it ends if that is
    sooner: it is not, where one was shown before. Tell once of what expired before.
    """
    with vault.exclusive(now):
        with vault.transaction():
            row = vault.channels.get(name)
            about, hour = row.summary, vault.hour(now)
            summary.settle(about, hour)
            timers = {content: Hour(hour + burn) for content, burn in shown.items() if burn}
            ends = vault.messages.hasten(row.id, timers, now, entropy)
            looked = Looked(about["expired_unread"], about["missed"], ends)
            names = {summary.name_of(content) for content in shown}
            unread = {name: end for name, end in about["unread"].items() if name not in names}
            if any(looked[:2]) or unread != about["unread"]:
                told = {"unread": unread, "expired_unread": 0, "missed": 0}
                vault.channels.put_state(row.id, row.state, about | told)
        if looked.ends:
            vault.forget_keys()
    return looked


def mark_taken(
    vault: Vault, name: str, taken: Mapping[ContentHash, int], now: Timestamp, entropy: "Entropy"
) -> None:
    """Let the read timers begin, where there are any, of what is about to be written to a file: it
    was looked at as well as on a screen.
    """
    with vault.exclusive(now):
        with vault.transaction():
            row = vault.channels.get(name)
            timers = {what: Hour(vault.hour(now) + burn) for what, burn in taken.items() if burn}
            vault.messages.hasten(row.id, timers, now, entropy)
            names = {summary.name_of(content) for content in timers}
            unread = {k: end for k, end in row.summary["unread"].items() if k not in names}
            if unread != row.summary["unread"]:
                vault.channels.put_state(row.id, row.state, row.summary | {"unread": unread})
        if timers:
            vault.forget_keys()


def mark_seen(vault: Vault, name: str, now: Timestamp) -> None:
    """Note that alarms and notices were shown."""
    with vault.exclusive(now), vault.transaction():
        row = vault.channels.get(name)
        if row.summary["alarms"] or row.summary["notices"]:
            seen = row.summary | {"alarms": [], "notices": []}
            vault.channels.put_state(row.id, row.state, seen)
