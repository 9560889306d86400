"""from which accuracy on a dataset's models are good enough, and a model's for lists"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_FILL = {
    "sqlite": "UPDATE models SET accuracy = json_extract(evaluation, '$.accuracy')",
    "postgresql": "UPDATE models SET accuracy = evaluation -> 'accuracy'",
}


def upgrade() -> None:
    op.add_column("datasets", sa.Column("target", sa.Float(53), nullable=True))
    op.add_column("models", sa.Column("accuracy", sa.JSON(), nullable=True))
    op.execute(_FILL[op.get_bind().dialect.name])


def downgrade() -> None:
    op.drop_column("models", "accuracy")
    op.drop_column("datasets", "target")
