"""The whole road, failures and all, with a canary in everything that somebody wants kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.infra.settings import Settings
from app.infra.storage import open_storage
from tests.e2e.archives import drawn, zipped
from tests.e2e.canaries.house import House, opened
from tests.e2e.canaries.planted import CONTENTS, PATIENT, SECRET, Canaries
from tests.faults.counts import FULL
from tests.hostile.operations import operations
from tests.servers import serving, wait_for
from tests.unit import dicoms

Told = dict[str, Any]
WAIT = {"Prefer": "wait=100"}
ALIAS = "letters@live"
CONFIG = """<View><Text name="t" value="$text"/><Choices name="kind" toName="t">
<Choice value="{label}"/></Choices></View>"""
SHOWN_ONCE = ("/v1/api_keys", "/v1/hooks", "/v1/webhooks", "/secret", "/rotate")


class Tool(ThreadingHTTPServer):
    """A Label Studio and a receiver that repeats in its errors whatever it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Echo)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Echo(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = f"no: {self.path} {self.headers} ".encode() + self.rfile.read(length)
        self.send_response(500)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Quietly."""


@pytest.fixture
def tool() -> Iterator[Tool]:
    server = Tool()
    with serving(server):
        yield server


class Tenant:
    """An organisation, of whose answers all are kept."""

    def __init__(self, house: House, name: str) -> None:
        self.house, self.answers = house, [("", b"")]
        with httpx.Client(base_url=house.url, timeout=600) as operator:
            scopes = ["read", "write", "predict", "admin"]
            made = operator.post(
                "/v1/api_keys",
                json={"name": "all", "scopes": scopes, "organization": name},
                headers={"Authorization": f"Bearer {house.key}"},
            ).json()
        self.client = httpx.Client(
            base_url=house.url,
            headers={"Authorization": f"Bearer {made['key']}"},
            timeout=600,
            event_hooks={"response": [self._keep]},
        )
        house.canaries.add("key", made["key"][len(made["prefix"]) + 1 :])

    def _keep(self, answer: httpx.Response) -> None:
        path = answer.request.url.path
        once = answer.request.method == "POST" and path.endswith(SHOWN_ONCE) and answer.is_success
        if not once:
            self.answers.append((f"{answer.request.method} {path}", answer.read()))

    def upload(self, name: str, data: bytes, **form: str) -> httpx.Response:
        return self.client.post(
            "/v1/datasets", files={"file": (name, data)}, data=form, headers=WAIT
        )

    def train(self, dataset: str, model: str) -> Told:
        body = {"model": model, "training_file": dataset, "seed": 1, "method": {"type": "linear"}}
        body["metadata"] = {"note": self.house.canaries.one("metadata")}
        answer = self.client.post("/v1/fine_tuning/jobs", json=body, headers=WAIT)
        return dict(answer.json())


def texts(canaries: Canaries) -> bytes:
    """A table of two labels."""
    word, label = canaries.one("text"), canaries.one("label")
    rows = [f"{word} my card is late {i},{label}-a\n{word} a good loan {i},{label}-b\n"
            for i in range(12)]  # fmt: skip
    return ("text,label\n" + "".join(rows)).encode()


def pictures(canaries: Canaries) -> bytes:
    """Folders of two labels, a patient's picture and one that is damaged."""
    label, file = canaries.one("label"), canaries.one("file")
    members = {f"{label}-{path.replace('/', f'/{file}-')}": data
               for path, data in drawn(per_class=8).items()}  # fmt: skip
    patient = canaries.one("patient")
    told = {"PatientName": f"{patient}^Jane", "PatientID": patient}
    for number in range(2):
        members[f"{label}-disc/{file}-{number}.dcm"] = dicoms.dicom(
            dicoms.grey(top=3000 + number), **told
        )
    return zipped({**members, f"{label}-bar/{file}-bad.png": b"\x89PNG\r\n\x1a\n" + file.encode()})


def connected(tenant: Tenant, tool: Tool, dataset: str, *, label: str) -> None:
    """A hook, a webhook and a labelling tool that fail, and their secrets."""
    client, canaries = tenant.client, tenant.house.canaries
    token = canaries.one("address")
    hook = client.post(
        "/v1/hooks",
        json={"name": "nightly", "dataset": dataset, "alias": ALIAS,
              "job": {"model": "all-MiniLM-L6-v2"}, "triggers": [{"type": "inbound"}]},
    ).json()  # fmt: skip
    webhook = client.post("/v1/webhooks", json={"url": f"{tool.url}/in?token={token}"}).json()
    for made in (hook, webhook):
        canaries.add("signing", made["secret"].removeprefix("whsec_"))
    client.post(f"/v1/webhooks/{webhook['id']}/test")
    wrong = {"webhook-id": "1", "webhook-timestamp": "1", "webhook-signature": f"v1,{token}"}
    httpx.post(f"{tenant.house.url}/v1/hooks/{hook['id']}/trigger", headers=wrong, content=b"{}")
    here = f"/label-studio/{ALIAS}"
    secret = canaries.one("tool token")
    config = CONFIG.format(label=label)
    setup = {"project": "7.1", "schema": config, "hostname": tool.url, "access_token": secret}
    assert client.post(f"{here}/setup", json=setup).is_success
    client.post(f"{here}/webhook", json={"action": "ANNOTATION_CREATED", "project": {"id": 7}})


def refused(tenant: Tenant) -> None:
    """What is wrong in every way that quotes what was sent."""
    client, canaries = tenant.client, tenant.house.canaries
    word, label, file = (canaries.one(kind) for kind in ("text", "label", "file"))
    wrong = canaries.one("wrong key")
    httpx.get(f"{tenant.house.url}/v1/me", headers={"Authorization": f"Bearer hs_{wrong}"})
    httpx.get(f"{tenant.house.url}/v1/me", auth=(wrong, wrong))
    tenant.upload(f"{file}.zip", b"PK\x03\x04" + file.encode())
    tenant.upload(f"{file}.csv", f'text,label\n"{word},{label}\n'.encode())
    tenant.upload(f"{file}.parquet", b"PAR1" + word.encode() + b"PAR1")
    client.post("/v1/fine_tuning/jobs", content=f'{{"model": "{word}'.encode())
    client.get("/v1/models", params={"after": canaries.one("query")})
    client.get(f"/v1/models/{label}")
    url = f"http://127.0.0.1:9/{file}.png?token={canaries.one('address')}"
    content = [{"type": "image_url", "image_url": {"url": url}}]
    body = {"model": "pictures@live", "messages": [{"role": "user", "content": content}]}
    client.post("/v1/chat/completions", json=body)


def predicted(tenant: Tenant) -> None:
    """Predictions that are logged, and feedback on them, of which one breaks the database."""
    client, house = tenant.client, tenant.house
    word, label = house.canaries.one("text"), house.canaries.one("label")
    client.patch(f"/v1/aliases/{ALIAS}", json={"prediction_log": {"rate": 1.0}})
    path = f"/v1/models/{ALIAS}/predictions"
    for number in range(4):
        answer = client.post(path, json={"inputs": [{"text": f"{word} where is it {number}"}]})
        assert answer.status_code == 200, answer.text
    feedback = f"/v1/models/{ALIAS}/feedback"
    said = {"input": {"text": f"{word} late"}, "label": f"{label}-b"}
    assert client.post(feedback, json=said).is_success
    house.refuse_feedback(f"{label}-a")
    said = {"input": {"text": f"{word} never"}, "label": f"{label}-a"}
    broken = client.post(feedback, json=said)
    assert broken.status_code == 500, broken.text


def failed(tenant: Tenant, dataset: str) -> None:
    """A job whose contents are gone; a predictor, a broker and a database that go away."""
    house, client = tenant.house, tenant.client
    storage = open_storage(Settings(**house.settings.model_dump()))
    for key in list(storage.keys("packs/tenant")):
        storage.delete(key)
    for cache in house.settings.data_dir.glob("storage-cache/packs/tenant/*/*"):
        cache.unlink()
    hyperparameters: Told = {"views": ["squish", "centre"]}
    body = {"model": "efficientnet_lite1", "training_file": dataset,
            "method": {"type": "auto", "auto": {"hyperparameters": hyperparameters}}}  # fmt: skip
    job = client.post("/v1/fine_tuning/jobs", json=body, headers=WAIT).json()
    assert job["status"] != "succeeded", job
    house.kill("predictor")
    said = {"inputs": [{"text": house.canaries.one("text")}]}
    assert client.post(f"/v1/models/{ALIAS}/predictions", json=said).status_code == 503
    house.start("predictor")
    if house.redis and house.postgres:
        house.redis.kill()
        house.postgres.stop()
        assert tenant.upload(f"{house.canaries.one('file')}.csv", texts(house.canaries)).is_error
        house.postgres.start()
        house.redis.start()
    house.kill("trainer")
    house.start("trainer")
    house.ready()


def read_everything(tenant: Tenant, **ids: str) -> None:
    """Ask for whatever there is to read."""
    document = tenant.client.get("/openapi.json").json()
    ids |= {"organization": "tenant", "alias": ALIAS, "name": ALIAS, "number": "1"}
    for operation in operations(document):
        if operation.method == "GET" and not operation.path.startswith("/customvision"):
            operation.ask(tenant.client, **ids)
    model = ids["model"]
    for one in tenant.client.get(f"/v1/models/{model}/artifacts").json().get("data", []):
        tenant.client.get(f"/v1/models/{model}/artifacts/{one['id']}", follow_redirects=True)
    for form in ("zip", "csv", "jsonl", "parquet"):
        tenant.client.get(
            f"/v1/datasets/{ids['dataset_id']}/versions/1/export", params={"format": form}
        )


def operators_view(house: House, folder: Path) -> dict[str, bytes]:
    """Whatever somebody who runs the service looks at."""
    with httpx.Client(base_url=house.url, timeout=600) as client:
        client.headers["Authorization"] = f"Bearer {house.key}"
        paths = ("metrics", "readyz", "v1/audit-log", "v1/usage", "v1/usage/organizations")
        paths += ("v1/system", "v1/deletions", "v1/me", "v1/api_keys")
        seen = {path: client.get(f"/{path}").content for path in paths}
    commands = (["doctor"], ["backup", str(folder / "backup")])
    seen |= {" ".join(words[:2]): house.command(*words) for words in commands}
    return seen | {"the log": house.log.read_bytes()}


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "footing",
    [*(["embedded"] if FULL else []), pytest.param("production", marks=pytest.mark.servers)],
)
def test_no_canary_is_found_where_it_must_not_be(footing: str, tmp_path: Path, tool: Tool) -> None:
    with opened(footing, tmp_path) as house:
        canaries, tenant, other = house.canaries, Tenant(house, "tenant"), Tenant(house, "other")
        table = tenant.upload(f"{canaries.one('file')}.csv", texts(canaries)).json()
        images = tenant.upload(f"{canaries.one('file')}.zip", pictures(canaries)).json()
        job = tenant.train(table["id"], "all-MiniLM-L6-v2")
        seen = tenant.train(images["id"], "efficientnet_lite0")
        for alias, trained in ((ALIAS, job), ("pictures@live", seen)):
            path = f"/v1/aliases/{alias}"
            tenant.client.put(path, json={"model": trained["fine_tuned_model"]}).raise_for_status()
        connected(tenant, tool, table["id"], label=f"{canaries.one('label')}-a")
        refused(tenant)
        predicted(tenant)
        for dataset, trained in ((table, job), (images, seen)):
            ids = {"dataset_id": dataset["id"], "job_id": trained["id"]}
            read_everything(tenant, model=trained["fine_tuned_model"], **ids)
        failed(tenant, images["id"])
        read_everything(other, model=job["fine_tuned_model"], dataset_id=table["id"])
        wait_for(lambda: "annotations cannot be pulled" in house.log.read_text())
        lines = house.log.read_text()
        views = operators_view(house, tmp_path)
        for path in ("v1/audit-log", "v1/usage"):
            views[f"the tenant's {path}"] = tenant.client.get(f"/{path}").content
        for one in (tenant, other):
            one.client.close()
    leaks = [leak for where, data in views.items()
             for leak in canaries.found(where, data, SECRET + CONTENTS + PATIENT)]  # fmt: skip
    leaks += [
        leak
        for where, data in tenant.answers
        for leak in canaries.found(where, data, tuple(set(SECRET) - {"address"}) + PATIENT)
    ]
    leaks += [leak for where, data in other.answers
              for leak in canaries.found(where, data, SECRET + CONTENTS + PATIENT)]  # fmt: skip
    assert leaks == []
    own = b"\n".join(data for _, data in tenant.answers)
    shown = {leak.split(" in ")[0] for leak in canaries.found("own", own, (*canaries.words,))}
    assert {"text", "label", "file", "metadata", "address"} <= shown, "the search can find"
    assert "unexpected error" in lines
    assert all(isinstance(json.loads(line), dict) for line in lines.splitlines() if line[:1] == "{")
