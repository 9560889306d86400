"""OpenAI's batches: files of requests and the pieces of what was answered"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "request_batches",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("organisation_id", sa.String(length=64), nullable=False),
        sa.Column("endpoint", sa.String(length=100), nullable=False),
        sa.Column("input_file_id", sa.String(length=40), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=True),
        sa.Column("output_seconds", sa.BigInteger(), nullable=True),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("completed", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("lapsed", sa.BigInteger(), nullable=False),
        sa.Column("pieces", sa.BigInteger(), nullable=False),
        sa.Column("errors", sa.JSON(), nullable=True),
        sa.Column("output_file_id", sa.String(length=40), nullable=True),
        sa.Column("error_file_id", sa.String(length=40), nullable=True),
        sa.Column("moments", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Float(precision=53), nullable=False),
        sa.Column("expires_at", sa.Float(precision=53), nullable=False),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_request_batches_organisation_id_id", "request_batches", ["organisation_id", "id"]
    )
    op.create_index("ix_request_batches_input_file_id", "request_batches", ["input_file_id"])
    op.create_table(
        "request_pieces",
        sa.Column("batch_id", sa.String(length=40), nullable=False),
        sa.Column("start", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("answers", sa.String(length=300), nullable=True),
        sa.Column("errors", sa.String(length=300), nullable=True),
        sa.ForeignKeyConstraint(["batch_id"], ["request_batches.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("batch_id", "start"),
    )


def downgrade() -> None:
    for table in ("request_pieces", "request_batches"):
        op.drop_table(table)
