"""Makes a relay out of a backup: the same to its clients, with new keys for what they will write.

Brings back no block. What was deleted, sealed or taken back since the backup was made stands as it
did then, and that is said.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert

from backchannel.protocol.entropy import Entropy
from backchannel.protocol.limits import RESTORED
from backchannel.protocol.primitives import X25519Public
from backchannel.protocol.secret import X25519Private
from backchannel.protocol.types import hour_of
from backchannel.server import exits
from backchannel.server.clock import Clock
from backchannel.server.entropy import SystemEntropy
from backchannel.server.errors import OperatorError
from backchannel.server.home import Home
from backchannel.server.models import Drop, Voucher
from backchannel.server.operate import archive, backup, setup
from backchannel.server.operate.archive import DropLine, Head, Row, VoucherLine

_ROWS = 1000  # put in at a time


class Restored(NamedTuple):
    """What came back."""

    head: Head
    key: X25519Public
    vouchers: int


def restore(file: Path, home: Home, *, vouchers: bool = False) -> Restored:
    """A relay in a folder where there is none; vouchers too, where they are wanted.

    `OperatorError`, and nothing is left, for a file that is not whole.
    """
    with backup.opened(file) as stream:
        head = backup.check(stream)
        _check_clock(home, head)
        key = X25519Private(head.key)

        def fill(connection: Connection) -> None:
            _, rows = archive.read(stream)
            _fill(connection, rows, _numbers(SystemEntropy()), vouchers=vouchers)

        public = setup.build(home, key, head.settings, fill)
    return Restored(head, public, head.vouchers if vouchers else 0)


def _check_clock(home: Home, head: Head) -> None:
    """A relay whose hour begins too low would give its blocks less than their time."""
    hour = hour_of(Clock(home.demo_hours).now())
    if hour < head.hour:
        message = f"the clock is {head.hour - hour} hours behind the hour of the backup"
        raise OperatorError(message, next_="set the clock right", code=exits.REFUSED)


def _numbers(entropy: Entropy) -> Iterator[int]:
    """For drops: random, each once, so that they tell nothing of an order."""
    taken: set[int] = set()
    while True:
        number = int.from_bytes(entropy.draw(4)) >> 1
        if number not in taken:
            taken.add(number)
            yield number


def _fill(
    connection: Connection, rows: Iterator[Row], numbers: Iterator[int], *, vouchers: bool
) -> None:
    while some := list(islice(rows, _ROWS)):
        drops = [_drop(row, next(numbers)) for row in some if isinstance(row, DropLine)]
        digests = [{"digest": row.digest} for row in some if isinstance(row, VoucherLine)]
        if drops:
            connection.execute(insert(Drop), drops)
        if digests and vouchers:
            connection.execute(insert(Voucher), digests)


def _drop(row: DropLine, number: int) -> dict[str, Any]:
    """Its next position is above any that was given out since the backup: who has read further than
    the backup knows would otherwise pass over new blocks.
    """
    return {
        "number": number,
        "id": row.id,
        "access": row.access,
        "close": row.close,
        "keep": row.keep,
        "sealed": row.sealed,
        "following": row.following + RESTORED,
    }
