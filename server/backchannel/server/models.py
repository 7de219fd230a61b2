"""The tables. What is secret in them is sealed before it comes here: see retention.

Rows stand by random numbers, so that their order tells nothing of the order in time: a voucher's
row goes when it is used, and no column of a drop points to it. The pages in which SQLite keeps the
longer part of a block do tell in which order blocks came: decision 0018.
"""

from typing import Final

from sqlalchemy import BigInteger, Index, Integer, LargeBinary, MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA: Final = "0003"
"""The revision of migrations/relay that makes exactly these tables."""

_NUMBER: Final = BigInteger().with_variant(Integer, "sqlite")
"""In SQLite an INTEGER that is the primary key is the row's own number: no index stands beside."""


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Voucher(Base):
    """A right to one drop, as the hash of 16 random bytes."""

    __tablename__ = "vouchers"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012 - SQLAlchemy's name and shape

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)


class Drop(Base):
    """An append-only place for blocks. Its keys never change."""

    __tablename__ = "drops"
    __table_args__ = (Index(None, "id", unique=True),)

    number: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=False)
    """31 random bits, for short: its blocks stand side by side under it."""
    id: Mapped[bytes] = mapped_column(LargeBinary(16))
    access: Mapped[bytes] = mapped_column(LargeBinary(32))
    close: Mapped[bytes] = mapped_column(LargeBinary(32))
    keep: Mapped[int]
    """Index into protocol.limits.CLASSES."""
    sealed: Mapped[bool]
    following: Mapped[int] = mapped_column(BigInteger)
    """Position of the next block; the first is 1."""


class StoredBlock(Base):
    """One block, sealed under a key that dies at `expires`."""

    __tablename__ = "blocks"
    __table_args__ = (Index(None, "digest", unique=True),)

    place: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=False)
    """`number of the drop 31 bits | position 32 bits`."""
    hour: Mapped[int]
    """The relay's hour when it came."""
    expires: Mapped[int]
    digest: Mapped[bytes] = mapped_column(LargeBinary(16))
    """Keyed, of drop and block: tells a repeated append, and nobody without the store key what it
    was.
    """
    sealed: Mapped[bytes] = mapped_column(LargeBinary(4124))


def place_of(number: int, position: int) -> int:
    """Where the block at a position of a drop stands."""
    return number << 32 | position
