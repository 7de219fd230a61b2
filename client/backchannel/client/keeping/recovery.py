"""From a vault to a backup and back: what of it is worth keeping, and what a restored vault lists.

Knows no file and no passphrase.
"""

from typing import NamedTuple

import msgspec

from backchannel.client.keeping import backup
from backchannel.client.keeping.backup import Backup, Place
from backchannel.client.rounds.session import look
from backchannel.client.telling.people import others
from backchannel.client.vault.channels import ChannelRow
from backchannel.client.vault.lost import LostRow
from backchannel.client.vault.vault import Vault
from backchannel.protocol.entropy import Entropy
from backchannel.protocol.types import ChannelId, Slot, Timestamp


def gather(vault: Vault, settings: str, now: Timestamp, entropy: Entropy) -> Backup:
    """What a backup says of a vault: channels that one is in, and those that are still lost."""
    rows = [row for row in vault.channels.list() if not row.summary["ended"]]
    here = [_place(vault, row, now, entropy) for row in rows]
    lost = [_of_row(row) for row in vault.lost.list()]
    return backup.new((*here, *lost), vault.vouchers.unspent(), settings)


def _place(vault: Vault, row: ChannelRow, now: Timestamp, entropy: Entropy) -> Place:
    about, state = row.summary, look(vault, row.name, now, entropy).state
    people = others(state) if state.roster else ()
    return Place(
        id=row.id,
        name=row.name,
        alias=about["alias"],
        role=about["role"],
        facilitators=tuple(each.alias for each in people if each.role == "facilitator"),
        relays=tuple((url, key) for url, key in about["relays"]),
        compared=tuple(
            each.identity.hex()
            for each in people
            if state.verified.get(Slot(each.slot)) == each.identity
        ),
    )


class Restored(NamedTuple):
    """What was new to the vault."""

    places: list[LostRow]
    vouchers: int


def restore(vault: Vault, found: Backup, now: Timestamp) -> Restored:
    """Add what is missing; what is here stays as it is, and nothing that was said comes back."""
    with vault.exclusive(now), vault.transaction():
        here = {row.id for row in vault.channels.list()}
        rows = [_row(place) for place in found.places if place.id not in here]
        for row in rows:
            vault.lost.put(row)
        bought = sum(vault.vouchers.add_many(url, [*v]) for url, v in found.vouchers.items())
    return Restored(rows, bought)


def _row(place: Place) -> LostRow:
    about = msgspec.to_builtins(place)
    return LostRow(ChannelId(place.id), {key: about[key] for key in about if key != "id"})


def _of_row(row: LostRow) -> Place:
    return msgspec.convert({"id": row.id, **row.about}, Place)
