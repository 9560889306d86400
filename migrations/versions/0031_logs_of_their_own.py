"""which prediction log it is: one that ended is none that begins later"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("aliases", sa.Column("log_id", sa.String(40), nullable=True))


def downgrade() -> None:
    op.drop_column("aliases", "log_id")
