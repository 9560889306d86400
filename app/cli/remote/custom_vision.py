"""An Azure Custom Vision project as an archive: pictures, tags, and what is told of both.

Walks the training API page by page, as Microsoft's SDK does (azure-cognitiveservices-vision-
customvision).
"""

from __future__ import annotations

import json
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from app.core import image_header
from app.core.errors import HeadstartError

PAGE = 50
"""The most that the API answers at once."""
MOST_BYTES = 32 * 1024 * 1024
_TRIES = 6
_LONGEST_WAIT = 60.0
_VERSION = "v3.3"


@dataclass
class PulledProject:
    """What a project became; `left_out` counts pictures by why they are not in the archive."""

    name: str
    several: bool
    pictures: int = 0
    regions: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)


class CustomVision:
    """One project of a training endpoint; `pause` waits, in seconds."""

    def __init__(
        self,
        endpoint: str,
        *,
        key: str,
        project: str,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        base = endpoint.rstrip("/")
        if "/customvision/" not in base.lower():
            base += f"/customvision/{_VERSION}/training"
        self._plain = urlsplit(base).scheme == "http"
        self._url = f"{base}/projects/{project}"
        self._api = httpx.Client(headers={"Training-key": key}, timeout=60)
        self._blobs = httpx.Client(timeout=120)  # addresses that are signed: they get no key
        self._pause = pause

    def pull(self, target: Path) -> PulledProject:
        """Write the archive. Raises invalid_request for what the API refuses, not_found, and
        storage_unavailable where it cannot be reached."""
        told = self._json("")
        if not isinstance(told, dict) or "name" not in told:
            raise self._foreign()
        tags = {one["id"]: one for one in self._listed("/tags")}
        images = list(self._images())
        labels = [_labels(one, tags) for one in images]
        project = PulledProject(told["name"], several=any(len(one) > 1 for one in labels))
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
            rows = [
                row
                for image, names in zip(images, labels, strict=True)
                if (row := self._take(archive, project, image, names, tags)) is not None
            ]
            archive.writestr("metadata.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
            noted = {"project": told, "tags": list(tags.values()), "images": images}
            archive.writestr("customvision.json", json.dumps(_without_addresses(noted)))
        return project

    def _images(self) -> Iterator[dict[str, Any]]:
        """Every image once, whatever is added while pages are turned."""
        path = "/images" if self._has("/images?take=1") else "/images/tagged"
        seen: set[str] = set()
        skip = 0
        while page := self._listed(f"{path}?take={PAGE}&skip={skip}"):
            skip += len(page)
            for image in page:
                if image["id"] not in seen:
                    seen.add(image["id"])
                    yield image

    def _take(
        self,
        archive: zipfile.ZipFile,
        project: PulledProject,
        image: dict[str, Any],
        names: list[str],
        tags: dict[str, Any],
    ) -> dict[str, Any] | None:
        """Put the picture into the archive; its row there, or None where it is left out."""
        negative = any(_is_negative(tags.get(one["tagId"])) for one in image.get("tags") or [])
        if not names and not (project.several and negative):
            project.left_out["tagged negative" if negative else "untagged"] += 1
            return None
        data = self._picture(image)
        if data is None:
            project.left_out["cannot be fetched"] += 1
            return None
        path = f"images/{image['id']}{_suffix(data)}"
        archive.writestr(path, data)
        project.pictures += 1
        project.regions += len(image.get("regions") or [])
        project.labels.update(names)
        return {"path": path, **({"labels": names} if project.several else {"label": names[0]})}

    def _picture(self, image: dict[str, Any]) -> bytes | None:
        address = image.get("originalImageUri") or image.get("resizedImageUri") or ""
        if urlsplit(address).scheme != "https" and not self._plain:
            return None
        with suppress(HeadstartError):
            data = self._ask(self._blobs, address).content
            return data if 0 < len(data) <= MOST_BYTES else None
        return None

    def _has(self, path: str) -> bool:
        try:
            self._json(path)
        except HeadstartError as error:
            if error.code != "not_found":
                raise
            return False
        return True

    def _json(self, path: str) -> Any:
        answer = self._ask(self._api, self._url + path)
        try:
            return answer.json()
        except (ValueError, RecursionError):
            raise self._foreign() from None

    def _listed(self, path: str) -> list[dict[str, Any]]:
        told = self._json(path)
        if not isinstance(told, list) or not all(
            isinstance(one, dict) and "id" in one for one in told
        ):
            raise self._foreign()
        return told

    def _foreign(self) -> HeadstartError:
        host = urlsplit(self._url).hostname
        return HeadstartError("invalid_request", f"{host} does not answer as Custom Vision does")

    def _ask(self, client: httpx.Client, address: str) -> httpx.Response:
        """The answer, after some tries where it is busy or away."""
        for attempt in range(_TRIES):
            with suppress(httpx.TransportError):
                answer = client.get(address)
                if answer.status_code not in (408, 429, 500, 502, 503, 504):
                    return _checked(answer)
                self._pause(_wait(answer, attempt))
                continue
            self._pause(2.0**attempt)
        host = urlsplit(address).hostname
        raise HeadstartError("storage_unavailable", f"{host} cannot be reached, or is busy")


def _checked(answer: httpx.Response) -> httpx.Response:
    """Raises what the API says is wrong, without the request's address, which may be signed."""
    if answer.status_code == 200:
        return answer
    said = ""
    with suppress(ValueError, AttributeError):
        said = str(answer.json().get("message", ""))[:200]
    code = "not_found" if answer.status_code == 404 else "invalid_request"
    raise HeadstartError(code, f"Custom Vision answers {answer.status_code}: {said}".rstrip(": "))


def _wait(answer: httpx.Response, attempt: int) -> float:
    told = answer.headers.get("retry-after", "")
    return min(float(told) if told.isdigit() else 2.0**attempt, _LONGEST_WAIT)


def _labels(image: dict[str, Any], tags: dict[str, Any]) -> list[str]:
    """The names of the image's tags and of its regions', each once; a negative one is none."""
    told = [*(image.get("tags") or []), *(image.get("regions") or [])]
    kept = [one for one in told if not _is_negative(tags.get(one["tagId"]))]
    names = [str(tags.get(one["tagId"], {}).get("name") or one.get("tagName")) for one in kept]
    return list(dict.fromkeys(names))


def _is_negative(tag: dict[str, Any] | None) -> bool:
    return tag is not None and tag.get("type") == "Negative"


def _suffix(data: bytes) -> str:
    with suppress(HeadstartError):
        return f".{image_header.sniff(data)}"
    return ""


def _without_addresses(noted: dict[str, Any]) -> dict[str, Any]:
    """Signed addresses are keys: they do not belong into a file that is kept."""
    images = [
        {name: value for name, value in one.items() if not name.lower().endswith("uri")}
        for one in noted["images"]
    ]
    return {**noted, "images": images}
