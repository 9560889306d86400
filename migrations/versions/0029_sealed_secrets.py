"""room for sealed secrets

Postgres holds a text to its length; SQLite does not, and its tables stay as they are.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

_COLUMNS = (
    ("webhooks", "secret", 100),
    ("webhooks", "former_secret", 100),
    ("hooks", "secret", 100),
    ("labelling_projects", "token", 500),
    ("organisations", "pseudonym_key", 64),
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table, column, length in _COLUMNS:
            op.alter_column(table, column, existing_type=sa.String(length), type_=sa.Text())


def downgrade() -> None:
    """Room stays: what is sealed would not fit."""
