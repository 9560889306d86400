"""What a file becomes by its purpose: a dataset, or kept as it is. All of it blocks."""

from __future__ import annotations

from app.core.errors import HeadstartError
from app.datasets import plain, service
from app.datasets.file_schemas import FileObject, file_of, plain_file_of
from app.http.dependencies import Services
from app.http.pages import looks_like
from app.infra.database import reading
from app.infra.orm import FileRow
from app.infra.repositories import datasets
from app.infra.repositories.datasets import DatasetSnapshot
from app.infra.repositories.openai import files
from app.uploads.form import UploadForm
from app.uploads.receipts import Receipt
from app.uploads.streaming import Upload

Taken = DatasetSnapshot | FileRow


def take(
    services: Services,
    upload: Upload,
    form: UploadForm,
    *,
    organisation_id: str,
    receipt: Receipt,
) -> Taken:
    """The file that an upload becomes. Raises the codes of bad uploads, and keeps nothing then."""
    if form.purpose == "fine-tune":
        return service.create(
            services, upload, form, organisation_id=organisation_id, receipt=receipt
        )
    form.require_plain()
    return plain.keep(
        services,
        upload,
        purpose=form.purpose,
        expires_after=form.expires_seconds,
        organisation_id=organisation_id,
        receipt=receipt,
    )


def find(services: Services, file_id: str, *, organisation_id: str) -> Taken:
    """The file of this id, of either kind. Raises not_found."""
    if looks_like(file_id, files.PREFIX):
        row = plain.find(services, file_id, organisation_id=organisation_id)
        if row is None:
            raise files.missing()
        return row
    if not looks_like(file_id, "ds_"):
        raise datasets.missing()
    with reading(services.sessions) as session:
        return datasets.get(session, file_id, organisation_id=organisation_id)


def shown(taken: Taken) -> FileObject:
    """The file as OpenAI's clients see it."""
    return plain_file_of(taken) if isinstance(taken, FileRow) else file_of(taken)


def found(services: Services, file_id: str, *, organisation_id: str) -> FileObject | None:
    """The file of this id as it is shown; None where it was deleted."""
    try:
        return shown(find(services, file_id, organisation_id=organisation_id))
    except HeadstartError as error:
        if error.code != "not_found":
            raise
        return None
