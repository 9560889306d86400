"""how a batch's inputs were answered, where they were smoothed over one another"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("batches", sa.Column("smoothing", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("batches", "smoothing")
