"""Label Studio's calls in its own shapes, and a stand-in that speaks its API."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.core import secret_keys
from app.http.dependencies import writing
from app.infra.database import reading
from app.infra.orm import LabellingProjectRow
from app.infra.repositories import sealing
from app.infra.repositories.live import labelling
from app.infra.settings import Settings
from tests.api.feedback.conftest import ALIAS, DIGITS, Logged, ask, switch_on
from tests.api.hooks.conftest import until
from tests.api.predictions.conftest import Serving, register
from tests.api.service import Service, serve
from tests.api.uploading import made
from tests.archives import zipped
from tests.factories import make_key
from tests.servers import serving

pytestmark = pytest.mark.slow

TOKEN = "1f0c2b"
CONFIG = """<View><Image name="img" value="$image"/><Choices name="digit" toName="img">
<Choice value="0"/><Choice value="1"/><Choice value="2"/></Choices></View>"""
HERE = f"/label-studio/{ALIAS}"


class StandIn(ThreadingHTTPServer):
    """A Label Studio with one project, number 7: its export, and the files of its tasks."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.tasks: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.fails = 0
        self.asked: list[str] = []
        self.asks: Callable[[str], None] | None = None
        """Called before a path is answered."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: StandIn

    def do_GET(self) -> None:
        here = self.server
        here.asked.append(self.path)
        if here.asks is not None:
            here.asks(self.path)
        if self.headers["authorization"] != f"Token {TOKEN}":
            self._send(401, b"{}")
        elif here.fails:
            here.fails -= 1
            self._send(502, b"")
        elif self.path == "/api/projects/7/export?exportType=JSON":
            self._send(200, json.dumps(here.tasks).encode())
        elif self.path in here.files:
            self._send(200, here.files[self.path])
        else:
            self._send(404, b"")

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Quietly."""


@pytest.fixture
def studio() -> Iterator[StandIn]:
    server = StandIn()
    with serving(server):
        yield server


