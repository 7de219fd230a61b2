"""Vouchers, drops and blocks."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return  # no relay stood on anything else then
    op.create_table(
        "vouchers",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_vouchers"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "drops",
        sa.Column("id", sa.LargeBinary(16), nullable=False),
        sa.Column("access", sa.LargeBinary(32), nullable=False),
        sa.Column("close", sa.LargeBinary(32), nullable=False),
        sa.Column("keep", sa.Integer, nullable=False),
        sa.Column("sealed", sa.Boolean, nullable=False),
        sa.Column("following", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_drops"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "blocks",
        sa.Column("drop_id", sa.LargeBinary(16), nullable=False),
        sa.Column("position", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("hour", sa.Integer, nullable=False),
        sa.Column("expires", sa.Integer, nullable=False),
        sa.Column("digest", sa.LargeBinary(16), nullable=False),
        sa.Column("sealed", sa.LargeBinary(4136), nullable=False),
        sa.PrimaryKeyConstraint("drop_id", "position", name="pk_blocks"),
        sa.ForeignKeyConstraint(["drop_id"], ["drops.id"], name="fk_blocks_drop_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_blocks_drop_id_digest", "blocks", ["drop_id", "digest"], unique=True)
    op.create_index("ix_blocks_expires", "blocks", ["expires"])
