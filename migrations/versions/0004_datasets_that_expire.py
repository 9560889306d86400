"""datasets that their uploaders wish deleted after a while"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("datasets", sa.Column("expires_at", sa.Float(), nullable=True))
    op.create_index(op.f("ix_datasets_expires_at"), "datasets", ["expires_at"])


def downgrade() -> None:
    op.drop_index(op.f("ix_datasets_expires_at"), table_name="datasets")
    op.drop_column("datasets", "expires_at")
