"""The tables. Times are seconds since 1970 by the database's clock; JSON columns hold plain data.

Work rows carry the truth of who may write: a worker's every write is `WHERE id = ? AND fence = ?`.
"""

from __future__ import annotations

from app.infra.orm.accounts import ApiKeyRow, IdempotencyRow, OrganisationRow
from app.infra.orm.audit import AuditEntryRow
from app.infra.orm.base import Base
from app.infra.orm.batches import BatchPartRow, BatchRow
from app.infra.orm.blobs import DeletedFileRow, DeletionRow, ErasureRow, HeldBlobRow
from app.infra.orm.datasets import DatasetRow, DatasetVersionRow, ExampleErasureRow
from app.infra.orm.embeddings import EmbeddingRow, SegmentRow
from app.infra.orm.files import FileRow, UploadPartRow, UploadRow
from app.infra.orm.hooks import (
    HookMessageRow,
    HookRow,
    HookRunRow,
    WebhookDeliveryRow,
    WebhookRow,
)
from app.infra.orm.jobs import CheckpointRow, EventRow, JobRow
from app.infra.orm.live import (
    DriftReferenceRow,
    DriftWindowRow,
    FeedbackRow,
    LabellingProjectRow,
    LoggedPredictionRow,
)
from app.infra.orm.models import AliasRow, ModelRow
from app.infra.orm.promotions import AliasMoveRow, AliasWearRow, PromotionRow, ShadowAgreementRow
from app.infra.orm.request_batches import RequestBatchRow, RequestPieceRow
from app.infra.orm.usage import UsageRow
from app.infra.orm.vision import VisionProjectRow
from app.infra.orm.work import WorkRow

__all__ = [
    "AliasMoveRow",
    "AliasRow",
    "AliasWearRow",
    "ApiKeyRow",
    "AuditEntryRow",
    "Base",
    "BatchPartRow",
    "BatchRow",
    "CheckpointRow",
    "DatasetRow",
    "DatasetVersionRow",
    "DeletedFileRow",
    "DeletionRow",
    "DriftReferenceRow",
    "DriftWindowRow",
    "EmbeddingRow",
    "ErasureRow",
    "EventRow",
    "ExampleErasureRow",
    "FeedbackRow",
    "FileRow",
    "HeldBlobRow",
    "HookMessageRow",
    "HookRow",
    "HookRunRow",
    "IdempotencyRow",
    "JobRow",
    "LabellingProjectRow",
    "LoggedPredictionRow",
    "ModelRow",
    "OrganisationRow",
    "PromotionRow",
    "RequestBatchRow",
    "RequestPieceRow",
    "SegmentRow",
    "ShadowAgreementRow",
    "UploadPartRow",
    "UploadRow",
    "UsageRow",
    "VisionProjectRow",
    "WebhookDeliveryRow",
    "WebhookRow",
    "WorkRow",
]
