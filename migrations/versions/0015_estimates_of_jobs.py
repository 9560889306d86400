"""what a job was expected to take"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("estimated_seconds", sa.Float(precision=53), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "estimated_seconds")
