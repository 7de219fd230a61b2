"""PostgreSQL: the same drops, vouchers and blocks, with the noise apart and by hour. No relay stood
on it before, so the scripts before this one do nothing there, and this one nothing in SQLite.
"""

import sqlalchemy as sa
from alembic import context, op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        return
    op.create_table(
        "vouchers",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_vouchers"),
    )
    op.create_table(
        "drops",
        sa.Column("number", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("id", sa.LargeBinary(16), nullable=False),
        sa.Column("access", sa.LargeBinary(32), nullable=False),
        sa.Column("close", sa.LargeBinary(32), nullable=False),
        sa.Column("keep", sa.Integer, nullable=False),
        sa.Column("sealed", sa.Boolean, nullable=False),
        sa.Column("following", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_drops"),
    )
    op.create_index("ix_drops_id", "drops", ["id"], unique=True)
    op.create_table(
        "blocks",
        sa.Column("place", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("hour", sa.Integer, nullable=False),
        sa.Column("expires", sa.Integer, nullable=False),
        sa.Column("digest", sa.LargeBinary(16), nullable=False),
        sa.PrimaryKeyConstraint("place", name="pk_blocks"),
    )
    op.create_index("ix_blocks_digest", "blocks", ["digest"], unique=True)
    _bodies(plain=context.config.attributes.get("plain", False))


def _bodies(*, plain: bool) -> None:
    op.create_table(
        "bodies",
        sa.Column("place", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("expires", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("sealed", sa.LargeBinary(4124), nullable=False),
        sa.PrimaryKeyConstraint("place", "expires", name="pk_bodies"),
        postgresql_partition_by=None if plain else "LIST (expires)",
    )
    if plain:
        op.create_index("ix_bodies_expires", "bodies", ["expires"])
        return
    # Noise cannot be compressed: trying costs a tenth of an append.
    op.execute("ALTER TABLE bodies ALTER COLUMN sealed SET STORAGE EXTERNAL")
    op.execute("ALTER TABLE drops SET (fillfactor = 70)")  # a drop's counter is changed in its page
    op.execute("ALTER TABLE blocks SET (autovacuum_vacuum_scale_factor = 0.02)")
