"""The whole service on a device: a cold job, predictions, deeper methods, a kill, and memory."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import torch

from app.core.messages import PRECISION_HEADER
from benchmarks.embedding import bare_loop
from benchmarks.gpu import engines, inputs
from benchmarks.gpu.engines import Plan
from benchmarks.service import Service, fine_tune, running, wait_until_ready
from benchmarks.serving import closed_loop
from benchmarks.serving.open_loop import http_request
from benchmarks.serving.world import multipart
from worker.ml import memory

RESUMED = "Tuning goes on where a former try got to"
CONTEXTS = 2 * 2**30
"""What CUDA, its libraries and ours hold in three processes, beside what torch allocates."""
DEPTHS = ("partial", "lora", "full")


@dataclass
class Rig:
    """A running service, a model of the first network, and what it was made of."""

    plan: Plan
    service: Service
    few: list[tuple[str, bytes]]
    """Of a small job."""
    lasting: float
    """Seconds of a load."""
    depths: Sequence[str] = DEPTHS
    dataset: str = ""
    model: str = ""

    @property
    def network(self) -> str:
        """The first of the plan."""
        return self.plan.networks[0]


@contextmanager
def rig(plan: Plan, *, few: int, lasting: float, depths: Sequence[str]) -> Iterator[Rig]:
    """A service that finds the plan's weights, and keeps states of a tuning soon."""
    told = {
        "HEADSTART_WEIGHTS_DIR": str(plan.weights_dir),
        "HEADSTART_TUNING_KEEP_SECONDS": "0" if plan.device == "cpu" else "1",
        "HEADSTART_DEFAULT_BACKBONE_IMAGE": plan.networks[0],
    }
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        with running() as service:
            yield Rig(plan, service, list(plan.pictures[:few]), lasting, depths)
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def cold_job(made: Rig) -> dict[str, Any]:
    """First byte of an upload to `succeeded`, over a bare loop that decodes and embeds."""
    plan, client = made.plan, made.service.client
    engine: Any = engines.engine(plan, made.network, plan.precisions[-1])
    bare_loop(engine, plan.blobs[:32], engine.spec.input_size)
    warm = _upload(made, made.few)
    fine_tune(client, warm, model=made.network)
    made.service.settle()
    began = time.perf_counter()
    bare_loop(engine, plan.blobs, engine.spec.input_size)
    bare = time.perf_counter() - began
    began = time.perf_counter()
    made.dataset = _upload(made, plan.pictures[::-1])
    job = fine_tune(client, made.dataset, model=made.network)
    cold = time.perf_counter() - began
    made.model = str(job["fine_tuned_model"])
    return {
        "pictures": len(plan.pictures),
        "seconds": round(cold, 2),
        "over_bare_loop": round(cold / bare, 2),
    }


def _upload(made: Rig, pictures: Any) -> str:
    data = inputs.archive(pictures)
    fields = {"backbone": made.network}
    answer = made.service.client.post(
        "/v1/datasets", files={"file": ("drawn.zip", data)}, data=fields
    )
    answer.raise_for_status()
    dataset = str(answer.json()["id"])
    wait_until_ready(made.service.client, dataset)
    return dataset


