"""The tables. What is secret in them is sealed before it comes here: see retention.

Rows are clustered by random or sealed values, so that their order on the disk tells nothing of the
order in time: a voucher's row goes when it is used, and no column of a drop points to it.
"""

from typing import Final

from sqlalchemy import ForeignKey, Index, LargeBinary, MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA: Final = "0001"
"""The revision of migrations/relay that makes exactly these tables."""


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
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012

    id: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    access: Mapped[bytes] = mapped_column(LargeBinary(32))
    close: Mapped[bytes] = mapped_column(LargeBinary(32))
    keep: Mapped[int]
    """Index into protocol.limits.CLASSES."""
    sealed: Mapped[bool]
    following: Mapped[int]
    """Position of the next block; the first is 1."""


class StoredBlock(Base):
    """One block, sealed under a key that dies at `expires`."""

    __tablename__ = "blocks"
    __table_args__ = (
        Index(None, "drop_id", "digest", unique=True),
        Index(None, "expires"),
        {"sqlite_with_rowid": False},
    )

    drop_id: Mapped[bytes] = mapped_column(
        LargeBinary(16), ForeignKey("drops.id"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    hour: Mapped[int]
    """The relay's hour when it came."""
    expires: Mapped[int]
    digest: Mapped[bytes] = mapped_column(LargeBinary(16))
    """Keyed, of drop and block: tells a repeated append, and nobody without the store key what it
    was.
    """
    sealed: Mapped[bytes] = mapped_column(LargeBinary(4136))
