"""what organisations have used, day by day; what the prediction log holds, quickly"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "usage",
        sa.Column("organisation_id", sa.String(length=64), nullable=False),
        sa.Column("day", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("amount", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("organisation_id", "day", "kind", "subject"),
    )
    op.create_index("ix_usage_day", "usage", ["day"])
    columns = ["organisation_id", "content_length"]
    op.create_index("ix_logged_predictions_bytes", "logged_predictions", columns)
    op.create_index("ix_feedback_bytes", "feedback", columns)
    op.execute("UPDATE logged_predictions SET content_length = 0 WHERE content_key IS NULL")


def downgrade() -> None:
    op.drop_index("ix_feedback_bytes", table_name="feedback")
    op.drop_index("ix_logged_predictions_bytes", table_name="logged_predictions")
    op.drop_table("usage")
