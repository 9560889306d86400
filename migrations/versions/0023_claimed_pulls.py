"""until when a labelling project is being pulled, or not to be pulled again"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "labelling_projects", sa.Column("not_before", sa.Float(precision=53), nullable=True)
    )


def downgrade() -> None:
    op.drop_column("labelling_projects", "not_before")
