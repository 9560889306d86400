"""the request and the trace that work came of"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("work", sa.Column("origin", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("work", "origin")
