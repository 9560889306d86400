"""until when new versions of a dataset wait for an erasure that they have kept out"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("datasets", sa.Column("erasing_until", sa.Float(), nullable=True))


def downgrade() -> None:
    op.drop_column("datasets", "erasing_until")
