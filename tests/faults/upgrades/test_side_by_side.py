"""A former release and today's, both really running on one Postgres, one Redis and one store.

Each app asks each predictor, each trainer trains what each app has taken, and a caller who asks
twenty times a second sees no error while every process is replaced.
"""

from __future__ import annotations

import base64
import io
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.counts import FULL
from tests.faults.upgrades.former import PATIENCE, Side, sides, tree_before
from tests.servers import postgres_database, redis_server, wait_for
from tests.worker_kit import pictures

pytestmark = [
    pytest.mark.servers,
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not FULL, reason="two whole releases side by side: `make faults` runs it"),
]
BEFORE = "0029"
"""The former release is what there was before this migration."""
PICTURE = base64.b64encode(pictures(1, 2, seed=99)[0][2]).decode()
RATE = 20


class Caller:
    """Who uploads, trains and predicts, with one key, at whichever app."""

    def __init__(self, key: str) -> None:
        self.key = key

    def at(self, app: str) -> httpx.Client:
        headers = {"authorization": f"Bearer {self.key}"}
        return httpx.Client(base_url=app, headers=headers, timeout=120, trust_env=False)

    def upload(self, app: str, seed: int) -> str:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for name, _, data in pictures(6, 2, seed):
                archive.writestr(name, data)
        with self.at(app) as client:
            answer = client.post("/v1/datasets", files={"file": ("d.zip", packed.getvalue())})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def submit(self, app: str, dataset: str, seed: int = 0) -> str:
        asked = {"model": "efficientnet_lite0", "training_file": dataset, "seed": seed}
        with self.at(app) as client:
            answer = client.post("/v1/fine_tuning/jobs", json=asked)
        assert answer.status_code < 300, answer.text
        return str(answer.json()["id"])

    def model(self, app: str, job: str) -> str:
        """The model of a job, which must succeed."""
        with self.at(app) as client:

            def ended() -> Any:
                told = client.get(f"/v1/fine_tuning/jobs/{job}").json()
                return told if told["status"] in ("succeeded", "failed", "cancelled") else None

            told = wait_for(ended, seconds=PATIENCE)
        assert told["status"] == "succeeded", told
        return str(told["fine_tuned_model"])

    def predict(self, app: str, model: str) -> None:
        with self.at(app) as client:
            answer = client.post(
                f"/v1/models/{model}/predictions", json={"inputs": [{"image": PICTURE}]}
            )
        assert answer.status_code == 200, answer.text
        assert answer.json()["data"][0]["label"] == "c0"

    def look(self, app: str, dataset: str, job: str, model: str) -> None:
        """What the app shows of them, also in lists, is shown."""
        paths = (
            f"datasets datasets/{dataset} datasets/{dataset}/examples datasets/{dataset}/versions"
            f" fine_tuning/jobs fine_tuning/jobs/{job} fine_tuning/jobs/{job}/events"
            f" fine_tuning/jobs/{job}/checkpoints models models/{model} models/{model}/evaluation"
        )
        with self.at(app) as client:
            answers = {path: client.get(f"/v1/{path}").status_code for path in paths.split()}
        assert set(answers.values()) == {200}, answers


@contextmanager
def asking(caller: Caller, apps: list[str], model: str) -> Iterator[Counter[Any]]:
    """Predictions and reads at 20 a second, at the apps in turn, as a balancer spreads them."""
    seen: Counter[Any] = Counter()
    over = threading.Event()
    clients: dict[str, httpx.Client] = {}

    def ask(turn: int) -> Any:
        app = apps[turn % len(apps)]
        client = clients.setdefault(app, caller.at(app))
        try:
            if turn % 2:
                return client.get(f"/v1/models/{model}").status_code
            asked = {"inputs": [{"image": PICTURE}]}
            return client.post(f"/v1/models/{model}/predictions", json=asked).status_code
        except httpx.TransportError as error:
            return repr(error)

    def run() -> None:
        turn, began = 0, time.monotonic()
        while not over.is_set():
            seen[ask(turn)] += 1
            turn += 1
            over.wait(max(0.0, began + turn / RATE - time.monotonic()))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
        for client in clients.values():
            client.close()


@pytest.fixture
def both(postgres: str, tmp_path: Path) -> Iterator[tuple[Side, Side]]:
    """A former release and today's, nothing of them running yet."""
    former = tree_before(BEFORE, tmp_path / "former")
    (tmp_path / "data").mkdir()
    with postgres_database(postgres) as database, redis_server() as broker:
        settings = {
            "HEADSTART_DATABASE_URL": database,
            "HEADSTART_BROKER_URL": broker,
            "HEADSTART_DATA_DIR": str(tmp_path / "data"),
            "HEADSTART_POLL_SECONDS": "1",
        }
        with sides(former, settings, tmp_path) as made:
            yield made


def test_nobody_notices_while_a_release_takes_the_place_of_a_former_one(
    both: tuple[Side, Side], record_property: Any
) -> None:
    former, ours = both
    former.run("prepare", "--no-key")
    caller = Caller(former.run("keys", "create", "--name", "caller").split()[-1])
    old_predictor = former.predictor()
    former.trainer()
    old = former.app(old_predictor)
    dataset = caller.upload(old, 1)
    job = caller.submit(old, dataset)
    first = caller.model(old, job)
    apps = [old]
    with asking(caller, apps, first) as seen:
        ours.run("prepare", "--no-key")
        caller.look(old, dataset, job, first)
        mixed = ours.app(old_predictor)
        apps.append(mixed)
        caller.look(mixed, dataset, job, first)
        second = _train(caller, mixed, 2, seen_at=old)  # the former trainer, alone
        predictor = ours.predictor()
        ours.trainer()
        waiting = [caller.submit(app, dataset, seed) for seed in range(4) for app in apps]
        former.stop("trainer")  # whatever it has begun ends, or goes back
        assert len({caller.model(mixed, one) for one in waiting}) == len(waiting)
        third = _train(caller, old, 3, seen_at=mixed)  # ours, alone
        crossed, new = former.app(predictor), ours.app(predictor)
        for app in (old, mixed, crossed, new):
            for model in (first, second, third):
                caller.predict(app, model)
        apps[:] = [crossed, new]
        time.sleep(1.0)
        former.stop(old)
        ours.stop(mixed)
        former.stop(old_predictor)
        apps[:] = [new]
        time.sleep(1.0)
        former.stop(crossed)
        caller.predict(new, third)
    record_property("answers", dict(seen))
    assert set(seen) == {200}, seen


def _train(caller: Caller, app: str, seed: int, *, seen_at: str) -> str:
    """A model of a new upload, which the other release's app shows and answers with, too."""
    dataset = caller.upload(app, seed)
    job = caller.submit(app, dataset)
    model = caller.model(app, job)
    caller.look(seen_at, dataset, job, model)
    caller.predict(seen_at, model)
    return model
