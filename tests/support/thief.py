"""Who has a vault's files of any moments, its passphrase and an archive of the relay's blocks, and
tries every key that stands in them on everything that was sealed. Honours no clock.
"""

import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from backchannel.client.errors import VaultDamaged
from backchannel.client.vault.database import Database
from backchannel.client.vault.folder import DATABASE, KEYS
from backchannel.client.vault.head import VaultKey
from backchannel.protocol.block import unwrap
from backchannel.protocol.channel import Channel
from backchannel.protocol.epoch import EpochClock
from backchannel.protocol.errors import (
    AuthenticationError,
    BackchannelError,
    RemoteProtocolError,
    StaleError,
)
from backchannel.protocol.expiry import PLACE, Place, PlaceKind, item_key, open_block, open_item
from backchannel.protocol.outcome import Arrival, Offered, Said
from backchannel.protocol.secret import ClockValue, ExpiryKey, StoreKey, ThreadKey
from backchannel.protocol.snapshot import load
from backchannel.protocol.state import ChannelState
from backchannel.protocol.types import Core, EpochId, Hour, start_of
from tests.support.people import stolen

_NEAR = range(-2, 3)  # hours about a block's own: the relay's hour may be off by one


def places(file: bytes, *kinds: PlaceKind) -> bytes:
    """The places of these kinds, one after another."""
    cut = (file[at : at + PLACE] for at in range(0, len(file), PLACE))
    return b"".join(each for each in cut if Place.read(each).kind in kinds)


def copied(vault: Path, to: Path) -> Path:
    """A vault's folder as it stands now."""
    return Path(shutil.copytree(vault, to))


@dataclass(frozen=True)
class Thief:
    """The passphrase's key, folders of the vault, and the places of all key files at hand."""

    key: VaultKey
    folders: tuple[Path, ...]
    keys: bytes
    blocks: tuple[Arrival, ...] = ()

    @classmethod
    def of(cls, key: VaultKey, *folders: Path, blocks: Iterable[Arrival] = ()) -> "Thief":
        """With the file of keys that stands in the last of these folders, and no other."""
        return cls(key, folders, (folders[-1] / KEYS).read_bytes(), tuple(blocks))

    def given(self, places: bytes) -> "Thief":
        """Who found these places, too."""
        return replace(self, keys=self.keys + places)

    def opened(self) -> list[Database]:
        """Databases that open at all; the caller's folders are copies, and may change."""
        found = []
        for folder in self.folders:
            with suppress(VaultDamaged):
                found.append(stolen(folder / DATABASE, self.key, self.keys))
        return found

    def rows(self) -> bytes:
        """Everything that stands in the tables as it is, sealed or not."""
        return b"\n".join(part for each in self.opened() for part in _dump(each))

    def items(self) -> list[bytes]:
        """Every item of every table that any key opens."""
        return [plain for each in self.opened() for plain in self._items(each)]

    def cores(self) -> list[Core]:
        """Every block of which any key opens the outer layer."""
        found = []
        for state, block in product(self._states(), self.blocks):
            for epoch, clock in product(state.epochs, self._clocks()):
                for _, drop in epoch.drops():
                    window = Hour(block.hour + _NEAR[0]), Hour(block.hour + _NEAR[-1])
                    with suppress(AuthenticationError):
                        found.append(unwrap(block.block, drop.outer, clock[1], block.hour, window))
        return found

    def texts(self) -> set[str]:
        """Everything that a channel says that is opened from any folder and given the archive, with
        its clock at any hour of it.
        """
        hours = {block.hour for block in self.blocks}
        return {
            text
            for state, hour in product(self._states(), sorted(hours))
            for text in self._heard(state, hour)
        }

    def _heard(self, state: ChannelState, hour: Hour) -> Iterator[str]:
        clocks = dict(self._clocks())
        here = [each for each in state.epochs if each.id in clocks]
        if state.epoch not in here:
            return
        state.epochs = here
        channel = Channel(state, {each.id: clocks[each.id] for each in here})
        for block in self.blocks:
            with suppress(RemoteProtocolError, StaleError):
                for event in channel.receive(block, start_of(hour)):
                    if isinstance(event, Said):
                        yield event.text
                    elif isinstance(event, Offered):
                        yield event.name

    def _states(self) -> list[ChannelState]:
        states = [
            bytes(row[0])
            for each in self.opened()
            for row in each.all("SELECT state FROM channels")
        ]
        return [load(state, ChannelState) for state in states]

    def _clocks(self) -> list[tuple[EpochId, EpochClock]]:
        """The oldest of each epoch comes last: it opens most."""
        found = [
            (EpochId(each.name[:16]), EpochClock(each.hour, ClockValue(each.value)))
            for each in self._of(PlaceKind.CLOCK)
        ]
        return sorted(found, key=lambda named: -named[1].hour)

    def _of(self, kind: PlaceKind) -> list[Place]:
        cut = (Place.read(self.keys[at : at + PLACE]) for at in range(0, len(self.keys), PLACE))
        return [place for place in cut if place.kind is kind]

    def _items(self, database: Database) -> Iterator[bytes]:
        (row,) = database.all("SELECT key FROM store")
        expiry = [ExpiryKey(each.value) for each in self._of(PlaceKind.EXPIRY)]
        threads = [None, *(ThreadKey(each.value) for each in self._of(PlaceKind.THREAD))]
        keys = [item_key(StoreKey(row[0]), *pair) for pair in product(expiry, threads)]
        for (item, about), key in product(list(_sealed(database)), keys):
            with suppress(BackchannelError):
                yield open_item(key, item, about)


def kept_by_relay(database: Path, keys: Path) -> set[bytes]:
    """Every block in a copy of a relay's database that any key of a key file opens, with the store
    key beside that file.
    """
    store = StoreKey(bytes.fromhex((keys.parent / "store.key").read_text()))
    file = keys.read_bytes()
    found = (Place.read(file[at : at + PLACE]) for at in range(0, len(file), PLACE))
    own = [item_key(store, ExpiryKey(e.value)) for e in found if e.kind is PlaceKind.EXPIRY]
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(
            "SELECT id, place & 0xFFFFFFFF, blocks.sealed "
            "FROM blocks JOIN drops ON number = place >> 32"
        ).fetchall()
    opened: set[bytes] = set()
    for (drop, position, sealed), key in product(rows, own):
        with suppress(BackchannelError):
            opened.add(open_block(key, sealed, drop + position.to_bytes(8)))
    return opened


def _sealed(database: Database) -> Iterator[tuple[bytes, bytes]]:
    """Items, and what each says of itself."""
    for channel, content, item in database.all("SELECT channel, content, item FROM messages"):
        yield item, channel + content
    for channel, content, item in database.all("SELECT channel, content, item FROM cores"):
        yield item, b"core" + channel + content
    for name, item in database.all("SELECT name, item FROM drafts"):
        yield item, name


def _dump(database: Database) -> Iterator[bytes]:
    for (table,) in database.all("SELECT name FROM sqlite_schema WHERE type = 'table'"):
        for row in database.all(f"SELECT * FROM {table}"):  # noqa: S608 - a name of the schema itself
            yield from (each if isinstance(each, bytes) else str(each).encode() for each in row)
