"""The tables as they stand in PostgreSQL: where a block stands, and its noise apart, so that all
noise of an hour goes with its partition. The others are those of `models`.

A partition is made and asked by its own name, never through the table that it belongs to: planning
a statement over 2,160 of them takes a hundred times as long as the statement.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, Table

from backchannel.protocol.types import Hour
from backchannel.server.models import Base, Drop, Voucher

METADATA: Final = MetaData(naming_convention=Base.metadata.naming_convention)

for _model in (Voucher, Drop):
    Base.metadata.tables[_model.__tablename__].to_metadata(METADATA)

BLOCKS: Final = Table(
    "blocks",
    METADATA,
    Column("place", BigInteger, primary_key=True, autoincrement=False),
    Column("hour", Integer, nullable=False),
    Column("expires", Integer, nullable=False),
    Column("digest", LargeBinary(16), nullable=False),
    Index(None, "digest", unique=True),
)
"""As in `models`, without the noise."""

BODIES: Final = Table(
    "bodies",
    METADATA,
    Column("place", BigInteger, primary_key=True, autoincrement=False),
    Column("expires", Integer, primary_key=True, autoincrement=False),
    Column("sealed", LargeBinary(4124), nullable=False),
    postgresql_partition_by="LIST (expires)",
)
"""The noise. By its partition alone it is known which rows of `blocks` end with an hour."""


def partition(expires: Hour) -> str:
    """The name of the partition of what ends in that hour."""
    return f"bodies_{int(expires)}"
