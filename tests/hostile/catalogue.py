"""The catalogue of bad inputs: what is asked, and the status and code of the answer.

A group is a row of the catalogue. What an upload's bytes may be is in the tables of
`tests.api.datasets.test_bad_uploads`, which ask the app alone; here it is the whole service.
"""

from __future__ import annotations

import socket
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tests.api.datasets import test_bad_uploads as uploads
from tests.archives import folders, png, zipped
from tests.e2e.archives import drawn
from tests.hostile.conftest import Scene, few
from tests.hostile.operations import MISSING

Ask = Callable[[Scene], httpx.Response]
JOBS, DATASETS = "/v1/fine_tuning/jobs", "/v1/datasets"
JSON = {"content-type": "application/json"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One bad input of a group, and its answer."""

    group: str
    name: str
    ask: Ask
    status: int
    code: str
    param: str | None = None


def rows() -> Iterator[Row]:
    """Every one, in an order in which none needs what another has spoilt."""
    yield from _uploads()
    yield from _documents()
    yield from _training()
    yield from _addresses()
    yield from _keys_and_quotas()
    yield from _serving()


def _uploads() -> Iterator[Row]:
    kinds = {
        "paths": uploads.PATHS,
        "members": uploads.MEMBERS,
        "containers": uploads.CONTAINERS,
        "images": uploads.IMAGES,
    }
    for group, table in kinds.items():
        for name, (data, status, code) in table.items():
            yield Row(group=group, name=name, ask=_sent(data), status=status, code=code)
    for name, (filename, data, status, code) in uploads.TABLES.items():
        ask = _sent(data, filename)
        yield Row(group="tables", name=name, ask=ask, status=status, code=code)
    for name, (request, status, code) in uploads.BODIES.items():
        for to in (DATASETS, "/v1/files"):
            ask = _posted(to, **request)
            yield Row(group="bodies", name=f"{name} to {to}", ask=ask, status=status, code=code)
    group, code = "bodies over the cap", "payload_too_large"
    told = _declared(DATASETS, 3 * 2**30, "application/zip")
    yield Row(group=group, name="announced", ask=told, status=413, code=code)
    told = _declared(f"/v1/models/{MISSING['model']}/predictions", 65 * 2**20, "image/png")
    yield Row(group=group, name="announced for a prediction", ask=told, status=413, code=code)
    yield Row(group=group, name="never announced", ask=_endless, status=413, code=code)


def _documents() -> Iterator[Row]:
    group = "JSON"
    for name, text, code in (
        ("malformed", b'{"model":', "invalid_json"),
        ("nothing", b"", "invalid_request"),
        ("NaN", b'{"model": NaN}', "invalid_json"),
        ("Infinity", b'{"seed": Infinity}', "invalid_json"),
        ("10,000 deep", b"[" * 10_000, "invalid_json"),
        ("10,000 deep and closed", b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "invalid_json"),
        ("no UTF-8", b'{"model": "\xff"}', "invalid_json"),
        ("NUL", b'{"model": "a\\u0000b", "training_file": "x"}', "invalid_json"),
        ("lone surrogate", b'{"model": "\\ud800", "training_file": "x"}', "invalid_json"),
        ("beyond 64 bits", b'{"seed": 9223372036854775808}', "invalid_json"),
        ("a list", b"[]", "invalid_request"),
        ("a member too many", b'{"model": "efficientnet_lite0", "x": 1}', "invalid_request"),
    ):
        ask = _posted(JOBS, content=text, headers=JSON)
        yield Row(group=group, name=name, ask=ask, status=422, code=code)
    wrong = _posted(JOBS, content=b"<job/>", headers={"content-type": "text/xml"})
    yield Row(group=group, name="XML", ask=wrong, status=415, code="unsupported_media_type")
    for name, query in (
        ("bad cursor", {"after": "x"}), ("foreign kind of cursor", {"after": MISSING["job_id"]}),
        ("NUL in a cursor", {"after": "ds_\0"}), ("limit=-1", {"limit": "-1"}),
        ("limit=0", {"limit": "0"}), ("limit=1e9", {"limit": "1000000000"}),
        ("limit that is no number", {"limit": "ten"}), ("unknown parameter", {"limt": "1"}),
    ):  # fmt: skip
        yield Row(
            group="lists", name=name, ask=_got(DATASETS, query), status=422, code="invalid_request"
        )
    for name, path in (
        ("encoded slash", "/v1/datasets/..%2f..%2fetc%2fpasswd"),
        ("NUL in a path", "/v1/datasets/ds_%00"),
        ("outside the console", "/console/..%2f..%2fmain.py"),
        ("outside the guide", "/guide/..%2fsecurity"),
        ("outside the docs", "/docs/..%2fdocs.py"),
    ):
        yield Row(
            group="paths of requests", name=name, ask=_got(path), status=404, code="not_found"
        )


def _training() -> Iterator[Row]:
    wrong = "invalid_hyperparameter"
    for name, value in (
        ("learning_rate", 0), ("learning_rate", -1), ("learning_rate", 1e30),
        ("epochs", 0), ("epochs", 10**9),
    ):  # fmt: skip
        method = {"type": "linear", "linear": {"hyperparameters": {name: value}}}
        yield Row(
            group="jobs", name=f"{name}={value}", ask=_job(method=method), status=422, code=wrong,
            param=f"method.linear.hyperparameters.{name}",
        )  # fmt: skip
    unknown = {"type": "magic"}
    for name, change, status, code, param in (
        ("unknown method", {"method": unknown}, 422, "unknown_method", "method"),
        ("unknown backbone", {"model": "no_such_net"}, 422, "unknown_backbone", "model"),
        ("missing dataset", {"training_file": MISSING["dataset_id"]}, 404, "not_found",
         "training_file"),
        ("text backbone", {"model": "all-MiniLM-L6-v2"}, 422, "modality_mismatch",
         "training_file"),
    ):  # fmt: skip
        yield Row(
            group="jobs", name=name, ask=_job(**change), status=status, code=code, param=param
        )
    yield Row(
        group="conflicts", name="cancel of a finished job", status=409, code="invalid_transition",
        ask=lambda scene: scene.client.post(f"{JOBS}/{scene.job}/cancel"),
    )  # fmt: skip
    yield Row(
        group="conflicts", name="delete of a model that an alias means", status=409, code="in_use",
        ask=lambda scene: scene.client.delete(f"/v1/models/{scene.model}"),
    )  # fmt: skip


def _addresses() -> Iterator[Row]:
    for url in (
        "http://169.254.169.254/latest/meta-data", "http://[::1]/", "http://0x7f.1/",
        "http://[::ffff:10.0.0.1]/", "https://user@example.com/", "http://localhost:6379/",
        "http://127.0.0.1.nip.io@127.0.0.1/", "gopher://example.com/", "http://2130706433/",
    ):  # fmt: skip
        ask = _posted("/v1/webhooks", json={"url": url})
        yield Row(
            group="webhooks", name=url, ask=ask, status=422, code="unsafe_webhook_url", param="url"
        )


def _keys_and_quotas() -> Iterator[Row]:
    def upload(scene: Scene, key: str, data: bytes) -> httpx.Response:
        headers = {"idempotency-key": key}
        return scene.client.post(DATASETS, files={"file": ("a.zip", data)}, headers=headers)

    def again(scene: Scene) -> httpx.Response:
        first = upload(scene, "hostile-1", few())
        assert first.status_code == 201, first.text
        scene.client.delete(f"{DATASETS}/{first.json()['id']}")
        return upload(scene, "hostile-1", zipped(folders({"a": 3, "b": 2})))

    group = "idempotency"
    yield Row(group=group, name="another body", ask=again, status=422, code="idempotency_mismatch")
    long = lambda scene: upload(scene, "k" * 300, few())  # noqa: E731
    yield Row(group=group, name="300 characters", ask=long, status=400, code="bad_request")
    for name, value in (("none", None), ("malformed", "Bearer hs_x"), ("basic", "Basic aGk6aG8=")):
        ask = _unkeyed(value)
        yield Row(group="keys", name=name, ask=ask, status=401, code="unauthenticated")

    def over_quota(scene: Scene) -> httpx.Response:
        files = {"file": ("a.zip", zipped(drawn(per_class=8)))}
        return scene.poor.post(DATASETS, files=files)

    def too_often(scene: Scene) -> httpx.Response:
        path = f"/v1/models/{MISSING['model']}/predictions"
        scene.poor.post(path, content=png(1), headers={"content-type": "image/png"})
        return scene.poor.post(path, content=png(1), headers={"content-type": "image/png"})

    group = "quotas"
    yield Row(group=group, name="bytes", ask=over_quota, status=429, code="quota_exceeded")
    yield Row(group=group, name="requests", ask=too_often, status=429, code="rate_limited")


def _serving() -> Iterator[Row]:
    group = "predictions"
    for name, data, code in (
        ("no picture", b"no picture at all", "image_invalid"),
        ("nothing", b"", "image_invalid"),
        ("cut short", drawn(per_class=1)["disc/0.png"][:-200], "image_truncated"),
        ("SVG", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "unsupported_image_format"),
        ("20000 square", uploads.png_header(20_000, 20_000), "image_too_large"),
        ("10k frames", uploads.archives.gif(10_000), "too_many_frames"),
    ):
        yield Row(group=group, name=name, ask=_predicted(data), status=422, code=code)
    missing = _posted(
        f"/v1/models/{MISSING['model']}/predictions", content=png(1),
        headers={"content-type": "image/png"},
    )  # fmt: skip
    yield Row(group=group, name="no model", ask=missing, status=404, code="not_found")

    def damaged(scene: Scene) -> httpx.Response:
        spoil(scene.service.data_dir, scene.other)
        return _ask(scene, model=scene.other, content=png(1), headers={"content-type": "image/png"})

    def deleted(scene: Scene) -> httpx.Response:
        assert scene.client.delete(f"/v1/models/{scene.other}").status_code == 200
        return _ask(scene, model=scene.other, content=png(1), headers={"content-type": "image/png"})

    code = "model_corrupt"
    yield Row(group=group, name="a flipped bit", ask=damaged, status=503, code=code)
    yield Row(group=group, name="a deleted model", ask=deleted, status=404, code="not_found")


def spoil(folder: Path, model: str) -> None:
    """Flip one bit of the model's stored head."""
    name = model.rpartition(":")[2]
    (head,) = [path for path in folder.rglob("head.safetensors") if name in str(path)]
    data = bytearray(head.read_bytes())
    data[len(data) // 2] ^= 1
    head.chmod(0o600)
    head.write_bytes(data)


def batch_of_32() -> list[dict[str, str]]:
    """Inputs of which one is no picture."""
    good = b64encode(drawn(per_class=1)["bar/0.png"]).decode()
    inputs = [{"image": good} for _ in range(32)]
    inputs[17] = {"image": b64encode(b"no picture").decode()}
    return inputs


def _sent(data: bytes, filename: str = "set.zip") -> Ask:
    return lambda scene: scene.client.post(DATASETS, files={"file": (filename, data)})


def _posted(path: str, **request: Any) -> Ask:
    return lambda scene: scene.client.post(path, **request)


def _endless(scene: Scene) -> httpx.Response:
    """Three MiB of a string that never ends, in chunks."""
    return scene.client.post(JOBS, content=iter([b'"' + b"x" * 2**20] * 3), headers=JSON)


def _got(path: str, query: dict[str, str] | None = None) -> Ask:
    return lambda scene: scene.client.get(path, params=query or {})


def _job(**change: Any) -> Ask:
    def ask(scene: Scene) -> httpx.Response:
        body = {"model": "efficientnet_lite0", "training_file": scene.dataset["id"]}
        return scene.client.post(JOBS, json=body | change)

    return ask


def _ask(scene: Scene, *, model: str = "", **request: Any) -> httpx.Response:
    return scene.client.post(f"/v1/models/{model or scene.model}/predictions", **request)


def _predicted(data: bytes) -> Ask:
    return lambda scene: _ask(scene, content=data, headers={"content-type": "image/png"})


def _unkeyed(value: str | None) -> Ask:
    headers = {} if value is None else {"authorization": value}
    return lambda scene: httpx.get(
        f"{scene.service.url}{DATASETS}", headers=headers, timeout=300, trust_env=False
    )


def _declared(path: str, length: int, kind: str) -> Ask:
    """The answer to a head alone, which announces more than is taken."""

    def ask(scene: Scene) -> httpx.Response:
        place = urlsplit(scene.service.url)
        head = (
            f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {scene.service.key}\r\n"
            f"content-type: {kind}\r\ncontent-length: {length}\r\nexpect: 100-continue\r\n\r\n"
        )
        with socket.create_connection((str(place.hostname), int(place.port or 0)), 60) as caller:
            caller.sendall(head.encode())
            told = b""
            while more := caller.recv(65536):
                told += more
        first, _, body = told.partition(b"\r\n\r\n")
        lines = first.decode().split("\r\n")
        named = dict(line.split(": ", 1) for line in lines[1:])
        return httpx.Response(int(lines[0].split()[1]), headers=named, content=body)

    return ask
