"""Channels and pending joins in the vault: opaque state, and a summary that is cheap to read."""

import json
from collections.abc import Collection
from typing import Any, NamedTuple, final

from backchannel.client.errors import NotFound, UsageMistake
from backchannel.client.vault.database import Database
from backchannel.protocol.types import ChannelId, EpochId

Summary = dict[str, Any]


class ChannelRow(NamedTuple):
    """One channel."""

    id: ChannelId
    name: str
    state: bytes
    summary: Summary


class JoinRow(NamedTuple):
    """An invite that was accepted and not yet answered."""

    id: bytes
    relay: str
    alias: str
    state: bytes
    summary: Summary


@final
class Channels:
    """Table `channels`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, ident: ChannelId, name: str, state: bytes, summary: Summary) -> None:
        """A new channel; `UsageMistake` when there is one of that name already."""
        if self._database.one("SELECT 1 FROM channels WHERE name = ? OR id = ?", name, ident):
            msg = f"There is a channel named {name} already."
            raise UsageMistake(msg, "choose another name")
        self._database.change(
            "INSERT INTO channels (id, name, state, summary) VALUES (?, ?, ?, ?)",
            *(ident, name, state, pack(summary)),
        )

    def get(self, name: str) -> ChannelRow:
        """The channel of that name; `NotFound`."""
        row = self._database.one(
            "SELECT id, name, state, summary FROM channels WHERE name = ?", name
        )
        if row is None:
            msg = f"There is no channel named {name}."
            raise NotFound(msg, "backchannel channel list")
        return ChannelRow(row[0], row[1], row[2], unpack(row[3]))

    def list(self) -> list[ChannelRow]:
        """Every channel, oldest first, without its state: what `status` and `channel list` show."""
        rows = self._database.all("SELECT id, name, summary FROM channels ORDER BY rowid")
        return [ChannelRow(row[0], row[1], b"", unpack(row[2])) for row in rows]

    def put_state(self, ident: ChannelId, state: bytes, summary: Summary) -> None:
        """Replace state and summary."""
        changed = self._database.change(
            "UPDATE channels SET state = ?, summary = ? WHERE id = ?", state, pack(summary), ident
        )
        _must_be_there(changed)

    def epochs(self, ident: ChannelId) -> set[EpochId]:
        """Names of the epochs whose clocks open it."""
        rows = self._database.all("SELECT epoch FROM epochs WHERE channel = ?", ident)
        return {EpochId(row[0]) for row in rows}

    def every_epoch(self) -> set[bytes]:
        """Of all channels."""
        return {bytes(row[0]) for row in self._database.all("SELECT epoch FROM epochs")}

    def put_epochs(self, ident: ChannelId, names: Collection[EpochId]) -> None:
        """These, and no others, from now on."""
        known = self.epochs(ident)
        for name in known - set(names):
            self._database.change("DELETE FROM epochs WHERE epoch = ?", name)
        for name in set(names) - known:
            self._database.change("INSERT INTO epochs (epoch, channel) VALUES (?, ?)", name, ident)

    def remove(self, ident: ChannelId) -> None:
        """Delete a channel with its messages and cores."""
        self._database.change("DELETE FROM channels WHERE id = ?", ident)


@final
class Joins:
    """Table `joins`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, ident: bytes, relay: str, alias: str, state: bytes, summary: Summary) -> None:
        """A new pending join under a random id of 16 bytes."""
        self._database.change(
            "INSERT INTO joins (id, relay, alias, state, summary) VALUES (?, ?, ?, ?, ?)",
            *(ident, relay, alias, state, pack(summary)),
        )

    def list(self) -> list[JoinRow]:
        """All pending joins, oldest first, with their state."""
        rows = self._database.all(
            "SELECT id, relay, alias, state, summary FROM joins ORDER BY rowid"
        )
        return [JoinRow(row[0], row[1], row[2], row[3], unpack(row[4])) for row in rows]

    def put_state(self, ident: bytes, state: bytes, summary: Summary) -> None:
        """Replace state and summary."""
        changed = self._database.change(
            "UPDATE joins SET state = ?, summary = ? WHERE id = ?", state, pack(summary), ident
        )
        _must_be_there(changed)

    def remove(self, ident: bytes) -> None:
        """Delete a join that was answered or given up."""
        self._database.change("DELETE FROM joins WHERE id = ?", ident)


def pack(summary: Summary) -> bytes:
    """As a column holds it."""
    return json.dumps(summary, ensure_ascii=False, separators=(",", ":")).encode()


def unpack(data: bytes) -> Summary:
    """The inverse of `pack`."""
    summary: Summary = json.loads(data)
    return summary


def _must_be_there(changed: int) -> None:
    if not changed:
        msg = "It is not in the vault any more."
        raise NotFound(msg)
