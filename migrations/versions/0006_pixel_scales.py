"""which values are black and white in a version's deep pictures"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("dataset_versions", sa.Column("pixel_scale", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("dataset_versions", "pixel_scale")
