"""hashes of what is stored, where none was kept: embeddings, results of batches"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

_TABLES = ("segments", "batch_parts")


def upgrade() -> None:
    for table in _TABLES:
        op.add_column(table, sa.Column("sha256", sa.String(64), nullable=True))


def downgrade() -> None:
    for table in _TABLES:
        op.drop_column(table, "sha256")
