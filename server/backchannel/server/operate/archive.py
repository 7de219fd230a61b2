"""The form of a relay's backup: lines of JSON, each checked for itself, and a sum over all of them.

```
relay     version, hour, key 32, settings, how many drops, how many vouchers
drop      id 16, access 32, close 32, keep, sealed, following       ids rising
voucher   digest 32                                                 rising
end       sum 32: SHA-256 of all that stands before this line
```
There is no place in it for a block or for a key that opens one, and none for a path, a link or a
table. The sum finds damage, not a forger: whoever can write the file can write its sum.
"""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Annotated, BinaryIO, Final, NoReturn, TypeAlias, cast

import msgspec
from msgspec import Meta, Struct

from backchannel.protocol import limits
from backchannel.protocol.errors import DecodeError
from backchannel.protocol.primitives import X25519Public
from backchannel.server import exits
from backchannel.server.errors import OperatorError
from backchannel.server.limits import MOST_POSITION

VERSION: Final = 1
MOST_SETTINGS: Final = 64 * 1024  # characters of relay.toml; its template has some 3,000
_MOST_LINE: Final = 8 * MOST_SETTINGS  # bytes: JSON may write a character as six
_MOST_ROWS: Final = 2**40
_MOST_FOLLOWING: Final = MOST_POSITION - 2 * limits.RESTORED  # restored it has room for blocks
_MAGIC: Final = "backchannel relay backup"

_Id: TypeAlias = Annotated[bytes, Meta(min_length=limits.ID, max_length=limits.ID)]
_Bytes32: TypeAlias = Annotated[bytes, Meta(min_length=32, max_length=32)]
_Rows: TypeAlias = Annotated[int, Meta(ge=0, le=_MOST_ROWS)]


class Head(Struct, frozen=True, forbid_unknown_fields=True, tag="relay", tag_field="line"):
    """The first line: the relay itself."""

    form: str
    version: Annotated[int, Meta(ge=1)]
    hour: Annotated[int, Meta(ge=0, lt=2**26)]
    """When it was made; the years of calendars end with 9999."""
    key: _Bytes32
    """The static key, private."""
    settings: Annotated[str, Meta(max_length=MOST_SETTINGS)]
    """The text of relay.toml."""
    drops: _Rows
    vouchers: _Rows

    def __repr__(self) -> str:
        return f"<Head {self.version}>"  # it holds a key


class DropLine(Struct, frozen=True, forbid_unknown_fields=True, tag="drop", tag_field="line"):
    """A row of the table `drops`."""

    id: _Id
    access: _Bytes32
    close: _Bytes32
    keep: Annotated[int, Meta(ge=0, lt=len(limits.CLASSES))]
    sealed: bool
    following: Annotated[int, Meta(ge=1, le=_MOST_FOLLOWING)]

    def __post_init__(self) -> None:
        X25519Public(self.access)
        X25519Public(self.close)


class VoucherLine(Struct, frozen=True, forbid_unknown_fields=True, tag="voucher", tag_field="line"):
    """A row of the table `vouchers`."""

    digest: _Bytes32


class _End(Struct, frozen=True, forbid_unknown_fields=True, tag="end", tag_field="line"):
    sum: _Bytes32


class _Version(Struct):
    form: str
    version: int


Row: TypeAlias = DropLine | VoucherLine
_LINES = msgspec.json.Decoder(Head | DropLine | VoucherLine | _End)
_VERSION = msgspec.json.Decoder(_Version)


def head(hour: int, key: bytes, settings: str, drops: int, vouchers: int) -> Head:
    """A first line of this version."""
    return Head(_MAGIC, VERSION, hour, key, settings, drops, vouchers)


def write(stream: BinaryIO, first: Head, rows: Iterable[Row]) -> None:
    """A whole backup; `rows` are what `first` counts, rising."""
    digest = hashlib.sha256()
    for each in chain((first,), rows):
        line = msgspec.json.encode(each) + b"\n"
        digest.update(line)
        stream.write(line)
    stream.write(msgspec.json.encode(_End(digest.digest())) + b"\n")


def read(stream: BinaryIO) -> tuple[Head, Iterator[Row]]:
    """The first line, and the rows as they come. `OperatorError` for what is no backup, now or at
    any row: nothing holds until the rows have come to their end.
    """
    digest = hashlib.sha256()
    line = _line(stream, 1)
    _check_version(line)
    first = _decode(line, 1)
    if not isinstance(first, Head):
        _refuse(1)
    digest.update(line)
    return first, _rows(stream, first, digest)


def _rows(stream: BinaryIO, first: Head, digest: "hashlib._Hash") -> Iterator[Row]:
    before = b""
    total = first.drops + first.vouchers
    for number in range(total):
        line = _line(stream, number + 2)
        row = _decode(line, number + 2)
        name = _name(row, DropLine if number < first.drops else VoucherLine, number + 2)
        if name <= before and number not in {0, first.drops}:
            _refuse(number + 2)
        before = name
        digest.update(line)
        yield cast(Row, row)
    end = _decode(_line(stream, total + 2), total + 2)
    if not isinstance(end, _End) or end.sum != digest.digest() or stream.read(1):
        _refuse(total + 2)


def _name(row: object, kind: type, number: int) -> bytes:
    """By what rows rise: so none stands there twice."""
    if isinstance(row, kind):
        match row:
            case DropLine(id=name) | VoucherLine(digest=name):
                return name
    return _refuse(number)


def _line(stream: BinaryIO, number: int) -> bytes:
    line = stream.readline(_MOST_LINE)
    if not line.endswith(b"\n"):
        _refuse(number)
    return line


def _check_version(line: bytes) -> None:
    try:
        said = _VERSION.decode(line)
    except (msgspec.MsgspecError, RecursionError):
        _refuse(1)
    if said.form != _MAGIC:
        _refuse(1)
    if said.version > VERSION:
        message = "the backup was made by a newer version of this program"
        next_ = "install that version, or a newer one: backchannel-relay --version"
        raise OperatorError(message, next_=next_, code=exits.REFUSED)


def _decode(line: bytes, number: int) -> object:
    try:
        return _LINES.decode(line)
    except (msgspec.MsgspecError, DecodeError, RecursionError):  # whose text might quote a key
        _refuse(number)


def _refuse(number: int) -> NoReturn:
    message = f"this is no backup of a relay, or not a whole one: see its line {number}"
    next_ = "try another: backchannel-relay restore --list DIR"
    raise OperatorError(message, next_=next_, code=exits.REFUSED)
