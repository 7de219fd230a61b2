"""Moves a relay's store into a database, while the relay is stopped: drops, vouchers and the blocks
that live, each under its number and at its position, so that no client sees a difference.

Nothing of the old store goes before all of it stands in the new one. The keys stay where they are.
"""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from sqlalchemy import Connection, Engine, func, select

from backchannel.protocol.expiry import ExpiryKeys
from backchannel.protocol.types import DropId, Hour, hour_of
from backchannel.server import database, erasing, exits, stores
from backchannel.server.clock import Clock
from backchannel.server.errors import OperatorError
from backchannel.server.home import Home
from backchannel.server.models import Drop, StoredBlock, Voucher
from backchannel.server.repository import DropRow
from backchannel.server.settings import load
from backchannel.server.sqlite.file import SqliteStore
from backchannel.server.store import Store

_BLOCKS: Final = 1000  # copied in one transaction: 4 MiB
_PASSWORD: Final = re.compile(r"password\s*=")  # as libpq takes it, too
_KEY: Final = re.compile(r"^[ \t]*#?[ \t]*database[ \t]*=.*$", re.MULTILINE)


class Moved(NamedTuple):
    """How many of each."""

    drops: int
    vouchers: int
    blocks: int


def move(home: Home, url: str) -> Moved:
    """Into an empty database; asked again, what was interrupted is finished. `OperatorError` while
    the relay runs, and where the database is not empty or cannot be used: then the relay is as it
    was.
    """
    home.check()
    if urlsplit(url).password or _PASSWORD.search(url):
        message = "a password on the command line is seen by everybody on this machine"
        raise OperatorError(message, next_="write it into ~/.pgpass", code=exits.USAGE)
    settings = load(home.config)[0]
    if settings.database == url:
        return _finished(home, stores.of(home, settings))
    if settings.database:
        message = "this relay's store is in a database server already"
        next_ = "dump it there and load it elsewhere (pg_dump, pg_restore); then change `database`"
        raise OperatorError(message, next_=next_, code=exits.REFUSED)
    target = stores.of(home, settings.model_copy(update={"database": url}))
    with home.stopped():
        moved = _copied(home, target)
        _choose(home, url)
        _leave(home)
    return moved


def _finished(home: Home, target: Store) -> Moved:
    """The setting was written already: the old store goes once the new one surely has its drops."""
    local = SqliteStore(home.database)
    with home.stopped():
        with stores.opened(local) as old, stores.opened(target) as new:
            if not _ids(old) <= _ids(new):
                message = "relay.db holds drops that the database does not"
                next_ = "take `database` out of relay.toml, and move again"
                raise OperatorError(message, next_=next_, code=exits.REFUSED)
            counted = _count(new, Hour(0))
        _leave(home)
    return counted


def _ids(engine: Engine) -> set[bytes]:
    with engine.begin() as connection:
        return set(connection.scalars(select(Drop.id)))


def _copied(home: Home, target: Store) -> Moved:
    now = ExpiryKeys(home.places.read_bytes()).hour(hour_of(Clock(home.demo_hours).now()))
    with stores.writing(home):
        pass  # its tables are of this version now
    with stores.changing(target) as connection:
        _check_empty(connection)
    with stores.snapshot(home) as old, stores.opened(target) as new:
        _copy(old, new, now)
        counted = _count(old, now)
        if _count(new, now) != counted:
            message = "what stands in the database is not what was copied"
            raise OperatorError(message, next_="empty the database, and try again")
    return counted


def _copy(old: Engine, new: Engine, now: Hour) -> None:
    with old.begin() as source:
        with new.begin() as connection:
            digests = source.scalars(select(Voucher.digest).order_by(Voucher.digest)).all()
            if digests:
                database.repository(connection).add_vouchers(digests)
        for drop, row in _drops(source):
            _copy_drop(source, new, drop, row, now)


def _drops(source: Connection) -> Iterator[tuple[DropId, DropRow]]:
    columns = (Drop.id, Drop.number, Drop.access, Drop.close, Drop.keep, Drop.sealed)
    for row in source.execute(select(*columns, Drop.following).order_by(Drop.id)).all():
        yield DropId(row[0]), DropRow(*row[1:])


def _copy_drop(source: Connection, new: Engine, drop: DropId, row: DropRow, now: Hour) -> None:
    with new.begin() as connection:
        database.repository(connection).add_drop(drop, row)
    position, more = 0, True
    while more:
        page = database.repository(source).page(row.number, position, Hour(0), now, _BLOCKS)
        more = len(page) == _BLOCKS
        if page:
            position = page[-1].position + 1
            with new.begin() as connection:
                repository = database.repository(connection)
                repository.add_blocks(drop, row, page)
                repository.flush()


def _count(engine: Engine, now: Hour) -> Moved:
    living = select(func.count()).select_from(StoredBlock).where(StoredBlock.expires > now)
    with engine.begin() as connection:
        drops, vouchers = (
            connection.scalar(select(func.count()).select_from(table)) for table in (Drop, Voucher)
        )
        return Moved(drops or 0, vouchers or 0, connection.scalar(living) or 0)


def _check_empty(connection: Connection) -> None:
    if any(connection.scalar(select(column).limit(1)) for column in (Drop.id, Voucher.digest)):
        message = "there is a relay in that database already, or half of one"
        raise OperatorError(message, next_="name an empty database", code=exits.REFUSED)


def _choose(home: Home, url: str) -> None:
    """Write the setting; the file is the old one or the new one, whatever happens."""
    line = f"database = {json.dumps(url)}"
    text = home.config.read_text("utf-8")
    text, found = _KEY.subn(lambda _: line, text, count=1)
    fresh = home.config.with_name(f"{home.config.name}.new")
    with suppress(FileNotFoundError):
        fresh.unlink()
    home.write(fresh, (text if found else f"{text}\n{line}\n").encode("utf-8"))
    if _named(fresh) != url:  # nothing goes before the relay surely begins with the new store
        fresh.unlink()
        message = "all is copied, but the setting cannot be written into relay.toml"
        next_ = (
            f"put this line above all others, as the only one of its name, and move again: {line}"
        )
        raise OperatorError(message, next_=next_, code=exits.REFUSED)
    fresh.replace(home.config)
    erasing.sync(home.path)


def _named(config: Path) -> str:
    """The database that a relay with this file would take; none where it could not begin."""
    try:
        return load(config)[0].database
    except OperatorError:
        return ""


def _leave(home: Home) -> None:
    """The old store is overwritten; an empty one stands in its place."""
    local = SqliteStore(home.database)
    local.destroy()
    home.write(home.database, b"")
    with stores.changing(local):
        pass
    stores.forget_log(local)
