"""what an upload is about to refer to, held before it is stored"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "held_blobs",
        sa.Column("key", sa.String(length=300), nullable=False),
        sa.Column("until", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index(op.f("ix_held_blobs_until"), "held_blobs", ["until"])


def downgrade() -> None:
    op.drop_table("held_blobs")
