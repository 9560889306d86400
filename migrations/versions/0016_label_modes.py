"""which datasets and models have several labels an example, and how many examples have none"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("datasets", "models"):
        mode = sa.Column("label_mode", sa.String(12), nullable=False, server_default="single_label")
        op.add_column(table, mode)
    none = sa.Column("negatives", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("dataset_versions", none)


def downgrade() -> None:
    op.drop_column("dataset_versions", "negatives")
    for table in ("models", "datasets"):
        op.drop_column(table, "label_mode")
