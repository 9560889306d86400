"""classes that a dataset has by name, whether they have examples or not"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("dataset_versions", sa.Column("declared", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("dataset_versions", "declared")
