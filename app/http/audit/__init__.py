"""Which requests the audit log tells of, and what.

Every request that changes something, and those that take contents or models out; predictions are
not deeds. An entry is written when the effect is committed and before the answer leaves; where it
cannot be, later (`repositories.audit.unwritten`), for an effect that stands has not failed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from anyio import to_thread
from fastapi import Request, Response

from app.core.identity import Identity
from app.http.dependencies import services
from app.infra.repositories.audit import Deed

_TAKES_OUT = re.compile(r"/v1/.*/(content|export|artifacts/.*|results)|/v1/.*/output")
_LONGEST_BODY = 65_536
"""Bytes of an answer that are looked at for an id."""


def is_deed(method: str, path: str, scopes: Iterable[str]) -> bool:
    """Whether requests of a route are told of."""
    if method in ("GET", "HEAD"):
        return _TAKES_OUT.fullmatch(path) is not None
    return "predict" not in scopes and not path.startswith("/v2/")


class Pending:
    """The entry of a request under way."""

    def __init__(self, request: Request, action: str) -> None:
        self._request, self._action = request, action
        self.answer: Response | None = None

    async def write(self, failed: object, _error: object, _trace: object) -> None:
        """Write it if the request has had its effect; called once its transaction has ended."""
        identity = getattr(self._request.state, "identity", None)
        answer = self.answer
        if failed or answer is None or answer.status_code >= 400:
            return
        if isinstance(identity, Identity):
            deed = self._deed(identity, answer)
            held = services(self._request)
            await to_thread.run_sync(held.unwritten_deeds.write, held.sessions, deed)

    def _deed(self, identity: Identity, answer: Response) -> Deed:
        client = self._request.client
        return Deed(
            organisation_id=identity.organisation_id,
            key_id=identity.key_id,
            action=self._action,
            object_id=_object(self._request, answer),
            request_id=self._request.state.request_id,
            address=client.host[:64] if client else None,
            status=answer.status_code,
        )


def _object(request: Request, answer: Response) -> str | None:
    """The id in the path, the last where there are several, or that of what was made."""
    named = [str(value) for value in request.path_params.values()]
    if named:
        return named[-1][:200]
    body = getattr(answer, "body", b"")
    if not body or len(body) > _LONGEST_BODY:
        return None
    try:
        found = json.loads(bytes(body))
    except ValueError:
        return None
    name = found.get("id") if isinstance(found, dict) else None
    return name[:200] if isinstance(name, str) else None
