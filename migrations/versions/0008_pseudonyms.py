"""the key by which an organisation's patients get the names of their groups"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("organisations", sa.Column("pseudonym_key", sa.String(64), nullable=True))


def downgrade() -> None:
    op.drop_column("organisations", "pseudonym_key")
