"""What else of an organisation has the same contents as what is erased. It blocks."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection
from typing import Any

from app.http.dependencies import Services
from app.infra import storage_keys
from app.infra.database import reading
from app.infra.repositories import erasing

_SHA256 = re.compile(rb'"sha256":"([0-9a-f]{64})"')


def having(
    services: Services, sha256s: Collection[str], *, dataset_id: str, organisation_id: str
) -> list[dict[str, Any]]:
    """Datasets, and batches with inputs of their own: `[{object, id, contents}]`.

    Raises storage_unavailable.
    """
    with reading(services.sessions) as session:
        told = erasing.other_manifests(session, dataset_id, organisation_id=organisation_id)
    wanted = {one.encode() for one in sha256s}
    found: dict[tuple[str, str], set[bytes]] = defaultdict(set)
    for kind, name, manifest in told:
        found[kind, name] |= wanted & _named(services, organisation_id, manifest)
    return [
        {"object": kind, "id": name, "contents": len(some)}
        for (kind, name), some in sorted(found.items())
        if some
    ]


def _named(services: Services, organisation_id: str, manifest: str) -> set[bytes]:
    try:
        path = services.storage.fetch(storage_keys.manifest(organisation_id, manifest))
    except FileNotFoundError:  # deleted since it was named
        return set()
    with path.open("rb") as file:
        return {match[1] for line in file if (match := _SHA256.search(line))}
