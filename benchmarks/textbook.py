"""The textbook recipe the textbook way, over our cold job on the same images and backbone."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from app.infra.weights import get
from benchmarks.record import record, shared_data, spread
from benchmarks.service import class_folders, fine_tune, running, upload, zipped
from worker.ml.backbones.networks import pyramid
from worker.ml.images.views import decode_to

EPOCHS, BATCH = 10, 32


def textbook(
    pictures: Sequence[tuple[str, Path]], *, dtype: torch.dtype, epochs: int = EPOCHS
) -> float:
    """Seconds for `epochs` of a new linear layer, with a backbone forward pass in each."""
    spec = get("efficientnet_lite0")
    module, _ = pyramid("efficientnet_lite0", None)
    if dtype is torch.bfloat16:
        module.cast(dtype)
        module.to(memory_format=torch.channels_last)
    labels = sorted({label for label, _ in pictures})
    head = torch.nn.Linear(spec.last.stop - spec.last.start, len(labels), dtype=dtype)
    optimiser = torch.optim.Adam(head.parameters(), lr=1e-4)
    started = time.perf_counter()
    for _ in range(epochs):
        for start in range(0, len(pictures), BATCH):
            rows = pictures[start : start + BATCH]
            pixels = [decode_to(path.read_bytes(), "squish", spec.input_size) for _, path in rows]
            with torch.no_grad():
                features = module(torch.from_numpy(np.stack(pixels)))
            features = features[:, spec.last.start : spec.last.stop].to(dtype)
            targets = torch.tensor([labels.index(label) for label, _ in rows])
            loss = torch.nn.functional.cross_entropy(head(features), targets)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return time.perf_counter() - started


def main(rounds: int) -> None:
    """Each round: our cold job, then the textbook in fp32 and in bf16 channels_last."""
    torch.set_num_threads(2)
    pictures = class_folders(shared_data() / "clothing" / "train", per_class=20)
    cold, fp32, bf16 = [], [], []
    with running() as service:
        warm_up = upload(service.client, zipped(pictures[::10]))
        fine_tune(service.client, warm_up["id"])
        service.settle()
        for number in range(rounds):
            tenant = service.tenant(f"round-{number}")
            started = time.perf_counter()
            fine_tune(tenant, upload(tenant, zipped(pictures))["id"])
            cold.append(time.perf_counter() - started)
            service.settle()
            fp32.append(textbook(pictures, dtype=torch.float32))
            bf16.append(EPOCHS * textbook(pictures, dtype=torch.bfloat16, epochs=1))
    record(
        "textbook",
        figure="the textbook recipe (a backbone forward pass in each of 10 epochs, torch) over"
        " our cold job, first byte of the upload to `succeeded`",
        method=f"{rounds} rounds of both in turn; 200 clothing images, efficientnet_lite0, models"
        " loaded beforehand on both sides; bf16: one epoch timed, times ten",
        results={
            "images": len(pictures),
            "cold_job_seconds": spread(cold),
            "textbook_fp32_seconds": spread(fp32),
            "textbook_bf16_channels_last_seconds": spread(bf16),
            "ratio_fp32": spread([a / b for a, b in zip(fp32, cold, strict=True)]),
            "ratio_bf16_channels_last": spread([a / b for a, b in zip(bf16, cold, strict=True)]),
        },
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    main(parser.parse_args().rounds)
