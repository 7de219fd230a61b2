"""Takes a backup of a relay, running or not: what it needs to be the same relay for its clients,
and no block. See archive for its form, restore for the way back.
"""

import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from sqlalchemy import Connection, func, select
from sqlalchemy.orm import DeclarativeBase

from backchannel.protocol.expiry import ExpiryKeys
from backchannel.protocol.types import Hour, hour_of
from backchannel.server import exits, stores
from backchannel.server.clock import Clock
from backchannel.server.errors import OperatorError
from backchannel.server.home import Home
from backchannel.server.migrate import revision
from backchannel.server.models import SCHEMA, Drop, Voucher
from backchannel.server.operate import archive, private
from backchannel.server.operate.archive import DropLine, Head, Row, VoucherLine

_ROWS = 1000  # fetched at a time

STANDARD = Path("-")
"""Standard output, or input: for a program that encrypts."""


class Candidate(NamedTuple):
    """A file that begins like a backup."""

    file: Path
    head: Head


def take(home: Home, file: Path) -> Head:
    """Into a new file, 0600, or standard output; what its first line says. `OperatorError`, and
    nothing is left, where it cannot be whole.
    """
    if file != STANDARD:
        _check_place(home, file)
    with _standard() if file == STANDARD else private.new(file) as stream:
        return _write(home, stream)


def verify(file: Path) -> Head:
    """What its first line says; `OperatorError` unless the whole of it can be restored."""
    with opened(file) as stream:
        return check(stream)


def check(stream: BinaryIO) -> Head:
    """The same of an open file; it stands at its beginning again."""
    head, rows = archive.read(stream)
    for _ in rows:
        pass
    stream.seek(0)
    return head


def candidates(folder: Path) -> list[Candidate]:
    """The files of a folder that begin like a backup, newest first."""
    try:
        files = sorted(each for each in folder.iterdir() if each.is_file())
    except OSError as error:
        message = f"{folder} cannot be listed: {error.strerror}"
        raise OperatorError(message, next_="name a folder", code=exits.NOT_FOUND) from None
    found = [Candidate(file, head) for file in files if (head := _head(file)) is not None]
    return sorted(found, key=lambda each: -each.head.hour)


def when(hour: int) -> str:
    """For people."""
    return f"{datetime.fromtimestamp(hour * 3600, UTC):%d %B %Y, %H:00 UTC}"


@contextmanager
def opened(file: Path) -> Iterator[BinaryIO]:
    """To read, from its beginning, twice if need be; `OperatorError` for what is no file."""
    if file == STANDARD:
        with _unseen() as stream:
            while piece := sys.stdin.buffer.read(1 << 20):
                stream.write(piece)
            stream.seek(0)
            yield stream
        return
    with os.fdopen(_open(file), "rb") as stream:
        yield stream


def _unseen() -> BinaryIO:
    """On no disk, where the system can do that: what comes this way was encrypted, and holds the
    relay's key.
    """
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("backup"), "w+b")
    return cast(BinaryIO, tempfile.TemporaryFile())


def _open(file: Path) -> int:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would let us wait
    except OSError as error:
        message = f"{file} cannot be read: {error.strerror}"
        next_ = f"backchannel-relay restore --list {file.parent}"
        raise OperatorError(message, next_=next_, code=exits.NOT_FOUND) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        message = f"{file} is not a file"
        next_ = "name a file, or - for standard input"
        raise OperatorError(message, next_=next_, code=exits.USAGE)
    return descriptor


def _head(file: Path) -> Head | None:
    try:
        with opened(file) as stream:
            return archive.read(stream)[0]
    except OperatorError:
        return None


def _check_place(home: Home, file: Path) -> None:
    if file.resolve().is_relative_to(home.path.resolve()):
        message = "a backup inside the relay's own folder is lost with it"
        next_ = f"backchannel-relay backup FILE --data {home.path}, with a FILE elsewhere"
        raise OperatorError(message, next_=next_, code=exits.REFUSED)


@contextmanager
def _standard() -> Iterator[BinaryIO]:
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except OSError as error:  # what reads it has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or it complains at the end
        message = f"standard output cannot be written: {error.strerror}"
        raise OperatorError(message, next_="look at what should take it") from None


def _write(home: Home, stream: BinaryIO) -> Head:
    with stores.snapshot(home) as engine:
        if revision(engine) != SCHEMA:
            message = "the store is of another version than this program"
            next_ = f"backchannel-relay db upgrade --plan --data {home.path}"
            raise OperatorError(message, next_=next_, code=exits.REFUSED)
        with engine.begin() as connection:
            first = _first(home, connection)
            archive.write(stream, first, _rows(connection))
    return first


def _first(home: Home, connection: Connection) -> Head:
    settings = home.config.read_text("utf-8")
    if len(settings) > archive.MOST_SETTINGS:
        message = f"{home.config} is too large for a backup"
        raise OperatorError(message, next_="take long comments out of it", code=exits.REFUSED)
    drops, vouchers = _count(connection, Drop), _count(connection, Voucher)
    return archive.head(_hour(home), home.static_key().expose(), settings, drops, vouchers)


def _hour(home: Home) -> Hour:
    return ExpiryKeys(home.places.read_bytes()).hour(hour_of(Clock(home.demo_hours).now()))


def _count(connection: Connection, table: type[DeclarativeBase]) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0


def _rows(connection: Connection) -> Iterator[Row]:
    """In the order of what names them, which tells nothing of when they came."""
    stream = connection.execution_options(yield_per=_ROWS)
    drops = (Drop.id, Drop.access, Drop.close, Drop.keep, Drop.sealed, Drop.following)
    for drop in stream.execute(select(*drops).order_by(Drop.id)):
        yield DropLine(*drop)
    for digest in stream.scalars(select(Voucher.digest).order_by(Voucher.digest)):
        yield VoucherLine(digest)
