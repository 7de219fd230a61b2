"""Channels that a backup named and this vault is not in: what is needed to ask for a way back."""

from typing import NamedTuple, final

from backchannel.client.vault.channels import Summary, pack, unpack
from backchannel.client.vault.database import Database
from backchannel.protocol.types import ChannelId


class LostRow(NamedTuple):
    """One of them."""

    id: ChannelId
    about: Summary
    """As `backup.Place` has it, without the id."""


@final
class Lost:
    """Table `lost`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, row: LostRow) -> None:
        """Add one, or say it anew."""
        self._database.change(
            "INSERT INTO lost (channel, about) VALUES (?, ?)"
            " ON CONFLICT DO UPDATE SET about = excluded.about",
            *(row.id, pack(row.about)),
        )

    def list(self) -> list[LostRow]:
        """All, in the order of their coming."""
        rows = self._database.all("SELECT channel, about FROM lost ORDER BY rowid")
        return [LostRow(row[0], unpack(row[1])) for row in rows]

    def take(self, ident: ChannelId) -> LostRow | None:
        """One that is found again, or given up: it is lost no more."""
        found = next((row for row in self.list() if row.id == ident), None)
        self._database.change("DELETE FROM lost WHERE channel = ?", ident)
        return found
