"""examples that are erased from every version of a dataset"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table, name in _COUNTS:
        op.add_column(table, sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("dataset_versions", sa.Column("erased_at", sa.Float(53), nullable=True))
    op.create_table(
        "example_erasures",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("organisation_id", sa.String(64), nullable=False),
        sa.Column("dataset_id", sa.String(40), nullable=False),
        sa.Column("deletion_id", sa.String(40), nullable=False),
        sa.Column("contents", sa.BigInteger(), nullable=False),
        sa.Column("versions", sa.JSON(), nullable=False),
        sa.Column("models", sa.JSON(), nullable=False),
        sa.Column("elsewhere", sa.JSON(), nullable=False),
        sa.Column("marks", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"]),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], ondelete="CASCADE"),
    )
    op.create_index(
        "ix_example_erasures_dataset", "example_erasures", ["organisation_id", "dataset_id", "id"]
    )


_COUNTS = (
    ("datasets", "erasures"),
    ("dataset_versions", "erased"),
    ("models", "trained_on_erased"),
)


def downgrade() -> None:
    op.drop_table("example_erasures")
    op.drop_column("dataset_versions", "erased_at")
    for table, name in _COUNTS:
        op.drop_column(table, name)
