"""what deletions have removed from storage, and what of them is left to do"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_TIME = sa.Float(precision=53)


def upgrade() -> None:
    op.create_table(
        "deletions",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("organisation_id", sa.String(length=64), nullable=False),
        sa.Column("object", sa.String(length=20), nullable=False),
        sa.Column("object_id", sa.String(length=200), nullable=False),
        sa.Column("removed", sa.JSON(), nullable=False),
        sa.Column("kept", sa.JSON(), nullable=False),
        sa.Column("forgotten_at", _TIME, nullable=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("finished_at", _TIME, nullable=True),
        sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_deletions_organisation_id_id", "deletions", ["organisation_id", "id"])
    op.create_index("ix_deletions_finished_at", "deletions", ["finished_at"])
    op.create_table(
        "deleted_files",
        sa.Column("deletion_id", sa.String(length=40), nullable=False),
        sa.Column("key", sa.String(length=300), nullable=False),
        sa.Column("organisation_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("deletion_id", "key"),
    )
    op.create_index("ix_deleted_files_organisation_id", "deleted_files", ["organisation_id"])
    op.add_column("erasures", sa.Column("deletion_id", sa.String(length=40), nullable=True))
    op.create_index("ix_erasures_deletion_id", "erasures", ["deletion_id"])


def downgrade() -> None:
    op.drop_index("ix_erasures_deletion_id", table_name="erasures")
    op.drop_column("erasures", "deletion_id")
    op.drop_table("deleted_files")
    op.drop_table("deletions")
