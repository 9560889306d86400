"""what a dataset's uploads were told of how they are read, which holds for what is added"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("datasets", sa.Column("reading", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("datasets", "reading")
