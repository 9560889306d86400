"""what deleted datasets leave to be forgotten, and segments with rows that nothing indexes

Segments of before may have such rows: each is looked at once, and rewritten only if it has.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "erasures",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("organisation_id", sa.String(length=64), nullable=False),
        sa.Column("manifest_sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_erasures_organisation_id"), "erasures", ["organisation_id"])
    op.add_column("segments", sa.Column("worn_at", sa.Float(precision=53), nullable=True))
    op.create_index(op.f("ix_segments_worn_at"), "segments", ["worn_at"])
    op.execute("UPDATE segments SET worn_at = created_at")


def downgrade() -> None:
    op.drop_index(op.f("ix_segments_worn_at"), table_name="segments")
    op.drop_column("segments", "worn_at")
    op.drop_table("erasures")
