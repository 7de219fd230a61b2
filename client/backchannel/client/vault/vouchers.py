"""What pays for drops: vouchers in the vault, left and spent. Knows no relay beyond its address."""

from typing import final

from backchannel.client.vault.database import Database


@final
class Vouchers:
    """Table `vouchers`: each is good for one drop on one relay. Spent ones stay, so that the file
    they came from can be given again.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_many(self, relay: str, vouchers: list[bytes]) -> int:
        """Keep vouchers; how many were new."""
        insert = "INSERT OR IGNORE INTO vouchers (relay, voucher) VALUES (?, ?)"
        return sum(self._database.change(insert, relay, voucher) for voucher in vouchers)

    def take(self, relay: str) -> bytes | None:
        """One voucher, oldest first; it is spent in the same transaction as what it pays for."""
        query = "SELECT id, voucher FROM vouchers WHERE relay = ? AND NOT spent ORDER BY id"
        row = self._database.one(query, relay)
        if row is None:
            return None
        self._database.change("UPDATE vouchers SET spent = 1 WHERE id = ?", row[0])
        return bytes(row[1])

    def forget(self, relay: str) -> None:
        """Let go of what is left for a relay that is no more."""
        self._database.change("DELETE FROM vouchers WHERE relay = ? AND NOT spent", relay)

    def unspent(self) -> dict[str, tuple[bytes, ...]]:
        """What is left, for each relay."""
        rows = self._database.all("SELECT relay, voucher FROM vouchers WHERE NOT spent ORDER BY id")
        left: dict[str, tuple[bytes, ...]] = {}
        for relay, voucher in rows:
            left[relay] = (*left.get(relay, ()), bytes(voucher))
        return left

    def count(self, relay: str) -> int:
        """How many are left for a relay."""
        row = self._database.one(
            "SELECT count(*) FROM vouchers WHERE relay = ? AND NOT spent", relay
        )
        return int(row[0]) if row else 0
