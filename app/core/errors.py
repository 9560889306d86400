"""The one table of error codes, and the one exception that carries them.

HeadstartError
 └─ everything a caller can be told; `code` is a key of `TITLES`.

Domain code raises it and knows no HTTP: `app.http.exception_handlers` turns a code into a status.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TITLES: Mapping[str, str] = {
    # the request
    "bad_request": "The request cannot be read",
    "unauthenticated": "A valid API key is required",
    "forbidden": "The API key lacks the scope",
    "not_found": "No such resource",
    "method_not_allowed": "The method is not allowed here",
    "request_timeout": "The request arrived too slowly",
    "in_flight": "The same request is still in flight",
    "invalid_transition": "The state does not allow this",
    "in_use": "Something else still uses this",
    "model_holds_example": "A model keeps the example itself",
    "not_ready": "Not ready yet",
    "payload_too_large": "The body is larger than allowed",
    "head_too_large": "The address and the headers are larger than allowed",
    "unsupported_media_type": "The content type is not supported",
    "invalid_request": "The request is not valid",
    "invalid_json": "The body is not valid JSON",
    "invalid_value": "A value is not valid",
    "idempotency_mismatch": "The Idempotency-Key was used with another request",
    # archives
    "unsafe_path": "A member's path leaves the archive",
    "unsafe_member": "A member is not a regular file",
    "unsafe_name": "A name is too long, or has control or direction characters",
    "duplicate_name": "Two members share a name",
    "unsupported_member": "A member's kind is not supported",
    "archive_bomb": "The archive unpacks to far more than it holds",
    "archive_corrupt": "The archive is damaged",
    "archive_encrypted": "The archive is encrypted",
    "not_an_archive": "The file is no archive that is understood",
    "empty_dataset": "No usable example was found",
    "too_many_entries": "The archive has too many entries",
    "ambiguous_layout": "The folders do not tell classes and splits apart",
    "empty_class": "A class folder has no example",
    # examples
    "image_too_large": "The image has too many pixels",
    "image_dimensions": "The image's sides are out of proportion",
    "too_many_frames": "The image has too many frames",
    "further_frames": "Only the first page or frame is used",
    "image_truncated": "The image is cut short",
    "image_invalid": "The image cannot be decoded",
    "image_blank": "The picture is of one colour",
    "not_finite": "The backbone gives no finite numbers of this",
    "unsupported_image_format": "The image format is not supported",
    "schema_mismatch": "A row does not fit the columns",
    "several_labels": "An example has several labels",
    "unlabelled": "An example has no label",
    "column_assumed": "A column was taken for the text or the label",
    "boxes_whole": "Pictures have the labels of their boxes",
    "column_unread": "A column that may matter is not read",
    "labels_joined": "Labels seem to be several in one text",
    "rows_joined": "Lines that look like rows are inside a cell",
    "text_unread": "The backbone has no pieces for what texts are written in",
    "truncated": "Texts are longer than what the backbone reads",
    "labels_new": "What was added has no label that was there",
    "labels_doubtful": "The labels look like numbers or ids",
    "encoding": "The text is not UTF-8",
    "row_too_large": "A row is too large",
    "text_too_long": "The text is too long",
    "insufficient_classes": "At least two classes are needed",
    "label_too_long": "A label is too long",
    "group_assumed": "Examples are grouped by their names",
    "label_collision": "Labels differ only in how they are written",
    "label_conflict": "The same content has two labels",
    "label_corrected": "What was there has the newer label",
    "duplicate_example": "The same content appears twice",
    "duplicate_across_splits": "The same content is in two splits",
    "example_erased": "The content was erased from this dataset",
    # jobs
    "invalid_hyperparameter": "A hyperparameter is out of range",
    "unknown_method": "No such method",
    "unknown_backbone": "No such backbone",
    "modality_mismatch": "Backbone and dataset differ in modality",
    "label_mode_mismatch": "One has one label an example, the other several",
    "backbone_unavailable": "The backbone's weights are missing",
    "precision_unavailable": "This machine has no units for that precision",
    "dataset_failed": "The dataset has failed",
    "dataset_corrupt": "The stored dataset is damaged",
    "worker_lost": "The worker was lost too often",
    "training_failed": "Training failed",
    "fit_too_long": "The fit takes too long",
    "fit_too_large": "The fit needs more memory than there is",
    "cut_unavailable": "The backbone cannot be tuned in part",
    "diverged": "Training diverged",
    # models and serving
    "weights_invalid": "The weights are not valid",
    "model_corrupt": "The stored model is damaged",
    "export_unsupported": "There is no such export of this",
    "export_failed": "The export does not answer as the service does",
    "overloaded": "Too much is queued, or still being loaded",
    "quota_exceeded": "The organisation has as much as it may",
    "rate_limited": "The organisation asks too often",
    "deadline_exceeded": "The deadline has passed",
    "predictor_unavailable": "The predictor cannot be reached",
    "database_unavailable": "The database cannot be reached",
    "database_busy": "Others were changing the same at once",
    "storage_full": "The storage is full",
    "storage_unavailable": "The storage cannot be reached",
    "content_corrupt": "What was stored is damaged",
    "secret_unreadable": "A stored secret cannot be opened",
    "secrets_key_missing": "There is no key to seal secrets with",
    "replayed": "The signed message was taken before",
    "unsafe_url": "The address may not be fetched from",
    "url_unreachable": "The address cannot be fetched",
    "unsafe_webhook_url": "The webhook's address is not allowed",
    "internal": "Something went wrong on our side",
}

DATABASE_AWAY = ("database_unavailable", "database_busy")
"""It did not answer for now: whoever can wait tries again later."""


class HeadstartError(Exception):
    """An error with a stable `code` (a key of TITLES), a sentence for people, and where it lies.

    `param` names the offending field, member or row; `retry_after` is in seconds;
    `extra` holds further JSON members of the problem document.
    """

    def __init__(
        self,
        code: str,
        message: str | None = None,
        *,
        param: str | None = None,
        retry_after: float | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        self.code = code
        self.message = message or TITLES[code]
        self.param = param
        self.retry_after = retry_after
        self.extra = dict(extra or {})
        super().__init__(self.message)

    def stored(self) -> dict[str, Any]:
        """What jobs, versions and work keep of it: `{code, message, param}`."""
        return {"code": self.code, "message": self.message, "param": self.param}

    def __reduce__(self) -> tuple[Any, ...]:
        """Survive the pipe between the trainer and its child, keyword arguments included."""
        return _rebuild, (self.code, self.message, self.param, self.retry_after, self.extra)


def _rebuild(
    code: str,
    message: str,
    param: str | None,
    retry_after: float | None,
    extra: dict[str, Any],
) -> HeadstartError:
    return HeadstartError(code, message, param=param, retry_after=retry_after, extra=extra)
