"""which key took another's place"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("replaced_by", sa.String(length=40), nullable=True))


def downgrade() -> None:
    op.drop_column("api_keys", "replaced_by")
