"""Drops have a random number, and a block one number for its drop and position: what was clustered
by a long key goes by a short one, which halves what an append writes.
"""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_POSITIONS = 1 << 32


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return  # no relay stood on anything else then
    op.rename_table("drops", "drops_1")
    op.rename_table("blocks", "blocks_1")
    op.create_table(
        "drops",
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("id", sa.LargeBinary(16), nullable=False),
        sa.Column("access", sa.LargeBinary(32), nullable=False),
        sa.Column("close", sa.LargeBinary(32), nullable=False),
        sa.Column("keep", sa.Integer, nullable=False),
        sa.Column("sealed", sa.Boolean, nullable=False),
        sa.Column("following", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_drops"),
    )
    op.create_table(
        "blocks",
        sa.Column("place", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("hour", sa.Integer, nullable=False),
        sa.Column("expires", sa.Integer, nullable=False),
        sa.Column("digest", sa.LargeBinary(16), nullable=False),
        sa.Column("sealed", sa.LargeBinary(4124), nullable=False),
        sa.PrimaryKeyConstraint("place", name="pk_blocks"),
    )
    _number()
    op.drop_table("blocks_1")
    op.drop_table("drops_1")
    op.create_index("ix_drops_id", "drops", ["id"], unique=True)
    op.create_index("ix_blocks_digest", "blocks", ["digest"], unique=True)


def _number() -> None:
    """Move every drop and its blocks under a number that nobody has yet."""
    connection = op.get_bind()
    taken: set[int] = set()
    for (drop,) in connection.execute(sa.text("SELECT id FROM drops_1 ORDER BY id")).all():
        number = next(n for n in iter(lambda: secrets.randbits(31), None) if n not in taken)
        taken.add(number)
        bound = {"number": number, "drop": drop, "first": number * _POSITIONS}
        connection.execute(
            sa.text(
                "INSERT INTO drops (number, id, access, close, keep, sealed, following) "
                "SELECT :number, id, access, close, keep, sealed, following "
                "FROM drops_1 WHERE id = :drop"
            ),
            bound,
        )
        connection.execute(
            sa.text(
                "INSERT INTO blocks (place, hour, expires, digest, sealed) "
                "SELECT :first + position, hour, expires, digest, sealed "
                "FROM blocks_1 WHERE drop_id = :drop ORDER BY position"
            ),
            bound,
        )
