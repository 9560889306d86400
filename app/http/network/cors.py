"""Pages of other origins: whose may call the service, and what of an answer they may read."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
_READABLE = (
    "content-disposition",
    "etag",
    "idempotent-replayed",
    "inference-header-content-length",
    "location",
    "preference-applied",
    "retry-after",
    "ratelimit-limit",
    "ratelimit-policy",
    "ratelimit-remaining",
    "ratelimit-reset",
    "retry-after-ms",
    "server-timing",
    "www-authenticate",
    "x-headstart-precision",
    "x-headstart-prediction-id",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-request-id",
    "x-should-retry",
)


def allow(app: FastAPI, origins: Sequence[str]) -> None:
    """Answer preflights without a key, and say on every answer, errors too, who may read it.

    Keys travel in a header of the caller's own making, so that no cookie is ever needed.
    """
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=_METHODS,
            allow_headers=("*",),
            expose_headers=_READABLE,
        )
