"""Vouchers that are out: minted, counted, taken back. Knows no drop.

A relay keeps a hash of each until it is used. One that is taken back stands nowhere any more:
whoever shows it is answered like anybody who made one up.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import delete, func, insert, select

from backchannel.protocol import limits
from backchannel.protocol.drop import read_voucher, show_voucher, voucher_hash
from backchannel.protocol.errors import DecodeError
from backchannel.server import exits, stores
from backchannel.server.entropy import SystemEntropy
from backchannel.server.errors import OperatorError
from backchannel.server.home import Home
from backchannel.server.models import Voucher
from backchannel.server.operate import private


class Revoked(NamedTuple):
    """What became of vouchers that somebody wanted back."""

    gone: int
    unknown: int
    """Given, and not there: used, taken back before, or of another relay."""
    left: int


def mint(home: Home, count: int) -> list[str]:
    """`count` vouchers, on the disk when this returns. The relay may be running."""
    entropy = SystemEntropy()
    vouchers = [entropy.draw(limits.ID) for _ in range(count)]
    admit(home, vouchers)
    return [show_voucher(voucher) for voucher in vouchers]


def admit(home: Home, vouchers: Iterable[bytes]) -> None:
    """Let these be good for a drop each."""
    rows = [{"digest": digest} for digest in sorted(map(voucher_hash, vouchers))]
    with stores.writing(home) as connection:
        if rows:  # without any SQLAlchemy inserts one of defaults
            connection.execute(insert(Voucher), rows)


def mint_into(home: Home, count: int, file: Path) -> None:
    """Into a new file, 0600. Where it cannot be written, none is good."""
    minted: list[str] = []
    try:
        with private.new(file) as stream:
            minted = mint(home, count)
            stream.write("".join(f"{voucher}\n" for voucher in minted).encode("ascii"))
    except BaseException:
        revoke(home, minted)
        raise


def count(home: Home) -> int:
    """How many are out and not used."""
    with stores.snapshot(home) as engine, engine.begin() as connection:
        return connection.scalar(select(func.count()).select_from(Voucher)) or 0


def revoke(home: Home, given: Iterable[str]) -> Revoked:
    """Take back those; `OperatorError`, and all stay, where one of them is no voucher."""
    digests = {_digest(number, text) for number, text in enumerate(given, 1) if text.strip()}
    with stores.writing(home) as connection:
        rows = (connection.execute(delete(Voucher).where(Voucher.digest == d)) for d in digests)
        gone = sum(row.rowcount for row in rows)
        left = connection.scalar(select(func.count()).select_from(Voucher)) or 0
    stores.forget(home)
    return Revoked(gone, len(digests) - gone, left)


def revoke_all(home: Home) -> Revoked:
    """Take back every one that was not used."""
    with stores.writing(home) as connection:
        gone = connection.execute(delete(Voucher)).rowcount
    stores.forget(home)
    return Revoked(gone, 0, 0)


def _digest(number: int, text: str) -> bytes:
    try:
        return voucher_hash(read_voucher(text))
    except DecodeError:  # its text may be another relay's voucher, or worse: it is not repeated
        message = f"line {number} is no voucher; none is taken back"
        raise OperatorError(
            message, next_="give one a line, as mint printed them", code=exits.USAGE
        ) from None
