"""Which relays failed when they were last asked, and until when they are left alone: by address,
for all channels alike. Knows neither network nor clock.
"""

from collections.abc import Collection
from typing import NamedTuple, final

from backchannel.client.vault.database import Database
from backchannel.protocol.types import Timestamp


class Failing(NamedTuple):
    """A relay that has failed since it last answered."""

    relay: str
    failures: int
    """In a row."""
    first: Timestamp
    """When that began."""
    latest: Timestamp
    until: Timestamp
    """It is left alone before that."""
    why: str
    """Code of the latest error."""


@final
class Health:
    """Table `health`: a relay that is well has no row."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, Failing]:
        """Every relay that is failing."""
        query = "SELECT relay, failures, first, latest, until, why FROM health"
        return {row[0]: Failing(*row) for row in self._database.all(query)}

    def put(self, row: Failing) -> None:
        """It failed."""
        insert = "INSERT OR REPLACE INTO health (relay, failures, first, latest, until, why)"
        self._database.change(f"{insert} VALUES (?, ?, ?, ?, ?, ?)", *row)

    def forget(self, relays: Collection[str]) -> None:
        """They are well, or nobody's business any more."""
        for relay in relays:
            self._database.change("DELETE FROM health WHERE relay = ?", relay)
