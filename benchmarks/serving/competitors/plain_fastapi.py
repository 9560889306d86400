"""FastAPI and torch, the way most tutorials do it: one forward pass a request, in a thread."""

from __future__ import annotations

import sys
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool

from benchmarks.serving.competitors.network import answer, decode, network

app = FastAPI()
model = network()


@app.post("/predict")
async def predict(request: Request) -> dict[str, Any]:
    """A raw image in, a label out."""
    return await run_in_threadpool(_predict, await request.body())


def _predict(data: bytes) -> dict[str, Any]:
    with torch.inference_mode():
        return answer(model(decode(data)[None])[0])


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