def serving(made: Rig) -> dict[str, Any]:
    """Images a second and milliseconds over HTTP, against the bare network at its best batch and
    against decoding and one pass in one process.
    """
    plan, service = made.plan, made.service
    service.settle()
    key = (service.data_dir / "api-key").read_text().strip()
    url, path = service.supervisor.url, f"/v1/models/{made.model}/predictions"
    single = [http_request(path, key, data) for data in plan.blobs[:64]]
    packs = [multipart(plan.blobs[at : at + 32]) for at in range(0, len(single) - 31, 32)]
    many = [http_request(path, key, body, kind=kind) for body, kind in packs]
    clients = max(1, min(4, engines.THREADS // 4))
    loads = {"requests_of_32": (many, 8, 32), "single": (single, 64, 1), "lone": (single, 1, 1)}
    found: dict[str, Any] = {}
    for name, (requests, asking, images) in loads.items():
        told = closed_loop.run(
            url, requests, clients=asking, seconds=made.lasting, processes=min(asking, clients)
        )
        found[name] = {**told, "images_per_second": told["requests_per_second"] * images}
    engine: Any = engines.engine(plan, made.network, plan.precisions[-1])
    side = engine.spec.input_size
    bare = max(engines.bare_rate(plan, made.network, side, size) for size in plan.batches)
    loop = engines.rate(lambda: bare_loop(engine, plan.blobs, side), len(plan.blobs), plan)
    best = max(one["images_per_second"] for one in found.values())
    return {
        "precision": _computed_in(made),
        **found,
        "over_bare_network": round(best / bare, 3),
        "over_bare_decode_and_pass": round(best / loop, 3),
        "bare_lone_ms": round(engines.lone_ms(engine, plan.blobs, 20), 2),
    }


def _computed_in(made: Rig) -> str:
    """What the predictor says that it computes in."""
    answer = made.service.client.post(
        f"/v1/models/{made.model}/predictions",
        content=made.plan.blobs[0],
        headers={"content-type": "image/jpeg"},
    )
    return str(answer.raise_for_status().headers[PRECISION_HEADER])


def deeper(made: Rig) -> dict[str, Any]:
    """Seconds of a job at each depth on each network, and what a prediction by it takes."""
    found: dict[str, dict[str, Any]] = {}
    for network in made.plan.networks:
        dataset = _upload(made, made.few)
        for depth in made.depths:
            try:
                one = _tuned(made, dataset, network, depth)
            except (SystemExit, httpx.HTTPError) as error:
                one = {"holds": False, "error": str(error)[:500]}
            found[f"{depth} {network}"] = one
    return {"holds": all(one.get("holds", True) for one in found.values()), **found}


def _tuned(made: Rig, dataset: str, network: str, depth: str) -> dict[str, Any]:
    began = time.perf_counter()
    job = fine_tune(made.service.client, dataset, model=network, method=_method(depth, epochs=2))
    seconds = time.perf_counter() - began
    model = str(job["fine_tuned_model"])
    path = f"/v1/models/{model}/predictions"
    files = [("files", ("a.jpg", data, "image/jpeg")) for _, data in made.few[:8]]
    began = time.perf_counter()
    made.service.client.post(path, files=files).raise_for_status()
    first = time.perf_counter() - began
    began = time.perf_counter()
    files = [("files", ("a.jpg", data, "image/jpeg")) for _, data in made.few[8:16]]
    made.service.client.post(path, files=files).raise_for_status()
    return {
        "seconds": round(seconds, 1),
        "first_prediction_seconds": round(first, 2),
        "eight_predictions_seconds": round(time.perf_counter() - began, 3),
    }


def _method(depth: str, epochs: int) -> dict[str, Any]:
    """Half of the model is the tuned network, whatever it is worth on noise."""
    return {"type": depth, depth: {"hyperparameters": {"epochs": epochs, "share": 0.5}}}


def resume(made: Rig) -> dict[str, Any]:
    """A tuning whose process is killed when a state has been kept goes on from there."""
    client = made.service.client
    dataset = _upload(made, made.few[::-1])
    body = {"model": made.network, "training_file": dataset, "method": _method("full", epochs=3)}
    job = str(client.post("/v1/fine_tuning/jobs", json=body).raise_for_status().json()["id"])
    folder = made.service.data_dir / "storage" / "tunings"
    while not (kept := list(folder.glob(f"*/{job}/*"))) and not _ended(made, job):
        time.sleep(0.02)
    os.kill(_tensor_process(made.service), signal.SIGKILL)
    while not (told := _ended(made, job)):
        time.sleep(0.1)
    events = client.get(f"/v1/fine_tuning/jobs/{job}/events", params={"limit": 100}).json()["data"]
    resumed = sum(RESUMED in event["message"] for event in events)
    return {
        "killed_with_a_state": bool(kept),
        "status": told["status"],
        "resumed": resumed,
        "holds": told["status"] == "succeeded" and resumed > 0,
    }


def _ended(made: Rig, job: str) -> dict[str, Any]:
    told = made.service.client.get(f"/v1/fine_tuning/jobs/{job}").json()
    return dict(told) if told["status"] in ("succeeded", "failed", "cancelled") else {}


def _tensor_process(service: Service) -> int:
    """The trainer's child that computes."""
    trainer = next(child for child in service.supervisor.children if child.name == "trainer")
    assert trainer.process is not None
    for task in Path(f"/proc/{trainer.process.pid}/task").iterdir():
        for pid in (task / "children").read_text().split():
            if b"worker.tensors" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return int(pid)
    raise SystemExit("the trainer has no tensor process")


def caps(made: Rig) -> dict[str, Any]:
    """What both processes hold of the card after all of this, and what their shares allow."""
    if made.plan.device == "cpu":
        return {"skipped": "there is no GPU"}
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    held = total - free - torch.cuda.memory_reserved()
    share = memory.TRAINER_SHARE + memory.PREDICTOR_SHARE
    most = int(share * total) + CONTEXTS
    told = {"held_gib": round(held / 2**30, 2), "allowed_gib": round(most / 2**30, 2)}
    return {**told, "refused_beyond_share": refused(), "holds": held <= most and refused()}


def refused() -> bool:
    """Whether a process that keeps to a share is refused more than that."""
    memory.keep_to(0.05)
    total = torch.cuda.get_device_properties(0).total_memory
    try:
        torch.empty(int(0.06 * total), dtype=torch.uint8, device="cuda")
    except torch.OutOfMemoryError:
        return True
    finally:
        memory.keep_to(1.0)
    return False
