"""What memory a predictor takes that answers by many tuned models in turn.

A process of its own, as it is served: eight tuned models of four backbones, all asked in each
round. Memory is what the kernel accounts to the process as its own, read while it answers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import numpy as np
import torch
from safetensors.torch import save_file

from app.core.errors import HeadstartError
from app.core.messages import Call, Input, Options, Target
from app.core.modalities import Depth, mapped
from app.infra import storage_keys
from app.infra.predictor_client import PredictorClient
from app.infra.settings import Settings
from app.infra.storage import open_storage, staging
from benchmarks.record import record, shared_data
from worker.formats import models
from worker.ml.artifact import HeadArtifact
from worker.ml.backbones.suffix import Suffix
from worker.ml.engines import load_engine
from worker.ml.engines.stream import embed_stream
from worker.ml.engines.tunable import tunable
from worker.ml.features.spaces import TUNED, Channel
from worker.ml.fit import fit
from worker.ml.tasks import Support, Task
from worker.predictor.networks.room import BESIDE

MODELS: tuple[tuple[str, Depth], ...] = (
    *(("efficientnet_lite0", depth) for depth in get_args(Depth)),
    *(("mobilenet_v2", depth) for depth in get_args(Depth)),
    ("efficientnet_lite1", "partial"),
    ("efficientnet_lite2", "full"),
)
SET, CLASSES, PER_CLASS = "clothing", 4, 6
BUDGET: int = Settings.model_fields["heads_cache_bytes"].default
ROUNDS, EACH = 20, 2
MIB = 2**20
_LOOK_SECONDS = 0.02
METHOD = (
    "python -m worker.predictor, started and asked over its socket: eight tuned models of four "
    "backbones (tensors that differ from the pretrained ones by noise), in each round all of them "
    "at once, so many pictures each; anonymous memory (RssAnon of /proc/<pid>/status) every 20 ms: "
    "the most of it in each round, and at its end; `bound` is the heads' budget and what a "
    "predictor has beside it"
)


def store(folder: Path, backbone: str, depth: Depth) -> None:
    """Store a model as a trainer does: frozen heads of a few pictures, and beside them a network of
    its own, by tensors that differ from the pretrained ones by noise.
    """
    settings = Settings(data_dir=folder)
    engines, name = folder / "engines", f"{backbone}-{depth}"
    engine: Any = load_engine(backbone, settings.weights_dir, cache_dir=engines)
    pictures = shared_data() / SET / "train"
    classes = sorted(path.name for path in pictures.iterdir())[:CLASSES]
    files = [path for one in classes for path in sorted((pictures / one).iterdir())[:PER_CLASS]]
    task = Task(
        method="auto",
        hyperparameters={},
        support=Support(
            features={"squish": _rows(engine, [path.read_bytes() for path in files], "squish")},
            labels=torch.arange(CLASSES).repeat_interleave(PER_CLASS),
            groups=torch.arange(CLASSES * PER_CLASS),
            ids=[f"ex_{row}" for row in range(CLASSES * PER_CLASS)],
            classes=classes,
        ),
        layout=engine.spec.layout,
        backbone=backbone,
    )
    suffix = tunable(backbone, depth, settings.weights_dir, cache_dir=engines)
    head = beside(fit(task).head, suffix, depth)
    fresh = staging(settings) / name
    fresh.mkdir()
    save_file({key: one.contiguous() for key, one in head.tensors.items()}, fresh / models.HEAD)
    about = {"name": backbone, "weights_sha256": engine.weights_sha256}
    card = {
        "config": head.config.as_json(),
        "backbone": about | {"precision": engine.precision},
    }
    prefix = storage_keys.artifact(organisation_id="org", name=name, fence=1)
    made = models.write(open_storage(settings), fresh, prefix, card)
    print(f"{backbone} {made.prefix} {made.sha256}")


def beside(frozen: HeadArtifact, suffix: Suffix, depth: Depth) -> HeadArtifact:
    """The same head, with a channel of a network tuned so deep."""
    draw = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        width = suffix.embed(suffix.start, torch.zeros(1, suffix.cut.width)).shape[1]
    own = {
        f"{TUNED}.{name}": (value + 1e-3 * torch.randn(value.shape, generator=draw)).half()
        for name, value in suffix.start.items()
    }
    weight = frozen.tensors["weight"]
    more = 1e-3 * torch.randn(width, weight.shape[1], generator=draw)
    channel = Channel(space=TUNED, views=(mapped("squish", depth),))
    config = replace(frozen.config, channels=(*frozen.config.channels, channel), depth=depth)
    tensors = {**frozen.tensors, "weight": torch.cat([weight, more.to(weight)]), **own}
    return HeadArtifact(tensors=tensors, config=config)


def _rows(engine: Any, blobs: Sequence[bytes], view: str) -> torch.Tensor:
    """[n, width] fp16."""
    made = [np.asarray(row, np.float16) for _, row in embed_stream(engine, blobs, view=view)]
    return torch.from_numpy(np.stack(made))


def stored(folder: Path, backbone: str, depth: Depth) -> Target:
    """The same in a process of its own, which ends with all that it took."""
    asked = [sys.executable, "-m", "benchmarks.figures.tuned_memory", "--store"]
    told = subprocess.run(
        [*asked, str(folder), backbone, depth], check=True, capture_output=True, text=True
    ).stdout
    name, prefix, sha256 = told.split()[-3:]
    return Target(model=f"{name}-{depth}", backbone=name, artifact=prefix, sha256=sha256)


class Predictor:
    """A running one."""

    def __init__(self, settings: Settings, process: subprocess.Popen[bytes]) -> None:
        self._settings, self._process = settings, process
        self.most, self._over = 0, threading.Event()
        self._watch = threading.Thread(target=self._look)
        self._watch.start()

    def own(self) -> int:
        """Bytes that are the process's alone."""
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))

    def close(self) -> None:
        """Look no more."""
        self._over.set()
        self._watch.join()

    def ask(self, *targets: Target, jpegs: Sequence[bytes]) -> Counter[int]:
        """All at once, each of one picture; the statuses. Who is sent away comes back when told."""

        async def every() -> Counter[int]:
            client = PredictorClient(self._settings.predictor, limit=4096)
            options = Options(timeout=600, wait=600, cache=False)
            calls = [
                Call(id="pred_1", tenant="org", target=target, options=options,
                     inputs=(Input("image", jpegs[place % len(jpegs)]),))
                for place, target in enumerate(targets)
            ]  # fmt: skip
            answers: Counter[int] = Counter()
            try:
                await asyncio.gather(*(_until_answered(client, call, answers) for call in calls))
            finally:
                await client.close()
            return answers

        return asyncio.run(every())

    def _look(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            self.most = max(self.most, self.own())


async def _until_answered(client: PredictorClient, call: Call, answers: Counter[int]) -> None:
    while True:
        try:
            answers[(await client.predict(call)).status] += 1
        except HeadstartError as error:
            if error.retry_after is None:
                raise
            answers[503] += 1
            await asyncio.sleep(error.retry_after)
        else:
            return


@contextmanager
def running(folder: Path, budget: int) -> Iterator[Predictor]:
    """Ready, and ended by SIGTERM."""
    settings = Settings(data_dir=folder)
    told = {"HEADSTART_DATA_DIR": str(folder), "HEADSTART_HEADS_CACHE_BYTES": str(budget)}
    command = [sys.executable, "-m", "worker.predictor"]
    with subprocess.Popen(command, env=os.environ | told) as process:
        try:
            while not asyncio.run(_ready(settings)):
                assert process.poll() is None
                time.sleep(0.2)
            predictor = Predictor(settings, process)
            yield predictor
            predictor.close()
        finally:
            process.terminate()
            process.wait(120)


async def _ready(settings: Settings) -> bool:
    try:
        reader, writer = await asyncio.open_unix_connection(
            settings.predictor.removeprefix("unix:")
        )
    except OSError:
        return False
    writer.write(b"GET /readyz HTTP/1.1\r\nhost: p\r\n\r\n")
    answer = await reader.read(1000)
    writer.close()
    return answer.startswith(b"HTTP/1.1 200")


def measured(folder: Path, targets: list[Target]) -> dict[str, Any]:
    """One life of a predictor."""
    pictures = sorted((shared_data() / SET / "test").glob("*/*"))[:64]
    jpegs = [path.read_bytes() for path in pictures]
    statuses: Counter[int] = Counter()
    most, after = [], []
    with running(folder, BUDGET) as predictor:
        ready = predictor.own()
        for number in range(ROUNDS):
            predictor.most = 0
            statuses += predictor.ask(*(targets * EACH), jpegs=jpegs)
            most.append(predictor.most // MIB)
            after.append(predictor.own() // MIB)
            print(number, most[-1], after[-1], dict(statuses), flush=True)
    return {
        "heads_budget_mib": BUDGET // MIB,
        "bound_mib": (BUDGET + BESIDE) // MIB,
        "rounds": ROUNDS,
        "pictures_a_model_and_round": EACH,
        "ready_mib": ready // MIB,
        "most_mib": max(most),
        "most_in_each_round_mib": most,
        "after_each_round_mib": after,
        "answers": {str(status): count for status, count in statuses.items()},
    }


def main() -> None:
    """The models are stored first, each by a process of its own, where they are not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", nargs=3, default=None)
    parser.add_argument("--folder", type=Path, help="where models are kept, for the next run, too")
    options = parser.parse_args()
    if options.store:
        folder, backbone, depth = options.store
        store(Path(folder), backbone, depth)
        return
    with TemporaryDirectory() as temporary:
        home = options.folder or Path(temporary)
        targets = _targets(home)
        results = {
            "models": [target.model for target in targets],
            **measured(home, targets),
        }
    record(
        "tuned_memory",
        figure="MiB of its own that a predictor has while eight tuned models are asked in turn",
        method=METHOD,
        results=results,
    )


def _targets(home: Path) -> list[Target]:
    known = home / "targets.json"
    if not known.is_file():
        home.mkdir(parents=True, exist_ok=True)
        made = [stored(home, backbone, depth) for backbone, depth in MODELS]
        known.write_text(json.dumps([asdict(one) for one in made]))
    return [Target(**one) for one in json.loads(known.read_text())]


if __name__ == "__main__":
    main()
