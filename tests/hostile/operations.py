"""Every operation of the OpenAPI document, with a request that it takes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.api.uploading import small

PARAMETER = re.compile(r"{(\w+)}")
ULID = "01ke4bz3r0h5d8g2j4n6p9s1v3"
UUID = "0198f3a0-0000-7000-8000-000000000001"
MISSING = {
    "dataset_id": f"ds_{ULID}",
    "file_id": f"ds_{ULID}",
    "example_id": "ex_" + "0" * 24,
    "job_id": f"ftjob-{ULID}",
    "batch_id": f"batch_{ULID}",
    "model": f"ft:efficientnet_lite0:default::{ULID}",
    "name": "nothing",
    "alias": "nothing",
    "key_id": f"key_{ULID}",
    "number": "1",
    "upload_id": f"upload_{ULID}",
    "hook_id": f"hook_{ULID}",
    "run_id": f"run_{ULID}",
    "promotion_id": f"prom_{ULID}",
    "webhook_id": f"we_{ULID}",
    "delivery_id": f"dlv_{ULID}",
    "feedback_id": f"fb_{ULID}",
    "logged_id": f"log_{ULID}",
    "deletion_id": f"del_{ULID}",
    "erasure_id": f"era_{ULID}",
    "organization": "nobody",
    "version": "v3.3",
    "project": UUID,
    "tag": UUID,
    "iteration": UUID,
    "domain": UUID,
    "published": "production",
}
"""Of each path parameter a value that could be, and is nobody's."""
CUSTOM_VISION = "/customvision/{version}/"
_IMAGE = {"content": b"x", "headers": {"content-type": "application/octet-stream"}}
_TENSOR = {"name": "text", "shape": [1], "datatype": "BYTES", "data": ["hello"]}
_TRAINING = CUSTOM_VISION + "training/projects/{project}"
_CLASSIFY = CUSTOM_VISION + "prediction/{project}/classify/iterations/{published}"
_BODIES: dict[str, Any] = {
    "/v1/datasets/{dataset_id}/examples/{example_id}": {"json": {"label": "b"}},
    "/v1/datasets/{dataset_id}/erasures": {"json": {"group": "patient-7"}},
    "/v1/models/{model}/predictions": {"json": {"inputs": [{"text": "hello"}]}},
    "/v1/embeddings": {"json": {"model": "all-MiniLM-L6-v2", "input": "hello"}},
    "/v1/aliases/{name}/rollback": {"json": {}},
    "/v1/hooks/{hook_id}/trigger": {"json": {}},
    "/v1/uploads/{upload_id}/parts": {"files": {"data": ("blob", b"hello")}},
    "/v2/models/{model}/infer": {"json": {"inputs": [_TENSOR]}},
    "/v2/models/{model}/versions/1/infer": {"json": {"inputs": [_TENSOR]}},
    "/mlflow/{model}/invocations": {"json": {"inputs": ["hello"]}},
    "/label-studio/{alias}/validate": {"json": {"config": "<View/>"}},
    _TRAINING + "/images/files": {"json": {"images": [{"contents": "eA==", "tagIds": [UUID]}]}},
    _TRAINING + "/images/urls": {"json": {"images": [{"url": "http://x/", "tagIds": [UUID]}]}},
    _TRAINING + "/quicktest/url": {"json": {"url": "http://x.invalid/"}},
    _TRAINING + "/iterations/{iteration}": {"json": {"name": "x"}},
    _CLASSIFY + "/url": {"json": {"url": "http://x.invalid/"}},
    _CLASSIFY + "/url/nostore": {"json": {"url": "http://x.invalid/"}},
    "/tei/{model}/predict": {"json": {"inputs": "hello"}},
    "/tei/{model}/embed": {"json": {"inputs": "hello"}},
    "/v1/models/{model}:predict": {"json": {"instances": ["hello"]}},
    _TRAINING + "/images": _IMAGE | {"params": {"tagIds": UUID}},
    _TRAINING + "/images/tags": {"json": {"tags": [{"imageId": UUID, "tagId": UUID}]}},
    _TRAINING + "/quicktest/image": _IMAGE,
}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one path, and what a call of it must send beside its path."""

    method: str
    path: str
    sends: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def names(self) -> list[str]:
        """The parameters of its path."""
        return PARAMETER.findall(self.path)

    def at(self, ids: dict[str, str]) -> str:
        """Its path with these ids; what they do not name is nobody's."""
        names = MISSING | ids
        if self.path.startswith("/v1/models/{model}/artifacts/"):
            names["name"] = "head"
        return PARAMETER.sub(lambda match: names[match[1]], self.path)

    def ask(self, client: httpx.Client, **ids: str) -> httpx.Response:
        """Its answer to this caller about these things."""
        return client.request(self.method, self.at(ids), **self.sends)


def operations(document: dict[str, Any]) -> list[Operation]:
    """Whatever the document lists."""
    return [
        Operation(
            method=method.upper(),
            path=path,
            sends=_body(document, path, method) | _query(path, told),
        )
        for path, methods in document["paths"].items()
        for method, told in methods.items()
    ]


def _query(path: str, told: dict[str, Any]) -> dict[str, Any]:
    """The query parameters that it cannot do without."""
    if path == _TRAINING + "/images" and "requestBody" not in told:
        return {"params": {"allImages": "true"}} if told["responses"].get("204") else {}
    needed = [one for one in told.get("parameters", []) if one["in"] == "query"]
    needed = [one for one in needed if one.get("required")]
    if not needed:
        return {}
    return {"params": {one["name"]: _value(one["schema"]) for one in needed}}


def _value(schema: dict[str, Any]) -> Any:
    if schema.get("format") == "uuid":
        return UUID
    return schema.get("enum", [1 if schema.get("type") == "integer" else "x"])[0]


def _body(document: dict[str, Any], path: str, method: str) -> dict[str, Any]:
    """A body that the operation accepts, by its own example where it has one."""
    content = document["paths"][path][method].get("requestBody", {}).get("content", {})
    if path in _BODIES and content:
        return dict(_BODIES[path])
    if "multipart/form-data" in content:
        return {"files": {"file": ("set.zip", small())}}
    if "application/json" not in content:
        return dict(_IMAGE) if content else {}
    told = content["application/json"]
    name = told["schema"].get("$ref", "").rpartition("/")[2]
    shape = document["components"]["schemas"].get(name, told["schema"])
    return {"json": told.get("example") or shape.get("examples", [{}])[0]}
