"""the prediction log, feedback and drift of models in use"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_TIME = sa.Float(precision=53)


def _text(name: str, length: int, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=length), nullable=nullable)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _time(name: str) -> sa.Column[float]:
    return sa.Column(name, _TIME, nullable=False)


def _json(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.JSON(), nullable=nullable)


def _flag(name: str, *, nullable: bool = False) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=nullable)


def _owned() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["organisation_id"], ["organisations.id"])


def upgrade() -> None:
    with op.batch_alter_table("aliases") as table:
        table.add_column(_json("prediction_log", nullable=True))
    op.create_table(
        "logged_predictions",
        _text("id", 40),
        _text("organisation_id", 64),
        _text("alias", 128),
        _text("model_id", 200),
        _text("prediction_id", 40),
        _number("place"),
        _text("sha256", 64),
        _json("answer"),
        sa.Column("embedding", sa.LargeBinary(), nullable=True),
        _text("content_key", 300, nullable=True),
        _number("content_start"),
        _number("content_length"),
        _time("lot"),
        _time("created_at"),
        _time("expires_at"),
        _owned(),
        sa.PrimaryKeyConstraint("id"),
    )
    for name, columns in {
        "ix_logged_predictions_alias": ["organisation_id", "alias", "model_id", "id"],
        "ix_logged_predictions_model": ["organisation_id", "model_id", "lot"],
        "ix_logged_predictions_prediction": ["organisation_id", "prediction_id", "place"],
        "ix_logged_predictions_content_key": ["content_key"],
        "ix_logged_predictions_expires_at": ["expires_at"],
    }.items():
        op.create_index(name, "logged_predictions", columns)
    op.create_table(
        "feedback",
        _text("id", 40),
        _text("organisation_id", 64),
        _text("subject", 400),
        _text("alias", 128),
        _text("model_id", 200),
        _text("prediction_id", 40, nullable=True),
        _number("place"),
        _text("sha256", 64),
        _json("answer"),
        _text("label", 256, nullable=True),
        _json("labels", nullable=True),
        _flag("correct", nullable=True),
        _flag("unknown"),
        _flag("audited"),
        _text("source", 20),
        _text("actor", 100),
        _text("content_key", 300, nullable=True),
        _number("content_length"),
        _json("applied", nullable=True),
        _time("created_at"),
        _time("updated_at"),
        _owned(),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_feedback_subject", "feedback", ["organisation_id", "subject"], unique=True)
    op.create_index("ix_feedback_alias", "feedback", ["organisation_id", "alias", "id"])
    op.create_index("ix_feedback_model", "feedback", ["organisation_id", "model_id", "id"])
    op.create_index("ix_feedback_content_key", "feedback", ["content_key"])
    _drift()
    op.create_table(
        "labelling_projects",
        _text("organisation_id", 64),
        _text("alias", 128),
        _text("project", 100),
        _text("hostname", 2000),
        _text("token", 500, nullable=True),
        sa.Column("label_config", sa.String(), nullable=False),
        _flag("pending"),
        _json("told"),
        _time("created_at"),
        _time("updated_at"),
        _owned(),
        sa.PrimaryKeyConstraint("organisation_id", "alias", "project"),
    )


def _drift() -> None:
    op.create_table(
        "drift_references",
        _text("organisation_id", 64),
        _text("alias", 128),
        _text("model_id", 200),
        _number("size"),
        sa.Column("embeddings", sa.LargeBinary(), nullable=False),
        _json("answers"),
        _json("labels"),
        _time("first_at"),
        _time("last_at"),
        _text("last_id", 40),
        _time("created_at"),
        _owned(),
        sa.PrimaryKeyConstraint("organisation_id", "alias", "model_id"),
    )
    op.create_table(
        "drift_windows",
        _text("id", 40),
        _text("organisation_id", 64),
        _text("alias", 128),
        _text("model_id", 200),
        _number("number"),
        _text("last_id", 40),
        _number("size"),
        _flag("drifted"),
        _json("result"),
        _time("first_at"),
        _time("last_at"),
        _time("created_at"),
        _owned(),
        sa.PrimaryKeyConstraint("id"),
    )
    columns = ["organisation_id", "alias", "model_id", "id"]
    op.create_index("ix_drift_windows_alias", "drift_windows", columns)


def downgrade() -> None:
    tables = ("labelling_projects", "drift_windows", "drift_references", "feedback")
    for name in (*tables, "logged_predictions"):
        op.drop_table(name)
    with op.batch_alter_table("aliases") as table:
        table.drop_column("prediction_log")
