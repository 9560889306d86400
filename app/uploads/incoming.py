"""An upload's way through a request: key leased, bytes received, version made, answer kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from typing import Annotated, Any, Protocol, TypeVar

from anyio import to_thread
from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, to_json

from app.core.errors import HeadstartError
from app.core.identity import Identity
from app.core.texts import digits
from app.http import idempotency
from app.http.dependencies import Services, Writer, services
from app.http.exception_handlers import message_of
from app.http.idempotency import KeyHeader
from app.http.routes import takes_any_query, unknown
from app.infra.database import reading
from app.infra.repositories import datasets, quotas
from app.infra.repositories.datasets import DatasetSnapshot
from app.infra.repositories.idempotency import Reply
from app.infra.repositories.problems import SHOWN
from app.infra.settings import Settings
from app.infra.storage import staging
from app.uploads.form import UploadForm
from app.uploads.forms import FormLimits
from app.uploads.intake.refusals import combined
from app.uploads.receipts import Receipt, reserve
from app.uploads.streaming import Upload, UploadLimits, received

_FORM_BYTES = 64 * 1024
"""Of a body, what may be the form around the file: it is not kept."""
Made = dict[str, Any]
"""What an upload's key remembers: the ids of what was made of it."""
T = TypeVar("T")
Shape = TypeVar("Shape", bound=BaseModel)


class Make(Protocol):
    """Makes a version from what was received; blocks."""

    def __call__(
        self, upload: Upload, form: UploadForm, *, receipt: Receipt
    ) -> DatasetSnapshot: ...


@dataclass(frozen=True)
class Incoming:
    """A request that may carry an upload."""

    request: Request
    services: Services
    identity: Identity
    key_header: str | None

    @property
    def organisation_id(self) -> str:
        """Whose upload it is."""
        return self.identity.organisation_id

    async def take(
        self, make: Make, *, status: int, instead: str | None = None
    ) -> tuple[DatasetSnapshot, bool]:
        """Receive the upload and `make` a version of it, once a key; whether it is a replay.

        With the field `instead` its file may be left out. Raises the codes of bad uploads,
        in_flight and idempotency_mismatch.
        """

        def made(upload: Upload, receipt: Receipt) -> DatasetSnapshot:
            return make(upload, parse_form(UploadForm, upload.fields), receipt=receipt)

        return await self.once(made, self._version, status=status, instead=instead)

    async def inspect(self, look: Callable[[Upload, UploadForm], T]) -> T:
        """What `look` finds in the upload, which is gone afterwards; its key is not used."""
        async with self._received() as upload:
            step = partial(look, upload, parse_form(UploadForm, upload.fields))
            return await self.services.builds.run(self.organisation_id, step)

    async def once(
        self,
        make: Callable[[Upload, Receipt], T],
        recall: Callable[[Made], T],
        *,
        status: int,
        most: int | None = None,
        field: str = "file",
        instead: str | None = None,
    ) -> tuple[T, bool]:
        """`make` something of the upload, once a key, or `recall` what was; whether it is a replay.

        `make` answers its receipt in the transaction of its effect. Both block. A file of more than
        `most` bytes is refused; a form calls it `field`.
        """
        received = partial(self._received, most=most, field=field, instead=instead)
        key = idempotency.key_of(self.request, self.key_header, content=b"")
        lease = partial(reserve, self.services.sessions, key, status=status)
        receipt = await to_thread.run_sync(lease)
        if isinstance(receipt, Reply):
            async with received() as upload:
                _check_same(receipt, upload)
            return await to_thread.run_sync(recall, receipt.body), True
        async with receipt.kept():
            await to_thread.run_sync(self._check_room)
            async with received() as upload:
                receipt.digest = _digest(upload)
                step = partial(make, upload, receipt)
                return await self.services.builds.run(self.organisation_id, step), False

    def _check_room(self) -> None:
        """Raise quota_exceeded for what could not be kept, before it is received."""
        told = digits(self.request.headers.get("content-length", "")) or 0
        coming = max(0, told - _FORM_BYTES)
        with reading(self.services.sessions) as session:
            settings = self.services.settings
            quotas.check_room(session, settings, self.organisation_id, coming=coming)

    def _received(
        self, *, most: int | None = None, field: str = "file", instead: str | None = None
    ) -> AbstractAsyncContextManager[Upload]:
        settings = self.services.settings
        limits = replace(
            _upload_limits(settings),
            file_bytes=most,
            form=FormLimits(file_field=field, instead=instead),
        )
        return received(self.request, staging=staging(settings), limits=limits)

    def _version(self, made: Made) -> DatasetSnapshot:
        with reading(self.services.sessions) as session:
            return datasets.get(
                session,
                made["dataset"],
                organisation_id=self.organisation_id,
                number=made["version"],
                shown=SHOWN,
            )


def _incoming(request: Request, identity: Writer, key: KeyHeader = None) -> Incoming:
    return Incoming(request, services(request), identity, key)


takes_any_query(_incoming)
IncomingDep = Annotated[Incoming, Depends(_incoming)]


def parse_form(shape: type[Shape], fields: Mapping[str, str]) -> Shape:
    """The fields that came with a file; those left empty are left out. Raises invalid_request."""
    known = frozenset(field.alias or name for name, field in shape.model_fields.items())
    for name in fields:
        if name not in known:
            raise unknown(name, known, what="form field")
    return parse_fields(shape, {name: told for name, told in fields.items() if told})


def parse_fields(shape: type[Shape], fields: Mapping[str, Any]) -> Shape:
    """The fields, checked against `shape`. Raises invalid_request."""
    try:
        return shape.model_validate(fields)
    except ValidationError as error:
        raise combined([_of_field(one) for one in error.errors()]) from error


def _of_field(told: ErrorDetails) -> HeadstartError:
    name = ".".join(str(part) for part in told["loc"]) or None
    message = message_of(told)
    return HeadstartError("invalid_request", f"{name}: {message}" if name else message, param=name)


def _upload_limits(settings: Settings) -> UploadLimits:
    return UploadLimits(
        body_bytes=settings.max_upload_bytes,
        grace_seconds=settings.upload_grace_seconds,
        bytes_per_second=settings.upload_min_bytes_per_second,
    )


def _check_same(reply: Reply, upload: Upload) -> None:
    if reply.body["digest"] != _digest(upload):
        raise HeadstartError(
            "idempotency_mismatch",
            "this Idempotency-Key came with another upload before",
            param="Idempotency-Key",
        )


def _digest(upload: Upload) -> str:
    """What tells two uploads apart: the file's content and name, and the form's fields."""
    told = [upload.sha256, upload.filename, sorted(upload.fields.items())]
    return sha256(to_json(told)).hexdigest()
