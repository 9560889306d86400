"""What a request names is deleted while it is handled: it is answered as one that came before the
deletion or after it, on both databases, wherever between two statements that happens.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.core.errors import HeadstartError
from app.infra.orm import DatasetVersionRow, JobRow, ModelRow, WorkRow
from app.infra.repositories import aliases
from tests.api.service import serve
from tests.api.uploading import small
from tests.factories import add_model, make_key
from tests.faults.conftest import BRISK
from tests.faults.races.interposing import Ask, Interposed
from tests.servers import postgres_database
from tests.worker_kit import Kit, add_dataset, add_job, open_kit, pictures

Race = tuple[Ask, Ask]
"""The request, and the deletion of what it names."""
MOST = 60
ALIAS = "cells@live"
BACKBONE = "efficientnet_lite0"


@dataclass
class Ground:
    """A service, and what is there to be named: new each time it is asked for."""

    kit: Kit
    client: httpx.Client
    interposed: Interposed
    folder: Path
    numbers: Iterator[int] = field(default_factory=count)

    def version(self) -> DatasetVersionRow:
        """A dataset that is ready."""
        version = add_dataset(self.kit, pictures(2, seed=next(self.numbers)), backbone=BACKBONE)
        done = update(WorkRow).values(state="done")
        ready = update(DatasetVersionRow).values(status="ready")
        self.kit.commit(lambda session: session.execute(done) and session.execute(ready))
        return version

    def dataset(self) -> str:
        return self.version().dataset_id

    def model(self) -> str:
        job = add_job(self.kit, self.version(), backbone=BACKBONE)

        def add(session: Any) -> str:
            row = session.get_one(JobRow, job)
            row.status = "succeeded"
            return add_model(session, row, self.kit.storage, self.folder).id

        return self.kit.commit(add)

    def alias(self) -> str:
        name = f"cells-{next(self.numbers)}@live"
        self.made("PUT", f"/v1/aliases/{name}", json={"model": self.model()})
        return name

    def made(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        answer = self.client.request(method, path, **body)
        assert answer.is_success, answer.text
        return dict(answer.json())

    def asks(self, method: str, path: str, **body: Any) -> Ask:
        return partial(self.client.request, method, path, **body)

    def deletes(self, path: str) -> Ask:
        return partial(self.client.delete, path)


Cases = dict[str, Callable[[Ground], Race]]


def on_dataset(method: str, path: str, **body: Any) -> Callable[[Ground], Race]:
    """A request whose path or body has `DATASET` where the dataset is named."""

    def make(ground: Ground) -> Race:
        name = ground.dataset()
        told = json.loads(json.dumps(body).replace("DATASET", name))
        ask = ground.asks(method, path.replace("DATASET", name), **told)
        return ask, ground.deletes(f"/v1/datasets/{name}")

    return make


def on_model(method: str, path: str, **body: Any) -> Callable[[Ground], Race]:
    def make(ground: Ground) -> Race:
        name, dataset = ground.model(), ground.dataset()
        text = json.dumps(body).replace("MODEL", name).replace("DATASET", dataset)
        ask = ground.asks(method, path.replace("MODEL", name), **json.loads(text))
        return ask, ground.deletes(f"/v1/models/{name}")

    return make


def on_alias(method: str, path: str, **body: Any) -> Callable[[Ground], Race]:
    def make(ground: Ground) -> Race:
        name, model, dataset = ground.alias(), ground.model(), ground.dataset()
        text = json.dumps(body).replace("ALIAS", name).replace("MODEL", model)
        told = json.loads(text.replace("DATASET", dataset))
        ask = ground.asks(method, path.replace("ALIAS", name), **told)
        return ask, ground.deletes(f"/v1/aliases/{name}")

    return make


def appending(ground: Ground) -> Race:
    name = ground.dataset()
    file = {"file": ("more.zip", small())}
    ask = ground.asks("POST", f"/v1/datasets/{name}/examples", files=file)
    return ask, ground.deletes(f"/v1/datasets/{name}")


def erasing(ground: Ground) -> Race:
    name = ground.dataset()
    path = f"/v1/datasets/{name}"
    one = ground.client.get(f"{path}/examples").json()["data"][0]["sha256"]
    return ground.asks("POST", f"{path}/erasures", json={"sha256": one}), ground.deletes(path)


def predicting_an_upload(ground: Ground) -> Race:
    name = ground.model()
    file = {"file": ("more.zip", small())}
    ask = ground.asks("POST", "/v1/batch_predictions", files=file, data={"model": name})
    return ask, ground.deletes(f"/v1/models/{name}")


def an_upload(ground: Ground) -> str:
    body = {"bytes": len(small()), "filename": "a.zip", "mime_type": "application/zip"}
    return str(ground.made("POST", "/v1/uploads", json=body | {"purpose": "fine-tune"})["id"])


def a_part(ground: Ground) -> Race:
    name = an_upload(ground)
    ask = ground.asks("POST", f"/v1/uploads/{name}/parts", files={"data": ("x", small())})
    return ask, ground.asks("POST", f"/v1/uploads/{name}/cancel")


def completing(ground: Ground) -> Race:
    name = an_upload(ground)
    data = {"data": ("x", small())}
    part = ground.made("POST", f"/v1/uploads/{name}/parts", files=data)["id"]
    ask = ground.asks("POST", f"/v1/uploads/{name}/complete", json={"part_ids": [part]})
    return ask, ground.asks("POST", f"/v1/uploads/{name}/cancel")


def requests_of_a_file(ground: Ground) -> Race:
    line = {
        "custom_id": "a",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": ground.model(), "messages": [{"role": "user", "content": "x"}]},
    }
    file = {"file": ("a.jsonl", json.dumps(line).encode())}
    name = ground.made("POST", "/v1/files", files=file, data={"purpose": "batch"})["id"]
    body = {
        "input_file_id": name,
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    }
    return ground.asks("POST", "/v1/batches", json=body), ground.deletes(f"/v1/files/{name}")


def rotating(ground: Ground) -> Race:
    body = {"name": "x", "scopes": ["read"]}
    name = ground.made("POST", "/v1/api_keys", json=body)["id"]
    ask = ground.asks("POST", f"/v1/api_keys/{name}/rotate", json={"overlap_seconds": 60})
    return ask, ground.deletes(f"/v1/api_keys/{name}")


def a_hook(ground: Ground, **named: str) -> dict[str, Any]:
    return {
        "name": "nightly",
        "dataset": ground.dataset(),
        "alias": "new@live",
        "job": {"model": BACKBONE},
        "triggers": [{"type": "inbound"}],
        **named,
    }


def hooking(ground: Ground) -> Race:
    body = a_hook(ground)
    return ground.asks("POST", "/v1/hooks", json=body), ground.deletes(
        f"/v1/datasets/{body['dataset']}"
    )


def on_hook(method: str, rest: str, **body: Any) -> Callable[[Ground], Race]:
    def make(ground: Ground) -> Race:
        path = f"/v1/hooks/{ground.made('POST', '/v1/hooks', json=a_hook(ground))['id']}"
        return ground.asks(method, path + rest, **body), ground.deletes(path)

    return make


def on_webhook(method: str, rest: str, **body: Any) -> Callable[[Ground], Race]:
    def make(ground: Ground) -> Race:
        new = {"url": "http://127.0.0.1:9/", "events": ["*"]}
        path = f"/v1/webhooks/{ground.made('POST', '/v1/webhooks', json=new)['id']}"
        return ground.asks(method, path + rest, **body), ground.deletes(path)

    return make


def cancelling_a_batch(ground: Ground) -> Race:
    body = {"model": ground.model(), "dataset": ground.dataset()}
    path = f"/v1/batch_predictions/{ground.made('POST', '/v1/batch_predictions', json=body)['id']}"
    return ground.asks("POST", f"{path}/cancel"), ground.deletes(path)


def with_a_project(rest: str, **query: str) -> Callable[[Ground], Race]:
    def make(ground: Ground) -> Race:
        root = "/customvision/v3.3/Training/projects"
        project = ground.made("POST", root, params={"name": "p"})["id"]
        ask = ground.asks("POST", f"{root}/{project}{rest}", params=query)
        return ask, ground.deletes(f"{root}/{project}")

    return make


FORCED = {"candidate": "MODEL", "force": True, "reason": "better"}
CASES: Cases = {
    "job, dataset": on_dataset(
        "POST", "/v1/fine_tuning/jobs", json={"training_file": "DATASET", "model": BACKBONE}
    ),
    "job, model": on_model(
        "POST", "/v1/fine_tuning/jobs", json={"training_file": "DATASET", "model": "MODEL"}
    ),
    "batch, model": on_model(
        "POST", "/v1/batch_predictions", json={"model": "MODEL", "dataset": "DATASET"}
    ),
    "batch, alias": on_alias(
        "POST", "/v1/batch_predictions", json={"model": "ALIAS", "dataset": "DATASET"}
    ),
    "batch of an upload, model": predicting_an_upload,
    "batch, batch": cancelling_a_batch,
    "batch of requests, file": requests_of_a_file,
    "alias, model": on_model("PUT", "/v1/aliases/a@live", json={"model": "MODEL"}),
    "traffic, alias": on_alias("PATCH", "/v1/aliases/ALIAS", json={"shadow": "MODEL"}),
    "traffic, model": on_model("PATCH", "/v1/aliases/kept@live", json={"shadow": "MODEL"}),
    "log, alias": on_alias("PATCH", "/v1/aliases/ALIAS", json={"prediction_log": {}}),
    "promotion, alias": on_alias("POST", "/v1/aliases/ALIAS/promotions", json=FORCED),
    "promotion, model": on_model("POST", "/v1/aliases/kept@live/promotions", json=FORCED),
    "examples, dataset": appending,
    "name, dataset": on_dataset("PATCH", "/v1/datasets/DATASET", json={"name": "other"}),
    "erasure, dataset": erasing,
    "part, upload": a_part,
    "completion, upload": completing,
    "rotation, key": rotating,
    "hook, dataset": hooking,
    "change, hook": on_hook("PATCH", "", json={"name": "other"}),
    "run, hook": on_hook("POST", "/trigger", json={}),
    "secret, hook": on_hook("POST", "/secret"),
    "test, webhook": on_webhook("POST", "/test"),
    "secret, webhook": on_webhook("POST", "/secret"),
    "change, webhook": on_webhook("PATCH", "", json={"description": "x"}),
    "tag, project": with_a_project("/tags", name="t"),
}


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.servers)]
)
def ground(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ground]:
    folder, settings = tmp_path_factory.mktemp("ground"), dict(BRISK)
    settings |= {"webhook_networks": "127.0.0.0/8"}
    if request.param == "sqlite":
        yield from served(folder, settings)
        return
    with postgres_database(request.getfixturevalue("postgres")) as url:
        yield from served(folder, settings | {"database_url": url})


def served(folder: Path, settings: dict[str, Any]) -> Iterator[Ground]:
    kit = open_kit(folder, **settings)
    key = make_key(kit.sessions, "acme")
    with serve(kit.settings) as service, service.client(key) as client:
        interposed = Interposed(service.services.engine)
        made = Ground(kit, client, interposed, folder)
        made.made("PUT", "/v1/aliases/kept@live", json={"model": made.model()})
        yield made
        interposed.close()
    kit.engine.dispose()


@pytest.mark.parametrize("case", CASES)
def test_one_that_is_given_up_for_others_sake_is_begun_anew(ground: Ground, case: str) -> None:
    """Whatever of it was done by then: nobody is told to send again what can be done by itself."""
    for at in range(1, MOST):
        ask, _ = CASES[case](ground)
        ground.interposed.give_up(at)
        answer = ask()
        if not ground.interposed.has_given_up:
            break
        assert answer.is_success, (at, answer.text)
    assert at > 1, "nothing of it writes"


def race(ground: Ground, make: Callable[[Ground], Race]) -> int:
    """Before how many of its statements what it names was deleted, each time new."""
    ask, _ = make(ground)
    alone = ask()
    assert alone.is_success, alone.text
    for at in range(1, MOST):
        ask, delete = make(ground)
        ground.interposed.arm(at, delete)
        answer = ask()
        gone = ground.interposed.disarm()
        if gone is None:
            return at - 1
        said = (at, answer.text, gone.text)
        assert gone.is_success or gone.status_code in (404, 409), said
        assert answer.is_success or answer.status_code in (404, 409), said
    return MOST  # what the service goes on with by itself may write as well, on a busy machine


@pytest.mark.parametrize("case", CASES)
def test_what_it_names_goes_between_two_of_its_statements(ground: Ground, case: str) -> None:
    assert race(ground, CASES[case]), "nothing of it writes"


def test_what_is_not_locked_is_looked_for_again(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where somebody forgets it: the database refuses the row, and the request is begun anew."""

    def look(session: Session, models: Iterable[str], *, organisation_id: str) -> None:
        owned = select(ModelRow.id).where(ModelRow.organisation_id == organisation_id)
        if not set(models) <= set(session.scalars(owned)):
            raise HeadstartError("not_found", "there is no such model", param="model")

    monkeypatch.setattr(aliases, "hold", look)
    names = count()

    def pointing(ground: Ground) -> Race:
        name = f"new-{next(names)}@live"
        return on_model("PUT", f"/v1/aliases/{name}", json={"model": "MODEL"})(ground)

    assert race(ground, pointing)