@pytest.fixture(scope="module")
def service(
    serving: Serving, empty_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("app")
    shutil.copy(empty_database, folder / "headstart.db")
    settings = Settings(
        data_dir=serving.settings.data_dir,
        database_url=f"sqlite:///{folder / 'headstart.db'}",
        webhook_networks="127.0.0.0/8",
        secrets_key=secret_keys.new(),
    )
    with serve(settings) as running:
        make_key(running.services.sessions)
        name, labels = serving.target.model, ("0", "1", "2")
        register(running.services.sessions, serving.target, name=name, labels=labels)
        yield running


@pytest.fixture
def tool(service: Service, key: str) -> Iterator[httpx.Client]:
    """Label Studio's side: basic authentication, the key as the password."""
    with httpx.Client(base_url=service.url, auth=("headstart", key), timeout=60) as found:
        yield found


def task(studio: StandIn, number: int, label: str | None) -> dict[str, Any]:
    """A task as an export has it; its picture lies with the tool."""
    path = f"/data/upload/7/{number}.png"
    studio.files[path] = DIGITS[number][0]
    region = {
        "from_name": "digit",
        "to_name": "img",
        "type": "choices",
        "value": {"choices": [label]},
    }
    said = [] if label is None else [
        {"id": number * 10, "result": [region], "was_cancelled": False, "ground_truth": False}
    ]  # fmt: skip
    return {"id": number, "data": {"image": path}, "annotations": said, "predictions": []}


def setup(tool: httpx.Client, studio: StandIn, config: str = CONFIG) -> httpx.Response:
    body = {"project": "7.1764000000", "schema": config, "hostname": studio.url}
    return tool.post(f"{HERE}/setup", json=body | {"access_token": TOKEN, "extra_params": ""})


def given(client: httpx.Client) -> dict[str, str]:
    """Labels of the feedback that came from the tool."""
    found = client.get(f"/v1/models/{ALIAS}/feedback?limit=100").json()["data"]
    return {one["id"]: one["label"] for one in found if one["source"] == "label_studio"}


def test_it_answers_whom_it_knows(
    tool: httpx.Client, service: Service, key: str, model: str
) -> None:
    up = tool.get(f"{HERE}/health")
    assert (up.json()["status"], up.json()["model_version"]) == ("UP", model)
    with httpx.Client(base_url=service.url) as anybody:
        assert anybody.get(f"{HERE}/health").status_code == 401
        assert anybody.get(f"{HERE}/health", auth=("x", "hs_wrong")).status_code == 401
        assert (
            anybody.get(f"{HERE}/health", headers={"authorization": "Basic %"}).status_code == 401
        )
        token = {"authorization": f"Token {key}"}
        assert anybody.get(f"{HERE}/health", headers=token).status_code == 200
    assert tool.post(f"{HERE}/validate", json={"config": CONFIG}).json() == {"valid": True}
    assert tool.post(f"{HERE}/validate", json={"config": "<View/>"}).status_code == 422
    assert tool.post(f"{HERE}/versions", json={"project": "7"}).json() == {"versions": [model]}
    assert tool.get("/label-studio/nothing/health").status_code == 404


@pytest.mark.parametrize(
    ("path", "member"),
    [("setup", "schema"), ("validate", "config"), ("predict", "label_config")],
)
def test_choices_that_are_no_classes_are_refused(
    tool: httpx.Client, studio: StandIn, path: str, member: str
) -> None:
    config = CONFIG
    for digit, other in zip("012", ("red", "white", "platelet"), strict=True):
        config = config.replace(f'value="{digit}"', f'value="{other}"')
    body = {"project": "7.1", "hostname": studio.url, "tasks": [], member: config}
    answer = tool.post(f"{HERE}/{path}", json=body)
    assert answer.status_code == 422
    assert "none of the choices" in answer.text


def test_predictions_have_its_shape_and_one_bad_task_stops_no_other(
    tool: httpx.Client, studio: StandIn, model: str
) -> None:
    assert setup(tool, studio).json() == {"model_version": model}
    inline = "data:image/png;base64," + base64.b64encode(DIGITS[40][0]).decode()
    tasks = [
        task(studio, 0, None),
        {"id": 2, "data": {"image": inline}},
        {"id": 3, "data": {"image": "/data/upload/7/gone.png"}},
        {"id": 4, "data": {}},
    ]
    body = {"tasks": tasks, "project": "7.1764000000", "label_config": CONFIG}
    told = tool.post(f"{HERE}/predict", json=body | {"params": {"context": None}})
    assert told.status_code == 200, told.text
    results = told.json()["results"]
    assert [len(one["result"]) for one in results] == [1, 1, 0, 0]
    (region,) = results[1]["result"]
    assert (region["from_name"], region["to_name"], region["type"]) == ("digit", "img", "choices")
    assert region["value"]["choices"][0] in {"0", "1", "2"}
    assert 0 < results[1]["score"] <= 1
    assert {one["model_version"] for one in results} == {model}


def test_a_pool_to_be_labelled_is_not_what_an_alias_is_asked_in_use(
    client: httpx.Client, tool: httpx.Client, studio: StandIn, logged: Logged
) -> None:
    switch_on(client)
    setup(tool, studio)
    body = {"tasks": [task(studio, 0, None), task(studio, 1, None)], "label_config": CONFIG}
    assert len(tool.post(f"{HERE}/predict", json=body).json()["results"]) == 2
    ask(client, DIGITS[5][0])
    (row,) = logged(1)
    assert row.sha256 == sha256(DIGITS[5][0]).hexdigest()
    assert client.get(f"/v1/models/{ALIAS}/audit").json()["logged"] == 1


def test_annotations_are_pulled_and_reconciled(
    tool: httpx.Client, client: httpx.Client, studio: StandIn
) -> None:
    studio.tasks = [task(studio, 0, "0"), task(studio, 40, "1"), task(studio, 80, None)]
    studio.fails = 1
    setup(tool, studio)
    first = until(lambda: len(given(client)) == 2 and given(client))
    assert sorted(first.values()) == ["0", "1"]
    studio.tasks = [task(studio, 0, "2"), task(studio, 40, "1"), task(studio, 80, "2")]
    event = {"action": "ANNOTATIONS_CREATED", "project": {"id": 7}}
    assert tool.post(f"{HERE}/webhook", json=event).status_code == 201
    until(lambda: sorted(given(client).values()) == ["1", "2", "2"])
    assert first.keys() < given(client).keys()
    files = [path for path in studio.asked if path.endswith("/40.png")]
    assert len(files) == 1, "what has not changed is not fetched again"
    studio.tasks = studio.tasks[1:]
    event = {"action": "ANNOTATIONS_DELETED", "project": {"id": 7}, "annotation": {"id": 1}}
    assert tool.post(f"{HERE}/webhook", json=event).json() == {"status": "pulling"}
    until(lambda: len(given(client)) == 2)
    ignored = tool.post(f"{HERE}/webhook", json={"action": "TASKS_CREATED", "project": {"id": 7}})
    assert ignored.json() == {"status": "ignored"}


def paths(client: httpx.Client, dataset: str) -> list[str]:
    found = client.get(f"/v1/datasets/{dataset}/examples?limit=100").json()["data"]
    return sorted(one["path"] for one in found if not one.get("excluded"))


def test_what_a_withdrawn_annotation_made_is_left_out_of_the_next_version(
    tool: httpx.Client, client: httpx.Client, service: Service, studio: StandIn
) -> None:
    own = {f"{label}/{at}.png": DIGITS[at][0] for label, at in (("0", 1), ("1", 41), ("2", 81))}
    dataset = made(client, zipped(own))["id"]
    studio.tasks = [task(studio, 0, "0"), task(studio, 40, "1"), task(studio, 80, "2")]
    studio.tasks += [task(studio, 1, "0")]  # which the upload has brought
    setup(tool, studio)
    until(lambda: len(given(client)) == 4)
    url = f"/v1/models/{ALIAS}/feedback/apply"
    applied = client.post(url, json={"dataset": dataset}).json()
    assert applied["feedback"]["added"] == 3
    assert len(paths(client, dataset)) == 6
    kept = sha256(studio.files["/data/upload/7/80.png"]).hexdigest()
    studio.tasks = studio.tasks[2:3]
    studio.tasks += [task(studio, 40, None)]
    tool.post(f"{HERE}/webhook", json={"action": "ANNOTATIONS_DELETED", "project": {"id": 7}})
    until(lambda: len(given(client)) == 1)
    until(lambda: project(service).not_before is None)
    assert project(service).told["withdrawn"] == 2
    assert paths(client, dataset) == sorted([*own, f"feedback/{kept}.png"])
    version = client.get(f"/v1/datasets/{dataset}").json()
    (said,) = [one for one in version["problems"] if "withdrawn" in one["message"]]
    assert (said["code"], said["excluded"]) == ("unlabelled", True)
    assert said["message"].startswith("2 example(s)")


def test_a_project_that_is_gone_has_nothing_written_of_it(
    tool: httpx.Client, client: httpx.Client, service: Service, studio: StandIn, model: str
) -> None:
    """The alias is deleted, and there is another of its name, while a picture is fetched."""
    studio.tasks = [task(studio, 0, "0")]

    def anew(path: str) -> None:
        if path.endswith("/0.png"):
            studio.asks = None
            client.delete(f"/v1/aliases/{ALIAS}").raise_for_status()
            client.put(f"/v1/aliases/{ALIAS}", json={"model": model}).raise_for_status()

    studio.asks = anew
    setup(tool, studio)
    until(lambda: studio.asks is None)
    time.sleep(2)
    assert given(client) == {}
    with reading(service.services.sessions) as session:
        assert session.scalars(select(LabellingProjectRow)).all() == []


def test_one_annotation_that_can_be_no_label_stops_no_other(
    tool: httpx.Client, client: httpx.Client, service: Service, studio: StandIn
) -> None:
    odd = ["", "a\u202eb\n", "a\0b", "x" * 300]
    studio.tasks = [task(studio, 10 + place, label) for place, label in enumerate(odd)]
    studio.tasks += [task(studio, 0, "0"), task(studio, 40, "1"), task(studio, 40, "2")]
    setup(tool, studio)
    found = until(lambda: len(given(client)) == 2 and given(client))
    assert sorted(found.values()) == ["0", "2"]
    told = until(lambda: (row := project(service)).not_before is None and row.told)
    counts = {"tasks": 7, "changed": 2, "unchanged": 0, "unreadable": 5, "removed": 0}
    assert told == counts | {"withdrawn": 0}


def project(service: Service) -> LabellingProjectRow:
    with reading(service.services.sessions) as session:
        return session.scalars(select(LabellingProjectRow)).one()


def token_of(service: Service) -> str | None:
    row = project(service)
    assert row.token != TOKEN, "it is sealed"
    return None if row.token is None else sealing.told(service.services.vault, row.token, row)


def test_a_token_goes_to_the_host_that_it_came_with_alone(
    tool: httpx.Client, service: Service, studio: StandIn
) -> None:
    setup(tool, studio)
    assert token_of(service) == TOKEN
    elsewhere = {"project": "7", "schema": CONFIG, "hostname": "http://127.0.0.1:9"}
    assert tool.post(f"{HERE}/setup", json=elsewhere).status_code == 200
    assert project(service).token is None
    setup(tool, studio)
    again = {"project": "7", "schema": CONFIG, "hostname": studio.url + "/"}
    tool.post(f"{HERE}/setup", json=again)
    assert token_of(service) == TOKEN, "the same host keeps it"
    stored = project(service).token
    setup(tool, studio)
    assert project(service).token == stored, "the same token changes nothing"


def connect(service: Service, url: str, organisation_id: str, **values: Any) -> None:
    """A project as `setup` would have it, without a pull by itself."""
    with writing(service.services) as session:
        vault, whose = service.services.vault, {"organisation_id": organisation_id, "alias": ALIAS}
        row = labelling.put(session, vault, **whose, project="7",
                            hostname=url, token=TOKEN, label_config=CONFIG)  # fmt: skip
        for name, value in values.items():
            setattr(row, name, value)


def test_a_pull_that_never_ended_is_taken_again(
    client: httpx.Client, service: Service, studio: StandIn
) -> None:
    studio.tasks = [task(studio, 0, "0")]
    connect(service, studio.url, "default", not_before=time.time() + 1)
    until(lambda: len(given(client)) == 1)
    until(lambda: project(service).not_before is None)


def test_a_slow_tool_holds_up_no_other_organisation(
    client: httpx.Client, other_client: httpx.Client, service: Service, studio: StandIn,
    serving: Serving,
) -> None:  # fmt: skip
    register(service.services.sessions, serving.target, name="ft:mine", organisation="other")
    told = other_client.put(f"/v1/aliases/{ALIAS}", json={"model": "ft:mine"})
    assert told.status_code == 200, told.text
    studio.tasks = [task(studio, 0, "2")]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connect(service, f"http://127.0.0.1:{silent.getsockname()[1]}", "other", pending=True)
        silent.settimeout(30)
        asked, _ = silent.accept()
        with asked:
            connect(service, studio.url, "default", pending=True)
            until(lambda: list(given(client).values()) == ["2"])
    other_client.delete(f"/v1/aliases/{ALIAS}").raise_for_status()


@pytest.mark.parametrize("export", [{"a": 1}, [1, 2], "x", [{}] * 200_001])
def test_an_export_that_is_none_is_said(
    tool: httpx.Client, service: Service, studio: StandIn, export: Any
) -> None:
    studio.tasks = export
    setup(tool, studio)
    told = until(lambda: project(service).told.get("error"))
    assert "export" in told
