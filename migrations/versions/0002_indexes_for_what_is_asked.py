"""an organisation's versions, and a job's newest event, by an index"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        op.f("ix_dataset_versions_organisation_id"), "dataset_versions", ["organisation_id"]
    )
    op.create_index("ix_events_job_id_id", "events", ["job_id", "id"])
    op.drop_index(op.f("ix_events_job_id"), table_name="events")


def downgrade() -> None:
    op.create_index(op.f("ix_events_job_id"), "events", ["job_id"])
    op.drop_index("ix_events_job_id_id", table_name="events")
    op.drop_index(op.f("ix_dataset_versions_organisation_id"), table_name="dataset_versions")
